"""What people see on a terminal: progress goes, results stay."""

from __future__ import annotations

from pathlib import Path

import pyte
import pytest

from tests.conftest import Checkout
from tests.terminal import COLUMNS, LINES, on_terminal


def seen(film: Checkout, *command: str, into: Path | None = None) -> list[str]:
    """The lines on the screen after a command, of which standard output may go into a file."""
    code, said = on_terminal(film, *command, into=into)
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
