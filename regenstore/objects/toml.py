"""The text of a recipe: docs/format.md section 1. Each recipe has exactly one text.

``decode`` accepts any valid TOML of a recipe; ``encode`` writes its one text. ``decode(encode(r)) == r``, and
``encode(decode(text)) == text`` for text that ``encode`` wrote.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from regenstore.errors import FormatError
from regenstore.objects import bounded, canonical
from regenstore.objects.canonical import shown
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import FORMAT_VERSION, Input, Output, Recipe, Take

MAX_BYTES = bounded.MAX_BYTES
LINE = 100
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")
_SPECIAL = "\u0085\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
_ESCAPED = {ord(c): f"\\u{ord(c):04X}" for c in (*map(chr, range(0x20)), "\x7f", *_SPECIAL) if c != "\n"}
_ESCAPED |= {ord("\\"): "\\\\", ord("\b"): "\\b", ord("\t"): "\\t", ord("\f"): "\\f", ord("\r"): "\\r"}
_QUOTE_RUN = re.compile(r'"{2,}|"\Z')


# ------------------------------------------------------------------------------------------- reading


def looks_like_recipe(data: bytes) -> bool:
    """Return whether bytes begin like a recipe text. Cheap; says nothing about the rest."""
    return data.removeprefix(b"\xef\xbb\xbf").startswith(b"regenstore = ")


def has_conflict_markers(data: bytes) -> bool:
    """Return whether a text has Git's conflict markers at the start of lines."""
    return b"\n<<<<<<<" in b"\n" + data and b"\n>>>>>>>" in data


def decode(data: bytes) -> Recipe:
    """Parse a recipe. Raises FormatError: ``newer-recipe``, ``conflict-markers`` or ``bad-recipe``."""
    if has_conflict_markers(data[: MAX_BYTES + 1]):
        raise FormatError("conflict-markers", "the recipe has conflict markers")
    try:
        return from_table(bounded.tables(data.removeprefix(b"\xef\xbb\xbf")))
    except bounded.Unparsable as error:
        raise _bad(str(error)) from None


def decode_or_none(text: bytes | None) -> Recipe | None:
    """Parse a recipe; returns None for anything else."""
    if text is None or not looks_like_recipe(text):
        return None
    try:
        return decode(text)
    except FormatError:
        return None


def from_table(table: dict[str, Any]) -> Recipe:
    """Build a recipe from parsed TOML tables. Raises FormatError."""
    rest = dict(table)
    version = rest.pop("regenstore", None)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise _bad(f"expected 'regenstore = {FORMAT_VERSION}', found {shown(version)}")
    if version > FORMAT_VERSION:
        raise FormatError(
            "newer-recipe", f"recipe format {shown(version)} is newer than {FORMAT_VERSION}, the newest known here"
        )
    _check(table, 0)
    generator = _take_str(rest, "generator", None)
    contract = _take_str(rest, "version", None)
    recipe = Recipe(
        generator=generator,
        version=contract or "",
        output=_output(_take_table(rest, "output")),
        model=_take_table(rest, "model"),
        params=_take_table(rest, "params"),
        inputs={name: _input(name, value) for name, value in _take_table(rest, "inputs").items()},
        about=_take_table(rest, "about"),
        extra=rest,
    )
    if generator is None and (contract is not None or recipe.model or recipe.params or recipe.inputs):
        raise _bad("it has parameters or inputs but no generator")
    if generator is None and recipe.wanted:
        raise _bad("it has neither a generator nor a digest in [output]")
    if generator is not None and contract is None:
        raise _bad("'version' is missing")
    return recipe.of_key()


def _output(table: dict[str, Any]) -> Output:
    media_type = _take_str(table, "media_type", None)
    if not media_type:
        raise _bad("'media_type' is missing in [output]")
    name = _take_str(table, "name", None)
    digest, size = table.pop("digest", None), table.pop("size", None)
    if (digest is None) != (size is None):
        raise _bad("[output] needs 'digest' and 'size' together")
    take = None
    if digest is not None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise _bad(f"'size' in [output] is {shown(size)}, not a number of bytes (an integer of 0 or more)")
        if not isinstance(digest, str):
            raise _bad("'digest' in [output] is not a string")
        take = Take(Digest.parse(digest), size)
    seconds = table.pop("seconds", None)
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0):
        raise _bad(f"'seconds' in [output] is {shown(seconds)}, not a number of 0 or more")
    key = _take_str(table, "key", None)
    return Output(media_type, "main" if name is None else name, take, seconds, table, key)


def _input(name: str, value: object) -> Input:
    if not isinstance(value, dict):
        raise _bad(f"[inputs.{name}] is not a table")
    table = dict(value)
    digest, path = table.pop("digest", None), table.pop("path", None)
    if not isinstance(digest, str):
        raise _bad(f"'digest' is missing in [inputs.{name}]")
    if path is not None and not isinstance(path, str):
        raise _bad(f"'path' in [inputs.{name}] is not a string")
    return Input(Digest.parse(digest), path, table)


def _take_str(table: dict[str, Any], name: str, default: str | None) -> str | None:
    value = table.pop(name, default)
    if value is not None and not isinstance(value, str):
        raise _bad(f"'{name}' is {shown(value)}, not a string")
    return value


def _take_table(table: dict[str, Any], name: str) -> dict[str, Any]:
    value = table.pop(name, {})
    if not isinstance(value, dict):
        raise _bad(f"'{name}' is not a table")
    return dict(value)


def _check(value: object, depth: int) -> None:
    """Reject values without a canonical encoding, and nesting beyond the limit."""
    if isinstance(value, (dict, list)):
        if depth >= bounded.MAX_DEPTH:
            raise _bad(bounded.too_deep())
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise _bad(f"{value} is not a finite number")
    elif isinstance(value, int) and not canonical.INT64_MIN <= value <= canonical.INT64_MAX:
        raise _bad(f"integer {shown(value)} is beyond signed 64 bits: write it as a decimal string")


