"""User names and passwords of servers: from Git's credential helpers, ``~/.netrc``, or a prompt. They stay where the
user keeps them, never in a repository.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from regenstore.refs.git import Git

_NO_PROMPT = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": ""}


def credentials(top: str, netrc_file: str) -> Callable[[str], tuple[str, str] | None]:
    """Return a function that finds the credentials for an address; it returns None if there are none. ``git
    credential`` prompts only where Git may (``GIT_TERMINAL_PROMPT``, ``core.askPass``), and only as a last resort."""

    def find(url: str) -> tuple[str, str] | None:
        quiet = Git(top, give=_NO_PROMPT)
        return _filled(quiet, url) or _from_netrc(netrc_file, url) or _filled(Git(top), url)

    return find


def _filled(git: Git, url: str) -> tuple[str, str] | None:
    if "\n" in url:
        return None
    return git.credential(url)


def _from_netrc(path: str, url: str) -> tuple[str, str] | None:
    import netrc

    host = urlsplit(url).hostname
    if not path or host is None:
        return None
    try:
        found = netrc.netrc(path).hosts.get(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    return None if found is None else (found[0] or "", found[2] or "")
