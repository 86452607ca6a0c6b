"""What people see on a terminal: progress goes, results stay."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte
import pytest

from regenstore.cli import filter_report
from regenstore.cli.context import report_failures
from regenstore.errors import NotFound, RegenstoreError
from tests.conftest import Checkout
from tests.terminal import COLUMNS, LINES, on_terminal


def seen(film: Checkout, *command: str, into: Path | None = None, piped: bool = False) -> list[str]:
    """The lines on the screen after a command, of which standard output may go into a file or a pipe."""
    code, said = on_terminal(film, *command, into=into, piped=piped)
    assert code == 0
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.ByteStream(screen).feed(said)
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.fixture
def plates(film: Checkout) -> Checkout:
    for number in range(2):
        film.regenstore(
            "new", f"plates/{number}.png", "-g", "procedural.image", "-p", "prompt=x", "-p", f"seed={number}",
            "-p", "width=64", "-p", "height=48",
        )  # fmt: skip
    film.commit("More plates")
    return film


def test_verdicts_stay(plates: Checkout, tmp_path: Path) -> None:
    lines = [*(f"bytes      plates/{name}.png" for name in ("0", "1", "sea")), "3 of 3 takes come back"]
    assert sorted(seen(plates, "regenstore", "verify", "plates")) == sorted(lines)
    assert sorted(seen(plates, "regenstore", "verify", "plates", piped=True)) == sorted(lines)
    assert seen(plates, "regenstore", "verify", "plates", into=tmp_path / "out") == []
    assert sorted((tmp_path / "out").read_text().splitlines()) == sorted(lines)


def test_what_was_written_has_a_line_of_its_own(plates: Checkout) -> None:
    for command in (("set", "plates/0.png", "seed=8"), ("unset", "plates/0.png", "seed")):
        (line,) = seen(plates, "regenstore", *command)
        assert line.startswith("plates/0.png: ")


def test_a_dataset_and_a_transfer_leave_their_summary(plates: Checkout) -> None:
    plates.git("rm", "-q", "-f", "refs/photo.png")
    plates.commit("Plates only")
    told = seen(plates, "regenstore", "export", "dataset", "../set", "--trainer", "none")
    assert told[0].startswith("3 new") and told[-1] == "../set" and not any("━" in line for line in told)
    plates.regenstore("remote", "add", "studio", "../shared", "--create")
    told = seen(plates, "regenstore", "push")
    assert told[0].startswith("Sent 3 contents") and not any("━" in line for line in told)


def test_a_table_has_heads_and_colours_that_can_be_refused_and_cuts_no_path(plates: Checkout) -> None:
    long = "plates/" + "x" * 60 + "-end.png"
    (plates.path / "plates/0.png").rename(plates.path / long)
    plates.commit("A long name")
    for columns in (80, 120):
        code, said = on_terminal(plates, "regenstore", "status", "--all", columns=columns)
        screen = pyte.Screen(columns, LINES)
        pyte.ByteStream(screen).feed(said)
        assert code == 0 and screen.display[0].split() == ["state", "size", "store", "path"]
        assert (
            long in "".join(line[screen.display[0].index("path") :].strip() for line in screen.display)
            and b"\x1b[32mplaced" in said
        )
    grey = Checkout(plates.path, {**plates.environment, "NO_COLOR": "1"})
    assert b"\x1b[32m" not in on_terminal(grey, "regenstore", "status", "--all")[1]
    assert plates.regenstore("status", "--all").startswith("placed")  # in a pipe: rows alone


def test_long_lines_are_broken_between_words_and_paths_between_folders(plates: Checkout) -> None:
    _, said = on_terminal(plates, "regenstore", "set", "plates/0.png", "sed=1", columns=60)
    lines = said.decode().replace("\x1b[1;31m", "").replace("\x1b[0m", "").splitlines()
    assert lines[0].startswith("regenstore: plates/0.png: unknown parameter 'sed'; did you")
    assert all(len(line) <= 60 for line in lines) and lines[1].startswith("  ") and len(lines) > 2
    (plates.path / "plates/0.png").rename(plates.path / f"plates/{'y' * 30}.png")
    plates.commit("A long name")
    screen = pyte.Screen(60, LINES)
    pyte.ByteStream(screen).feed(on_terminal(plates, "regenstore", "status", "-a", columns=60)[1])
    assert any(line.strip() == f"{'y' * 30}.png" for line in screen.display)


def test_a_reader_that_has_seen_enough_is_no_error(plates: Checkout) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    command = [f"{Path(sys.executable).parent}/regenstore", "status", "--all"]
    done = subprocess.run(command, cwd=plates.path, env=plates.environment, stdout=writes, stderr=-1, check=False)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_checkouts_progress_stays_on_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    main, side = os.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    with os.fdopen(side, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = filter_report.FilterProgress(2000)
        for number in range(3):
            progress._begun = progress._last = 0.0
            progress.started(f"shots/{'海' * 50}/{number}.png", None)
        said = os.read(main, 1 << 16)
    os.close(main)
    screen = pyte.Screen(columns, LINES)
    pyte.ByteStream(screen).feed(said)
    assert screen.display[0].startswith("regenstore: regenerating, 0 done")
    assert not any(line.strip() for line in screen.display[1:])


def test_many_failures_of_a_kind_are_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    failed: list[tuple[bytes, RegenstoreError]] = [
        (b"%d.png" % number, NotFound("content-missing", "no copy is left", hint="Look elsewhere."))
        for number in range(2000)
    ]
    assert report_failures(failed) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 12 and lines[-2:] == ["regenstore: and 1,990 more like these", "  hint: Look elsewhere."]


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_and_nothing_is_cut(plates: Checkout, columns: int) -> None:
    plates.regenstore("pin", "plates/sea.png", "--reason", "approved by the director")
    key = plates.regenstore("show", "--key", "plates/sea.png").strip()
    for command, whole in ((("pins",), key), (("template", "list"), "premiere"), (("takes", "plates/sea.png"), "take")):
        code, said = on_terminal(plates, "regenstore", *command, columns=columns)
        screen = pyte.Screen(columns, 100)
        pyte.ByteStream(screen).feed(said)
        assert code == 0 and screen.cursor.x == 0
        shown = "".join(screen.display)
        assert whole[:20] in shown and whole[-8:] in shown
        assert b"\x1b[33m" not in said and b"\x1b[37m" not in said
