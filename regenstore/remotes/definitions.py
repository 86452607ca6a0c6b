"""The configured remotes: from Git's configuration, and declared by the repository.

::

    [remotes.studio]
    url = "https://media.example.org/film"   # or a folder, relative to the worktree's top

A declared remote is used only once the user has approved its name and address (or the folder it resolves to); until
then it is not contacted, not even to see whether it exists. Git's configuration is the user's own and takes precedence
where both define a name.
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
    """A remote with its name, its address and where it is defined."""

    name: str
    url: str
    source: str
    """:data:`GIT_CONFIG`, or the file that declares it."""
    setting: RemoteSetting
    hash: str | None = None
    """The hash that the user's approval is bound to; None if it needs no approval."""
    trusted: bool = True

    @property
    def shown(self) -> str:
        """The address, for display."""
        return addresses.shown(self.url)

    @property
    def trust_name(self) -> str:
        """The name under which the user approves it."""
        return f"{TABLE}.{self.name}"


class Remotes:
    """The remotes of a repository, opened on first use. Opening one does not contact it."""

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
        """The usable ones."""
        self.unusable: dict[str, RegenstoreError] = {}
        """Trusted remotes that cannot be used, with the reason: an unknown kind of server, or a missing extra."""
        for definition in self.definitions.values():
            if definition.trusted:
                try:
                    self.remotes[definition.name] = opened(definition)
                except RegenstoreError as error:
                    self.unusable[definition.name] = error

    @property
    def untrusted(self) -> dict[str, Definition]:
        """Remotes that await the user's approval."""
        return {name: each for name, each in self.definitions.items() if not each.trusted}

    def find(self, name: str) -> Remote:
        """The remote of that name. Raises NotFound (``no-such-remote``), TrustRequired (``untrusted-remote``), or
        the reason why it cannot be used."""
        if name in self.unusable:
            raise self.unusable[name]
        if name in self.remotes:
            return self.remotes[name]
        if name in self.definitions:
            url = self.definitions[name].shown
            why = f"{FILE} declares the remote '{name}' ({url}), which you have not approved"
            raise TrustRequired("untrusted-remote", why)
        known = ", ".join(sorted(self.definitions)) or "none"
        raise NotFound("no-such-remote", f"there is no remote '{name}' (known: {known})")


def has_password(url: str) -> bool:
    """Whether an address contains a secret. In web addresses even a user name alone may be a token."""
    try:
        parts = urlsplit(url)
        return parts.password is not None or (parts.username is not None and parts.scheme in ("http", "https"))
    except ValueError:
        return "@" in url


def require_no_password(url: str) -> None:
    """Raise InvalidInput (``bad-config``) for an address that contains a secret."""
    if has_password(url):
        raise InvalidInput(
            "bad-config",
            "an address that contains a user name and password is not stored",
            hint="Remove them from it; use Git's credential helpers ('git credential approve') or ~/.netrc.",
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
            # The same relative folder is another one in another worktree, so that an approval there does not hold here.
            material = {"name": name, "url": url, "folder": path_text(folder_of(url, top) or "")}
            hashed = hash_of(material, _HASH_CONTEXT)
            setting = settings.get(name, RemoteSetting())
            found[name] = Definition(name, url, FILE, setting, hashed, hashed in approved)
    return found


def _declared(top: str) -> dict[str, str]:
    """The remotes that the repository declares: name -> address. Raises FormatError (``bad-declaration``)."""
    table = read_table(top, TABLE) or {}
    for name, value in table.items():
        problem = _problem(name, value)
        if problem:
            raise bad_declaration(f"{TABLE}.{name}", problem)
    return {name: value["url"] for name, value in table.items()}


def _problem(name: str, value: Any) -> str:
    """What is wrong with a declaration; empty if nothing is."""
    if not NAME.fullmatch(name):
        return ": names consist of letters, digits, '-' and '_'"
    if not isinstance(value, dict):
        return " is not a table"
    for key in value:
        if key != "url":
            return f".{key}: unknown setting (known: url)"
    url = value.get("url")
    if not isinstance(url, str) or not url or not url.isprintable():
        return ".url must be an address or a folder"
    return ".url contains a user name or password; remove them from this shared file" * has_password(url)
