"""Connections to SSH servers with asyncssh. The user's ``~/.ssh`` settings apply; nothing is asked and nothing added.

All of ``~/.ssh/config`` that asyncssh knows applies, but settings that start a program (ProxyCommand) or another
connection (ProxyJump) are refused. Keys come from the agent, from IdentityFile and from the usual files; those with a
passphrase work through the agent. A server whose host key is not in ``known_hosts`` is refused, whatever
StrictHostKeyChecking says.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh

from regenstore.errors import InvalidInput, RegenstoreError, StorageError
from regenstore.remotes.backends.contract import Credentials
from regenstore.remotes.settings import SshSetting

for _name in ("asyncio", "asyncssh"):
    # Errors that these libraries log are raised here too; without a logging setup they would be printed.
    logging.getLogger(_name).addHandler(logging.NullHandler())
T = TypeVar("T")
CONNECT = 20.0
"""Seconds to wait for a connection including login."""
_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_FASTEST = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]*")
_HELD_BACK = {
    # Reveal nothing about the user's environment to the server, and request only files.
    "agent_forwarding": False, "x11_forwarding": False, "command": None, "request_pty": False,
    "env": None, "send_env": None,
}  # fmt: skip


class Address(NamedTuple):
    """The location of a folder; None values are left to ``~/.ssh/config``."""

    host: str
    port: int | None
    user: str | None
    folder: str
    """Absolute, or relative to the home folder on the server."""


def parsed(url: str) -> Address:
    """Parse ``sftp://user@host:port/folder``; ``/~/`` starts in the home folder on the server.

    Raises InvalidInput (``bad-config``), also for anything that a shell or a configuration file could take for more
    than a name.
    """
    try:
        parts = urlsplit(url)
        host, port, user, password = parts.hostname or "", parts.port, parts.username, parts.password
    except ValueError:
        raise InvalidInput("bad-config", "the address of a remote is invalid: bad host or port") from None
    if password is not None:
        # Not shown, as it contains a password.
        raise InvalidInput(
            "bad-config",
            f"the address of the remote at {host} contains a password, which would be stored in Git's configuration",
            hint="Remove it from the address; it is looked up with git's credential helpers.",
        )
    wrong = f"{url!r} is not an address such as sftp://ada@media.example.org/srv/film"
    if not _HOST.fullmatch(host) or (user is not None and not _USER.fullmatch(user)) or not url.isprintable():
        raise InvalidInput("bad-config", wrong)
    path = unquote(parts.path, errors="surrogateescape")
    folder = path.removeprefix("/~/").rstrip("/") if f"{path}/".startswith("/~/") else path.rstrip("/")
    if parts.query or parts.fragment or not path.strip("/") or "\0" in path:
        raise InvalidInput("bad-config", wrong)
    return Address(host, port, user, "." if folder in ("", "/~") else folder)


class Loop:
    """A thread with an event loop that runs coroutines for other threads. It ends with this object."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run_all, args=(self._loop,), name="sftp", daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def run(self, work: Coroutine[Any, Any, T], seconds: float, goes_on: Callable[[], bool]) -> T:
        """Run a coroutine and wait for it. Raises TimeoutError when ``seconds`` pass without ``goes_on`` reporting
        progress."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            while True:
                try:
                    return future.result(seconds)
                except TimeoutError:
                    if future.done() or not goes_on():
                        raise
        except BaseException:
            future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine without waiting. Safe during garbage collection, which may happen in the loop's own
        thread."""
        asyncio.run_coroutine_threadsafe(work, self._loop)


