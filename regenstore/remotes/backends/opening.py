"""Create the backend for an address. A backend's libraries are imported only when it is needed."""

from __future__ import annotations

import os
from urllib.parse import unquote

from regenstore.errors import InvalidInput, NotFound
from regenstore.remotes.backends.contract import Backend, Credentials
from regenstore.remotes.backends.directory import Directory
from regenstore.remotes.settings import Pace, Proxies, SshSetting

SCHEMES = ("a folder", "file://", "https://", "http://", "s3://", "gs://", "az://", "sftp://")
NONE = Proxies()
NO_SSH = SshSetting()
USUAL = Pace()


def open_backend(
    url: str,
    credentials: Credentials,
    *,
    base: str = "",
    create: bool = False,
    proxies: Proxies = NONE,
    ssh: SshSetting = NO_SSH,
    pace: Pace = USUAL,
) -> Backend:
    """The backend for an address. Does not touch the network, except with ``create``.

    ``base``: the folder that relative paths refer to; ``create``: make the remote's folder, raising any error of that;
    ``pace``: how slow the server may be. Raises InvalidInput (``bad-config``), NotFound (``extra-missing``).
    """
    folder = folder_of(url, base)
    if folder is not None:
        return Directory(folder, create=create)
    if url.startswith(("http://", "https://")):
        from regenstore.remotes.backends.http import Http

        return Http(url, credentials, create=create, proxies=proxies, pace=pace)
    if url.startswith(("s3://", "gs://", "az://")):
        from regenstore.remotes.backends.object_store import ObjectStore

        return ObjectStore(url, pace)
    if url.startswith("sftp://"):
        try:
            from regenstore.remotes.backends.sftp import Sftp
        except ModuleNotFoundError:
            raise NotFound(
                "extra-missing",
                "sftp:// remotes need the package asyncssh",
                hint="Install it with: pip install 'regenstore[sftp]'",
            ) from None
        return Sftp(url, credentials, ssh, create=create, pace=pace)
    if url.startswith(("ssh://", "scp://")):
        raise InvalidInput("bad-config", f"{url}: use SFTP to transfer files", hint=f"Write sftp://{url[6:]}")
    raise InvalidInput("bad-config", f"{url} is not the address of a remote (known: {', '.join(SCHEMES)})")


def folder_of(url: str, base: str = "") -> str | None:
    """The absolute path of a folder's address; None for other kinds of addresses."""
    if url.startswith("file://"):
        _, slash, path = url.removeprefix("file://").partition("/")
        return unquote(slash + path, errors="surrogateescape") or None
    if "://" in url:
        return None
    return os.path.normpath(os.path.join(base, os.path.expanduser(url)))
