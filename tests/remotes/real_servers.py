"""Real servers for the heavy lane, on the loopback of a network namespace of the tests' own: nothing gets out.

Each gives the address to open. What cannot be started here skips its tests, with the reason.
"""

from __future__ import annotations

import base64
import ctypes
import email.utils
import fcntl
import hashlib
import hmac
import json
import os
import pwd
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path

import pytest

from regenstore.remotes.settings import SshSetting

Rooms = Iterator[Callable[[], str]]
"""A server, while it runs: each call gives the address of another place on it, with nothing in it."""
USER, PASSWORD = "ada", "s3cretwords"
_NEW_NETWORK = 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 0x1


@cache
def _namespace() -> int:
    """A network of its own with nothing but a loopback; the calling thread stays where it is."""
    libc = ctypes.CDLL(None, use_errno=True)
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if libc.unshare(_NEW_NETWORK):
        os.close(outside)
        raise OSError(ctypes.get_errno(), "a network namespace needs root")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            request = struct.pack("16sh14x", b"lo", 0)
            flags = struct.unpack("16sh14x", fcntl.ioctl(asking, _GET_FLAGS, request))[1]
            fcntl.ioctl(asking, _SET_FLAGS, struct.pack("16sh14x", b"lo", flags | _UP))
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    finally:
        libc.setns(outside, _NEW_NETWORK)
        os.close(outside)


@contextmanager
def alone() -> Iterator[None]:
    """What this thread does inside, and the processes and threads that it starts, see only that loopback."""
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    try:
        inside = _namespace()
    except OSError as error:
        pytest.skip(str(error))
    libc = ctypes.CDLL(None, use_errno=True)
    outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert libc.setns(inside, _NEW_NETWORK) == 0
    try:
        yield
    finally:
        assert libc.setns(outside, _NEW_NETWORK) == 0
        os.close(outside)


def program(name: str) -> str:
    """A program of the system, or of the environment that the tests run in."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=places)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    """None of those that the system gives to whoever connects: a server's own connections would take it."""
    while True:
        with socket.socket() as found:
            port = random.randrange(12_000, 32_000)
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(command: list[str], ports: list[int], folder: Path, seconds: float = 40) -> Iterator[None]:
    """A server, from the moment that it takes connections until it is no longer needed."""
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        limit = time.monotonic() + seconds
        for port in ports:
            while not _answers(port):
                said = (folder / "log").read_text(errors="replace")[-2000:]
                assert process.poll() is None, f"{command[0]} ended: {said}"
                assert time.monotonic() < limit, f"{command[0]} does not answer: {said}"
                time.sleep(0.05)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


NGINX = """daemon off; pid {folder}/pid; worker_processes 2; user root; error_log {folder}/error.log;
{modules}events {{}}
http {{ access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2; uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
server {{ listen 127.0.0.1:{port}; root {folder}/root;
  location / {{ dav_methods PUT DELETE MKCOL; {options} dav_access user:rw; }} }} }}
"""
DAV = Path("/usr/lib/nginx/modules/ngx_http_dav_ext_module.so")


@contextmanager
def nginx(folder: Path, modules: str = "", options: str = "create_full_put_path on;") -> Rooms:
    found, port = program("nginx"), free_port()
    (folder / "root").mkdir()
    (folder / "passwords").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    text = NGINX.format(folder=folder, port=port, modules=modules, options=options.format(folder=folder))
    (folder / "conf").write_text(text)
    with running([found, "-c", str(folder / "conf"), "-e", str(folder / "start.log")], [port], folder):
        yield lambda: f"http://127.0.0.1:{port}/{_new(folder / 'root')}"


def _new(folder: Path) -> str:
    name = f"share-{len(list(folder.iterdir()))}"
    (folder / name).mkdir()
    return name


@contextmanager
def nginx_dav(folder: Path) -> Rooms:
    """With PROPFIND, with collections that have to be made, and with a password for all but reading."""
    if not DAV.exists():
        pytest.skip("libnginx-mod-http-dav-ext is not installed")
    limits = (
        "dav_ext_methods PROPFIND OPTIONS; "
        'limit_except GET HEAD {{ auth_basic "studio"; auth_basic_user_file {folder}/passwords; }}'
    )
    with nginx(folder, f"load_module {DAV};\n", limits) as rooms:
        yield rooms


