"""The faces of frames as columns of numbers."""

from __future__ import annotations

import math

from regenstore.export.dataset.frames import BOXES, MEASURED
from regenstore.media.faces import MOST, Face, columns_of

SIDES = ("confidence", "x", "y", "w", "h")


def test_each_face_has_columns_of_its_own() -> None:
    near, far = Face(0.99, 10, 20, 30, 40), Face(0.7, 1, 2, 3, 4)
    found = columns_of([[near, far], None, [], [far]])
    assert list(found) == ["face_count", *(f"face{n}_{side}" for n in ("", 2) for side in SIDES)]
    assert [found[f"face_{side}"][0] for side in SIDES] == [0.99, 10, 20, 30, 40]
    assert [found[f"face2_{side}"][0] for side in SIDES] == [0.7, 1, 2, 3, 4]
    assert [list(map(math.isnan, found[name])) for name in ("face_count", "face_x", "face2_x")] == [
        [False, True, False, False],
        [False, True, True, False],
        [False, True, True, True],
    ]


def test_where_nobody_is_the_columns_are_there_all_the_same() -> None:
    assert list(columns_of([[]])) == ["face_count", *(f"face_{side}" for side in SIDES)]


def test_a_crowd_is_counted_whole_and_told_in_part() -> None:
    found = columns_of([[Face(0.9, n, 0, 1, 1) for n in range(MOST + 5)]])
    assert found["face_count"][0] == MOST + 5
    assert f"face{MOST}_x" in found and f"face{MOST + 1}_x" not in found


def test_tables_of_datasets_have_the_first_of_these_columns() -> None:
    crowd = columns_of([[Face(0.9, n, 0, 1, 1) for n in range(BOXES)]])
    assert list(crowd) == list(MEASURED[MEASURED.index("face_count") :])
