"""Frames and timecode at every rate, against PyPI's ``timecode`` where it is installed."""

from __future__ import annotations

from fractions import Fraction

import pytest

from regenstore.generators.overlay import counted
from regenstore.media.timecode import (
    DROPPING,
    Timebase,
    decimal_rate,
    from_timecode,
    rational_seconds,
    timecode_base,
    to_timecode,
)
from tests.export.clips import RATES

EVERY = [(rate, False) for rate in RATES] + [(rate, True) for rate in DROPPING]


@pytest.mark.parametrize(("rate", "drop"), EVERY)
def test_timecode_and_back(rate, drop):
    for frame in [*range(4000), *range(17000, 110000, 7), 1_000_000]:
        assert from_timecode(to_timecode(frame, rate, drop=drop), rate) == frame


@pytest.mark.heavy
@pytest.mark.parametrize(("rate", "drop"), EVERY)
def test_the_timecode_package_agrees(rate, drop):
    oracle = pytest.importorskip("timecode", reason="PyPI's timecode is not installed").Timecode
    names = {Fraction(24000, 1001): "23.976", Fraction(30000, 1001): "29.97", Fraction(60000, 1001): "59.94"}
    name = names.get(rate, str(rate))
    for frame in [*range(0, 3700, 11), *range(17900, 18100), 107_892, 215_784]:
        theirs = oracle(name, frames=frame + 1, force_non_drop_frame=not drop)
        assert str(theirs) == to_timecode(frame, rate, drop=drop), frame


def test_an_hour_at_23_976_is_longer_than_an_hour():
    base = Timebase.of(Fraction(24000, 1001), 96, "01:00:00:00")
    assert base.start == 86400
    assert base.start / base.rate == Fraction("3603.6")
    assert base.end_timecode == "01:00:04:00"
    assert rational_seconds(base.frames, base.rate) == "96096/24000s"
    assert rational_seconds(86400, base.rate) == "86486400/24000s"
    assert rational_seconds(48, Fraction(24)) == "2s"


def test_drop_frame_leaves_out_the_numbers_of_a_minute():
    rate = Fraction(30000, 1001)
    assert [to_timecode(frame, rate, drop=True) for frame in (1799, 1800)] == ["00:00:59;29", "00:01:00;02"]
    assert from_timecode("00:59:59;28", rate) == 107_890
    with pytest.raises(ValueError, match="skips this number"):
        from_timecode("00:01:00;01", rate)
    with pytest.raises(ValueError, match=r"not at 24\.000"):
        to_timecode(1, Fraction(24), drop=True)


def test_pictures_show_two_digits_and_never_drop_frames():
    assert to_timecode(125, Fraction(120)) == "00:00:01:005"
    assert [counted(frame, Fraction(120)) for frame in (5, 119, 125)] == ["00:00:00:05", "00:00:00:119", "00:00:01:05"]
    assert counted(1800, Fraction(30000, 1001)) == "00:01:00:00"
    for rate in (Fraction(1), Fraction(24000, 1001), Fraction(120)):
        day = 24 * 3600 * timecode_base(rate)
        assert (counted(day, rate), from_timecode(counted(day - 1, rate), rate, drop=False)) == ("00:00:00:00", day - 1)


@pytest.mark.parametrize(
    "text", ["", "1:2:3", "x", "-1:00:00:00", "00:00:60:00", "01:00:00:24", "24:00:00:00", "aa:00:00:00", "01:60:00:00"]
)
def test_what_is_no_timecode_is_refused(text):
    with pytest.raises(ValueError, match="timecode"):
        from_timecode(text, Fraction(24))


def test_rates_in_decimals():
    assert [decimal_rate(rate, 3) for rate in RATES] == [
        "16.000", "23.976", "24.000", "25.000", "29.970", "30.000", "50.000", "59.940", "60.000",
    ]  # fmt: skip
    assert decimal_rate(Fraction(24000, 1001)) == "23.976024"
