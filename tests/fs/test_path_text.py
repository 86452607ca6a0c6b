"""Paths in JSON: text that is always UTF-8, and the same bytes again."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regenstore.fs.path_text import path_of, path_text, utf8_only


@given(st.binary() | st.text(st.characters(exclude_categories=["Cs"])).map(str.encode))
@example(b"K\xf6ln.wav")
@example(b'"K\\366ln.wav"')
@example(b"\xed\xb3\xb6")  # the three bytes that a lone surrogate would be
@example(b'\xff\n\t"\\\x7f\x001')
def test_every_path_comes_back(path: bytes) -> None:
    text = path_text(path)
    text.encode()
    assert path_of(text) == path and path_of(json.loads(json.dumps(text))) == path
    assert path_text(os.fsdecode(path)) == text


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: not text.startswith('"')))
def test_what_is_utf8_stands_as_it_is(text: str) -> None:
    assert path_text(text.encode()) == text


def test_the_form_is_gits() -> None:
    assert path_text(b"K\xf6ln\t\xc3\xb6.wav") == r'"K\366ln\tö.wav"'
    assert path_text(b'"a".wav') == r'"\"a\".wav"'


@pytest.mark.parametrize("text", ['"', '"abc"', '"\\366', '"\\9"', '"\\303\\266"'])
def test_what_is_no_quoted_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        path_of(text)


@given(st.recursive(st.text(st.characters()) | st.integers(), lambda inner: st.lists(inner)))
def test_any_json_value_is_made_utf8(value: object) -> None:
    json.dumps(utf8_only(value), ensure_ascii=False).encode()
