"""Sidecar templates: declarative mappings from context names to targets of sidecar formats, in TOML.

A template is data: nothing in it is executed. This module parses templates, validates them against the formats'
vocabularies and the context's names, and merges them with their bases. ``docs/export.md`` describes the schema.
"""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from regenstore.errors import InvalidInput
from regenstore.export import context
from regenstore.export.context import Value
from regenstore.export.sidecar import writers
from regenstore.export.sidecar.writer import Target, name_for, named
from regenstore.objects import bounded

SCHEMA = "regenstore-sidecar-template/1"
MAX_BYTES, MAX_FIELDS, MAX_DEPTH = 256 << 10, 500, 8
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
WhenMissing = Literal["skip", "empty", "error", "default"]
WHEN_MISSING = ("skip", "empty", "error", "default")
_TOP = {"schema", "name", "about", "base", "without", "output", "field"}
_OUTPUT = {"id", "writer", "file"}
_FIELD = {"target", "source", "value", "format", "when_missing", "default", "output", "drop"}
GROUPS = ("gen.params.*", "about.*")
"""Sources that stand for every name of a group which no other field maps."""
# One unnamed field with a plain format specification: no attributes, indexes or nested fields.
_SPEC = re.compile(r"(?:[^{}]?[<>=^])?[-+ ]?#?0?\d{0,3}[,_]?(?:\.\d{1,2})?[bcdeEfFgGnosxX%]?")


@dataclass(frozen=True)
class OutputTemplate:
    """An output file of a template, per clip or per batch."""

    id: str
    """The name by which fields refer to it; by default its writer's name."""
    writer: str
    file: str
    settings: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Field:
    """One mapping. Either ``source`` or ``constant`` is set."""

    target: str
    source: str | None
    constant: Value
    format: str | None
    when_missing: WhenMissing
    default: Value
    output: str
    """Id of the output it belongs to."""


@dataclass(frozen=True)
class Template:
    """A template with everything that it inherits."""

    name: str
    about: str
    bases: tuple[str, ...]
    """Its bases, nearest first."""
    outputs: tuple[OutputTemplate, ...]
    fields: tuple[Field, ...]

    def of(self, output: OutputTemplate) -> tuple[Field, ...]:
        """The fields of one output."""
        return tuple(each for each in self.fields if each.output == output.id)


