"""Durations as command-line values."""

from __future__ import annotations

import click

from regenstore import config


class Age(click.ParamType[float]):
    """A parameter type for durations such as 30d, 12h, 5min; the value is in seconds."""

    name = "AGE"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return config.parse_duration(str(value))
        except ValueError as error:
            self.fail(f"expected {error}, found {value!r}", param, ctx)
