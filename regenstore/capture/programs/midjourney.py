"""Midjourney: ``PROMPT --ar 2:1 --v 6 Job ID: UUID`` in a PNG's ``Description``, in EXIF or in XMP."""

from __future__ import annotations

import re
from collections.abc import Sequence

from regenstore.capture.captured import Captured, Level
from regenstore.capture.carriers.xmp import properties
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs.values import to_recipe
from regenstore.capture.programs import settings

PIECES = ("description", "imagedescription", "comment", "caption")
MAX_LENGTH = 100_000
_JOB = re.compile(r"\s*Job ID:\s*([0-9a-fA-F-]{32,40})\s*\Z")
_FLAG = re.compile(r"(?:^|\s)(?:--|—)([A-Za-z]{1,20})(?=\s|\Z)")
_VERSIONS = ("v", "version", "niji")


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return the prompt and the flags of the first text that ends with a job's number."""
    packets = [properties(text).get("dc:description") for text in settings.texts(pieces, "packet") if "Job ID" in text]
    described = [text.strip() for text in packets if isinstance(text, str)]
    for text in [*settings.texts(pieces, *PIECES), *described]:
        job = _JOB.search(text, max(0, len(text) - 100)) if len(text) <= MAX_LENGTH else None
        if job is not None:
            return _captured(text[: job.start()], job[1], next(iter(settings.texts(pieces, "author")), None))
    return None


def _captured(text: str, job: str, author: str | None) -> Captured:
    flags = list(_FLAG.finditer(text))
    prompt = text[: flags[0].start()] if flags else text
    free = settings.FreeNames()
    values: dict[str, object] = {}
    for flag, after in zip(flags, [*flags[1:], None], strict=True):
        value = text[flag.end() : after.start() if after else len(text)].strip()
        values[free.take(flag[1])] = to_recipe(value) if value else True
    version = next((str(values[name]) for name in _VERSIONS if name in values), None)
    about = {"prompt": to_recipe(prompt.strip()), "job_id": job}
    about |= {"author": to_recipe(author)} if author else {}
    about |= {"flags": values} if values else {}
    missing = ("the seed, unless a flag gives it", "the model, which only Midjourney has")
    return Captured(Level.PROMPT, "Midjourney", version, about=about, missing=missing)
