"""The environment fingerprint of each generator here and now, asked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regenstore.errors import GenerationError, RegenstoreError

if TYPE_CHECKING:  # what makes generators is slow to import, and seldom needed
    from regenstore.generators.registry import Registry
    from regenstore.jobs.local import LocalExecutor, Slot


class Environments:
    """Asks generators for their fingerprints, each once, in worker processes that last as long as this."""

    def __init__(self, registry: Registry, executor: LocalExecutor) -> None:
        self._registry = registry
        self._executor = executor
        self._slot: Slot | None = None
        self._known: dict[tuple[str, str], Mapping[str, str] | RegenstoreError] = {}

    def __enter__(self) -> Environments:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._slot is not None:
            self._slot.close()
            self._slot = None

    def of(self, generator: str, version: str) -> Mapping[str, str]:
        """The fingerprint; raises what makes the generator unusable here."""
        name = (generator, version)
        if name not in self._known:
            try:
                self._known[name] = self._ask(*name)
            except RegenstoreError as error:
                self._known[name] = error
        found = self._known[name]
        if isinstance(found, RegenstoreError):
            raise found
        return found

    def _ask(self, generator: str, version: str) -> Mapping[str, str]:
        declaration = self._registry.runnable(generator, version)
        self._slot = self._slot or self._executor.slot()
        probe, fingerprint = self._slot.probe(declaration)
        if not probe.available:
            raise GenerationError("generator-unavailable", f"'{declaration.name}' cannot run here: {probe.reason}")
        return fingerprint