class Broken(Exception):
    """Raised with all errors in a template, one sentence each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


Source = Callable[[str, bool], bytes]
"""Returns the text of a template by name; with True, of a built-in one only."""


def load(name: str, source: Source) -> Template:
    """Load a template, validated and merged. Raises NotFound (``no-such-template``), or InvalidInput
    (``bad-template``) that lists all errors."""
    try:
        return _resolve(name, source, False, ())
    except Broken as broken:
        listed = "".join(f"\n  {problem}" for problem in broken.problems)
        raise InvalidInput("bad-template", f"the template '{name}' cannot be used:{listed}") from None


def problems(name: str, source: Source) -> list[str]:
    """All errors in a template; empty if it is valid."""
    try:
        _resolve(name, source, False, ())
    except Broken as broken:
        return list(broken.problems)
    return []


def _resolve(name: str, source: Source, built_in: bool, above: tuple[str, ...]) -> Template:
    data = _read(source(name, built_in))
    wrong = list(_check_top(data))
    if wrong:
        raise Broken(wrong)
    base = data.get("base")
    parent = Template("", "", (), (), ())
    if base is not None:
        if len(above) >= MAX_DEPTH or (base in above and base != name):
            raise Broken([f'base = "{base}": templates are based on each other ({" -> ".join((*above, name, base))})'])
        # A template may have a built-in one's name and be based on that one.
        parent = _resolve(base, source, base == name, (*above, name))
    return _merge(name, data, parent)


def _read(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_BYTES:
        raise Broken([f"it is larger than {MAX_BYTES >> 10} KiB"])
    try:
        return bounded.tables(text)
    except bounded.Unparsable as error:
        raise Broken([f"not valid TOML: {error}"]) from None


# ------------------------------------------------------------------------------------------- checking


def _check_top(data: Mapping[str, Any]) -> Iterator[str]:
    if data.get("schema") != SCHEMA:
        yield f'the first line must be: schema = "{SCHEMA}"'
    yield from _unknown(data, _TOP, "")
    for key in ("name", "about", "base"):
        if not isinstance(data.get(key, ""), str):
            yield f"{key} must be a string"
    if isinstance(data.get("base"), str) and not NAME.fullmatch(data["base"]):
        yield f"base: '{data['base']}' is not a template name"
    if not _texts(data.get("without", [])):
        yield "without must be a list of outputs"
    fields = data.get("field", [])
    if not isinstance(fields, list) or not all(isinstance(each, dict) for each in fields):
        yield "fields must be [[field]] tables"
    elif len(fields) > MAX_FIELDS:
        yield f"more than {MAX_FIELDS} fields"
    outputs = data.get("output", [])
    if not isinstance(outputs, dict) and not (isinstance(outputs, list) and all(isinstance(o, dict) for o in outputs)):
        yield "outputs must be [output] or [[output]] tables"


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _unknown(table: Mapping[str, Any], known: Iterable[str], where: str) -> Iterator[str]:
    for key in table:
        if key not in known:
            yield f"{where}'{key}' is not a known setting{near(key, known)}"


def near(word: str, known: Iterable[str]) -> str:
    """``; did you mean …?`` if a word resembles a known one, else empty."""
    listed = list(known)
    found = difflib.get_close_matches(word, listed, n=1, cutoff=0.6)
    if not found:  # another spelling of the same word, or only its end
        lowered = {each.lower(): each for each in listed}
        tails = [each for each in listed if each.partition(":")[2] == word or each.rpartition(".")[2] == word]
        found = [lowered[word.lower()]] if word.lower() in lowered else tails[:1]
    return f"; did you mean '{found[0]}'?" if found else ""


# ------------------------------------------------------------------------------------------- merging


def _merge(name: str, data: Mapping[str, Any], parent: Template) -> Template:
    wrong: list[str] = []
    outputs = {output.id: output for output in parent.outputs}
    given = data.get("output", [])
    for table in [given] if isinstance(given, dict) else given:
        try:
            made = _output(table, outputs)
            outputs[made.id] = made
        except Broken as broken:
            wrong += broken.problems
    for gone in data.get("without", []):
        if outputs.pop(gone, None) is None:
            wrong.append(f"without: there is no output '{gone}'{near(gone, outputs)}")
    if not outputs and not wrong:
        wrong.append('it has no [[output]], and no base = "…" with one')
    fields = {_key(each.output, each.target, each.source): each for each in parent.fields if each.output in outputs}
    for number, table in enumerate(data.get("field", []), 1):
        where = f"field {number} ({table.get('target', 'without a target')}): "
        try:
            output = _output_of(table, outputs, fields)
            if table.get("drop") is True:
                if fields.pop(_key(output, table["target"], table.get("source")), None) is None:
                    raise Broken(["there is no inherited field to drop"])
            else:
                key = _key(output, table["target"], table.get("source"))
                fields[key] = _field(table, output, outputs[output])
        except Broken as broken:
            wrong += [where + problem for problem in broken.problems]
    if wrong:
        raise Broken(wrong)
    about = data.get("about") or parent.about
    bases = (parent.name, *parent.bases) if parent.name else ()
    return Template(name, about, bases, tuple(outputs.values()), tuple(fields.values()))


def _key(output: str, target: str, source: object) -> tuple[str, str]:
    """What a later field replaces: the one with the same target, and for a target with ``*`` the same source."""
    return output, f"{target} {source}" if target.endswith("*") else target


def _output(table: Mapping[str, Any], inherited: Mapping[str, OutputTemplate]) -> OutputTemplate:
    writer_name = table.get("writer")
    key = table.get("id", writer_name)
    before = inherited.get(key) if isinstance(key, str) else None
    if before is not None and writer_name is None:
        writer_name = before.writer
    if not isinstance(writer_name, str) or not isinstance(key, str):
        raise Broken(["[output]: writer is missing"])
    try:
        writer = writers.find(writer_name)
    except InvalidInput as error:
        raise Broken([f"[output]: {error.message}"]) from None
    where = f"[output] {key}: "
    allowed = writer.settings()
    wrong = list(_unknown(table, {*_OUTPUT, *allowed}, where))
    same = before is not None and before.writer == writer_name
    file = table.get("file", before.file if before is not None and same else None)
    if not isinstance(file, str):
        wrong.append(f'{where}file is missing, such as file = "{{stem}}.{writer_name}"')
    elif writer.scope == "clip" and "{stem}" not in file and "{name}" not in file:
        wrong.append(f"{where}file must contain {{stem}} or {{name}}")
    else:
        try:
            name_for(named(file, "a.b"), None)
        except InvalidInput as error:
            wrong.append(where + error.message)
    settings: dict[str, Value] = dict(before.settings) if before is not None and same else {}
    for setting, target in allowed.items():
        if setting in table:
            value = tuple(table[setting]) if isinstance(table[setting], list) else table[setting]
            problem = misfit(value, target)
            if problem:
                wrong.append(f"{where}{setting}: {problem}")
            settings[setting] = value
    if wrong:
        raise Broken(wrong)
    assert isinstance(file, str)
    return OutputTemplate(key, writer_name, file, settings)


def misfit(value: object, target: Target) -> str:
    """Why a constant cannot be a target's value; empty if it can."""
    if target.kind == "choice" and target.choices and value not in target.choices:
        return f"'{value}' is not one of {', '.join(target.choices)}{near(str(value), target.choices)}"
    wants: tuple[type, ...] = {
        "integer": (int,), "number": (int, float), "boolean": (bool,), "text": (str,), "list": (str, tuple),
    }.get(target.kind, (str, int, float, bool, tuple))  # fmt: skip
    if not isinstance(value, wants) or (isinstance(value, bool) and bool not in wants):
        return f"{value!r} is not a {target.kind}"
    return ""


