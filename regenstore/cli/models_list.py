"""``regenstore models list``"""

from __future__ import annotations

from fnmatch import fnmatchcase

import click

from regenstore.cli.console import say
from regenstore.cli.context import emit_json, json_option
from regenstore.cli.model_rows import model_fields, show_models
from regenstore.cli.presentation import counted, size_text
from regenstore.config import model_index
from regenstore.models.index import ModelIndex
from regenstore.models.indexed_model import IndexedModel
from regenstore.models.model_files import name_below_folder


@click.command("list")
@click.argument("pattern", required=False)
@click.option("--paths", is_flag=True, help="Show where the files are.")
@json_option
def command(pattern: str | None, paths: bool, as_json: bool) -> None:
    """List the models of the index, or those whose name, kind or base model matches PATTERN, which may have * and ?.

    \b
    Examples:
      regenstore models list
      regenstore models list 'sdxl*'
      regenstore models list lora --paths
    """
    found = [each for each in ModelIndex(model_index()).models.values() if _matches(each, pattern)]
    found.sort(key=lambda each: (each.kind, name_below_folder(each.path).lower(), each.path))
    if as_json:
        emit_json("models", {"models": [model_fields(each) for each in found]})
        return
    show_models(found, paths=paths)
    if found:
        size = sum({each.hashes.blake3: each.state.size for each in found}.values())
        say(f"{counted(len(found), 'model')}, {size_text(size)}")
    elif pattern is None:
        say("The index is empty. Add models: regenstore models scan DIR")
    else:
        say(f"No model matches {pattern!r}")


def _matches(model: IndexedModel, pattern: str | None) -> bool:
    if pattern is None:
        return True
    name, wanted = name_below_folder(model.path).lower(), pattern.lower()
    texts = (name, name.rpartition("/")[2], name.rpartition(".")[0], model.kind, model.header.base.lower())
    return any(fnmatchcase(text, wanted) for text in texts)
