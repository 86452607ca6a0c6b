"""What is wrong with a Nuke script of ours: read back by the rules of Tcl, not by those of the writer."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from regenstore.export.sidecar.writers.nk import CURVE_NAME, KEY, OWN_KNOBS
from tests.export.checks.tcl_text import TclError, commands, elements

_KNOBS: Mapping[str, frozenset[str]] = {
    "Root": frozenset(["inputs", "name", "first_frame", "last_frame", "lock_range", "format", "fps"]),
    "Read": frozenset(
        ["inputs", "file", "format", "last", "origlast", "origset", "frame_mode", "frame", "colorspace", "label"]
    )
    | {"name"},
    "ModifyMetaData": frozenset({"metadata", "name"}),
}  # fmt: skip
_FORMAT = re.compile(r"(\d+) (\d+) 0 0 \1 \2 [0-9.]+ [A-Za-z0-9_]+")
_ACTED_ON = re.compile(r"[\[\]$\\\x00-\x1f]")


def check(data: bytes) -> list[str]:
    """Problems of a script: anything that Tcl would run, unknown nodes and knobs, curves and ranges that do not
    agree."""
    try:
        nodes = list(commands(data.decode("utf-8")))
        version, *rest = nodes or [[]]
        if version[:1] != ["version"]:
            return ["it does not start with the version"]
        parsed = [(node[0], _knobs(node)) for node in rest]
        return [problem for kind, knobs in parsed for problem in _node(kind, knobs)] + list(_ranges(parsed))
    except UnicodeDecodeError as error:
        return [f"no UTF-8: {error}"]
    except TclError as error:
        return [f"no script of ours: {error}"]


def _knobs(node: list[str]) -> list[tuple[str, str]]:
    if len(node) != 2:
        raise TclError(f"'{node[0]}' is followed by {len(node) - 1} words, not by its knobs")
    words = elements(node[1])
    if len(words) % 2:
        raise TclError(f"a knob of {node[0]} has no value")
    return list(zip(words[::2], words[1::2]))


def _node(kind: str, knobs: list[tuple[str, str]]) -> Iterator[str]:
    if kind not in (*_KNOBS, "NoOp"):
        yield f"'{kind}' is no node of ours"
        return
    named = dict(knobs)
    declared = {elements(value)[1] for knob, value in knobs if knob == "addUserKnob" and len(elements(value)) > 1}
    seen = set()
    for knob, value in knobs:
        if knob in seen and knob != "addUserKnob":
            yield f"{kind} has '{knob}' twice"
        seen.add(knob)
        if knob == "metadata":
            yield from _metadata(value)
        elif knob == "format" and not _FORMAT.fullmatch(value):
            yield f"{kind}: format '{value}'"
        elif kind == "NoOp" and knob not in ("name", "addUserKnob"):
            if knob not in declared or knob in OWN_KNOBS:
                yield f"the knob '{knob}' is not declared"
            yield from (f"{knob}: {problem}" for problem in _curve(value))
        elif kind in _KNOBS and knob not in _KNOBS[kind]:
            yield f"{kind} has no knob '{knob}'"
        elif _ACTED_ON.search(value):
            yield f"{kind}: '{knob}' holds what Nuke would act on"
    if not CURVE_NAME.fullmatch(named.get("name", "")):
        yield f"{kind}: '{named.get('name', '')}' is no name of a node"


def _metadata(value: str) -> Iterator[str]:
    seen = set()
    for entry in elements(value):
        words = elements(entry)
        if len(words) != 3 or words[0] != "set":
            yield f"metadata: '{entry[:60]}' is not 'set KEY VALUE'"
            continue
        if not KEY.fullmatch(words[1]) or words[1] in seen:
            yield f"metadata: '{words[1]}' is no key, or there twice"
        seen.add(words[1])
        if _ACTED_ON.search(words[2]):
            yield f"metadata: '{words[1]}' holds what Nuke would act on"


def _curve(value: str) -> Iterator[str]:
    listed = elements(value)
    words = elements(listed[0]) if len(listed) == 1 else []
    if words[:1] != ["curve"] or len(words) < 3 or not re.fullmatch(r"x-?\d+", words[1]):
        yield "it is no curve with a first frame"
        return
    frame, pending = -math.inf, False
    for word in words[1:]:
        if word.startswith("x"):
            if pending or not re.fullmatch(r"x-?\d+", word) or int(word[1:]) <= frame:
                yield f"the frame '{word}' is out of place"
                return
            frame, pending = int(word[1:]), True
        elif not re.fullmatch(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?", word):
            yield f"'{word}' is no number"
            return
        else:
            frame, pending = (frame if pending else frame + 1), False
    if pending:
        yield "its last frame has no value"


def _ranges(parsed: list[tuple[str, list[tuple[str, str]]]]) -> Iterator[str]:
    """Whether the project, the Read and the curves speak of the same frames."""
    nodes = {kind: dict(knobs) for kind, knobs in parsed}
    read, root = nodes.get("Read"), nodes.get("Root")
    if read is None:
        yield "there is no Read"
        return
    try:
        last, start = int(read["last"]), int(read.get("frame", "1"))
        end = start + last - 1
        if read["last"] != read["origlast"] or ("frame" in read) != (read.get("frame_mode") == "start at"):
            yield "Read: its frames contradict each other"
        if root is not None and (int(root["first_frame"]), int(root["last_frame"])) != (start, end):
            yield f"Root has frames {root['first_frame']} to {root['last_frame']}, Read {start} to {end}"
    except (KeyError, ValueError) as error:
        yield f"a frame range is missing, or no number: {error}"
        return
    for knob, value in nodes.get("NoOp", {}).items():
        frames = [int(each) for each in re.findall(r"\bx(-?\d+)", value)] if knob not in ("name", "addUserKnob") else []
        if frames and not (start <= frames[0] and frames[-1] <= end):
            yield f"{knob}: its frames leave the range {start} to {end}"
