"""Recipes of every shape, for property tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input, Output, Recipe, Take

DIGEST = "blake3:" + "5e" * 32
# Pieces that a line-wise reader, a quoting rule or a merge could stumble over.
HOSTILE = st.sampled_from(
    [
        "\n",
        "\n\n",
        "[output]",
        "\n[output]\n",
        f'\ndigest = "{DIGEST}"\n',
        "\nsize = 7\n",
        '"',
        '""',
        '"""',
        '\n"""',
        '"""\n',
        "'''",
        "\\",
        '\\"',
        ' = """',
        'x = """',
        '# x = """',
        "\r\n",
        "\r",
        "\t",
        "\0",
        "\x7f",
        "\u0085",
        "\u2028",
        "\ufeff",
        "é",
        "e\u0301",
        "\U0001f30a",
        "=======",
        "\n>>>>>>> theirs",
        "regenstore = 1\n",
        "{",
        "}",
        "a = 1",
    ]
)
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TEXT = st.lists(HOSTILE | PLAIN, max_size=8).map("".join)
NAMES = st.sampled_from(["seed", "a", "b-c", "with space", "", 'q"', "digest", "output", "é", "0", "a.b"]) | PLAIN
ZONES = st.none() | st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXT,
    st.builds(datetime.combine, st.dates(), st.times(), ZONES),
    st.dates(),
    st.times(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
TABLES = st.dictionaries(NAMES, VALUES, max_size=5)
DIGESTS = st.binary(min_size=32, max_size=32).map(Digest)
TAKES = st.none() | st.builds(Take, DIGESTS, st.integers(0, 2**63 - 1))
SECONDS = st.none() | st.integers(0, 10**6) | st.floats(0, 10**6)


def _without(*names: str) -> st.SearchStrategy[dict[str, object]]:
    return TABLES.map(lambda table: {key: value for key, value in table.items() if key not in names})


INPUTS = st.dictionaries(
    NAMES, st.builds(lambda *given: Input(*given), DIGESTS, st.none() | TEXT, _without("digest", "path")), max_size=3
)
OUTPUT_EXTRA = _without("name", "media_type", "digest", "size", "seconds", "key")
TOP_EXTRA = _without("regenstore", "generator", "version", "model", "params", "inputs", "output", "about")
MEDIA_TYPES = st.sampled_from(["image/png", "video/mp4", "x/y"]) | TEXT.filter(bool)
GENERATED = st.builds(
    Recipe,
    generator=TEXT,
    version=TEXT,
    output=st.builds(lambda *given: Output(*given), MEDIA_TYPES, TEXT, TAKES, SECONDS, OUTPUT_EXTRA),
    model=TABLES,
    params=TABLES,
    inputs=INPUTS,
    about=TABLES,
    extra=TOP_EXTRA,
)
IMPORTED = st.builds(
    Recipe,
    generator=st.none(),
    version=st.just(""),
    output=st.builds(
        lambda *given: Output(*given),
        MEDIA_TYPES,
        TEXT,
        st.builds(Take, DIGESTS, st.integers(0, 2**40)),
        SECONDS,
        OUTPUT_EXTRA,
    ),
    about=TABLES,
    extra=TOP_EXTRA,
)
RECIPES = GENERATED | IMPORTED
KEYED = st.builds(
    lambda recipe, mark: replace(recipe, output=recipe.output._replace(key=mark or recipe.key.mark)).of_key(),
    GENERATED,
    st.sampled_from(["", "0" * 16]) | TEXT,
)
"""Recipes that say which key gave their take, their own or another."""
SIMPLE = st.builds(
    Recipe,
    generator=st.sampled_from(["words", "é", 'q"']),
    version=st.just("1"),
    output=st.builds(lambda *given: Output(*given), st.sampled_from(["image/png", "x/y"]), st.just("main"), TAKES),
    model=st.dictionaries(st.sampled_from(["name", "revision", "digest"]), TEXT | st.integers(0, 9), max_size=2),
    params=st.dictionaries(st.sampled_from(["seed", "a", "b-c", "0", "Z", "é"]), SCALARS, max_size=5),
    inputs=st.dictionaries(
        st.sampled_from(["a", "B", "c-1", "x.y"]), st.builds(lambda *given: Input(*given), DIGESTS, st.none() | TEXT)
    ),
    about=TABLES,
)
"""What the line scan can take the key from, most of the time."""
