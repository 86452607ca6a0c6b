"""How long ago, or how long, as commands are told it."""

from __future__ import annotations

import click

from regenstore import config


class Age(click.ParamType[float]):
    """Seconds, written as 30d, 12h, 5min."""

    name = "AGE"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return config.parse_duration(str(value))
        except ValueError as error:
            self.fail(f"expected {error}, found {value!r}", param, ctx)