def known_target(name: str, vocabulary: Mapping[str, Target]) -> Target | None:
    """A target's entry in a vocabulary, by its name or by a prefix that ends in ``*``; also for a prefix itself."""
    if name in vocabulary:
        return vocabulary[name]
    starts = (target for key, target in vocabulary.items() if key.endswith("*") and name.startswith(key[:-1]))
    return next(starts, None)


def _output_of(
    table: Mapping[str, Any], outputs: Mapping[str, OutputTemplate], inherited: Mapping[tuple[str, str], Field]
) -> str:
    """The id of the output that a field belongs to: the one it names, else the only one that fits."""
    target = table.get("target")
    if not isinstance(target, str) or not target:
        raise Broken(["target is missing"])
    named = table.get("output")
    if named is not None:
        if named not in outputs:
            raise Broken([f"there is no output '{named}'{near(str(named), outputs)}"])
        return str(named)
    if not outputs:
        raise Broken(["the template has no output"])
    words = {key: writers.find(output.writer).vocabulary() for key, output in outputs.items()}
    fits = [key for key, known in words.items() if known is not None and known_target(target, known) is not None]
    fits = fits or [key for key, known in words.items() if known is None]
    before = [key for key in fits if (key, target) in inherited]
    if len(before) == 1:
        return before[0]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise Broken([f'several outputs have this target: set output = "…" ({", ".join(fits)})'])
    everything = [name for known in words.values() for name in known or ()]
    raise Broken([f"no output of this template has the target '{target}'{near(target, everything)}"])


def _field(table: Mapping[str, Any], output: str, written: OutputTemplate) -> Field:
    wrong = list(_unknown(table, _FIELD, ""))
    source, constant = table.get("source"), table.get("value")
    if (source is None) == (constant is None):
        wrong.append("it must have either source or value")
    if source is not None and not (isinstance(source, str) and context.is_known(source)):
        wrong.append(f"the context has no name '{source}'{near(str(source), sorted(context.NAMES))}")
    vocabulary = writers.find(written.writer).vocabulary()
    target = Target("any") if vocabulary is None else known_target(table["target"], vocabulary)
    if target is None:
        wrong.append(f"'{written.id}' has no such target{near(table['target'], vocabulary or ())}")
    elif table["target"].endswith("*") and source not in GROUPS:
        wrong.append(f"a target with * needs a source such as {' or '.join(GROUPS)}")
    elif target.names and not re.fullmatch(target.names, table["target"].replace("*", "x")):
        wrong.append(f"{table['target']!r} is not a valid name in this format ({target.note})")
    elif constant is not None:
        constant = tuple(constant) if isinstance(constant, list) else constant
        problem = misfit(constant, target)
        wrong += [f"value: {problem}"] if problem else []
    when = table.get("when_missing", "default" if "default" in table else "skip")
    if when not in WHEN_MISSING:
        wrong.append(f"when_missing must be one of {', '.join(WHEN_MISSING)}{near(str(when), WHEN_MISSING)}")
    if (when == "default") != ("default" in table):
        wrong.append('when_missing = "default" and default = … must be used together')
    default = tuple(table["default"]) if isinstance(table.get("default"), list) else table.get("default")
    form = table.get("format")
    if form is not None:
        problem = _bad_format(form)
        wrong += [f"format: {problem}"] if problem else []
    if wrong:
        raise Broken(wrong)
    return Field(table["target"], source, constant, form, when, default, output)


def _bad_format(form: object) -> str:
    if not isinstance(form, str):
        return "it must be a string"
    try:
        parts = list(string.Formatter().parse(form))
    except ValueError as error:
        return str(error)
    fields = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
    if len(fields) != 1 or fields[0][0] != "" or fields[0][2] is not None or not _SPEC.fullmatch(fields[0][1] or ""):
        return "it must have one {} or {:…}, such as 'min {:.2f}'"
    return ""
