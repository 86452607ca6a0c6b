"""The environment fingerprint of each generator, here and now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from regenstore.errors import GenerationError, RegenstoreError

if TYPE_CHECKING:  # importing the generator machinery is slow, and it is seldom needed
    from regenstore.generators.registry import Registry
    from regenstore.jobs.local import LocalExecutor, Slot


class Environments:
    """Asks each generator for its fingerprint once, in a worker process that lives as long as this object."""

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
        """Return the fingerprint. Raises the error that makes the generator unusable here."""
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
