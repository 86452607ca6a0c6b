"""Shell completion of values, in addition to commands and options. Imported only while completing, which must not fail:
if something cannot be read, there are no completions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from regenstore.cli.main import COMMANDS
from regenstore.config import GitEnvironment
from regenstore.errors import RegenstoreError
from regenstore.generators.api import Declaration
from regenstore.repository import Repository
from regenstore.worktree.paths import from_user

VARIABLE = "_REGENSTORE_COMPLETE"
"""The environment variable by which a shell asks for completions."""
Names = Callable[[click.Context, str], Iterable[str]]
_FILES = ("path", "paths", "what", "rest", "source", "store", "folder", "out")


def attach(command: click.Command) -> None:
    """Give the parameters of a command their completions."""
    if type(command) is click.Group:  # its commands are not loaded one by one
        for each in command.commands.values():
            attach(each)
    for param in command.params:
        names = _names(command, param)
        # click takes a completer with each option's declaration; every start would import this module then.
        if names is not None:
            param.shell_complete = _completer(names)  # type: ignore[method-assign,assignment]
        elif param.name in _FILES or param.human_readable_name == "[REV:]PATH...":
            param.shell_complete = _files  # type: ignore[method-assign]


def _names(command: click.Command, param: click.Parameter) -> Names | None:
    module = (command.callback.__module__ if command.callback else "").rpartition(".")[2]
    if param.name == "generator" or (module == "generators" and param.name == "name"):
        return _generators
    if param.name in ("params", "rest") and module in ("new", "set", "unset"):
        return _parameters
    if module == "help":
        return _commands
    if param.name == "inputs":
        return _inputs
    if param.name in ("template", "templates") or (module == "template" and param.name in ("name", "names", "base")):
        return _templates
    if module in ("remote_check", "remote_gc", "remote_remove") or (module == "push" and param.name == "arguments"):
        return _remotes if isinstance(param, click.Argument) else None
    return None


def _files(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]


def _completer(names: Names) -> Callable[[click.Context, str], list[CompletionItem]]:
    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        try:
            for folder in ctx.find_root().params.get("folders") or ():
                os.chdir(folder)
            found = [name for name in names(ctx, incomplete) if name.startswith(incomplete)]
        except (RegenstoreError, OSError):
            found = []
        return [CompletionItem(name) for name in found] or _files(ctx, incomplete)

    return complete


def _commands(ctx: click.Context, incomplete: str) -> list[str]:
    return list(COMMANDS)


def _repository() -> Repository:
    return Repository.discover(os.getcwd(), GitEnvironment.read(), None)


def _generators(ctx: click.Context, incomplete: str) -> list[str]:
    return [each.declaration.name for each in _repository().registry.all()]


def _declaration(ctx: click.Context) -> Declaration | None:
    """The declaration of the generator given on the command line, or of the recipe's at the path."""
    repository = _repository()
    name = ctx.params.get("generator")
    if name is None and ctx.params.get("path"):
        path = from_user(ctx.params["path"], os.fsencode(os.getcwd()), repository.location.top)
        name = repository.workbench.current(path).generator
    return None if name is None else repository.registry.find(name).declaration


def _parameters(ctx: click.Context, incomplete: str) -> list[str]:
    declaration = _declaration(ctx)
    if declaration is None:
        return []
    params = declaration.params.params
    if ctx.info_name == "unset":
        return list(params)
    name, separator, _ = incomplete.partition("=")
    if separator and name in params:
        kinds = {"boolean": ("true", "false")}
        return [f"{name}={choice}" for choice in params[name].choices or kinds.get(str(params[name].type)) or ()]
    return [f"{each}=" for each in params]


def _inputs(ctx: click.Context, incomplete: str) -> list[str]:
    declaration = _declaration(ctx)
    end = "" if ctx.info_name == "unset" else "="
    return [] if declaration is None else [f"{each}{end}" for each in declaration.inputs]


def _templates(ctx: click.Context, incomplete: str) -> list[str]:
    from regenstore.export.sidecar.library import Library

    library = Library(os.fsdecode(_repository().location.top))
    return sorted({*library.own(), *library.built_in()})


def _remotes(ctx: click.Context, incomplete: str) -> list[str]:
    return list(_repository().remote_definitions.definitions)
