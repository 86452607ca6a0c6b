"""Arithmetic on sound: how it is cut into blocks never counts, and what comes out is what theory says."""

from __future__ import annotations

import numpy as np
import pytest

from regenstore.media import rates, sound
from tests.media import made


def joined(blocks):
    return np.concatenate(list(blocks), axis=1)


def pieces(samples, seed):
    random = np.random.default_rng(seed)
    return np.split(samples, np.sort(random.integers(0, samples.shape[1], 9)), axis=1)


def tone(rate, hertz, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate, dtype=np.float64)[None].astype(np.float32)


@pytest.mark.parametrize(("have", "want"), [(8000, 48000), (48000, 44100), (44100, 48000), (96000, 16000)])
def test_resampling(have, want):
    out = joined(sound.resample([tone(have, 997)], have, want))
    expected = tone(want, 997)
    assert out.shape == expected.shape
    inner = slice(want // 50, -want // 50)
    assert np.abs(out[:, inner] - expected[:, inner]).max() < 2e-3
    for seed in range(3):
        cut = joined(sound.resample(pieces(tone(have, 997), seed), have, want))
        np.testing.assert_array_equal(cut, out, err_msg=f"seed {seed}")


def test_downsampling_lets_nothing_through_that_would_fold_back():
    out = joined(sound.resample([tone(48000, 7000)], 48000, 8000))
    assert np.abs(out[:, 200:-200]).max() < 0.01


@pytest.mark.parametrize(("have", "want"), [(1, 2), (2, 1), (6, 2), (8, 2), (2, 6), (4, 2), (3, 3)])
def test_channels(have, want):
    samples = made.levels(500, have) * np.float32(0.99)
    out = joined(sound.remix(pieces(samples, 1), want))
    assert out.shape == (want, 500)
    assert np.abs(out).max() <= 1
    if have == 1:
        np.testing.assert_array_equal(out, samples.repeat(want, axis=0))
    if want > have > 1:
        np.testing.assert_array_equal(out[:have], samples)
        assert not out[have:].any()
    if want == 1:
        np.testing.assert_allclose(out[0], samples.mean(axis=0), atol=1e-6)


def test_fades_and_gain_do_not_depend_on_blocks():
    samples = made.levels(10_000, 2)
    settings = {"rate": 8000, "gain": -6.0, "fade_in": 0.25, "fade_out": 0.5, "total": 10_000}
    whole = joined(sound.shaped([samples], **settings))
    for seed in range(3):
        np.testing.assert_array_equal(joined(sound.shaped(pieces(samples, seed), **settings)), whole)
    factor = np.float32(10 ** (-6 / 20))
    np.testing.assert_allclose(whole[:, 2000:6000], samples[:, 2000:6000] * factor, rtol=1e-6)
    assert not whole[:, 0].any()
    assert not whole[:, -1].any()
    np.testing.assert_allclose(whole[:, 1000], samples[:, 1000] * factor / 2, rtol=1e-5)


def test_rechunking_keeps_all():
    samples = made.levels(1003, 2)
    for size in (1, 7, 100, 1003, 5000):
        blocks = list(sound.rechunked(pieces(samples, size), size))
        assert all(block.shape[1] == size for block in blocks[:-1])
        np.testing.assert_array_equal(joined(blocks), samples)


def test_a_mix_is_the_sum_as_long_as_the_longest():
    parts = [made.levels(count, 1, seed=count) / 4 for count in (1000, 50, 730)]
    expected = np.zeros((1, 1000), np.float32)
    for part in parts:
        expected[:, : part.shape[1]] += part
    np.testing.assert_array_equal(joined(sound.mixed([iter(pieces(part, 2)) for part in parts], 1, 64)), expected)


# ------------------------------------------------------------------------------------------- rates


def test_decimal_rates_mean_exact_ones():
    exact_rates = {23.976: (24000, 1001), 23.98: (24000, 1001), 29.97: (30000, 1001), 59.94: (60000, 1001)}
    exact_rates |= {24: (24, 1), 12.5: (25, 2), 119.88: (120000, 1001), 1: (1, 1)}
    for fps, exact in exact_rates.items():
        rate = rates.exact_rate(fps)
        assert (rate.numerator, rate.denominator) == exact
    for fps in (0, -1, 1001):
        with pytest.raises(ValueError, match="frame rate"):
            rates.exact_rate(fps)
