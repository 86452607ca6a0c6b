"""The hashes by which programs name model files, all in one pass over a file.

* ``blake3``: the whole file, as regenstore and ComfyUI's asset database use it.
* ``sha256``: the whole file; *AutoV2* is its first 10 digits (A1111: ``Model hash``).
* ``tensors``: SHA-256 of a safetensors file behind its header. SwarmUI's tensor hash is all of it, *AutoV3* (Civitai,
  and A1111's ``Lora hashes``) its first 12 digits; ``addnet_hash_safetensors`` of kohya's ``train_util.py`` is the
  same.
* ``autov1``: the first 8 digits of the SHA-256 of 64 KiB at 1 MiB, A1111's ``model_hash`` of 2022. It collides.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from blake3 import blake3

from regenstore.models.indexed_model import AUTOV1, ModelHashes

_BLOCK = 8 << 20
_AUTOV1_AT, _AUTOV1_SIZE = 0x100000, 0x10000


def hash_model(fd: int, data_start: int | None, told: Callable[[int], None]) -> ModelHashes:
    """Hash an open file from its beginning. ``data_start``: where the tensors of a safetensors file begin; None for
    other files. ``told`` is called with the number of bytes of each block. Raises OSError.

    While a block is hashed, by one thread for each hash, the next one is read. The file is not mapped: another program
    may truncate it meanwhile.
    """
    digest, whole, tensors = blake3(), hashlib.sha256(), hashlib.sha256()
    old = hashlib.sha256()
    length = min(_BLOCK, max(os.fstat(fd).st_size, 1))
    buffers = memoryview(bytearray(length)), memoryview(bytearray(length))
    at, turn = 0, 0
    running: list[Future[Any]] = []
    os.lseek(fd, 0, os.SEEK_SET)
    with ThreadPoolExecutor(3) as pool:
        while count := _fill(fd, buffers[turn]):
            for each in running:
                each.result()
            block = buffers[turn][:count]
            running = [pool.submit(whole.update, block), pool.submit(digest.update, block)]
            if data_start is not None and at + count > data_start:
                running.append(pool.submit(tensors.update, block[max(0, data_start - at) :]))
            first, last = max(_AUTOV1_AT - at, 0), _AUTOV1_AT + _AUTOV1_SIZE - at
            if first < count and last > 0:
                old.update(block[first:last])
            at += count
            turn = 1 - turn
            told(count)
        for each in running:
            each.result()
    return ModelHashes(
        digest.hexdigest(),
        whole.hexdigest(),
        "" if data_start is None else tensors.hexdigest(),
        old.hexdigest()[:AUTOV1] if at > _AUTOV1_AT else "",
    )


def _fill(fd: int, buffer: memoryview) -> int:
    """Read until the buffer is full or the file ends."""
    done = 0
    while done < len(buffer) and (count := os.readv(fd, [buffer[done:]])):
        done += count
    return done