@contextmanager
def rclone_dav(folder: Path) -> Rooms:
    found, port = program("rclone"), free_port()
    (folder / "root").mkdir()
    login = ["--user", USER, "--pass", PASSWORD]
    command = [found, "serve", "webdav", str(folder / "root"), "--addr", f"127.0.0.1:{port}", *login]
    with running([*command, "--config", str(folder / "none"), "--cache-dir", str(folder / "cache")], [port], folder):
        yield lambda: f"http://127.0.0.1:{port}/{_collection(port)}"


def _collection(port: int) -> str:
    """Made by asking: it keeps for minutes what folders there are."""
    name = f"share-{os.urandom(4).hex()}"
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}/{name}", None, headers, method="MKCOL")
    ):
        return name


def _buckets(port: int) -> Callable[[], str]:
    count = 0

    def room() -> str:
        nonlocal count
        count += 1
        # Where obstore looks for all of it; the test that asks puts it back.
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD,
        }  # fmt: skip
        return f"s3://bucket/some/folder-{count}"

    return room


@contextmanager
def rclone_s3(folder: Path) -> Rooms:
    """It ignores conditions, and some ranges."""
    found, port = program("rclone"), free_port()
    (folder / "root" / "bucket").mkdir(parents=True)
    command = [found, "serve", "s3", str(folder / "root"), "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{USER},{PASSWORD}", "--config", str(folder / "none"), "--cache-dir", str(folder / "c")]
    with running(command, [port], folder):
        yield _buckets(port)


@contextmanager
def seaweedfs(folder: Path) -> Rooms:
    with _weed(folder) as (_, s3):
        yield _buckets(s3)


@contextmanager
def seaweedfs_dav(folder: Path) -> Rooms:
    with _weed(folder) as (filer, _):
        (folder / "dav").mkdir()
        port = free_port()
        options = [f"-port={port}", f"-filer={filer}", f"-cacheDir={folder / 'dav'}", "-ip.bind=127.0.0.1"]
        with running([program("weed"), "webdav", *options], [port], folder / "dav"):
            yield lambda: f"http://127.0.0.1:{port}/{_collection(port)}"


@contextmanager
def _weed(folder: Path) -> Iterator[tuple[str, int]]:
    """The address of a filer, as SeaweedFS's own programs want it, and the port of S3."""
    found = program("weed")
    master, volume, filer, s3 = (free_port() for _ in range(4))
    identity = {
        "name": "test",
        "credentials": [{"accessKey": USER, "secretKey": PASSWORD}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    grpc = {f"-{name}.port.grpc": free_port() for name in ("master", "volume", "filer", "s3")}
    options = {
        "-dir": folder / "data", "-ip": "127.0.0.1", "-ip.bind": "127.0.0.1", "-master.telemetry": "false",
        "-master.port": master, "-volume.port": volume, "-filer.port": filer, "-s3.port": s3,
        "-s3.port.lance": 0, "-s3.port.iceberg": 0,
        "-s3.config": folder / "s3.json", "-volume.max": 20, "-master.volumeSizeLimitMB": 64, **grpc,
    }  # fmt: skip
    command = [found, "server", "-filer", "-s3", *(f"{key}={value}" for key, value in options.items())]
    with running(command, [master, volume, filer, s3], folder, 60):
        _make_bucket("bucket", f"http://127.0.0.1:{filer}")
        yield f"127.0.0.1:{filer}.{grpc['-filer.port.grpc']}", s3


def _make_bucket(name: str, filer: str) -> None:
    limit = time.monotonic() + 40
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(f"{filer}/buckets/{name}/", method="POST"), timeout=5):
                return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.3)


SSHD = """ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
PidFile none
MaxStartups 100
Subsystem sftp internal-sftp {options}
"""


@contextmanager
def sshd(folder: Path, options: str = "") -> Rooms:
    """OpenSSH's own, with a key and a host key that only the tests' home knows. Rooms have that home."""
    found, keygen, port = program("sshd"), program("ssh-keygen"), free_port()
    (folder / "root").mkdir()
    for place in (folder / "host", folder / "key"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(place)], check=True)
    home = _home(folder, port)
    (home / ".ssh" / "id_ed25519").write_bytes((folder / "key").read_bytes())
    (home / ".ssh" / "id_ed25519").chmod(0o600)
    (folder / "conf").write_text(SSHD.format(folder=folder, port=port, options=options))
    command = [found, "-D", "-e", "-f", str(folder / "conf")]
    if os.geteuid() == 0:
        # For root it wants a folder below /run, which only a system that runs it has: a /run of its own.
        script = 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"'
        command = [program("unshare"), "-m", "sh", "-c", script, "sh", *command]
    user = pwd.getpwuid(os.geteuid()).pw_name

    def room() -> str:
        os.environ["HOME"] = str(home)
        return f"sftp://{user}@127.0.0.1:{port}{folder / 'root'}/{_new(folder / 'root')}"

    with running(command, [port], folder):
        yield room


