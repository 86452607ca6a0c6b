"""Mochi Diffusion: a caption (IPTC) that lists its settings, ``Include in Image: a cat; Steps: 20; …``, in newer
versions one on each line. The newest also write text in the form of AUTOMATIC1111."""

from __future__ import annotations

import re
from collections.abc import Sequence

from regenstore.capture.captured import Captured
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = ("caption", "imagedescription", "description")
_LABEL = re.compile(
    r"(?:\A|; |\n)(Date|Include in Image|Exclude from Image|Model|Engine|Model Key|Steps|Guidance Scale|Seed|Size"
    r"|Upscaler|Scheduler|ML Compute Unit|Starting Image|Strength|ControlNet|Input Images|Generator): "
)
FORM = Form(
    names={
        "Include in Image": "prompt",
        "Exclude from Image": "negative_prompt",
        "Steps": "steps",
        "Guidance Scale": "cfg",
        "Seed": "seed",
        "Scheduler": "scheduler",
        "Strength": "denoise",
    },
    models={"Model": ("checkpoint", ""), "Upscaler": ("upscaler", "")},
    size="Size",
    apart=frozenset({"Date", "Generator"}),
)


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first such caption says."""
    for text in settings.texts(pieces, *PIECES):
        if "Include in Image: " in text and "Generator: Mochi Diffusion" in text:
            labels = list(_LABEL.finditer(text))
            ends = [*(label.start() for label in labels[1:]), len(text)]
            found = {label[1]: text[label.end() : end] for label, end in zip(labels, ends, strict=True)}
            version = found.get("Generator", "").strip().removeprefix("Mochi Diffusion").strip()
            return json_settings.captured("Mochi Diffusion", version or None, "a1111", found, FORM)
    return None
