"""ASC MHL v2.0: a manifest with the hashes of all files of an export, and the chain file that seals it.

Sources: the ASC MHL specification and its schemas. Hashes are C4 and xxh128, which the standard knows; BLAKE3,
which it does not, stands in each file's ``metadata``, in regenstore's own namespace. Dates are those of the
media's records, so that the same export gives the same manifest.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from regenstore.errors import InvalidInput
from regenstore.export.context import iso_time, text_of
from regenstore.export.sidecar.legal_text import xml_legal
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Scope, Sibling, Target
from regenstore.export.sidecar.xml_document import TEXT, Model, child, parse, to_bytes, violations
from regenstore.objects.hashing import hash_blocks

MHL, DIRECTORY = "urn:ASC:MHL:v2.0", "urn:ASC:MHL:DIRECTORY:v2.0"
REGEN = "https://ns.regenstore.org/1.0/"
CHAIN = "ascmhl_chain.xml"
IGNORED = (".DS_Store", "ascmhl", "ascmhl/")
SETTINGS: Mapping[str, Target] = {
    name: Target("text", note=f"{name} in creatorinfo") for name in ("hostname", "location", "comment")
}
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class AscmhlWriter:
    """See :class:`regenstore.export.sidecar.writer.Writer`. Its file is ``ascmhl/NNNN_NAME.mhl``; the date is
    put after the name, as the standard has it."""

    name = "ascmhl"
    scope: Scope = "folder"

    def vocabulary(self) -> Mapping[str, Target]:
        return {}

    def settings(self) -> Mapping[str, Target]:
        return SETTINGS

    def refuses(self, clip: Clip, options: Options) -> str | None:
        return None

    def render(self, filled: Sequence[Filled], options: Options) -> list[Rendered]:
        file = options.name_for()
        folder, name = posixpath.split(file)
        if posixpath.basename(folder) != "ascmhl" or not re.fullmatch(r"\d{4,}_[^/]+\.mhl", name):
            raise InvalidInput("bad-export", f"an ASC MHL is called ascmhl/0001_NAME.mhl, not '{file}'")
        if not options.siblings:
            raise InvalidInput("bad-export", "an ASC MHL lists the files that are exported beside it: there are none")
        date = iso_time(max((each.clip.medium.created or 0.0 for each in filled), default=0.0))
        above = posixpath.dirname(folder)
        chain, earlier = _earlier(folder, options.there)
        files = _files(options, above)
        sealed = {path: _sealed(path, each, earlier) for path, each in files.items()}
        if chain is not None and all(sealed.values()):
            # Nothing new: the newest manifest and the chain stay as they are.
            newest = f"{folder}/{chain[-1].findtext(_D + 'path')}"
            return [Rendered(each, options.there[each]) for each in (newest, f"{folder}/{CHAIN}")]
        number, _, rest = name.removesuffix(".mhl").partition("_")
        if chain is None:
            chain = Element("ascmhldirectory", {"xmlns": DIRECTORY})
        else:
            number = f"{max(int(each.get('sequencenr', 0)) for each in chain) + 1:04d}"
            chain = _renewed(chain)
        manifest = to_bytes(_manifest(options, date, files, sealed))
        stamped = f"{number}_{rest}_{date.replace(':', '').replace('T', '_')}.mhl"
        _link(chain, int(number), stamped, c4(hashlib.sha512(manifest).digest()))
        return [Rendered(f"{folder}/{stamped}", manifest), Rendered(f"{folder}/{CHAIN}", to_bytes(chain))]

    def check(self, data: bytes, name: str) -> list[str]:
        return check(data)


WRITER = AscmhlWriter()


def c4(sha512: bytes) -> str:
    """The C4 id (SMPTE ST 2114) of a SHA-512: base 58, 88 digits."""
    number, digits = int.from_bytes(sha512, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return "c4" + digits.rjust(88, _BASE58[0])


class Hashes(NamedTuple):
    """What is told of a file."""

    size: int
    c4: str
    xxh128: str
    blake3: str


def _link(chain: Element, number: int, name: str, sealed: str) -> None:
    entry = child(chain, "hashlist", sequencenr=str(number))
    child(entry, "path", name)
    child(entry, "c4", sealed)


def _renewed(chain: Element) -> Element:
    """The same chain, to be gone on with."""
    made = Element("ascmhldirectory", {"xmlns": DIRECTORY})
    for each in chain:
        _link(made, int(each.get("sequencenr", 0)), each.findtext(_D + "path") or "", each.findtext(_D + "c4") or "")
    return made


def _earlier(folder: str, there: Mapping[str, bytes]) -> tuple[Element | None, dict[str, dict[str, str]]]:
    """The chain that lies there, and the hashes that its generations gave each path first. Raises InvalidInput
    (``bad-export``) for one that is not whole: nothing may be appended to it."""
    found = there.get(f"{folder}/{CHAIN}")
    if found is None:
        if there:
            raise _broken(folder, f"it has no {CHAIN}")
        return None, {}
    if problems := check(found):
        raise _broken(folder, problems[0])
    chain, known = parse(found), dict[str, dict[str, str]]()
    for entry in chain:
        name = entry.findtext(_D + "path") or ""
        data = there.get(f"{folder}/{name}")
        if data is None or c4(hashlib.sha512(data).digest()) != entry.findtext(_D + "c4"):
            raise _broken(folder, f"{name} is not the one that the chain names")
        try:
            hashes = parse(data).iter(_M + "hash")
        except ValueError as error:
            raise _broken(folder, f"{name}: {error}") from None
        for each in hashes:
            told = known.setdefault(each.findtext(_M + "path") or "", {})
            for value in each:
                told.setdefault(value.tag.removeprefix(_M), (value.text or "").strip())
    return chain, known


def _broken(folder: str, why: str) -> InvalidInput:
    return InvalidInput(
        "bad-export", f"the {folder}/ that is there cannot be gone on with: {why}", hint="Export into another folder."
    )


def _files(options: Options, above: str) -> dict[str, Hashes]:
    """The files that are sealed, by path; none of those beside the folder."""
    paths = {posixpath.relpath(each.name, above or "."): each for each in options.siblings}
    sealed = {path: each for path, each in sorted(paths.items()) if not path.startswith("../")}
    for path in sealed:
        if xml_legal(path)[1]:
            raise InvalidInput("bad-export", f"an ASC MHL cannot name {path}: XML has no place for characters of it")
    return {path: _digests(each) for path, each in sealed.items()}


def _sealed(path: str, found: Hashes, earlier: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """The hashes by which an earlier generation knows these very bytes; none for a path that it does not know.
    Raises InvalidInput (``bad-export``) where it knows others: a sealed file never changes."""
    known = earlier.get(path)
    if known is None:
        return ()
    formats = tuple(name for name in ("c4", "xxh128") if name in known)
    if not formats:
        raise InvalidInput(
            "bad-export", f"{path} is sealed by hashes that are not made here ({', '.join(sorted({*known} - _OTHER))})"
        )
    if any(known[name] != getattr(found, name) for name in formats):
        raise InvalidInput(
            "bad-export", f"the ASC MHL that is there seals {path} with other contents",
            hint="Export into another folder: a sealed file never changes.",
        )  # fmt: skip
    return formats


def _manifest(
    options: Options, date: str, files: Mapping[str, Hashes], sealed: Mapping[str, tuple[str, ...]]
) -> Element:
    root = Element("hashlist", {"version": "2.0", "xmlns": MHL, "xmlns:regen": REGEN})
    creator = child(root, "creatorinfo")
    child(creator, "creationdate", date)
    child(creator, "hostname", text_of(options.settings.get("hostname")) or "regenstore")
    child(creator, "tool", "regenstore")
    for name in ("location", "comment"):
        if options.settings.get(name):
            child(creator, name, text_of(options.settings[name]))
    process = child(root, "processinfo")
    child(process, "process", "in-place")
    ignore = child(process, "ignore")
    for pattern in IGNORED:
        child(ignore, "pattern", pattern)
    hashes = child(root, "hashes")
    for path, found in files.items():
        entry = child(hashes, "hash")
        child(entry, "path", path, size=str(found.size))
        action = "verified" if sealed[path] else "original"
        for name in sealed[path] or ("c4", "xxh128"):
            child(entry, name, getattr(found, name), action=action, hashdate=date)
        child(child(entry, "metadata"), "regen:blake3", found.blake3)
    return root


def _digests(sibling: Sibling) -> Hashes:
    import xxhash  # here, so that a list of templates needs nothing

    slow, fast = hashlib.sha512(), xxhash.xxh3_128()

    def passing() -> Iterator[bytes]:
        for block in sibling.blocks():
            slow.update(block)
            fast.update(block)
            yield block

    digest, size = hash_blocks(passing())
    return Hashes(size, c4(slow.digest()), fast.hexdigest(), digest.hex)


# ------------------------------------------------------------------------------------------- checking

_OTHER = frozenset({"path", "metadata"})
_M, _D = f"{{{MHL}}}", f"{{{DIRECTORY}}}"
_DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)"
_C4 = rf"c4[{_BASE58}]{{88}}"
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
