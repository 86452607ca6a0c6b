"""A second implementation of docs/format.md, sections 2 and 3, written from that page alone.

It shares no code with the package. Values are what the standard library's `tomllib` returns.
"""

from datetime import date, datetime, time
from decimal import Decimal

from blake3 import blake3

CONTEXT = "regenstore 2026-11 recipe key v1"


def canonical(value) -> bytes:
    if isinstance(value, bool):
        return b"b1" if value else b"b0"
    if isinstance(value, (int, float)) and -(2**63) <= value < 2**63 and value == int(value):
        return b"i%d;" % int(value)
    if isinstance(value, int):
        raise ValueError(f"not a signed 64 bit integer: {value}")
    if isinstance(value, float):
        sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
        if not isinstance(exponent, int):
            raise ValueError(f"not a finite float: {value}")
        return f"f{'-' * sign}{''.join(map(str, digits))}e{exponent};".encode()
    if isinstance(value, str):
        return _counted("s", value.encode())
    if isinstance(value, (date, datetime, time)):
        return _counted("d", _moment(value).encode())
    if isinstance(value, list):
        return b"a%d:" % len(value) + b"".join(map(canonical, value))
    entries = sorted(value.items(), key=lambda entry: entry[0].encode())
    return b"t%d:" % len(entries) + b"".join(canonical(key) + canonical(item) for key, item in entries)


def _counted(kind: str, data: bytes) -> bytes:
    return f"{kind}{len(data)}:".encode() + data


def _moment(value) -> str:
    if not isinstance(value, (datetime, time)):
        return value.isoformat()
    text = value.replace(microsecond=0, tzinfo=None).isoformat()
    if value.microsecond:
        text += f".{value.microsecond:06}".rstrip("0")
    if value.tzinfo is None:
        return text
    return text + ("Z" if not value.utcoffset() else value.isoformat()[-6:])


def key_material(recipe_table: dict) -> bytes:
    return canonical(
        {
            "generator": recipe_table["generator"],
            "version": recipe_table["version"],
            "model": recipe_table.get("model", {}),
            "params": recipe_table.get("params", {}),
            "inputs": {name: given["digest"] for name, given in recipe_table.get("inputs", {}).items()},
            "media_type": recipe_table["output"]["media_type"],
        }
    )


def recipe_key(recipe_table: dict) -> str | None:
    if "generator" not in recipe_table:
        return None
    return "key:" + blake3(key_material(recipe_table), derive_key_context=CONTEXT).hexdigest()