def _bad(why: str) -> FormatError:
    return FormatError("bad-recipe", f"not a valid recipe: {why}")


# ------------------------------------------------------------------------------------------- writing


def imported_text(take: Take, media_type: str) -> bytes:
    """The recipe text of an imported medium without further fields: the same as :func:`encode` returns, in a tenth of
    the time."""
    before, between, after = _around(media_type)
    return b"%s%s%s%d%s" % (before, take.digest.raw.hex().encode(), between, take.size, after)


@lru_cache(maxsize=64)
def _around(media_type: str) -> tuple[bytes, bytes, bytes]:
    """The parts of such a text before, between and after the values of a take."""
    digits, size = "ab" * 32, 10**17 + 1
    text = encode(Recipe.of_imported(Take(Digest(bytes.fromhex(digits)), size), media_type))
    before, _, rest = text.rpartition(digits.encode())
    between, _, after = rest.rpartition(b"%d" % size)
    return before, between, after


def encode(recipe: Recipe) -> bytes:
    """Return the one valid text of a recipe. Raises FormatError for values that TOML or the key cannot hold, and for
    text that would look like Git's conflict markers."""
    top = {name: value for name, value in recipe.extra.items() if not _is_section(value)}
    lines = [f"regenstore = {FORMAT_VERSION}"]
    if recipe.generator is not None:
        lines += [_assignment("generator", recipe.generator), _assignment("version", recipe.version)]
    lines += [_assignment(name, top[name]) for name in _sorted(top)]
    if recipe.model:
        _section(["model"], recipe.model, lines, first=("name", "revision", "digest"))
    if recipe.params:
        _section(["params"], recipe.params, lines)
    for name in _sorted(recipe.inputs):
        _section(["inputs", name], _input_table(recipe.inputs[name]), lines, first=("path", "digest"))
    _section(["output"], _output_table(recipe.output), lines, first=("name", "media_type", "digest", "size", "seconds"))
    if recipe.about:
        _section(["about"], recipe.about, lines)
    for name in _sorted(recipe.extra):
        value = recipe.extra[name]
        if _is_section(value):
            _nested([name], value, lines)
    text = ("\n".join(lines) + "\n").encode()
    if has_conflict_markers(text):
        raise FormatError("conflict-markers", "a recipe cannot contain lines that look like Git's conflict markers")
    return text


def encode_within_limits(recipe: Recipe) -> bytes:
    """Return the text of a recipe that was made of untrusted values. Raises FormatError for whatever :func:`encode`
    refuses, and for a text that is beyond the limits of a reader."""
    text = encode(recipe)
    try:
        bounded.check_weight(text)
    except bounded.Unparsable as error:
        raise _bad(str(error)) from None
    for table in (recipe.model, recipe.params, recipe.about, recipe.output.extra, recipe.extra):
        _check(table, 1)
    return text


def _input_table(given: Input) -> dict[str, Any]:
    path = {} if given.path is None else {"path": given.path}
    return {**path, "digest": str(given.digest), **given.extra}


def _output_table(output: Output) -> dict[str, Any]:
    table: dict[str, Any] = {"name": output.name, "media_type": output.media_type}
    if output.named is not None:
        table |= {"digest": str(output.named.digest), "size": output.named.size}
    if output.seconds is not None:
        table["seconds"] = output.seconds
    return {**table, **output.extra, **({} if output.key is None else {"key": output.key})}


def _is_section(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, (list, tuple)) and bool(value) and all(isinstance(i, Mapping) for i in value)
    )


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=canonical.utf8)


def _section(
    path: list[str], table: Mapping[str, Any], lines: list[str], first: tuple[str, ...] = (), brackets: str = "[]"
) -> None:
    order = [name for name in first if name in table] + [name for name in _sorted(table) if name not in first]
    values = [name for name in order if not _is_section(table[name])]
    if values or not table or brackets != "[]":
        lines += ["", brackets[: len(brackets) // 2] + ".".join(map(_key, path)) + brackets[len(brackets) // 2 :]]
    lines += [_assignment(name, table[name]) for name in values]
    for name in order:
        if _is_section(table[name]):
            _nested([*path, name], table[name], lines)


def _nested(path: list[str], value: Any, lines: list[str]) -> None:
    if isinstance(value, Mapping):
        _section(path, value, lines)
    else:
        for item in value:
            _section(path, item, lines, brackets="[[]]")


def _assignment(name: str, value: object) -> str:
    key = _key(name)
    if isinstance(value, str) and "\n" in value:
        return f'{key} = """\n{_multiline(value)}"""'
    line = f"{key} = {_inline(value)}"
    if isinstance(value, (list, tuple)) and value and len(line) > LINE:
        items = "".join(f"    {_inline(item)},\n" for item in value)
        return f"{key} = [\n{items}]"
    return line


def _inline(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _basic(value)
    if isinstance(value, (int, float)):
        _check(value, 0)
        return repr(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return canonical.datetime_text(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)} = {_inline(value[name])}" for name in _sorted(value)) + "}"
    raise _bad(f"a value of type {type(value).__name__} cannot be written")


def _key(name: str) -> str:
    return name if _BARE.match(name) else _basic(name)


def _basic(text: str) -> str:
    return '"' + _escape(text).replace("\n", "\\n").replace('"', '\\"') + '"'


def _multiline(text: str) -> str:
    return _QUOTE_RUN.sub(lambda run: '\\"' * len(run[0]), _escape(text))


def _escape(text: str) -> str:
    canonical.utf8(text)
    return text.translate(_ESCAPED)
