"""Checks of generators: whether they can be loaded, are trusted, and what they could do."""

from __future__ import annotations

from importlib import metadata

from regenstore.doctor.check import NOTE, OK, WARNING, CheckContext, Findings
from regenstore.errors import RegenstoreError
from regenstore.generators.registry import GROUP


def generators(context: CheckContext) -> Findings:
    """Plug-ins that cannot be loaded, and declared generators that may not run."""
    registry = context.registry
    names = sorted({entry.name for entry in metadata.entry_points(group=GROUP)})
    loaded = 0
    for name in names:
        try:
            registry.find(name)
            loaded += 1
        except RegenstoreError as error:
            if error.kind == "bad-declaration":
                break  # reported below
            yield WARNING, error.message, error.hint
    for name, declared in sorted(registry.declared.items()):
        if registry.approves(declared):
            yield OK, f"the declared generator '{name}' is trusted", ""
        else:
            remedy = "Read the definition, then run 'regenstore trust'."
            yield WARNING, f"the declared generator '{name}' is not trusted: its media cannot be made", remedy
    yield OK, f"{loaded} generators are installed", ""


def sandbox(context: CheckContext) -> Findings:
    """The isolation of generators from the rest of the machine."""
    here = f"bubblewrap is installed ({context.bubblewrap})" if context.bubblewrap else "bubblewrap is not installed"
    yield (
        NOTE,
        f"generators run with your rights, in processes with a cleaned environment, without a sandbox; {here}, "
        "and is not used yet",
        "Read what a declared generator runs before 'regenstore trust'.",
    )
