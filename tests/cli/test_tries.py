"""tries: what has been tried at a path."""

from __future__ import annotations

import io
import json

from PIL import Image

from regenstore.media.sheet import SheetFrame, sheet
from tests.conftest import Checkout, noise

SEA = "plates/sea.png"


def test_tries_are_numbered_compared_shown_and_brought_back(film: Checkout) -> None:
    first = film.read(SEA)
    film.regenstore("set", SEA, "seed=7")
    film.commit("Seven")
    film.regenstore("set", SEA, "seed=8", "prompt=calm")
    film.commit("Calm")
    film.write(SEA, b"\x89PNG\r\n\x1a\n" + noise("painted", 3000))
    film.commit("Painted over")
    told = json.loads(film.regenstore("tries", SEA, "--json"))
    assert told["differing"] == ["seed", "prompt"]
    rows = [(each["number"], each["values"], each["key"] is None) for each in told["tries"]]
    assert rows == [
        (4, {}, True),
        (3, {"seed": 8, "prompt": "calm"}, False),
        (2, {"seed": 7, "prompt": "storm at dusk"}, False),
        (1, {"seed": 42, "prompt": "storm at dusk"}, False),
    ]
    said = film.regenstore("tries", SEA)
    assert "imported media" in said and "storm at dusk" in said

    out = film.path.parent / "tries.png"
    film.regenstore("tries", SEA, "--sheet", str(out))
    with Image.open(out) as picture:
        assert picture.format == "PNG" and picture.width > 2 * 256
    assert film.run("regenstore", "tries", SEA, "--sheet", str(out), check=False).returncode == 4
    film.regenstore("tries", SEA, "--sheet", str(out), "--force", "--json")

    assert "would write" in film.regenstore("tries", SEA, "--take", "1", "-n")
    film.regenstore("tries", SEA, "--take", "1")
    assert film.read(SEA) == first and "seed = 42" in film.regenstore("show", SEA)
    assert film.run("regenstore", "tries", SEA, "--take", "9", check=False).returncode == 2


def test_a_sheet_shows_what_is_there_and_names_what_is_not(film: Checkout) -> None:
    lines = ("#1   seed 42", "a very long line that tells what changed since the one before, and more", "")
    frames = [
        SheetFrame(str(film.path / SEA), "image/png", lines, "stored"),
        SheetFrame(None, "image/png", lines, "gone"),
        SheetFrame(str(film.path / "refs/photo.png"), "image/png", lines, "stored"),  # noise: no picture
    ]
    with Image.open(io.BytesIO(sheet(frames))) as picture:
        assert picture.width > picture.height > 256
        shown, gone = (picture.crop((x, 24, x + 256, 280)).getcolors(1 << 16) for x in (24, 24 + 288))
        assert shown is not None and gone is not None and len(shown) > 500 > len(gone) > 1
