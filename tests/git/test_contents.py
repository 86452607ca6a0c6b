"""What lies in files: sizes around packet borders, raw media, recipe texts of every sort, many files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from blake3 import blake3

from regenstore.objects import toml
from tests.conftest import noise
from tests.git import film as project
from tests.git.film import ALPHA, BETA, FIRST, MAIN, PLATE, A, B, C, Film

PACKET = 65516
SIZES = sorted(
    {1, 2, 63, 64, 65}
    | {base * k + more for base in (PACKET, 65536) for k in (1, 2, 4, 16) for more in (-1, 0, 1)}
    | {(256 << 10) - 1, 256 << 10, (1 << 20) + 1, (4 << 20) + 7}
)


def test_sizes_around_packet_borders(film: Film) -> None:
    media = {f"plates/size{size}.bin": noise(f"size{size}", size) for size in SIZES}
    for name, data in media.items():
        film.put(name, data)
    film.commit("sizes")
    film.settled({**MAIN, **media})
    film.git("checkout", "-q", "first")
    film.settled(FIRST)
    film.git("checkout", "-q", "main")
    film.settled({**MAIN, **media})
    # The same through the pipe, for somebody who wants the bytes now.
    for name, data in media.items():
        assert film.run("git", "cat-file", "--filters", f":{name}").stdout == data, name


def test_edits_of_every_part_of_a_large_file(film: Film) -> None:
    """clean compares with the stored take: wherever they part, the new bytes are kept whole."""
    data = noise("large", 700_001)
    film.put(C, data)
    film.commit("large")
    for edited in (
        b"x" + data[1:],
        data[:400_000] + b"x" + data[400_001:],
        data[:-1] + b"x",
        data[:-1],
        data + b"x",
        data[: PACKET * 3],
        data[PACKET:],
        b"x" * len(data),
    ):
        film.write(C, edited)  # not dated back: same size, same second, same inode, and yet seen
        film.git("add", C)
        film.expect_blob(C, edited)
        film.git("commit", "-q", "-m", "edited", "--allow-empty")
        film.git("rm", "-q", "--cached", C)
        (film.path / C).unlink()
        film.git("reset", "-q", "--hard")
        assert film.read(C) == edited
    film.stored()


def test_empty_files(film: Film) -> None:
    film.put("plates/empty.bin", b"")
    film.commit("empty")
    assert film.blob("plates/empty.bin") == b""
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    assert film.read("plates/empty.bin") == b""
    film.quiet(later=True)
    film.regenstore("drop")
    film.regenstore("get")
    assert film.read("plates/empty.bin") == b""
    film.put(A, b"")
    assert film.status() == f" M {A}"
    film.git("commit", "-q", "-a", "-m", "emptied")
    assert film.blob(A) == b""
    film.quiet()
    film.put("plates/empty.bin", b"no longer")
    film.git("commit", "-q", "-a", "-m", "filled")
    film.expect_blob("plates/empty.bin", b"no longer")


# -------------------------------------------------------------------------------------------- raw media


def raw(film: Film, name: str, data: bytes) -> None:
    """Commit media as they are, as somebody without the filter does."""
    film.put(name, data)
    off = [
        "-c",
        "filter.regenstore.process=",
        "-c",
        "filter.regenstore.clean=",
        "-c",
        "filter.regenstore.required=false",
    ]
    film.git(*off, "add", name)
    film.git("commit", "-q", "-m", "raw", "--no-verify")
    assert film.blob(name) == data


@pytest.mark.parametrize("size", [10, 5000, PACKET + 1, 5 << 20])
def test_raw_media_pass_through(film: Film, size: int) -> None:
    data = noise("raw", size)
    raw(film, "plates/raw.bin", data)
    film.quiet(later=True)
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    assert film.read("plates/raw.bin") == data
    film.quiet(later=True)
    os.utime(film.path / "plates/raw.bin")
    assert film.status() == ""
    assert film.blob("plates/raw.bin") == data
    assert "raw " in film.regenstore("status")
    assert film.run("regenstore", "check", "HEAD", check=False).returncode
    # Another content is imported as usual; and so is the same one where the path is new.
    film.put("plates/copy.bin", data)
    film.put("plates/raw.bin", data + b"more")
    film.git("add", "-A")
    film.expect_blob("plates/copy.bin", data)
    film.expect_blob("plates/raw.bin", data + b"more")


def test_raw_media_in_a_conflict(film: Film) -> None:
    film.git("checkout", "-q", "-b", "rough", "first")
    raw(film, C, b"raw plate")
    film.git("checkout", "-q", "main")
    assert film.run("git", "merge", "rough", check=False).returncode == 1
    film.git("checkout", "--theirs", C)
    assert film.read(C) == b"raw plate"
    film.git("add", C)
    film.git("commit", "-q", "--no-edit")
    film.expect_blob(C, b"raw plate")
    assert film.status() == ""


# -------------------------------------------------------------------------------------------- recipe texts


def other_text(film: Film, name: str, text: bytes) -> None:
    """Commit a blob as it is at a path, and check it out."""
    oid = film.git("hash-object", "-w", "--stdin", stdin=text)
    film.git("update-index", "--add", "--cacheinfo", f"100644,{oid},{name}")
    film.git("commit", "-q", "-m", "other text")
    film.git("checkout", "-q", "--", name)
    assert film.blob(name) == text


def spellings(text: bytes) -> dict[str, bytes]:
    """The same recipe in valid TOML that is not its one text."""
    plain = text.decode()
    return {
        "crlf": plain.replace("\n", "\r\n").encode(),
        "comment": plain.replace("[params]", "# why not\n[params]").encode(),
        "quotes": plain.replace('"alpha1"', "'alpha1'").encode(),
        "order": plain.replace('name = "main"\nmedia_type', "media_type")
        .replace("size =", 'name = "main"\nsize =')
        .encode(),
        "blank": plain.replace("\n[output]", "\n\n\n[output]").encode(),
        "inline": plain.replace('[params]\nword = "alpha1"\n', 'params = {word = "alpha1"}\n')
        .replace("\n\nparams", "\nparams")
        .encode(),
        "no newline": plain.rstrip("\n").encode(),
        "dotted": plain.replace("[params]\nword", '[params]\n"word"').encode(),
    }


@pytest.mark.parametrize("how", ["crlf", "comment", "quotes", "order", "blank", "inline", "no newline", "dotted"])
def test_other_spellings_stay_to_the_byte(film: Film, how: str) -> None:
    text = spellings(film.blob(A, "first"))[how]
    assert text != film.blob(A, "first")
    assert toml.encode(toml.decode(text)) == film.blob(A, "first")
    other_text(film, A, text)
    assert film.read(A) == ALPHA[1]
    film.quiet()
    assert film.git("hash-object", "--path", A, A) == film.git("rev-parse", f":{A}")
    os.utime(film.path / A)
    assert film.status() == ""
    film.regenstore("drop", A)
    assert film.status() == ""
    assert film.read(A) == text
    film.quiet()
    film.regenstore("get", A)
    assert film.read(A) == ALPHA[1]
    film.quiet()


def test_bom_text_in_git_stays(film: Film) -> None:
    text = b"\xef\xbb\xbf" + film.blob(A, "first")
    other_text(film, A, text)
    film.quiet(later=True)
    assert film.blob(A) == text
    os.utime(film.path / A)
    assert film.status() == ""


@pytest.mark.parametrize(
    "text",
    [
        b'regenstore = 2\nfuture = "yes"\n',
        b'regenstore = 99\n[output]\ndigest = "blake3:' + b"0" * 64 + b'"\nsize = 3\n',
        b"regenstore = 1\nthis is no toml\n",
        b'regenstore = 1\ngenerator = "words"\n',
        b"regenstore = 1\n",
        b"regenstore = \n",
        b"regenstore = 1\n\xff\xfe\n",
        b"<<<<<<< ours\nregenstore = 1\n=======\nregenstore = 2\n>>>>>>> theirs\n",
        b"regenstore = 1\n" + b"[" * 3000,
    ],
    ids=["newer", "newer with output", "bad", "incomplete", "bare", "cut", "latin-1", "conflict", "deep"],
)
def test_texts_that_are_no_recipe_pass_through(film: Film, text: bytes) -> None:
    other_text(film, A, text)
    assert film.read(A) == text
    film.quiet(later=True)
    os.utime(film.path / A)
    assert film.status() == ""
    film.git("checkout", "-q", "first")
    film.settled(FIRST)
    film.git("checkout", "-q", "main")
    assert film.read(A) == text
    film.quiet(later=True)
    film.write("plates/other.bin", text)  # and added by hand
    film.git("add", "plates/other.bin")
    assert film.blob("plates/other.bin") == text
    film.run("regenstore", "status", check=False)
    film.run("regenstore", "get", check=False)
    film.run("regenstore", "drop", check=False)
    assert film.read(A) == text


def test_a_newer_format_is_told_of(film: Film) -> None:
    text = b'regenstore = 2\nfuture = "yes"\n'
    oid = film.git("hash-object", "-w", "--stdin", stdin=text)
    film.git("update-index", "--cacheinfo", f"100644,{oid},{A}")
    said = film.run("git", "checkout", "--", A).stderr.decode()
    assert A in said
    assert "version 2" in said or "newer" in said


@pytest.mark.parametrize("how", ["crlf", "comment", "quotes", "order", "blank", "bom"])
def test_text_added_by_hand_becomes_the_one_text(film: Film, how: str) -> None:
    one = film.blob(A, "first")
    text = b"\xef\xbb\xbf" + one if how == "bom" else spellings(one)[how]
    film.write(A, text)
    film.git("add", A)
    assert film.blob(A) == one
    assert film.read(A) == text
    film.git("commit", "-q", "-m", "by hand")
    film.git("checkout", "-q", "HEAD~1")
    film.settled(MAIN)
    film.git("checkout", "-q", "main")
    film.settled({**MAIN, A: ALPHA[1]})


def test_conflict_text_can_be_added_and_comes_back(film: Film) -> None:
    film.run("git", "merge", "clash", check=False)
    text = film.read(A)
    assert b"<<<<<<<" in text
    film.git("add", A)
    assert film.blob(A) == text
    assert film.run("git", "-c", "core.hooksPath=/dev/null", "commit", "-q", "-a", "-m", "oops", check=False)
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    assert film.read(A) == text
    assert film.run("regenstore", "check", "HEAD", check=False).returncode


def test_media_that_begin_like_a_recipe(film: Film) -> None:
    """Longer than any recipe may be: a medium like any other."""
    data = b"regenstore = 1\n" + b"#" * (5 << 20)
    film.put(C, data)
    film.git("add", C)
    film.expect_blob(C, data)
    film.git("commit", "-q", "-m", "long")
    film.git("checkout", "-q", "first")
    film.git("checkout", "-q", "main")
    assert film.read(C) == data
    film.quiet()


# -------------------------------------------------------------------------------------------- many, and large


def many(film: Film, count: int) -> None:
    """``count`` small files added, checked out, dropped and brought back."""
    names = [f"frames/{n % 50:02}/f{n:05}.bin" for n in range(count)]
    for folder in {os.path.dirname(name) for name in names}:
        (film.path / folder).mkdir(parents=True)
    for n, name in enumerate(names):
        (film.path / name).write_bytes(b"frame %d " % n * 5)
        os.utime(film.path / name, (1e9, 1e9))
    film.git("add", "-A")
    film.git("commit", "-q", "-m", "frames")
    film.quiet()
    film.git("checkout", "-q", "first")
    begun = time.monotonic()
    film.git("checkout", "-q", "main")
    took = time.monotonic() - begun
    film.quiet()
    for n, name in enumerate(names):
        assert (film.path / name).read_bytes() == b"frame %d " % n * 5
    print(f"{count} media placed by one checkout in {took:.2f} s")
    film.git("checkout", "-q", "first")
    film.settled(FIRST)


def test_hundreds_of_files(film: Film) -> None:
    many(film, 600)


@pytest.mark.heavy
@pytest.mark.timeout(1200)
def test_thousands_of_files(film: Film) -> None:
    many(film, 10_000)


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size", [(4 << 30) + 17, 4 << 30])
def test_a_sparse_file_of_four_gigabytes_and_more(template: Path, disk: Path, size: int) -> None:
    film = project.copy(template, disk)
    free = os.statvfs(film.path)
    if free.f_bavail * free.f_frsize < 3 * size:
        pytest.skip(f"needs {3 * size >> 30} GiB of disk for what a copy may take")
    target = film.path / C
    with open(target, "wb") as file:
        file.write(b"head")
        file.truncate(size - 4)
        file.seek(0, os.SEEK_END)
        file.write(b"tail")
    os.utime(target, (1e9, 1e9))
    film.git("add", C)
    film.git("commit", "-q", "-m", "very large")
    recorded = toml.decode(film.blob(C)).output.take
    assert recorded is not None
    assert recorded.size == size
    assert film.status() == ""
    said = film.run("git", "checkout", "-q", "first").stderr.decode()
    assert film.read(C) == PLATE[1], said
    film.git("checkout", "-q", "main")
    assert target.stat().st_size == size
    hasher = blake3(max_threads=blake3.AUTO)
    hasher.update_mmap(target)
    assert hasher.digest() == recorded.digest.raw
    assert film.status() == ""
    assert film.read(B) == BETA[1]
