"""What is wrong with a manifest or a chain file of ASC MHL."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from regenstore.export.sidecar.writers.ascmhl import BASE58, DIRECTORY, MHL, REGEN
from tests.export.checks.grammar import TEXT, Element, Model, parse, violations

_M, _D = f"{{{MHL}}}", f"{{{DIRECTORY}}}"
_DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"
_C4 = rf"c4[{BASE58}]{{88}}"
_NAME = Model(text=TEXT)
_HASH = {"action": "original|verified|failed", "hashdate": _DATE}


def _m(*tags: str) -> str:
    """A pattern of children: tags of the MHL namespace, each with what follows the comma."""
    return "".join(rf"(?:{re.escape(_M + tag.rstrip('?+*'))},){tag[len(tag.rstrip('?+*')) :]}" for tag in tags)


GRAMMAR: Mapping[str, Model] = {
    _M + "hashlist": Model(_m("creatorinfo", "processinfo", "hashes?", "metadata?"), {"version": r"2\.0"}),
    _M + "creatorinfo": Model(_m("creationdate", "hostname", "tool", "author*", "location?", "comment?")),
    _M + "creationdate": Model(text=_DATE),
    **{_M + tag: _NAME for tag in ("hostname", "author", "location", "comment", "pattern")},
    _M + "tool": Model(text=TEXT, may={"version": TEXT}),
    _M + "processinfo": Model(_m("process", "ignore?")),
    _M + "process": Model(text="in-place|transfer|flatten"),
    _M + "ignore": Model(_m("pattern+")),
    _M + "hashes": Model(_m("hash+")),
    _M + "hash": Model(_m("path", "c4?", "md5?", "sha1?", "xxh128?", "xxh3?", "xxh64?", "metadata?")),
    _M + "path": Model(text=r"(?s:[^/].*)", may={"size": r"\d+"}),
    _M + "c4": Model(text=_C4, may=_HASH),
    _M + "md5": Model(text="[0-9a-f]{32}", may=_HASH),
    _M + "sha1": Model(text="[0-9a-f]{40}", may=_HASH),
    _M + "xxh128": Model(text="[0-9a-f]{32}", may=_HASH),
    _M + "xxh3": Model(text="[0-9a-f]{16}", may=_HASH),
    _M + "xxh64": Model(text="[0-9a-f]{16}", may=_HASH),
    _M + "metadata": Model(TEXT),
    f"{{{REGEN}}}blake3": Model(text="[0-9a-f]{64}"),
}
CHAIN_GRAMMAR: Mapping[str, Model] = {
    _D + "ascmhldirectory": Model(rf"(?:{re.escape(_D)}hashlist,)+"),
    _D + "hashlist": Model(rf"{re.escape(_D)}path,{re.escape(_D)}c4,", {"sequencenr": r"[1-9]\d*"}),
    _D + "path": Model(text=r"\d{4,}_[^/]+\.mhl"),
    _D + "c4": Model(text=_C4),
}


def check(data: bytes) -> list[str]:
    """Problems of a manifest or a chain file: grammar, forms of hashes, paths that leave the folder or are there
    twice. Whether the hashes are the files' own is for ``ascmhl`` to say."""
    try:
        root = parse(data)
    except ValueError as error:
        return [str(error)]
    if root.tag == _D + "ascmhldirectory":
        return list(violations(root, CHAIN_GRAMMAR, root.tag))
    return [*violations(root, GRAMMAR, _M + "hashlist"), *_paths(root)]


def _paths(root: Element) -> Iterator[str]:
    seen: set[str] = set()
    for entry in root.iter(_M + "hash"):
        path = entry.findtext(_M + "path") or ""
        if posixpath.normpath(path) != path or path.startswith(("../", "/")) or path == "..":
            yield f"the path '{path}' leaves the folder"
        if path in seen:
            yield f"the path '{path}' is there twice"
        seen.add(path)
        if not any(inner.tag != _M + "path" and inner.tag != _M + "metadata" for inner in entry):
            yield f"the file '{path}' has no hash"
