"""Programs whose text has a label before each setting.

Mochi Diffusion writes a caption (IPTC): ``Include in Image: a cat; Steps: 20; …``, in newer versions one a line, and
beside it text in the form of AUTOMATIC1111. KoboldCpp writes ``Prompt: a cat | Steps: 20 | …``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from regenstore.capture.captured import Captured
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import infotext, json_settings, settings
from regenstore.capture.programs.json_settings import Form

PIECES = ("caption", "imagedescription", "description", "parameters", "usercomment", "comment")


class _Program(NamedTuple):
    name: str
    first: tuple[str, ...]
    """How its text can begin."""
    mark: str
    label: re.Pattern[str]
    form: Form


_MOCHI = _Program(
    "Mochi Diffusion",
    ("Date: ", "Include in Image: "),
    "Generator: Mochi Diffusion",
    re.compile(
        r"(?:\A|; |\n)(Date|Include in Image|Exclude from Image|Model|Engine|Model Key|Steps|Guidance Scale|Seed|Size"
        r"|Upscaler|Scheduler|ML Compute Unit|Starting Image|Strength|ControlNet|Input Images|Generator): "
    ),
    Form(
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
    ),
)
_KOBOLD = _Program(
    "KoboldCpp",
    ("Prompt: ",),
    "| Version: KoboldCpp",
    re.compile(r"(?:\A| ?\| )([A-Z][A-Za-z ]{1,30}): "),
    Form(
        names={
            "Prompt": "prompt",
            "NegativePrompt": "negative_prompt",
            "Steps": "steps",
            "CFGScale": "cfg",
            "Guidance": "guidance",
            "Seed": "seed",
            "Sampler": "sampler",
            "Clip skip": "clip_skip",
        },
        models={"Model": ("checkpoint", ""), "VAE": ("vae", "")},
        size="Size",
        apart=frozenset({"Version"}),
    ),
)


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first such text says."""
    for text in settings.texts(pieces, *PIECES):
        for program in (_MOCHI, _KOBOLD):
            if text.startswith(program.first) and program.mark in text:
                return _captured(program, text)
    return None


def _captured(program: _Program, text: str) -> Captured:
    labels = list(islice(program.label.finditer(text), infotext.MAX_ITEMS))
    ends = [*(label.start() for label in labels[1:]), len(text)]
    free = settings.FreeNames()
    found = {free.take(label[1]): text[label.end() : end] for label, end in zip(labels, ends, strict=True)}
    version = found.get("Generator", "").strip().removeprefix(program.name).strip()
    return json_settings.captured(program.name, version or None, "a1111", found, program.form)
