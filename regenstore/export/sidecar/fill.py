"""Fill a template from a clip: one row per field."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Set
from fractions import Fraction

from regenstore.errors import InvalidInput
from regenstore.export.context import COMMON_PARAMS, LORA_PARAMS, Value, text_of
from regenstore.export.sidecar.template import GROUPS, Field, OutputTemplate, Template
from regenstore.export.sidecar.writer import Clip, Filled, Row


def fill(template: Template, output: OutputTemplate, clip: Clip) -> Filled:
    """The rows of one output for a clip. Raises InvalidInput (``bad-export``) if a field that the template requires
    is unknown."""
    fields = template.of(output)
    rows: list[Row] = []
    sources, targets = {each.source for each in fields}, {each.target for each in fields}
    for each in fields:
        if each.source in GROUPS:
            rows += _rest(each, clip, sources, targets)
        else:
            rows.append(_row(each, clip))
    return Filled(clip, tuple(rows))


def _rest(each: Field, clip: Clip, sources: Set[str | None], targets: set[str]) -> Iterator[Row]:
    """The rows of a whole group: what is known and no other field of the output maps. A target without ``*`` gets all
    of it, as a list."""
    group = str(each.source).removesuffix("*")
    told = {f"gen.params.{name}" for common in COMMON_PARAMS if common in sources for name in COMMON_PARAMS[common]}
    told |= {f"gen.params.{name}" for name in LORA_PARAMS if "gen.loras" in sources}
    rest = [name for name in clip.fields if name.startswith(group) and name not in sources and name not in told]
    known = [(name, value) for name in rest if (value := clip.fields[name]) is not None]
    if not each.target.endswith("*"):
        texts = tuple(f"{name.removeprefix(group)}={text_of(value)}" for name, value in known)
        yield Row(each.target, str(each.source), *((formatted(texts, each.format),) if texts else (None, "missing")))
        return
    for name, value in known:
        word = re.sub(r"[^A-Za-z0-9_]", "_", name.removeprefix(group))
        target = each.target[:-1] + (f"_{word}" if word[0].isdigit() else word)
        if target not in targets:
            targets.add(target)
            yield Row(target, name, formatted(value, each.format))


def _row(each: Field, clip: Clip) -> Row:
    if each.source is None:
        return Row(each.target, "", formatted(each.constant, each.format))
    value = clip.fields.get(each.source)
    if value is not None:
        return Row(each.target, each.source, formatted(value, each.format))
    if each.source in clip.redacted:
        return Row(each.target, each.source, None, "redacted")
    if each.when_missing == "error":
        raise InvalidInput(
            "bad-export", f"{clip.medium.path}: '{each.target}' is required, but {each.source} is unknown"
        )
    if each.when_missing == "skip":
        return Row(each.target, each.source, None, "missing", "not known")
    return Row(each.target, each.source, each.default if each.when_missing == "default" else "", "defaulted")


def formatted(value: Value, form: str | None) -> Value:
    """Apply a template's format to a value, if there is one. Raises InvalidInput (``bad-template``) if it does not
    fit the value."""
    if form is None:
        return value
    spec = form[form.index("{") :].partition("}")[0].partition(":")[2]
    plain: object = value
    if isinstance(value, Fraction):
        plain = float(value) if spec[-1:] in tuple("eEfFgGn%") else text_of(value)
    elif isinstance(value, (tuple, array, bool)):
        plain = text_of(value)
    elif isinstance(value, float) and spec[-1:] in tuple("bcdoxX"):
        plain = round(value)
    try:
        return form.format(plain)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            "bad-template", f"format '{form}' does not fit the value {text_of(value)!r}: {error}"
        ) from None
