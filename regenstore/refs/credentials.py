"""User and password of a server: Git's credential helpers, ``~/.netrc``, then whoever sits at the terminal. They are
kept where the user keeps them, never in a repository.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from regenstore.refs.git import Git

_ASKING_NOBODY = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "SSH_ASKPASS": ""}


def credentials(top: str, netrc_file: str) -> Callable[[str], tuple[str, str] | None]:
    """What answers for an address, asked at each call; None where nobody knows. ``git credential`` asks the user
    where Git may (``GIT_TERMINAL_PROMPT``, ``core.askPass``), and only when nothing else knows."""

    def find(url: str) -> tuple[str, str] | None:
        quiet = Git(top, give=_ASKING_NOBODY)
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
