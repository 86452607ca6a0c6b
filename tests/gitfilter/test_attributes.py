"""track: patterns that Git can match, and what is said about those that do not do what was meant."""

from __future__ import annotations

import pytest

from regenstore.errors import InvalidInput
from regenstore.gitfilter import attributes
from tests.conftest import noise

MEANT = {
    "!take.bin": "!take.bin",
    "shots/": "shots/a/b.bin",
    "shots": "shots/c.bin",
    "./rel//*.dat": "rel/x.dat",
    "with blank.bin": "with blank.bin",
    "k[1].bin": "k[1].bin",
    "#x.bin": "#x.bin",
    'q"\\"x': 'q""x',
}


def test_a_pattern_matches_what_was_meant(tmp_path, empty):
    top = str(empty.path)
    for given, path in MEANT.items():
        empty.write(path, noise(path, 100))
        pattern = attributes.as_pattern(given, top)
        text, added = attributes.track("", [pattern])
        assert len(added) == 1
        empty.write(".gitattributes", text)
        assert empty.git("check-attr", "filter", "--", path).endswith(": regenstore"), given
    assert attributes.as_pattern(f"{top}/shots/*.png", top) == "shots/*.png"


@pytest.mark.parametrize("given", ["", ".", "./", "/", "!", "..", "../x.png", "a/../b", ".git/x", "x\\"])
def test_what_can_never_match_is_refused(given, tmp_path):
    with pytest.raises(InvalidInput, match="not a pattern"):
        attributes.as_pattern(given, str(tmp_path))


def test_a_line_that_a_later_one_undoes_is_not_in_effect():
    text, added = attributes.track("*.png filter=regenstore -text\n*.png\t-filter\n", ["*.png"])
    assert added == ["*.png"] and attributes.tracked_patterns(text) == ["*.png"]
    assert attributes.track(text, ["*.png"]) == (text, [])
    assert attributes.tracked_patterns("*.png filter=regenstore\n*.png text\n") == ["*.png"]


def test_track_names_what_was_left_out(empty):
    empty.write("A.TIF", noise("a", 100))
    empty.write("large.mov", b"\0" + noise("m", 1 << 20))
    empty.write("excluded.mxf", b"\0" + noise("m", 1 << 20))
    empty.write("old.tif", noise("o", 100))
    empty.git("add", "old.tif")
    empty.write("sub/.gitattributes", "*.tif -filter\n")
    empty.write(".gitattributes", empty.read(".gitattributes") + b"*.mxf -filter\n")
    done = empty.run("regenstore", "track", "*.tif", "/sub/x.tif")
    told = (done.stdout + done.stderr).decode()
    assert "A.TIF is not tracked" in told and "regenstore track '*.TIF'" in told
    assert "large.mov is not tracked (1.0 MB): regenstore track '*.mov'" in told
    assert "excluded.mxf" not in told
    assert "/sub/x.tif has no effect: see 'git check-attr -a sub/x.tif'" in told
    assert "Git itself has the media of 1 path; convert them: git add --renormalize ." in told
