"""The canonical encoding and the recipe key: docs/format.md, sections 2 and 3.

Guaranteed never to change within format version 1; ``tests/golden/keys.toml`` enforces that.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from blake3 import blake3

from regenstore.errors import FormatError
from regenstore.objects.ids import RecipeKey

if TYPE_CHECKING:
    from regenstore.objects.recipe import Recipe

KEY_CONTEXT = "regenstore 2026-11 recipe key v1"
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


def encode_value(value: object) -> bytes:
    """Return the canonical bytes of a value. Raises FormatError if it has no encoding."""
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def _encode(value: object, out: list[bytes]) -> None:
    if isinstance(value, bool):
        out.append(b"b1" if value else b"b0")
    elif isinstance(value, int):
        out.append(b"i%d;" % _int64(value))
    elif isinstance(value, float):
        out.append(_float(value))
    elif isinstance(value, str):
        _text(b"s", value, out)
    elif isinstance(value, (dt.datetime, dt.date, dt.time)):
        _text(b"d", datetime_text(value), out)
    elif isinstance(value, (list, tuple)):
        out.append(b"a%d:" % len(value))
        for item in value:
            _encode(item, out)
    elif isinstance(value, dict):
        out.append(b"t%d:" % len(value))
        for key in sorted(value, key=utf8):
            _text(b"s", key, out)
            _encode(value[key], out)
    else:
        raise FormatError("bad-recipe", f"a value of type {type(value).__name__} has no canonical encoding")


def _text(tag: bytes, text: str, out: list[bytes]) -> None:
    raw = utf8(text)
    out.append(b"%s%d:" % (tag, len(raw)))
    out.append(raw)


def utf8(text: str) -> bytes:
    """Encode text as UTF-8. Raises FormatError for a lone surrogate."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise FormatError("bad-recipe", "text holds a lone surrogate, which UTF-8 cannot encode") from None


def _int64(value: int) -> int:
    if not INT64_MIN <= value <= INT64_MAX:
        raise FormatError(
            "bad-recipe", f"integer {shown(value)} is beyond signed 64 bits: write it as a decimal string"
        )
    return value


def shown(value: object) -> str:
    """Return a value for a message, shortened if need be."""
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python converts
        return "a very large number"
    return text if len(text) <= 60 else text[:59] + "…"


def _float(value: float) -> bytes:
    if not math.isfinite(value):
        raise FormatError("bad-recipe", f"{value} is not a finite number")
    if value.is_integer() and INT64_MIN <= value <= INT64_MAX and int(value) <= INT64_MAX:
        return b"i%d;" % int(value)
    # repr returns the shortest digits that read back as the same float.
    from decimal import Decimal  # slow to import

    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    mantissa = "".join(map(str, digits))
    return f"f{'-' if sign else ''}{mantissa}e{exponent};".encode()


def datetime_text(value: dt.datetime | dt.date | dt.time) -> str:
    """Return a date or time in RFC 3339, in the form that docs/format.md section 1.2 prescribes."""
    if isinstance(value, dt.datetime):
        zone = ""
        if value.tzinfo is not None:
            zone = value.strftime("%z")
            zone = "Z" if zone in ("+0000", "-0000") else f"{zone[:3]}:{zone[3:5]}"
        naive = value.replace(tzinfo=None)
        return f"{naive.date().isoformat()}T{datetime_text(naive.time())}{zone}"
    if isinstance(value, dt.time):
        return value.isoformat().rstrip("0") if value.microsecond else value.isoformat()
    return value.isoformat()


def key_material(recipe: Recipe) -> bytes:
    """Return the bytes whose hash is the recipe key; the recipe must have a generator."""
    return encode_value(
        {
            "generator": recipe.generator,
            "inputs": {name: str(given.digest) for name, given in recipe.inputs.items()},
            "media_type": recipe.output.media_type,
            "model": dict(recipe.model),
            "params": dict(recipe.params),
            "version": recipe.version,
        }
    )


def recipe_key(recipe: Recipe) -> RecipeKey | None:
    """Return the key of a recipe, or None for imported media."""
    if recipe.generator is None:
        return None
    return key_of(key_material(recipe))


def key_of(material: bytes) -> RecipeKey:
    """Return the key that is made from what :func:`key_material` gives."""
    return RecipeKey(blake3(material, derive_key_context=KEY_CONTEXT).digest())
