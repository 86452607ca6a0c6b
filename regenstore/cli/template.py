"""``regenstore template``"""

from __future__ import annotations

import os
import sys

import click

from regenstore.cli.console import say, visible, write
from regenstore.cli.context import dry_run_option, emit_json, json_option, open_repository, worktree_paths
from regenstore.cli.presentation import Heading, counted, show_table
from regenstore.errors import RegenstoreError
from regenstore.export.context import Value, text_of
from regenstore.export.media_facts import Measurements
from regenstore.export.media_set import Medium
from regenstore.export.sidecar.library import Library
from regenstore.export.sidecar.template import Template
from regenstore.fs.path_text import path_text
from regenstore.refs.git import Git


@click.group()
def command() -> None:
    """List, show, create and check sidecar templates, which map metadata to fields of other programs' formats.

    A repository's templates are TOML files in .regenstore/templates, versioned like everything else.

    \b
    Examples:
      regenstore template list
      regenstore template new studio --from resolve
      regenstore template check studio --on shots/sh010.mp4
      regenstore template fields shots/sh010.mp4
    """


def _library() -> Library:
    return Library(os.fsdecode(open_repository().location.top))


@command.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the repository's templates and the built-in ones.

    \b
    Example:
      regenstore template list
    """
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
    table = []
    for each in found:
        state = " (hidden by the repository's)" if each.shadowed else ""
        if each.problems:
            state += f" ({counted(len(each.problems), 'problem')}: regenstore template check {each.name})"
        table.append((each.name, "built in" if each.built_in else "here", ", ".join(each.outputs), each.about + state))
    show_table((Heading("template"), Heading("from"), Heading("files"), Heading("what it is for")), table)


@command.command()
@click.argument("name")
@click.option("--resolved", is_flag=True, help="Include everything that it inherits.")
@json_option
def show(name: str, resolved: bool, as_json: bool) -> None:
    """Show a template's text, or with --resolved all of its outputs and fields.

    \b
    Example:
      regenstore template show resolve --resolved
    """
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
@dry_run_option
@json_option
def new(name: str, base: str, force: bool, dry_run: bool, as_json: bool) -> None:
    """Create a template based on another one.

    \b
    Example:
      regenstore template new studio --from resolve
    """
    path = _library().create(name, base, force=force, dry_run=dry_run)
    if as_json:
        emit_json("template-new", {"name": name, "base": base, "path": path_text(path)})
    elif dry_run:
        say(f"would create {os.path.relpath(path)}")
    else:
        say(f"{os.path.relpath(path)}: edit it, then 'regenstore template check {name}'")


@command.command()
@click.argument("name")
def edit(name: str) -> None:
    """Edit one of the repository's templates in your editor, then check it.

    \b
    Example:
      regenstore template edit studio
    """
    library = _library()
    if name not in library.own():
        library.text(name)  # raises for an unknown name
        raise click.UsageError(f"'{name}' is built in; create your own: regenstore template new {name} --from {name}")
    from regenstore.cli.editor import open_in_editor  # slow to import

    open_in_editor(Git(os.getcwd()), library.path(name))
    _check(library, [name])


@command.command()
@click.argument("names", nargs=-1)
@click.option("--on", "paths", multiple=True, metavar="PATH", help="Render them for these media, and write nothing.")
@json_option
def check(names: tuple[str, ...], paths: tuple[str, ...], as_json: bool) -> None:
    """Report the errors in the given templates, or in all of the repository's.

    With --on, they are also rendered for media: what fails is an error, and what the media lack is a warning.

    \b
    Examples:
      regenstore template check studio
      regenstore template check studio --on shots/sh010.mp4
    """
    library = _library()
    _check(library, list(names) or library.own(), paths, as_json)


@command.command()
@click.argument("path")
@json_option
def fields(path: str, as_json: bool) -> None:
    """List every field that templates can use for the medium at PATH, with its value.

    \b
    Example:
      regenstore template fields shots/sh010.mp4
    """
    from regenstore.export.sidecar.batch import SidecarOrder, clip_of

    order = SidecarOrder((), os.fsdecode(open_repository().location.top))
    media, known = _media((path,), measure=False)
    found = {medium.path: clip_of(order, medium, known, _quiet).fields for medium in media}
    if as_json:
        rows = [
            {"path": path_text(name), "fields": {key: _text(value) for key, value in each.items()}}
            for name, each in found.items()
        ]
        emit_json("template-fields", {"media": rows})
        return
    for name, each in found.items():
        if len(found) > 1:
            say(name)
        table = [(key, "(unknown)" if value is None else text_of(value)) for key, value in each.items()]
        show_table((Heading("field"), Heading("value")), table)


def _text(value: Value) -> str | None:
    return None if value is None else text_of(value)


def _quiet(path: str, done: float) -> None: ...


def _media(paths: tuple[str, ...], *, measure: bool) -> tuple[list[Medium], Measurements]:
    """The media at paths, made present, with their metadata; those left out are named."""
    from regenstore.cli.export_sidecar import with_defaults
    from regenstore.cli.measuring import known_of
    from regenstore.cli.progress_lines import progress_for
    from regenstore.export.media_set import LeftOut, MediaSet, Tree

    repository = open_repository()
    tree = Tree(repository.git, repository.index, repository.blobs, repository.pending, repository.workbench.current)
    left = LeftOut()
    chosen = tree.chosen(worktree_paths(repository, paths), left=left)
    media_set = MediaSet(repository.store, repository.cache, repository.realiser)
    plan = media_set.plan(chosen, repository.settings.budget)
    with progress_for(False, len(plan.steps)) as progress:
        media = media_set.realise(chosen, plan, progress, left)
    if not media:
        left.refuse()
    for error in left.errors.values():
        say(f"left out: {visible(error.message)}", err=True)
    return with_defaults(repository, media), known_of(repository, measure=measure)


def _rendered(library: Library, name: str, paths: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """What fails when a template is rendered for media, and the warnings."""
    from regenstore.export.sidecar.batch import SidecarOrder, render

    top = os.fsdecode(open_repository().location.top)
    order = SidecarOrder((library.load(name),), top, to=top, keep_folders=True)
    media, known = _media(paths, measure=order.measures)
    try:
        batch = render(order, media, known, _quiet)
    except RegenstoreError as error:
        return [error.message], []
    problems = [f"{os.path.basename(file.target)}: {each}" for file in batch.files for each in file.problems]
    return problems, [*batch.warnings, *(each for file in batch.files for each in file.warnings)]


def _check(library: Library, names: list[str], paths: tuple[str, ...] = (), as_json: bool = False) -> None:
    wrong = {name: library.problems(name) for name in names}
    warnings: dict[str, list[str]] = {}
    for name in [name for name in names if paths and not wrong[name]]:
        wrong[name], warnings[name] = _rendered(library, name, paths)
    if as_json:
        rows = [{"name": name, "problems": wrong[name], "warnings": warnings.get(name, [])} for name in wrong]
        emit_json("template-check", {"templates": rows})
        sys.exit(1 if any(wrong.values()) else 0)
    for name, lacking in warnings.items():
        for warning in lacking:
            say(f"warning: {name}: {visible(warning)}", err=True)
    for name, problems in wrong.items():
        say(f"{name}: {'fine' if not problems else ''}".rstrip())
        for problem in problems:
            say(f"  {problem}")
    sys.exit(1 if any(wrong.values()) else 0)


@command.command()
@click.argument("name")
@dry_run_option
@json_option
def delete(name: str, dry_run: bool, as_json: bool) -> None:
    """Delete one of the repository's templates.

    \b
    Example:
      regenstore template delete studio
    """
    path = _library().delete(name, dry_run=dry_run)
    if as_json:
        emit_json("template-delete", {"name": name, "path": path_text(path)})
    else:
        say(f"{'would delete' if dry_run else 'deleted'} {os.path.relpath(path)}")
