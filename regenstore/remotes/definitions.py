"""Which remotes there are: those of Git's configuration, and those that the repository declares.

::

    [remotes.studio]
    url = "https://media.example.org/film"   # or a folder, relative to the worktree's top

A declared remote is used only after the user approved its name with its address, or the folder that it leads to;
until then nothing is asked of it, not even whether it is there. Git's configuration is the user's own, and wins where
both name the same one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from regenstore import addresses
from regenstore.errors import InvalidInput, NotFound, RegenstoreError, TrustRequired
from regenstore.fs.path_text import path_text
from regenstore.project.repository_file import FILE, bad_declaration, hash_of, read_table
from regenstore.project.trust import TrustRecord
from regenstore.remotes.backends.opening import folder_of
from regenstore.remotes.settings import NAME, RemoteSetting

if TYPE_CHECKING:
    from regenstore.remotes.remote import Remote

TABLE = "remotes"
GIT_CONFIG = "git config"
_HASH_CONTEXT = "regenstore 2026-11 remote definition v1"


@dataclass(frozen=True)
class Definition:
    """A remote that has a name and an address here."""

    name: str
    url: str
    source: str
    """:data:`GIT_CONFIG`, or the file that declares it."""
    setting: RemoteSetting
    hash: str | None = None
    """What the user's approval is bound to; None where none is needed."""
    trusted: bool = True

    @property
    def shown(self) -> str:
        """Its address for people."""
        return addresses.shown(self.url)

    @property
    def trust_name(self) -> str:
        """What the user approves it by."""
        return f"{TABLE}.{self.name}"


class Remotes:
    """The remotes of one repository, opened at the first use. Opening one asks nothing of it."""

    def __init__(
        self,
        top: str,
        settings: Mapping[str, RemoteSetting],
        trust: TrustRecord,
        opened: Callable[[Definition], Remote],
    ) -> None:
        self._opened = opened
        self.definitions = _definitions(top, settings, trust)
        self.remotes: dict[str, Remote] = {}
        """Those that can be used."""
        self.unusable: dict[str, RegenstoreError] = {}
        """Those that are trusted and still cannot be used, with the reason: no such kind of server, an extra that is
        not installed."""
        for definition in self.definitions.values():
            if definition.trusted:
                try:
                    self.remotes[definition.name] = opened(definition)
                except RegenstoreError as error:
                    self.unusable[definition.name] = error

    @property
    def untrusted(self) -> dict[str, Definition]:
        """Those that wait for the user's approval."""
        return {name: each for name, each in self.definitions.items() if not each.trusted}

    def find(self, name: str) -> Remote:
        """The remote of a name; raises NotFound (``no-such-remote``), TrustRequired (``untrusted-remote``), or why it
        cannot be used."""
        if name in self.unusable:
            raise self.unusable[name]
        if name in self.remotes:
            return self.remotes[name]
        if name in self.definitions:
            url = self.definitions[name].shown
            raise TrustRequired("untrusted-remote", f"{FILE} names the remote '{name}' ({url}); you did not approve it")
        known = ", ".join(sorted(self.definitions)) or "none"
        raise NotFound("no-such-remote", f"there is no remote '{name}' (known: {known})")


def has_password(url: str) -> bool:
    """Whether an address carries what has to stay secret. For web addresses a name alone may be a token."""
    try:
        parts = urlsplit(url)
        return parts.password is not None or (parts.username is not None and parts.scheme in ("http", "https"))
    except ValueError:
        return "@" in url


def require_no_password(url: str) -> None:
    """Raise InvalidInput (``bad-config``) for such an address."""
    if has_password(url):
        raise InvalidInput(
            "bad-config",
            "an address with a name and a password in it is not kept",
            hint="Leave them out of it; Git's credential helpers or ~/.netrc can know them ('git credential approve').",
        )


def _definitions(top: str, settings: Mapping[str, RemoteSetting], trust: TrustRecord) -> dict[str, Definition]:
    found = {
        name: Definition(name, setting.url, GIT_CONFIG, setting)
        for name, setting in settings.items()
        if setting.url is not None
    }
    declared = _declared(top)
    approved = trust.approvals() if declared else {}
    for name, url in declared.items():
        if name not in found:
            # The same relative folder leads elsewhere in another worktree: an approval there is none here.
            material = {"name": name, "url": url, "folder": path_text(folder_of(url, top) or "")}
            hashed = hash_of(material, _HASH_CONTEXT)
            setting = settings.get(name, RemoteSetting())
            found[name] = Definition(name, url, FILE, setting, hashed, hashed in approved)
    return found


def _declared(top: str) -> dict[str, str]:
    """Name -> address, as the repository declares them; raises FormatError (``bad-declaration``)."""
    table = read_table(top, TABLE) or {}
    for name, value in table.items():
        problem = _problem(name, value)
        if problem:
            raise bad_declaration(f"{TABLE}.{name}", problem)
    return {name: value["url"] for name, value in table.items()}


def _problem(name: str, value: Any) -> str:
    """What is wrong with a declaration, or nothing."""
    if not NAME.fullmatch(name):
        return ": names have letters, digits, '-' and '_'"
    if not isinstance(value, dict):
        return " is no table"
    for key in value:
        if key != "url":
            return f".{key}: there is no such setting (known: url)"
    url = value.get("url")
    if not isinstance(url, str) or not url or not url.isprintable():
        return ".url has to be an address or a folder"
    return ".url has a name or a password in it; leave them out of a file that everybody gets" * has_password(url)
