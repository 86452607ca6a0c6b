"""The names that other programs have for colour spaces (code points of ITU-T H.273).

Only combinations that have a name in some program are listed; others are not named. Sources: XMP Specification part 2
(videoColorSpace), Apple's FCPXML reference (colorSpace), metadata that Resolve writes, Nuke's default colour names.
"""

from __future__ import annotations

from dataclasses import dataclass

from regenstore.errors import InvalidInput
from regenstore.media.media_info import Color


@dataclass(frozen=True)
class ColorNames:
    """The names of a colour space. ``name`` is regenstore's own; an empty field means that the program has no name
    for it."""

    name: str
    fcpxml: str = ""
    xmp: str = ""
    resolve_space: str = ""
    resolve_gamma: str = ""
    nuke: str = ""
    ocio: str = ""
    """Name in OCIO's built-in ACES configurations."""


REC709 = ColorNames("rec709", "1-1-1 (Rec. 709)", "CCIR-709", "Rec.709", "Rec.709 (BT.1886)", "rec709", "g24_rec709")
SRGB = ColorNames("srgb", "", "sRGB", "sRGB", "sRGB", "sRGB", "srgb_tx")
PQ = ColorNames("rec2020-pq", "9-16-9 (Rec. 2020 PQ)", "", "Rec.2100", "ST2084", "", "Rec.2100-PQ - Display")
HLG = ColorNames("rec2020-hlg", "9-18-9 (Rec. 2020 HLG)", "", "Rec.2100", "HLG", "", "Rec.2100-HLG - Display")
REC2020 = ColorNames("rec2020", "9-1-9 (Rec. 2020)", "", "Rec.2020", "Gamma 2.4")
NTSC = ColorNames("rec601-525", "6-1-6 (Rec. 601 (NTSC))", "CCIR-601")
PAL = ColorNames("rec601-625", "5-1-6 (Rec. 601 (PAL))", "CCIR-601")

_KNOWN = {
    (1, 1, 1): REC709,
    (1, 13, 1): SRGB,
    (1, 13, 0): SRGB,
    (9, 16, 9): PQ,
    (9, 18, 9): HLG,
    (9, 1, 9): REC2020,
    (9, 14, 9): REC2020,
    (6, 6, 6): NTSC,
    (6, 1, 6): NTSC,
    # H.273: the matrices 5 (BT.470 BG) and 6 are the same, and so are the transfers 1 and 6.
    (6, 6, 5): NTSC,
    (6, 1, 5): NTSC,
    (5, 6, 5): PAL,
    (5, 1, 6): PAL,
    (5, 1, 5): PAL,
    (5, 6, 6): PAL,
}
ASSUMABLE = {
    "rec709": Color(1, 1, 1),
    "srgb": Color(1, 13, 1),
    "rec2020": Color(9, 14, 9),
    "rec2020-pq": Color(9, 16, 9),
    "rec2020-hlg": Color(9, 18, 9),
    "rec601-525": Color(6, 6, 6),
    "rec601-625": Color(5, 6, 5),
}


def names_of(color: Color) -> ColorNames | None:
    """The names of a colour space; None if the file states none, or it has no name."""
    return _KNOWN.get((color.primaries, color.transfer, color.matrix))


def assume(color: Color, name: str | None) -> tuple[Color, bool]:
    """The colour to use, and whether it is assumed: ``name`` applies only if the file states nothing.

    Raises InvalidInput (``bad-export``) for an unknown name.
    """
    if name is not None and name not in ASSUMABLE:
        raise InvalidInput("bad-export", f"there is no colour space '{name}' (known: {', '.join(ASSUMABLE)})")
    if name is None or color.stated:
        return color, False
    return color.or_else(ASSUMABLE[name]), True