def _home(folder: Path, port: int) -> Path:
    """A home that knows the server's key."""
    made = folder / "home" / ".ssh"
    made.mkdir(parents=True)
    (made / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    return made.parent


def sshd_plain(folder: Path) -> AbstractContextManager[Callable[[], str]]:
    """Without what is OpenSSH's own: renaming over something, making durable, and blocks larger than 32 KiB."""
    return sshd(folder, "-P posix-rename,fsync,limits")


@contextmanager
def rclone_sftp(folder: Path) -> Rooms:
    """It wants a password, and has nothing of OpenSSH's own. It keeps for minutes what folders there are."""
    found, keygen, port = program("rclone"), program("ssh-keygen"), free_port()
    (folder / "root").mkdir()
    free = [_new(folder / "root") for _ in range(100)]
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host")], check=True)
    home = _home(folder, port)
    command = [found, "serve", "sftp", str(folder / "root"), "--addr", f"127.0.0.1:{port}", "--key", "host"]
    command += ["--user", USER, "--pass", PASSWORD, "--config", "none", "--cache-dir", "cache"]

    def room() -> str:
        os.environ["HOME"] = str(home)
        return f"sftp://{USER}@127.0.0.1:{port}/{free.pop()}"

    with running(command, [port], folder):
        yield room


AZURE_ACCOUNT = "devstoreaccount1"
# Everybody's: it is documented with the emulator, which knows no other.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_AZURE_VERSION = "2021-08-06"


@contextmanager
def azurite(folder: Path) -> Rooms:
    """Azure's Blob Storage, as the emulator of its maker serves it: a program for Node.js."""
    found, port = program("azurite-blob"), free_port()
    command = [found, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder / "data")]
    with running([*command, "--silent", "--disableTelemetry", "--skipApiVersionCheck"], [port], folder):
        _make_container("bucket", f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}")
        count = 0

        def room() -> str:
            nonlocal count
            count += 1
            os.environ |= {
                "AZURE_STORAGE_AZURE_ACCOUNT_NAME": AZURE_ACCOUNT, "AZURE_STORAGE_AZURE_ACCOUNT_KEY": AZURE_KEY,
                "AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{port}",
            }  # fmt: skip
            return f"az://bucket/some/folder-{count}"

        yield room


def _make_container(name: str, account: str) -> None:
    """By a request signed as Microsoft's "Authorize with Shared Key" has it, which obstore cannot make."""
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": _AZURE_VERSION}
    told = [f"{key}:{value}" for key, value in headers.items()]
    signed = "\n".join(["PUT", *[""] * 11, *told, f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}", "restype:container"])
    hashed = hmac.new(base64.b64decode(AZURE_KEY), signed.encode(), hashlib.sha256).digest()
    signature = base64.b64encode(hashed).decode()
    headers |= {"Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}", "Content-Length": "0"}
    asked = urllib.request.Request(f"{account}/{name}?restype=container", None, headers, method="PUT")
    with urllib.request.urlopen(asked, timeout=20):
        pass


def user_ssh() -> SshSetting:
    """Of the home that a room has set."""
    return SshSetting(f"{os.environ['HOME']}/.ssh")


SERVERS = {
    "nginx": nginx,
    "nginx-dav": nginx_dav,
    "rclone-dav": rclone_dav,
    "rclone-s3": rclone_s3,
    "rclone-sftp": rclone_sftp,
    "seaweedfs": seaweedfs,
    "seaweedfs-dav": seaweedfs_dav,
    "sshd": sshd,
    "sshd-plain": sshd_plain,
    "azurite": azurite,
}


class Started:
    """Each server is started once, when a test first asks for it."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._rooms: dict[str, Callable[[], str]] = {}
        self.folders: dict[str, Path] = {}
        """Where those that are started keep what they have."""

    @contextmanager
    def room(self, name: str) -> Iterator[str]:
        """Within the network of the servers: the address of an empty place on one of them."""
        with alone():
            if name not in self._rooms:
                self._rooms[name] = self._stack.enter_context(SERVERS[name](self._made(name)))
            before = dict(os.environ)
            try:
                yield self._rooms[name]()
            finally:
                os.environ.clear()
                os.environ |= before

    def _made(self, name: str) -> Path:
        self.folders[name] = self._folder(name)
        return self.folders[name]

    def close(self) -> None:
        self._stack.close()
