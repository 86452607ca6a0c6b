"""Moves files between a folder and an object store by the library obstore and nothing else: a peer for transfers.

python bare_obstore.py push|fetch s3://BUCKET/PREFIX FOLDER
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

AT_ONCE = 8
_BLOCK = 4 << 20


def main() -> None:
    """Does what the command line says."""
    import obstore
    from obstore.store import from_url

    what, url, folder = sys.argv[1:]
    open_store: Any = from_url
    store = open_store(url, client_options={"allow_http": True, "timeout": "600s"})

    def push(name: str) -> None:
        with open(f"{folder}/{name}", "rb") as file:
            obstore.put(store, name, file)

    def fetch(name: str) -> None:
        os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
        with open(f"{folder}/{name}", "wb") as file:
            for block in obstore.get(store, name).stream(min_chunk_size=_BLOCK):
                file.write(block)

    if what == "push":
        names = [
            os.path.relpath(os.path.join(base, name), folder) for base, _, files in os.walk(folder) for name in files
        ]
    else:
        names = [meta["path"] for found in obstore.list(store) for meta in found]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(push if what == "push" else fetch, names):
            pass


if __name__ == "__main__":
    main()
