"""ASC MHL: the manifest is right by its own schema and by the reference program, which finds what changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
from blake3 import blake3

from regenstore.errors import InvalidInput
from regenstore.export.sidecar import writers
from regenstore.export.sidecar.writer import Options, Sibling
from tests.export.clips import clip
from tests.export.rendering import problems, rendered

pytest.importorskip("xxhash", reason="a dependency of regenstore")

SPACE = {"m": "urn:ASC:MHL:v2.0", "d": "urn:ASC:MHL:DIRECTORY:v2.0", "r": "https://ns.regenstore.org/1.0/"}
FILES = {"a.mp4": b"x" * 3_000_000, "a.xmp": b"<x/>", "sub/b & c.mp4": b"yy", "empty.csv": b""}


def sibling(name: str, data: bytes) -> Sibling:
    def blocks() -> Iterator[bytes]:
        for start in range(0, len(data), 1 << 20):
            yield data[start : start + (1 << 20)]

    return Sibling(name, blocks)


def sealed(folder: Path | None = None, files: Mapping[str, bytes] = FILES):
    """The manifest and the chain of files; written into a folder with them, where a chain may be already."""
    lie = {} if folder is None else {f"ascmhl/{file.name}": file.read_bytes() for file in folder.glob("ascmhl/*")}
    made = rendered("ascmhl", clip(), siblings=tuple(sibling(*each) for each in files.items()), there=lie)
    if folder is not None:
        for name, data in [*files.items(), *((each.name, each.data) for each in made)]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return made


def test_every_file_is_there_with_its_hashes():
    manifest, chain = sealed()
    assert manifest.name == "ascmhl/0001_regenstore_2023-11-14_221320Z.mhl"
    root = ElementTree.fromstring(manifest.data)
    found = {entry.findtext("m:path", None, SPACE): entry for entry in root.iterfind(".//m:hash", SPACE)}
    assert list(found) == sorted(FILES)
    for name, data in FILES.items():
        assert found[name].find("m:path", SPACE).get("size") == str(len(data))
        assert found[name].findtext("m:metadata/r:blake3", None, SPACE) == blake3(data).hexdigest()
    assert root.findtext("m:creatorinfo/m:creationdate", None, SPACE) == "2023-11-14T22:13:20Z"
    assert ElementTree.fromstring(chain.data).findtext("d:hashlist/d:path", None, SPACE) == manifest.name[7:]


def test_c4_is_as_the_standard_has_it():
    """The ids that SMPTE ST 2114 gives as examples."""
    from regenstore.export.sidecar.writers.ascmhl import c4

    known = "c459dsjfscH38cYeXXYogktxf4Cd9ibshE3BHUo6a58hBXmRQdZrAkZzsWcbWtDg5oQstpDuni4Hirj75GEmTc1sFT"
    assert c4(hashlib.sha512(b"").digest()) == known
    assert c4(b"\0" * 64) == "c4" + "1" * 88


def test_without_files_there_is_nothing_to_seal():
    with pytest.raises(InvalidInput, match="there are none"):
        rendered("ascmhl", clip())


def test_generations_are_counted_from_one():
    sealing = writers.find("ascmhl")
    with pytest.raises(InvalidInput, match=r"0000_a\.mhl"):
        sealing.render([], Options("ascmhl/0000_a.mhl", siblings=(sibling("a", b"x"),)))


MISTAKES = [
    (b">c4", b">c5", "cannot say"),
    (b"<c4 ", b"<blake3 ", "not valid XML"),
    (b"<xxh128 ", b"<crc32 ", "not valid XML"),
    (b"<path size", b"<path bytes", "no attribute bytes"),
    (b">a.mp4<", b">../a.mp4<", "leaves the folder"),
    (b">a.mp4<", b">a.xmp<", "twice"),
    (b"urn:ASC:MHL:v2.0", b"urn:ASC:MHL:v1.0", "not a"),
    (b"<process>in-place", b"<process>copy", "cannot say"),
]


@pytest.mark.parametrize(("right", "wrong", "said"), MISTAKES, ids=[each[1].decode() for each in MISTAKES])
def test_mistakes_in_a_manifest_are_found(right, wrong, said):
    manifest, _ = sealed()
    broken = manifest.data.replace(right, wrong, 1)
    assert broken != manifest.data
    assert said in "; ".join(problems("ascmhl", broken))


# ------------------------------------------------------------------------------------------- the reference program


def ascmhl(*arguments: str) -> subprocess.CompletedProcess[str]:
    """It wants another click than we do, so it is a program of its own environment."""
    program = shutil.which("ascmhl")
    if program is None:
        pytest.skip("ascmhl is not installed (pipx install ascmhl)")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.heavy
def test_ascmhl_finds_everything_right(tmp_path):
    sealed(tmp_path)
    done = ascmhl("diff", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    for kind in ("c4", "xxh128"):
        done = ascmhl("create", "-v", "-h", kind, str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("verified") >= len(FILES), done.stdout


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("verb", "file", "code"),
    [("create", "a.mp4", 11), ("diff", "gone", 10), ("diff", "z.mp4", 21)],
    ids=["changed", "missing", "new"],
)
def test_ascmhl_finds_what_is_not_as_sealed(tmp_path, verb, file, code):
    sealed(tmp_path)
    if file == "gone":
        (tmp_path / "a.mp4").unlink()
    else:
        (tmp_path / file).write_bytes(b"x" * 2_999_999 + b"y")
    done = ascmhl(verb, str(tmp_path))
    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.heavy
def test_ascmhl_finds_a_changed_manifest(tmp_path):
    manifest, _ = sealed(tmp_path)
    file = tmp_path / manifest.name
    file.write_bytes(file.read_bytes().replace(b"a.xmp", b"b.xmp"))
    assert ascmhl("diff", str(tmp_path)).returncode != 0


MORE = {**FILES, "d.mp4": b"new"}


def actions(manifest: bytes) -> dict[str, set[str]]:
    root = ElementTree.fromstring(manifest)
    return {
        entry.findtext("m:path", "", SPACE): {each.get("action", "") for each in entry if each.get("action")}
        for entry in root.iterfind(".//m:hash", SPACE)
    }


def test_a_chain_is_gone_on_with(tmp_path):
    first, _ = sealed(tmp_path)
    second, chain = sealed(tmp_path, MORE)
    assert second.name == first.name.replace("0001", "0002")
    assert (tmp_path / first.name).read_bytes() == first.data
    assert actions(second.data) == {**{name: {"verified"} for name in FILES}, "d.mp4": {"original"}}
    root = ElementTree.fromstring(chain.data)
    told = [(each.get("sequencenr"), each.findtext("d:path", None, SPACE)) for each in root]
    assert told == [("1", first.name[7:]), ("2", second.name[7:])]


def test_what_is_sealed_already_is_left_as_it_is(tmp_path):
    first = sealed(tmp_path)
    assert sealed(tmp_path) == first
    second = sealed(tmp_path, MORE)
    assert sealed(tmp_path) == second


def test_a_sealed_file_never_changes(tmp_path):
    sealed(tmp_path)
    with pytest.raises(InvalidInput, match=r"seals a\.mp4 with different contents"):
        sealed(tmp_path, {**FILES, "a.mp4": b"other"})


@pytest.mark.parametrize("damage", ["manifest", "chain", "no manifest", "no chain"])
def test_a_damaged_chain_is_not_gone_on_with(tmp_path, damage):
    manifest, chain = sealed(tmp_path)
    file = tmp_path / (manifest if "manifest" in damage else chain).name
    if damage.startswith("no"):
        file.unlink()
    else:
        file.write_bytes(file.read_bytes().replace(b"c4", b"c5"))
    with pytest.raises(InvalidInput, match="cannot be continued"):
        sealed(tmp_path, MORE)


@pytest.mark.heavy
def test_ascmhl_agrees_with_later_generations(tmp_path):
    sealed(tmp_path)
    sealed(tmp_path, MORE)
    done = ascmhl("diff", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    done = ascmhl("create", "-v", "-h", "xxh128", str(tmp_path))  # a third one, by the program itself
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("verified") >= len(MORE), done.stdout
    fourth, _ = sealed(tmp_path, {**MORE, "e.mp4": b"newer"})
    assert fourth.name.startswith("ascmhl/0004_")
    done = ascmhl("diff", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "d.mp4").write_bytes(b"bad")
    assert ascmhl("create", str(tmp_path)).returncode == 11


XSD = os.environ.get("REGENSTORE_ASCMHL_XSD")


@pytest.mark.heavy
@pytest.mark.skipif(XSD is None, reason="REGENSTORE_ASCMHL_XSD does not name the standard's ASCMHL.xsd")
def test_the_schema_agrees():
    from lxml import etree

    schema = etree.XMLSchema(etree.parse(XSD))
    manifest, _ = sealed()
    assert schema.validate(etree.fromstring(manifest.data)), schema.error_log
    broken = manifest.data.replace(b"<xxh128 ", b"<blake3 ").replace(b"</xxh128>", b"</blake3>")
    assert not schema.validate(etree.fromstring(broken))
    assert problems("ascmhl", broken)
