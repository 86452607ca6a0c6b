"""``regenstore template``"""

from __future__ import annotations

import os
import sys

import click

from regenstore.cli.console import say, write
from regenstore.cli.context import emit_json, json_option, open_repository
from regenstore.export.context import text_of
from regenstore.export.sidecar.library import Library
from regenstore.export.sidecar.template import Template
from regenstore.refs.git import Git


@click.group()
def command() -> None:
    """List, show, create and check sidecar templates, which map metadata to fields of other programs' formats.

    A repository's templates are TOML files in .regenstore/templates, versioned like everything else.

    \b
    Examples:
      regenstore template list
      regenstore template new studio --from resolve
      regenstore template check studio
    """


def _library() -> Library:
    return Library(os.fsdecode(open_repository().location.top))


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the repository's templates and the built-in ones."""
    found = _library().list()
    if as_json:
        rows = [
            {
                "name": each.name,
                "built_in": each.built_in,
                "shadowed": each.shadowed,
                "about": each.about,
                "files": list(each.outputs),
                "problems": list(each.problems),
            }
            for each in found
        ]
        emit_json("templates", {"templates": rows})
        return
    for each in found:
        origin = "built in" if each.built_in else "here"
        state = " (hidden by the repository's)" if each.shadowed else ""
        state += f" ({len(each.problems)} problems: regenstore template check {each.name})" if each.problems else ""
        say(f"{each.name:<16} {origin:<8}  {', '.join(each.outputs)}  {each.about}{state}")


@command.command()
@click.argument("name")
@click.option("--resolved", is_flag=True, help="Include everything that it inherits.")
@json_option
def show(name: str, resolved: bool, as_json: bool) -> None:
    """Show a template's text, or with --resolved all of its outputs and fields."""
    library = _library()
    if not (resolved or as_json):
        write(library.text(name))
        return
    template = library.load(name)
    if as_json:
        emit_json("template", _plain(template))
        return
    for output in template.outputs:
        settings = "".join(f"  {key}={text_of(value)!r}" for key, value in output.settings.items() if key != "text")
        say(f"{output.file}  ({output.writer}){settings}")
        for field in template.of(output):
            what = field.source if field.source is not None else repr(text_of(field.constant))
            say(f"  {field.target:<36}  {what}{'' if field.format is None else '  ' + field.format}")


def _plain(template: Template) -> dict[str, object]:
    fields = [
        {
            "output": field.output,
            "target": field.target,
            "source": field.source,
            "value": None if field.constant is None else text_of(field.constant),
            "format": field.format,
            "when_missing": field.when_missing,
            "default": None if field.default is None else text_of(field.default),
        }
        for field in template.fields
    ]
    outputs = [{"id": each.id, "writer": each.writer, "file": each.file} for each in template.outputs]
    return {
        "name": template.name,
        "about": template.about,
        "bases": list(template.bases),
        "outputs": outputs,
        "fields": fields,
    }


@command.command()
@click.argument("name")
@click.option("--from", "base", default="xmp", show_default=True, help="The template to start from.")
@click.option("--force", is_flag=True, help="Replace an existing template of that name.")
def new(name: str, base: str, force: bool) -> None:
    """Create a template based on another one."""
    path = _library().create(name, base, force=force)
    say(f"{os.path.relpath(path)}: edit it, then 'regenstore template check {name}'")


@command.command()
@click.argument("name")
def edit(name: str) -> None:
    """Edit one of the repository's templates in your editor, then check it."""
    library = _library()
    if name not in library.own():
        library.text(name)  # raises for an unknown name
        raise click.UsageError(f"'{name}' is built in; create your own: regenstore template new {name} --from {name}")
    from regenstore.cli.editor import open_in_editor  # slow to import

    open_in_editor(Git(os.getcwd()), library.path(name))
    _check(library, [name])


@command.command()
@click.argument("names", nargs=-1)
def check(names: tuple[str, ...]) -> None:
    """Report the errors in the given templates, or in all of the repository's."""
    library = _library()
    _check(library, list(names) or library.own())


def _check(library: Library, names: list[str]) -> None:
    wrong = {name: library.problems(name) for name in names}
    for name, problems in wrong.items():
        say(f"{name}: {'fine' if not problems else ''}".rstrip())
        for problem in problems:
            say(f"  {problem}")
    sys.exit(1 if any(wrong.values()) else 0)


@command.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete one of the repository's templates."""
    say(f"deleted {os.path.relpath(_library().delete(name))}")
