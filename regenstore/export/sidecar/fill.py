"""Fill a template from a clip: one row per field."""

from __future__ import annotations

from array import array
from fractions import Fraction

from regenstore.errors import InvalidInput
from regenstore.export.context import Value, text_of
from regenstore.export.sidecar.template import Field, OutputTemplate, Template
from regenstore.export.sidecar.writer import Clip, Filled, Row


def fill(template: Template, output: OutputTemplate, clip: Clip) -> Filled:
    """The rows of one output for a clip. Raises InvalidInput (``bad-export``) if a field that the template requires
    is unknown."""
    return Filled(clip, tuple(_row(each, clip) for each in template.of(output)))


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
