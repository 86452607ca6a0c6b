"""Every moment in which a gc does, or has just done, something that another process can notice: runs something at
the n-th of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regenstore.fs import durable
from regenstore.gc import collect, trash
from regenstore.objects import content_store
from tests.gc.world import World


class Moments:
    """Counts moments, and calls ``act`` once, at the chosen one. While it acts, nothing is counted."""

    def __init__(
        self, world: World, patch: pytest.MonkeyPatch, chosen: int, act: Callable[[], None], *, reads: bool = True
    ) -> None:
        """``reads``: also the moments in which something is only looked at."""
        self.count = 0
        self.names: list[str] = []
        self._chosen, self._act, self._acting = chosen, act, False
        looked = ((collect, "is_held"), (collect, "identity"), (trash, "identity"), (content_store, "identity"))
        changes = ("rename", "link", "unlink", "write_file", "make_folder", "remove_folder")
        for module, name in (*(looked if reads else ()), *((durable, name) for name in changes)):
            patch.setattr(module, name, self._watched(name, getattr(module, name)))
        world.before_survey = lambda: self.moment("before a survey")
        world.after_survey = lambda: self.moment("after a survey")

    def moment(self, name: str) -> None:
        if self._acting:
            return
        self.count += 1
        self.names.append(name)
        if self.count == self._chosen:
            self._acting = True
            try:
                self._act()
            finally:
                self._acting = False

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            self.moment(f"before {name} {args[:1]}")
            try:
                return real(*args, **named)
            finally:
                self.moment(f"after {name} {args[:1]}")

        return call
