"""``regenstore tag``"""

from __future__ import annotations

import json

import click

from regenstore.cli.console import say
from regenstore.cli.context import (
    dry_run_option,
    emit_json,
    json_option,
    open_repository,
    show_path,
    split_settings,
    worktree_paths,
)
from regenstore.fs.path_text import path_text
from regenstore.tracked import labels


@click.command()
@click.argument("path")
@click.argument("rest", nargs=-1, metavar="[PATH]... [NAME=VALUE]...")
@click.option("--remove", "-r", multiple=True, metavar="NAME", help="Remove a label; may be repeated.")
@dry_run_option
@json_option
def command(path: str, rest: tuple[str, ...], remove: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Label the media at PATHs: scene, scene_type, characters, tags, failure_tags, rating, quality, or any other name.

    Labels are part of the recipe, are versioned with it, and serve to select media for datasets. They change no
    medium, and nothing is staged. characters, tags and failure_tags are lists: =a,b sets, += adds, -= removes.
    Without NAME=VALUE, prints the labels.

    \b
    Examples:
      regenstore tag shots/sh010.mp4 scene=sc010 scene_type=exterior characters=ann,bob rating=4
      regenstore tag shots/ tags+=night failure_tags+=melted-hands
      regenstore tag shots/sh010.mp4 --remove rating
      regenstore tag shots/sh010.mp4
    """
    paths, settings = split_settings(path, rest, "a label")
    repository = open_repository()
    bench = repository.workbench
    targets = bench.named(worktree_paths(repository, paths))
    if settings or remove:
        changed = labels.label(bench, targets, settings, remove, dry_run=dry_run)
        if as_json:
            emit_json("tag", {"changed": [path_text(each) for each in changed]})
            return
        for each in changed:
            say(f"{show_path(each)}: {'would be labelled' if dry_run else 'labelled'}")
        if not changed:
            say("nothing to change")
        elif not dry_run:
            say("Nothing is staged; 'git add' stages the change.")
        return
    found = {path_text(each): dict(bench.current(each).about) for each in targets}
    if as_json:
        emit_json("tags", {"labels": found})
        return
    for each in targets:
        shown, about = show_path(each), found[path_text(each)]
        for name, value in about.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            say(f"{shown}: {name} = {text}")
