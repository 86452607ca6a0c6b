"""Connections to SSH servers, by asyncssh: what the user's ``~/.ssh`` says counts, and nothing is asked or added.

Of ``~/.ssh/config`` everything counts that asyncssh knows; what starts a program in between (ProxyCommand) or another
connection (ProxyJump) is refused. Keys are those of the agent, of IdentityFile, and the usual files; those with a
passphrase work through the agent. A server whose host key is not in ``known_hosts`` is not spoken to, whatever
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
    # What they log of broken connections is raised here too; where nobody set up logging, it would be printed.
    logging.getLogger(_name).addHandler(logging.NullHandler())
T = TypeVar("T")
CONNECT = 20.0
"""Seconds to wait for a connection, and for its login."""
_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")
_FASTEST = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]*")
_HELD_BACK = {
    # Nothing of the user's is given to the server, and nothing but files is asked of it.
    "agent_forwarding": False, "x11_forwarding": False, "command": None, "request_pty": False,
    "env": None, "send_env": None,
}  # fmt: skip


class Address(NamedTuple):
    """Where a folder is; what is None is for ``~/.ssh/config`` to say."""

    host: str
    port: int | None
    user: str | None
    folder: str
    """Absolute, or relative to the user's home there."""


def parsed(url: str) -> Address:
    """The parts of ``sftp://user@host:port/folder``; ``/~/`` begins in the home there. Raises InvalidInput
    (``bad-config``); whatever a shell or a configuration could take for more than a name is refused."""
    try:
        parts = urlsplit(url)
        host, port, user, password = parts.hostname or "", parts.port, parts.username, parts.password
    except ValueError:
        raise InvalidInput("bad-config", "the address of a remote cannot be read: no such host or port") from None
    if password is not None:
        # Not shown: it has a password in it.
        raise InvalidInput(
            "bad-config",
            f"the address of the remote at {host} has a password in it, which Git's configuration would keep",
            hint="Leave it out of the address; git's credential helpers are asked for it.",
        )
    wrong = f"{url!r}: no address such as sftp://ada@media.example.org/srv/film"
    if not _HOST.fullmatch(host) or (user is not None and not _USER.fullmatch(user)) or not url.isprintable():
        raise InvalidInput("bad-config", wrong)
    path = unquote(parts.path, errors="surrogateescape")
    folder = path.removeprefix("/~/").rstrip("/") if f"{path}/".startswith("/~/") else path.rstrip("/")
    if parts.query or parts.fragment or not path.strip("/") or "\0" in path:
        raise InvalidInput("bad-config", wrong)
    return Address(host, port, user, "." if folder in ("", "/~") else folder)


class Loop:
    """A thread that runs coroutines for other threads. It ends with this object."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run_all, args=(self._loop,), name="sftp", daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def run(self, work: Coroutine[Any, Any, T], seconds: float, goes_on: Callable[[], bool]) -> T:
        """Wait for it. Raises TimeoutError when so many seconds pass and it does not go on."""
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
        """Do not wait for it: also where garbage is collected, which may be in the loop's own thread."""
        asyncio.run_coroutine_threadsafe(work, self._loop)


def _run_all(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        # What goes wrong is told to whoever waits for it, and not printed once more for what nobody waits for.
        runner.get_loop().set_exception_handler(lambda loop, context: None)
        runner.get_loop().run_forever()


class Login:
    """Connects to one server as often as needed. Errors of asyncssh are for :func:`error_of` to name."""

    def __init__(self, url: str, address: Address, credentials: Credentials, setting: SshSetting, alive: float) -> None:
        self._url, self._address, self._alive = url, address, alive
        self._credentials, self._setting = credentials, setting
        self._password: str | None = None

    async def connect(self) -> Any:
        """A connection that is logged in. Raises StorageError ``remote-refused``, and what asyncssh raises."""
        setting, told = self._setting, self._told()
        user_files = told.config.get("UserKnownHostsFile", [f"{setting.folder}/known_hosts"])
        known = _known_hosts([*user_files, *told.config.get("GlobalKnownHostsFile", ["/etc/ssh/ssh_known_hosts"])])
        # By name alone, as ssh does it: whoever can have a name lead to another known server is not believed.
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
                "It was replaced, or somebody pretends to be it. Ask whoever runs it; if it was replaced, remove the "
                f"old one with 'ssh-keygen -R {_entry(told)}' and log in once with '{self._ssh(told)}'."
            )
            message = f"{self._url}: its host key is another one than known_hosts has"
            raise StorageError("remote-refused", message, hint=hint) from error
        # As people write it, for it is they who told a helper or ~/.netrc.
        port = f":{self._address.port}" if self._address.port else ""
        asked = f"sftp://{told.username}@{_bracketed(self._address.host)}{port}"
        found = await asyncio.to_thread(self._credentials, asked)
        if found is None or found[0] != told.username:
            raise StorageError("remote-refused", f"{self._url}: it takes none of the keys, and no password is known")
        self._password = found[1]
        try:
            return await asyncssh.connect(told.orig_host, config=None, options=options)
        except asyncssh.PermissionDenied:
            self._password = None
            raise

    def _told(self) -> Any:
        """What the user's configuration says of the server."""
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
                    f"{self._url}: ~/.ssh/config says {setting} for {self._address.host}, which is not supported",
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
        """The command with which somebody logs in there by hand."""
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
"""What :func:`error_of` has a name for."""
_REFUSED = (
    asyncssh.PermissionDenied, asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect, asyncssh.KeyImportError,
    asyncssh.ConfigParseError, PermissionError,
)  # fmt: skip
_FINAL = (
    asyncssh.KeyExchangeFailed, asyncssh.ProtocolNotSupported, asyncssh.ServiceNotAvailable, asyncssh.ProtocolError,
)  # fmt: skip


def error_of(error: Exception, url: str) -> RegenstoreError:
    """What went wrong, as a backend says it."""
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
