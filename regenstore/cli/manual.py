"""Manual pages, made of the same texts as ``--help``. One page for the program and one for each command, as git has."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping

import click

from regenstore import __version__
from regenstore.cli.lazy import LazyGroup

_KEPT = "\b\n"
"""The first line of a paragraph whose lines are kept, in click's help texts."""


def pages(root: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the file name and the text of every page. ``root``: the context of the whole program."""
    yield from _pages(root, ("regenstore",), root.command.help or "")


def _pages(context: click.Context, words: tuple[str, ...], about: str) -> Iterator[tuple[str, str]]:
    command = context.command
    yield f"{'-'.join(words)}.1", "\n".join(_page(context, words, about.split("\n")[0])) + "\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            below = click.Context(found, parent=context, info_name=name)
            yield from _pages(below, (*words, name), _line(command, name, found))


def _line(group: click.Group, name: str, command: click.Command) -> str:
    """What a command does, in a line."""
    listed = group.commands_listed if isinstance(group, LazyGroup) else {}
    return listed.get(name) or command.get_short_help_str(limit=200)


def _page(context: click.Context, words: tuple[str, ...], about: str) -> Iterator[str]:
    command, name = context.command, "-".join(words)
    yield f'.TH "{_escaped(name.upper())}" 1 "" "regenstore {__version__}" "regenstore"'
    yield ".SH NAME"
    yield f"{_escaped(name)} \\- {_escaped(about.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {_escaped(' '.join(words))}"
    yield _escaped(" ".join(command.collect_usage_pieces(context)))
    yield ".SH DESCRIPTION"
    yield from _texts(command.help or "")
    yield ".SH OPTIONS"
    for param in command.get_params(context):
        record = param.get_help_record(context) if isinstance(param, click.Option) else None
        if record is not None:
            yield f".TP\n.B {_escaped(record[0])}\n{_escaped(record[1])}"
    if isinstance(command, click.Group):
        yield from _commands(context, command, name)
    yield ".SH EXIT STATUS"
    yield from _texts(command.epilog or "") if len(words) == 1 else [f"See {_reference('regenstore')}."]
    above = ["regenstore", *(["-".join(words[:-1])] if len(words) > 2 else [])]
    if len(words) > 1:
        yield ".SH SEE ALSO\n" + ",\n".join(map(_reference, above))


def _commands(context: click.Context, group: click.Group, name: str) -> Iterator[str]:
    sections: Mapping[str, Iterable[str]] = group.sections if isinstance(group, LazyGroup) else {}
    for title, listed in (sections or {"Commands": group.list_commands(context)}).items():
        yield f'.SH "{_escaped(title.upper())}"'
        for each in listed:
            found = group.get_command(context, each)
            assert found is not None
            yield f".TP\n{_reference(f'{name}-{each}')}\n{_escaped(_line(group, each, found))}"


def _texts(text: str) -> Iterator[str]:
    """Paragraphs of a help text; what begins with ``Examples:`` becomes a section."""
    for at, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        kept = paragraph.startswith(_KEPT)
        lines = paragraph.removeprefix(_KEPT).split("\n")
        if lines[0].rstrip(":") in ("Example", "Examples"):
            yield ".SH EXAMPLES"
            lines = inspect.cleandoc("\n".join(["", *lines[1:]])).split("\n")
        elif at:
            yield ".PP"
        shown = map(_escaped, lines)
        yield from [".nf", *shown, ".fi"] if kept else shown


def _reference(name: str) -> str:
    return f"\\fB{_escaped(name)}\\fR(1)"


def _escaped(text: str) -> str:
    """Text without a meaning to troff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace('"', "\\(dq")
    text = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    return f"\\&{text}" if text.startswith(".") else text
