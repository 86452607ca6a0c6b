"""The generator protocol, version 1: what a plug-in must provide.

A generator has two halves.

* The **declaration** is data: name, contract version, parameter schema, inputs, media types, cost
  estimate. An entry point of the group ``regenstore.generators`` names it. It is imported in every
  process that checks a recipe, so its module must not import anything heavy.
* The **implementation** (named by the declaration as ``module:Class``) is imported only in a worker
  process, which loads a model once and then makes items one by one (in batches of one, because
  batching changes pixels). It may print, crash or hang; the worker's host turns that into one error
  for one item.

An implementation promises to write only below ``item.outdir``, never to use a shell, and to give the same bytes for the
same item and fingerprint, unless the declaration says ``reproducible=False``.

A plug-in may import from regenstore this module, :mod:`regenstore.generators.shared_params`, and, in its implementation
only, :mod:`regenstore.generators.implementation`. Anything else may change.
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
    """Import the parts of a declaration lazily: they are slow to import, and a worker does not need them."""
    if name in ("Param", "ParamSchema"):
        from regenstore.generators import schema

        return getattr(schema, name)
    raise AttributeError(name)


@dataclass(frozen=True)
class InputSlot:
    """An input of a generator. ``kinds`` are media kinds (image, video, audio); empty means any."""

    description: str
    kinds: tuple[str, ...] = ()
    required: bool = True


@dataclass(frozen=True)
class Cost:
    """An estimate made without running: wall seconds on this machine, and peak memory in bytes."""

    seconds: float
    memory: int = 0


def _no_model(model: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    return str(model.get("digest") or model.get("name") or "")


@dataclass(frozen=True)
class Declaration:
    """The declarative half of a generator, importable in every process: plain data and two pure functions."""

    name: str
    version: str
    summary: str
    params: ParamSchema
    media_types: tuple[str, ...]
    """The media types that the main output can have; the first is the default."""
    implementation: str
    """``module:Class``, imported in the worker only."""
    inputs: Mapping[str, InputSlot] = field(default_factory=dict)
    more_inputs: InputSlot | None = None
    """If set, inputs with further names are accepted; they are used in natural order of their names."""
    estimate: Callable[[Mapping[str, Any]], Cost] | None = None
    """Estimates the cost from checked params. None means unknown, which exceeds any budget."""
    model_key: Callable[[Mapping[str, Any], Mapping[str, Any]], str] = _no_model
    """Derives the batching key from a recipe's model and params; items with the same key share one load."""
    reproducible: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    """JSON-compatible settings for the implementation's constructor, such as a command's argv."""


@dataclass(frozen=True)
class Item:
    """One run: the parts of a recipe that an implementation sees."""

    id: str
    params: Mapping[str, Any]
    """Checked, typed, with defaults filled in. Integers beyond 64 bits are plain ints here."""
    inputs: Mapping[str, str]
    """Input name -> path of the file, to be read only."""
    media_type: str
    """The media type of the main output."""
    outdir: str
    """An empty folder that belongs to this item, on the store's file system."""
    model: Mapping[str, Any] = field(default_factory=dict)

    def output(self, name: str = "main") -> str:
        """The path to write the named output to."""
        return f"{self.outdir}/{name}"


@dataclass(frozen=True)
class Made:
    """The outputs of one item: name -> (path below outdir, media type)."""

    id: str
    outputs: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Probe:
    """Whether the generator can run here; if not, ``reason`` says why and what to install."""

    available: bool
    reason: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


class Context(Protocol):
    """The session's connection to the host: progress and cancellation."""

    def progress(self, item: Item, done: float, total: float, note: str = "") -> None:
        """Report progress. Cheap enough to call often. Raises Cancelled if the item was cancelled."""

    def cancelled(self) -> bool:
        """Whether the running item was asked to stop."""


class Cancelled(Exception):
    """Raised inside a session to abandon a cancelled item."""


class Session(Protocol):
    """A loaded model."""

    def generate(self, items: Iterable[Item], context: Context) -> Iterator[Made]:
        """Make the items in order, yielding each as soon as its files are complete."""

    def unload(self) -> None:
        """Free what ``load`` allocated; called once."""


class Implementation(Protocol):
    """The worker's half of a generator. Constructed once per worker with the declaration's options."""

    def __init__(self, options: Mapping[str, Any]) -> None: ...

    def probe(self) -> Probe:
        """Check whether the generator can run. Takes less than a second, loads no model, uses no network."""

    def fingerprint(self) -> Mapping[str, str]:
        """Everything about this machine and its software that may change output bytes.

        The state of the packages that a plug-in is installed with is added to it. An entry ``unpinned`` names, in
        words, what can change without notice (a remote service, for instance): then no proof makes anything evictable.
        """

    def load(self, model_key: str, context: Context) -> Session:
        """Load the model; called once per model key."""
