"""The least that a long-running filter in Python does: gives every content back. What more one takes is its own."""

from __future__ import annotations

import os

_TEXT = b"0016git-filter-server\n000eversion=2\n0000"
_CAN = b"0015capability=clean\n0016capability=smudge\n0015capability=delay\n0000"
_taken = b""


def _packets() -> bytes:
    """The packets up to a flush, as they came, with it."""
    global _taken
    at = 0
    while True:
        while len(_taken) < at + 4 or len(_taken) < at + int(_taken[at : at + 4], 16):
            more = os.read(0, 1 << 20)
            if not more:
                os._exit(0)
            _taken += more
        length = int(_taken[at : at + 4], 16)
        at += length or 4
        if not length:
            found, _taken = _taken[:at], _taken[at:]
            return found


def main() -> None:
    """Talk to git until it closes the pipe."""
    _packets()
    os.write(1, _TEXT)
    _packets()
    os.write(1, _CAN)
    while True:
        _packets()
        os.write(1, b"0013status=success\n0000" + _packets() + b"0000")


if __name__ == "__main__":
    main()
