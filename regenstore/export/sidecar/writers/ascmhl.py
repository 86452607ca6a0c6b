"""ASC MHL v2.0: a manifest with the hashes of all files of an export, and the chain file that seals it.

Sources: the ASC MHL specification and its schemas. Hashes are C4 and xxh128, which the standard defines; BLAKE3, which
it does not, is in each file's ``metadata``, in regenstore's own namespace. Dates are those of the media's records, so
that the same export gives the same manifest.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from regenstore.errors import InvalidInput
from regenstore.export.context import iso_time, text_of
from regenstore.export.sidecar.legal_text import xml_legal
from regenstore.export.sidecar.writer import Clip, Filled, Options, Rendered, Scope, Sibling, Target
from regenstore.export.sidecar.xml_document import Element, child, new, parse, to_bytes
from regenstore.objects.hashing import hash_blocks

MHL, DIRECTORY = "urn:ASC:MHL:v2.0", "urn:ASC:MHL:DIRECTORY:v2.0"
REGEN = "https://ns.regenstore.org/1.0/"
CHAIN = "ascmhl_chain.xml"
IGNORED = (".DS_Store", "ascmhl", "ascmhl/")
SETTINGS: Mapping[str, Target] = {
    name: Target("text", note=f"{name} in creatorinfo") for name in ("hostname", "location", "comment")
}
_OTHER = frozenset({"path", "metadata"})
_M, _D = f"{{{MHL}}}", f"{{{DIRECTORY}}}"
_MANIFEST = r"(?!0+_)\d{4,}_[^/]+\.mhl"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class AscmhlWriter:
    """Writes ``ascmhl/NNNN_NAME.mhl`` and the chain. The date is appended to the name, as the standard requires. See
    :class:`regenstore.export.sidecar.writer.SidecarWriter`."""

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
        if posixpath.basename(folder) != "ascmhl" or not re.fullmatch(_MANIFEST, name):
            raise InvalidInput("bad-export", f"an ASC MHL must be named ascmhl/0001_NAME.mhl, not '{file}'")
        if not options.siblings:
            raise InvalidInput("bad-export", "an ASC MHL lists the files exported with it, but there are none")
        date = iso_time(max((each.clip.medium.created or 0.0 for each in filled), default=0.0))
        above = posixpath.dirname(folder)
        chain, earlier = _earlier(folder, options.there)
        files = _files(options, above)
        sealed = {path: _sealed(path, each, earlier) for path, each in files.items()}
        if chain is not None and all(sealed.values()):
            # Nothing new: keep the newest manifest and the chain as they are.
            newest = f"{folder}/{chain[-1].findtext(_D + 'path')}"
            return [Rendered(each, options.there[each]) for each in (newest, f"{folder}/{CHAIN}")]
        number, _, rest = name.removesuffix(".mhl").partition("_")
        if chain is None:
            chain = new(_D + "ascmhldirectory", {None: DIRECTORY})
        else:
            number = f"{max(int(each.get('sequencenr', 0)) for each in chain) + 1:04d}"
            chain = _renewed(chain)
        manifest = to_bytes(_manifest(options, date, files, sealed))
        stamped = f"{number}_{rest}_{date.replace(':', '').replace('T', '_')}.mhl"
        _link(chain, int(number), stamped, c4(hashlib.sha512(manifest).digest()))
        return [Rendered(f"{folder}/{stamped}", manifest), Rendered(f"{folder}/{CHAIN}", to_bytes(chain))]


WRITER = AscmhlWriter()


def c4(sha512: bytes) -> str:
    """The C4 id (SMPTE ST 2114) of a SHA-512: base 58, 88 digits."""
    number, digits = int.from_bytes(sha512, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        digits = BASE58[digit] + digits
    return "c4" + digits.rjust(88, BASE58[0])


class Hashes(NamedTuple):
    """The hashes recorded for a file."""

    size: int
    c4: str
    xxh128: str
    blake3: str


def _link(chain: Element, number: int, name: str, sealed: str) -> None:
    entry = child(chain, _D + "hashlist", sequencenr=str(number))
    child(entry, _D + "path", name)
    child(entry, _D + "c4", sealed)


def _is_link(entry: Element) -> bool:
    """Whether an entry of a chain file names a manifest and its hash, and nothing else."""
    return (
        entry.tag == _D + "hashlist"
        and [each.tag for each in entry] == [_D + "path", _D + "c4"]
        and re.fullmatch(r"[1-9]\d*", entry.get("sequencenr", "")) is not None
        and re.fullmatch(_MANIFEST, entry[0].text or "") is not None
    )


def _renewed(chain: Element) -> Element:
    """A copy of the chain to append to."""
    made = new(_D + "ascmhldirectory", {None: DIRECTORY})
    for each in chain:
        _link(made, int(each.get("sequencenr", 0)), each.findtext(_D + "path") or "", each.findtext(_D + "c4") or "")
    return made


def _earlier(folder: str, there: Mapping[str, bytes]) -> tuple[Element | None, dict[str, dict[str, str]]]:
    """The existing chain, and the hashes that its generations first recorded for each path. Raises InvalidInput
    (``bad-export``) for an incomplete one: nothing may be appended to it."""
    found = there.get(f"{folder}/{CHAIN}")
    if found is None:
        if there:
            raise _broken(folder, f"it has no {CHAIN}")
        return None, {}
    try:
        chain, known = parse(found), dict[str, dict[str, str]]()
    except ValueError as error:
        raise _broken(folder, f"{CHAIN}: {error}") from None
    if chain.tag != _D + "ascmhldirectory" or not len(chain) or not all(map(_is_link, chain)):
        raise _broken(folder, f"{CHAIN} is not a list of generations")
    for entry in chain:
        name = entry.findtext(_D + "path") or ""
        data = there.get(f"{folder}/{name}")
        if data is None or c4(hashlib.sha512(data).digest()) != entry.findtext(_D + "c4"):
            raise _broken(folder, f"{name} does not match the chain")
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
        "bad-export", f"the existing {folder}/ cannot be continued: {why}", hint="Export into another folder."
    )


def _files(options: Options, above: str) -> dict[str, Hashes]:
    """The files to seal, by path; none outside the folder."""
    paths = {posixpath.relpath(each.name, above or "."): each for each in options.siblings}
    sealed = {path: each for path, each in sorted(paths.items()) if not path.startswith("../")}
    for path in sealed:
        if xml_legal(path)[1]:
            raise InvalidInput("bad-export", f"an ASC MHL cannot list {path}: XML does not allow its characters")
    return {path: _digests(each) for path, each in sealed.items()}


def _sealed(path: str, found: Hashes, earlier: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """The hashes that an earlier generation recorded for the same bytes; none for an unknown path. Raises
    InvalidInput (``bad-export``) if it recorded others: a sealed file never changes."""
    known = earlier.get(path)
    if known is None:
        return ()
    formats = tuple(name for name in ("c4", "xxh128") if name in known)
    if not formats:
        raise InvalidInput(
            "bad-export", f"{path} is sealed with unsupported hashes ({', '.join(sorted({*known} - _OTHER))})"
        )
    if any(known[name] != getattr(found, name) for name in formats):
        raise InvalidInput(
            "bad-export", f"the existing ASC MHL seals {path} with different contents",
            hint="Export into another folder: a sealed file never changes.",
        )  # fmt: skip
    return formats


def _manifest(
    options: Options, date: str, files: Mapping[str, Hashes], sealed: Mapping[str, tuple[str, ...]]
) -> Element:
    root = new(_M + "hashlist", {None: MHL, "regen": REGEN}, version="2.0")
    creator = child(root, _M + "creatorinfo")
    child(creator, _M + "creationdate", date)
    child(creator, _M + "hostname", text_of(options.settings.get("hostname")) or "regenstore")
    child(creator, _M + "tool", "regenstore")
    for name in ("location", "comment"):
        if options.settings.get(name):
            child(creator, _M + name, text_of(options.settings[name]))
    process = child(root, _M + "processinfo")
    child(process, _M + "process", "in-place")
    ignore = child(process, _M + "ignore")
    for pattern in IGNORED:
        child(ignore, _M + "pattern", pattern)
    hashes = child(root, _M + "hashes")
    for path, found in files.items():
        entry = child(hashes, _M + "hash")
        child(entry, _M + "path", path, size=str(found.size))
        action = "verified" if sealed[path] else "original"
        for name in sealed[path] or ("c4", "xxh128"):
            child(entry, _M + name, getattr(found, name), action=action, hashdate=date)
        child(child(entry, _M + "metadata"), f"{{{REGEN}}}blake3", found.blake3)
    return root


def _digests(sibling: Sibling) -> Hashes:
    import xxhash  # imported here, so that listing templates needs no packages

    slow, fast = hashlib.sha512(), xxhash.xxh3_128()

    def passing() -> Iterator[bytes]:
        for block in sibling.blocks():
            slow.update(block)
            fast.update(block)
            yield block

    digest, size = hash_blocks(passing())
    return Hashes(size, c4(slow.digest()), fast.hexdigest(), digest.hex)
