"""Command groups that import a command only when it is called, which keeps start-up fast."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping

import click


class LazyGroup(click.Group):
    """A group defined by a table: command -> one line of help. Each command is the function ``command`` of a module
    in ``cli/``, named by the group's prefix and the command's name, with underscores."""

    commands_listed: Mapping[str, str] = {}
    prefix = ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands_listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands_listed:
            return None
        command = importlib.import_module(f"regenstore.cli.{self.prefix}{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.commands_listed.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands_listed and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], self.commands_listed, n=1)
            also = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{also}")
        return super().resolve_command(ctx, args)
