"""Git's index: reading what git wrote, patching stat fields, and surviving damage."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regenstore.errors import FormatError
from regenstore.worktree.index_file import IndexFile, UnsupportedIndex, stat_fields
from tests.conftest import Checkout, examples

LONG = "/".join(["folder-with-a-rather-long-name-" + "x" * 200] * 19) + "/" + "y" * 120
ODD = [b"na\xffme", "é".encode(), "e\u0301".encode(), b"new\nline", b"-dash", b"a b", b"a", b"a.b/c", b"a/b"[:1] + b"0"]


def init(folder: Path, environment: dict[str, str], version: int, object_format: str) -> Checkout:
    folder.mkdir()
    checkout = Checkout(folder, environment)
    checkout.git("init", "-q", f"--object-format={object_format}")
    checkout.git("config", "index.version", str(version))
    return checkout


def size_of(object_format: str) -> int:
    return 32 if object_format == "sha256" else 20


def index_of(checkout: Checkout, oid_size: int) -> IndexFile:
    return IndexFile.read(str(checkout.path / ".git" / "index"), oid_size)


def listed(checkout: Checkout) -> list[tuple[bytes, str, int, int]]:
    found = []
    for line in filter(None, checkout.run("git", "ls-files", "-s", "-z").stdout.split(b"\0")):
        head, _, path = line.partition(b"\t")
        mode, oid, stage = head.decode().split(" ")
        found.append((path, oid, int(stage), int(mode, 8)))
    return found


def parsed(index: IndexFile) -> list[tuple[bytes, str, int, int]]:
    return [(e.path, e.oid.hex(), e.stage, e.mode) for e in index.entries]


FORMS = [(version, kind) for version in (2, 3, 4) for kind in ("sha1", "sha256")]


@pytest.fixture(params=FORMS, ids=lambda form: f"v{form[0]}-{form[1]}")
def form(request) -> tuple[int, str]:
    return request.param


@pytest.fixture
def checkout(tmp_path, environment, form) -> Checkout:
    """A repository whose index has odd paths, long paths, both kinds of files, a link and extended flags."""
    version, kind = form
    made = init(tmp_path / "film", environment, version, kind)
    for name in ODD:
        path = os.path.join(os.fsencode(made.path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(b"content of " + name)
    made.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    os.symlink("run.sh", made.path / "link")
    made.git("add", "-A")
    empty = made.git("hash-object", "-w", "--stdin", stdin=b"x")
    made.git("update-index", "--add", "--cacheinfo", f"100644,{empty},{LONG}")
    made.git("update-index", "--add", "--cacheinfo", f"100644,{empty},{'z' * 4094}")
    made.git("update-index", "--add", "--cacheinfo", f"100644,{empty},{'z' * 4095}")
    made.git("update-index", "--add", "--cacheinfo", f"100644,{empty},{'z' * 4096}")
    if version > 2:
        made.write("later", "x")
        made.git("add", "-N", "later")
        made.git("update-index", "--skip-worktree", "run.sh")
    made.git("update-index", f"--index-version={version}")
    return made


def test_what_git_wrote_is_read(checkout, form):
    version, kind = form
    index = index_of(checkout, size_of(kind))
    assert struct.unpack_from(">I", index.data, 4)[0] == version
    assert parsed(index) == listed(checkout)
    absent = {entry.path for entry in index.entries if entry.skip_worktree or entry.intent_to_add}
    assert absent == ({b"later", b"run.sh"} if version > 2 else set())
    assert len(max((e.path for e in index.entries), key=len)) > 4096
    assert set(index.by_path()) == {path for path, *_ in listed(checkout)}


def test_unchanged_bytes_are_written_unchanged(checkout, form):
    data = (checkout.path / ".git" / "index").read_bytes()
    assert IndexFile(data, size_of(form[1])).to_bytes() == data


def test_git_believes_a_patch(checkout, form):
    """The stat of a replaced file is told; git then finds nothing changed, without reading it."""
    version, kind = form
    path = checkout.path / "na"
    path.write_bytes(b"recipe")
    checkout.git("add", "na")
    index_path = checkout.path / ".git" / "index"
    before = os.stat(index_path).st_mtime_ns
    path.unlink()
    path.write_bytes(b"a medium that is longer than the recipe")
    os.utime(path, ns=(before - 10**10,) * 2)
    index = index_of(checkout, size_of(kind))
    entry = index.by_path()[b"na"]
    assert not index.matches(entry, os.stat(path))
    assert index.set_stats({b"na": (entry.oid, os.stat(path)), b"none": (entry.oid, os.stat(path))}) == 1
    index_path.write_bytes(index.to_bytes())
    os.utime(index_path, ns=(before, before))
    assert checkout.git("diff", "--name-only", "na") == ""
    again = index_of(checkout, size_of(kind))
    assert again.matches(again.by_path()[b"na"], os.stat(path))
    assert parsed(again) == listed(checkout)
    checkout.git("fsck", "--no-dangling")
    assert version == struct.unpack_from(">I", again.data, 4)[0]


def test_only_entries_of_that_blob_are_patched(checkout, form):
    kind = form[1]
    data = (checkout.path / ".git" / "index").read_bytes()
    index = IndexFile(data, size_of(kind))
    found = os.stat(checkout.path / "run.sh")
    entries = index.by_path()
    wrong = {b"a": (b"\0" * size_of(kind), found)}
    assert index.set_stats(wrong) == 0
    if form[0] > 2:  # intent-to-add: what lies there is not git's yet
        assert index.set_stats({b"later": (entries[b"later"].oid, found)}) == 0
    assert index.to_bytes() == data
    # Where a file is there against a sparse checkout, git takes it for any other.
    assert index.set_stats({b"run.sh": (entries[b"run.sh"].oid, found)}) == 1


def test_extensions_survive(tmp_path, environment, form):
    version, kind = form
    made = init(tmp_path / "x", environment, version, kind)
    for n in range(3):
        made.write(f"d{n}/f", f"{n}")
    made.git("config", "core.untrackedCache", "true")
    made.git("commit", "-q", "--allow-empty", "-m", "first")
    made.commit()
    made.git("status")
    index_path = made.path / ".git" / "index"
    data = index_path.read_bytes()
    assert b"TREE" in data
    assert b"UNTR" in data
    index = IndexFile(data, size_of(kind))
    entry = index.by_path()[b"d1/f"]
    index.set_stats({b"d1/f": (entry.oid, os.stat("/"))})
    changed = index.to_bytes()
    differing = [at for at, (old, new) in enumerate(zip(data, changed)) if old != new]
    assert len(changed) == len(data)
    assert all(entry.stat <= at < entry.stat + 40 or at >= len(data) - size_of(kind) for at in differing)
    name = "sha256" if kind == "sha256" else "sha1"
    assert changed[-size_of(kind) :] == hashlib.new(name, changed[: -size_of(kind)]).digest()


def test_a_checksum_of_zeros_stays_so(checkout, form):
    """index.skipHash."""
    size = size_of(form[1])
    data = (checkout.path / ".git" / "index").read_bytes()
    skipped = data[:-size] + bytes(size)
    assert IndexFile(skipped, size).intact
    assert IndexFile(skipped, size).to_bytes() == skipped


def test_conflicted_paths_have_no_unconflicted_entry(tmp_path, environment):
    made = init(tmp_path / "x", environment, 2, "sha1")
    made.write("f", "base\n")
    made.write("g", "same\n")
    made.commit()
    made.git("checkout", "-q", "-b", "side")
    made.write("f", "side\n")
    made.commit()
    made.git("checkout", "-q", "main")
    made.write("f", "main\n")
    made.commit()
    made.git("merge", "side", check=False)
    index = index_of(made, 20)
    assert [(e.path, e.stage) for e in index.entries] == [(b"f", 1), (b"f", 2), (b"f", 3), (b"g", 0)]
    assert list(index.by_path()) == [b"g"]
    found = os.stat(made.path / "f")
    assert index.set_stats({b"f": (index.entries[0].oid, found)}) == 0


def test_a_missing_index_is_empty(tmp_path):
    assert IndexFile.read(str(tmp_path / "none"), 20).entries == []


def test_an_empty_index_of_gits(tmp_path, environment):
    made = init(tmp_path / "x", environment, 2, "sha1")
    made.git("read-tree", "--empty")
    assert index_of(made, 20).entries == []


@pytest.mark.parametrize("way", ["split", "sparse", "unknown"])
def test_indexes_that_only_git_can_read_are_recognised(tmp_path, environment, way):
    made = init(tmp_path / "x", environment, 2, "sha1")
    for name in ("in/a", "out/b"):
        made.write(name, name)
    made.commit()
    if way == "split":
        made.git("update-index", "--split-index")
    elif way == "sparse":
        made.git("sparse-checkout", "set", "--cone", "--sparse-index", "in")
    else:
        path = made.path / ".git" / "index"
        body = path.read_bytes()[:-20] + b"newx" + struct.pack(">I", 3) + b"abc"
        path.write_bytes(body + hashlib.sha1(body).digest())
        assert "do not understand" in made.run("git", "ls-files", check=False).stderr.decode()
    with pytest.raises(UnsupportedIndex) as caught:
        index_of(made, 20)
    assert caught.value.kind == "bad-index"


# ------------------------------------------------------------------------------------------- stat fields


def test_stat_fields_are_modulo_two_to_the_32(tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(3 * 2**32)
    os.utime(path, ns=(0, 2**32 * 10**9 + 7))
    fields = stat_fields(os.stat(path), 0o100644)
    assert fields[9] == 0
    assert fields[2:4] == (0, 7)
    assert all(0 <= number < 2**32 for number in fields)


def test_times_before_1970_are_kept_as_git_does(tmp_path):
    path = tmp_path / "old"
    path.touch()
    os.utime(path, ns=(-1, -1_500_000_000))
    fields = stat_fields(os.stat(path), 0o100644)
    assert fields[2:4] == (2**32 - 2, 500_000_000)


# ------------------------------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], bytes]:
    from tests.conftest import hermetic_environment

    home = tmp_path_factory.mktemp("home")
    found = {}
    for version, kind in FORMS:
        made = init(home / f"{version}-{kind}", hermetic_environment(home), version, kind)
        for name in ("a", "ab", "abc/d", "é", "long" * 30):
            made.write(name, name)
        made.commit()
        if version > 2:
            made.git("update-index", "--skip-worktree", "ab")
        made.git("update-index", f"--index-version={version}")
        found[version, kind] = (made.path / ".git" / "index").read_bytes()
    return found


EDITS = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(0, 8), st.binary(max_size=8) | st.just(b"\xff" * 4)), max_size=6
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"v{form[0]}-{form[1]}")
@given(edits=EDITS, cut=st.none() | st.integers(0, 2000))
@settings(
    max_examples=examples(120),
    deadline=5000,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_damage_gives_an_error_or_entries(samples, form, edits, cut):
    data = bytearray(samples[form])
    for at, length, new in edits:
        at %= len(data) + 1
        data[at : at + length] = new
    if cut is not None:
        del data[cut:]
    begun = time.monotonic()
    try:
        index = IndexFile(bytes(data), size_of(form[1]))
    except FormatError as error:
        assert error.kind == "bad-index"
    else:
        for entry in index.entries:
            assert len(entry.oid) == size_of(form[1])
            index.stat_of(entry)
        first = {e.path: (e.oid, os.stat("/")) for e in index.entries}
        index.set_stats(first)
        assert len(index.to_bytes()) == len(data)
    assert time.monotonic() - begun < 5


@given(st.binary(max_size=300))
@settings(max_examples=examples(200))
def test_any_bytes_give_an_error_or_entries(data):
    for prefix in (b"", b"DIRC" + struct.pack(">II", 2, 3), b"DIRC" + struct.pack(">II", 4, 2**31)):
        for size in (20, 32):
            try:
                IndexFile(prefix + data, size)
            except FormatError as error:
                assert error.kind == "bad-index"


def test_damage_is_noticed_by_the_checksum_at_the_latest(samples):
    for (version, kind), data in samples.items():
        assert IndexFile(data, size_of(kind)).intact
        flipped = data[:20] + bytes([data[20] ^ 1]) + data[21:]
        assert not IndexFile(flipped, size_of(kind)).intact
        for length in range(len(data)):
            try:
                index = IndexFile(data[:length], size_of(kind))
            except FormatError:
                continue
            assert not index.intact, f"version {version} at {length}"


def test_an_index_for_another_hash_is_no_crash(samples):
    for (_, kind), data in samples.items():
        try:
            IndexFile(data, 52 - size_of(kind))
        except FormatError:
            continue
