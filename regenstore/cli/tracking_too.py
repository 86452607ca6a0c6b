"""``--track`` of the commands that take media in."""

from __future__ import annotations

import os
from collections.abc import Sequence

from regenstore.errors import InvalidInput
from regenstore.gitfilter import attributes
from regenstore.repository import Repository


def not_tracked(lacking: Sequence[str]) -> InvalidInput:
    """The error for media at paths that no tracked pattern covers."""
    import shlex

    patterns = " ".join(map(shlex.quote, lacking))
    return InvalidInput(
        "not-tracked",
        f"no pattern of 'regenstore track' covers {', '.join(lacking)}: Git would store no recipes there",
        hint=f"Add --track to track them, or run: regenstore track {patterns}",
    )


def track_too(repository: Repository, patterns: Sequence[str]) -> bool:
    """Track patterns; returns whether the attribute file was staged too. It is not if it has other changes."""
    top, name = os.fsdecode(repository.location.top), os.fsencode(attributes.FILE)
    text, was = attributes.read(top)
    after, added = attributes.track(text, patterns)
    alone = not text or (name in repository.workbench.index.oids() and name not in repository.git.edited())
    if added:
        attributes.write(top, after, was)
        if alone:
            repository.git.add([name])
    return alone
