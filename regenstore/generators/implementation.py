"""Building blocks for implementations, used in the worker: writing pictures, videos and audio, drawing text, and a base
class for generators without a model.

A subclass of :class:`InProcess` defines how one item is made; the class supplies the rest of the protocol. Its
fingerprint names every library whose code touches output bytes. It does not name the processor: pixel and sample
arithmetic uses only operations that IEEE 754 defines exactly (no SIMD-dependent transcendental functions, no BLAS), and
the codecs used are integer ones.
"""

from __future__ import annotations

import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from regenstore.generators.api import Cancelled, Context, Item, Made, Probe
from regenstore.generators.overlay import burn_in, plate, stamp
from regenstore.media import encode, stills
from regenstore.media.encode import MediaWriter, Samples, Sound
from regenstore.media.rates import even, exact_rate
from regenstore.media.stills import Pixels, scale_still, write_still

__all__ = [
    "InProcess",
    "MediaWriter",
    "Pixels",
    "Samples",
    "Sound",
    "Tick",
    "burn_in",
    "even",
    "exact_rate",
    "plate",
    "scale_still",
    "stamp",
    "write_still",
]

Tick = Callable[[float, float, str], None]
"""``tick(done, total, note)`` reports progress, and raises Cancelled if the item was cancelled."""


class InProcess(ABC):
    """An implementation without a model. Subclasses set ``revision`` and define :meth:`make`."""

    name: ClassVar[str]
    revision: ClassVar[str] = "1"
    """Revision of the drawing code; raise it when a change alters output bytes within one contract version."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)

    @abstractmethod
    def make(self, item: Item, path: str, tick: Tick) -> None:
        """Write the item's main output to ``path``."""

    def probe(self) -> Probe:
        return Probe(True, versions=self.fingerprint())

    def fingerprint(self) -> dict[str, str]:
        found = {"generator": f"{self.name}/{self.revision}", "machine": platform.machine()}
        return {**found, "numpy": np.__version__, **stills.versions(), **encode.versions()}

    def load(self, model_key: str, context: Context) -> InProcessSession:
        return InProcessSession(self)


class InProcessSession:
    """Makes items in order; there is nothing to load or unload. A failed item leaves no file."""

    def __init__(self, implementation: InProcess) -> None:
        self._implementation = implementation

    def generate(self, items: Iterable[Item], context: Context) -> Iterator[Made]:
        for item in items:
            path = item.output()
            try:
                self._implementation.make(item, path, _ticker(item, context))
            except BaseException:
                if os.path.exists(path):
                    os.unlink(path)
                raise
            yield Made(item.id, {"main": (path, item.media_type)})

    def unload(self) -> None:
        pass


def _ticker(item: Item, context: Context) -> Tick:
    def tick(done: float, total: float, note: str) -> None:
        context.progress(item, done, total, note)
        if context.cancelled():
            raise Cancelled(item.id)

    return tick
