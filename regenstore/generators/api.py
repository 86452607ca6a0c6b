"""The generator protocol, version 1: what a plug-in provides.

A generator has two halves.

* The **declaration** is data: name, contract version, parameter schema, inputs, media types, cost
  estimate. It is what an entry point of the group ``regenstore.generators`` names, and it is imported in
  every process that needs to check a recipe, so its module must import nothing heavy.
* The **implementation** (named by the declaration as ``module:Class``) is imported only in a worker
  process, which loads a model once and then makes items one by one (a batch of one each: batching changes
  pixels). It may print, crash or hang; the worker's host turns that into one error for one item.

What an implementation promises: it writes only below ``item.outdir``; it never talks to a shell; a second
run with the same item and the same fingerprint gives the same bytes, or the declaration says
``reproducible=False``.

A plug-in imports from regenstore what stands here, in :mod:`regenstore.generators.shared_params`, and in its
implementation alone in :mod:`regenstore.generators.implementation`; nothing else is promised to stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from regenstore.generators.schema import Param, ParamSchema

__all__ = [
    "API_VERSION",
    "Cancelled",
    "Context",
    "Cost",
    "Declaration",
    "Implementation",
    "InputSlot",
    "Item",
    "Made",
    "Param",
    "ParamSchema",
    "Probe",
    "Session",
]

API_VERSION = 1


def __getattr__(name: str) -> Any:
    """The parts of a declaration that are slow to import: a worker, which needs none, starts without them."""
    if name in ("Param", "ParamSchema"):
        from regenstore.generators import schema

        return getattr(schema, name)
    raise AttributeError(name)


@dataclass(frozen=True)
class InputSlot:
    """An input that a generator takes. ``kinds`` are media kinds: image, video, audio; empty means any."""

    description: str
    kinds: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class Cost:
    """An estimate made without running: wall seconds on this machine, peak memory in bytes."""

    seconds: float
    memory: int = 0


def _no_model(model: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    return str(model.get("digest") or model.get("name") or "")


@dataclass(frozen=True)
class Declaration:
    """The half of a generator that every process may import: plain data and two pure functions."""

    name: str
    version: str
    summary: str
    params: ParamSchema
    media_types: tuple[str, ...]
    """What it can write as its main output; the first is the default."""
    implementation: str
    """``module:Class``, imported in the worker only."""
    inputs: Mapping[str, InputSlot] = field(default_factory=dict)
    more_inputs: InputSlot | None = None
    """When set, inputs of any further name are taken; they are used in natural order of their names."""
    estimate: Callable[[Mapping[str, Any]], Cost] | None = None
    """From checked params to a cost; None means unknown, which counts as over any budget."""
    model_key: Callable[[Mapping[str, Any], Mapping[str, Any]], str] = _no_model
    """From a recipe's model and params to the batching key: items of one key share one load."""
    reproducible: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able settings handed to the implementation's constructor (a command's argv, say)."""


@dataclass(frozen=True)
class Item:
    """One run: everything an implementation sees of a recipe."""

    id: str
    params: Mapping[str, Any]
    """Checked, typed, defaults filled in. Integers beyond 64 bits are plain ints here."""
    inputs: Mapping[str, str]
    """Input name -> path of the file, read-only."""
    media_type: str
    """Of the main output."""
    outdir: str
    """An empty folder of this item's own, on the store's file system."""
    model: Mapping[str, Any] = field(default_factory=dict)

    def output(self, name: str = "main") -> str:
        """The path where the named output belongs."""
        return f"{self.outdir}/{name}"


@dataclass(frozen=True)
class Made:
    """What one item gave: output name -> (path below outdir, media type)."""

    id: str
    outputs: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Probe:
    """Whether the generator can run here; ``reason`` says why not and what to install."""

    available: bool
    reason: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


class Context(Protocol):
    """What a session is given to talk back."""

    def progress(self, item: Item, done: float, total: float, note: str = "") -> None:
        """Report progress; cheap, may be called often. Raises Cancelled when the item was cancelled."""

    def cancelled(self) -> bool:
        """True once the running item was asked to stop."""


class Cancelled(Exception):
    """Raised inside a session to leave a cancelled item."""


class Session(Protocol):
    """A loaded model."""

    def generate(self, items: Iterable[Item], context: Context) -> Iterator[Made]:
        """Make the items in order, yielding each as soon as its files are complete."""

    def unload(self) -> None:
        """Free what ``load`` took; called once."""


class Implementation(Protocol):
    """The worker's half. Constructed once per worker with the declaration's options."""

    def __init__(self, options: Mapping[str, Any]) -> None: ...

    def probe(self) -> Probe:
        """Under a second, no model load, no network."""

    def fingerprint(self) -> Mapping[str, str]:
        """Everything of this machine and its software that may change output bytes. What a plug-in is installed with
        is added to it. An entry ``unpinned`` says in words what can change without notice (a service that answers):
        then no proof lets anything go."""

    def load(self, model_key: str, context: Context) -> Session:
        """Load once per model key."""
