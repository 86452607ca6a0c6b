"""Command groups that import a command only when it is called, which keeps start-up fast."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group defined by a table: command -> one line of help. Each command is the function ``command`` of a module
    in ``cli/``, named by the group's prefix and the command's name."""

    commands_listed: Mapping[str, str] = {}
    sections: Mapping[str, Mapping[str, str]] = {}
    """The same commands under headings, for the help; without any, they are in one list."""
    prefix = ""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands_listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands_listed:
            return None
        command = importlib.import_module(f"regenstore.cli.{self.prefix}{cmd_name}").command
        assert isinstance(command, click.Command)
        if "_REGENSTORE_COMPLETE" in os.environ:
            from regenstore.cli.completing import attach

            attach(command)
        command.epilog = command.epilog or "Exit codes: see 'regenstore --help'."
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands_listed))
        for title, listed in (self.sections or {"Commands": self.commands_listed}).items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), line) for name, line in listed.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name from the table alone: importing every command would take seconds."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        names = self.commands_listed.items()
        return [CompletionItem(name, help=line) for name, line in names if name.startswith(incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands_listed and not args[0].startswith("-"):
            import difflib  # slow to import

            near = difflib.get_close_matches(args[0], self.commands_listed, n=1)
            also = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{also}")
        return super().resolve_command(ctx, args)