def _run_all(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        # Errors are raised to the waiting caller; the loop must not print those without a waiting caller.
        runner.get_loop().set_exception_handler(lambda loop, context: None)
        runner.get_loop().run_forever()


class Login:
    """Connects to one server as often as needed. Raises asyncssh's errors, which :func:`error_of` translates."""

    def __init__(self, url: str, address: Address, credentials: Credentials, setting: SshSetting, alive: float) -> None:
        self._url, self._address, self._alive = url, address, alive
        self._credentials, self._setting = credentials, setting
        self._password: str | None = None

    async def connect(self) -> Any:
        """Open an authenticated connection. Raises StorageError ``remote-refused``, and asyncssh's errors."""
        setting, told = self._setting, self._told()
        user_files = told.config.get("UserKnownHostsFile", [f"{setting.folder}/known_hosts"])
        known = _known_hosts([*user_files, *told.config.get("GlobalKnownHostsFile", ["/etc/ssh/ssh_known_hosts"])])
        # By name only, as ssh does: pointing a name at another known server must not be enough.
        matching = known.match(told.host_key_alias or told.host, "", None if told.port == 22 else told.port)
        if not any(matching):
            hint = f"Log in once with '{self._ssh(told)}' and compare the fingerprint, then try again."
            raise StorageError("remote-refused", f"{self._url}: its host key is not in known_hosts", hint=hint)
        wanted = False

        async def password() -> str | None:
            nonlocal wanted
            wanted = True
            return self._password

        options = await self._options(told, known_hosts=lambda host, address, port: matching, password=password)
        try:
            return await asyncssh.connect(told.orig_host, config=None, options=options)
        except asyncssh.PermissionDenied:
            if not wanted or self._password is not None:
                raise
        except asyncssh.HostKeyNotVerifiable as error:
            hint = (
                "The server was replaced, or another one impersonates it. Ask its administrator; if it was replaced, "
                f"remove the old one with 'ssh-keygen -R {_entry(told)}' and log in once with '{self._ssh(told)}'."
            )
            message = f"{self._url}: its host key differs from the one in known_hosts"
            raise StorageError("remote-refused", message, hint=hint) from error
        # In the form people write, as they entered it in a credential helper or ~/.netrc.
        port = f":{self._address.port}" if self._address.port else ""
        asked = f"sftp://{told.username}@{_bracketed(self._address.host)}{port}"
        found = await asyncio.to_thread(self._credentials, asked)
        if found is None or found[0] != told.username:
            raise StorageError("remote-refused", f"{self._url}: it accepts none of the keys, and no password is known")
        self._password = found[1]
        try:
            return await asyncssh.connect(told.orig_host, config=None, options=options)
        except asyncssh.PermissionDenied:
            self._password = None
            raise

    def _told(self) -> Any:
        """The user's configuration for the server."""
        config = f"{self._setting.folder}/config"
        port = () if self._address.port is None else self._address.port
        user = () if self._address.user is None else self._address.user
        told = asyncssh.SSHClientConnectionOptions(
            host=self._address.host, port=port, username=user, client_keys=None, known_hosts=b"",
            config=[config] if os.path.exists(config) else None, **_HELD_BACK,
        )  # fmt: skip
        for setting, value in (("ProxyCommand", told.proxy_command), ("ProxyJump", told.tunnel)):
            if value:
                raise StorageError(
                    "remote-refused",
                    f"{self._url}: ~/.ssh/config sets {setting} for {self._address.host}, which is not supported",
                    hint="Mount the folder with sshfs, which uses ssh itself, and add it as a folder.",
                )
        return told

    async def _options(self, told: Any, **more: Any) -> Any:
        named = told.config.get("IdentityFile", [f"{self._setting.folder}/{name}" for name in _KEYS])
        keys = [key for key in named if os.path.exists(os.path.expanduser(key))]
        agent = () if told.config.get("IdentityAgent") else self._setting.agent or None
        ciphers = () if told.config.get("Ciphers") else _FASTEST
        return await asyncssh.SSHClientConnectionOptions.construct(
            told, client_keys=keys, ignore_encrypted=True, agent_path=agent, encryption_algs=ciphers,
            connect_timeout=CONNECT, login_timeout=CONNECT, keepalive_interval=self._alive, **more,
        )  # fmt: skip

    def _ssh(self, told: Any) -> str:
        """The command to log in to the server by hand."""
        at = f"{self._address.user}@" if self._address.user else ""
        port = f"-p {told.port} " if self._address.port else ""
        return f"ssh {port}{at}{self._address.host}"


def _known_hosts(files: list[str]) -> Any:
    known = asyncssh.SSHKnownHosts()
    for file in files:
        path = Path(file).expanduser()
        if not path.is_file():
            continue
        try:
            known.load(path.read_text(errors="replace"))
        except (OSError, ValueError) as error:
            raise StorageError("remote-refused", f"{path} cannot be read: {error}") from error
    return known


def _entry(told: Any) -> str:
    host = told.host_key_alias or told.host
    return host if told.port == 22 else f"'[{host}]:{told.port}'"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


BROKEN = (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)
MISSING = (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath)
FAILURES = (asyncssh.Error, asyncssh.KeyImportError, asyncssh.ConfigParseError, OSError, TimeoutError, ValueError)
"""The errors that :func:`error_of` translates."""
_REFUSED = (
    asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.KeyImportError,
    asyncssh.ConfigParseError, PermissionError,
)  # fmt: skip
_FINAL = (
    asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported, asyncssh.ServiceNotAvailable, asyncssh.ProtocolError,
)  # fmt: skip


def error_of(error: Exception, url: str) -> RegenstoreError:
    """Translate an error to one that a backend raises."""
    said = f"{url}: " + str(
        getattr(error, "reason", "") or getattr(error, "strerror", "") or error or "it does not answer"
    )
    if isinstance(error, RegenstoreError):
        return error
    if isinstance(error, _REFUSED):
        return StorageError("remote-refused", said)
    away = isinstance(error, (*BROKEN, asyncssh.DisconnectError, OSError, TimeoutError))
    kind = "remote-unreachable" if away and not isinstance(error, _FINAL) else "remote-failed"
    return StorageError(kind, said)
