"""The one text of a recipe: reading, writing, and what is refused."""

from __future__ import annotations

import time
import tomllib

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from regenstore.errors import FormatError, RegenstoreError
from regenstore.objects import bounded, toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Input, Output, Recipe, Take
from regenstore.objects.scan import MAX_SCAN, is_unsure, own_take, scan_key, scan_take
from tests.conftest import examples
from tests.objects.strategies import DIGEST, KEYED, RECIPES, SIMPLE, TEXT

SMALL = f"""regenstore = 1
generator = "procedural.image"
version = "1"

[params]
prompt = "sea"

[output]
name = "main"
media_type = "image/png"
digest = "{DIGEST}"
size = 12
"""


def encoded(recipe: Recipe) -> bytes:
    """The text, for recipes that have one: values only TOML's writer can judge are left out."""
    try:
        return toml.encode(recipe)
    except FormatError as error:
        assert error.kind == "conflict-markers"
        assume(False)
        raise


def with_prompt(prompt: str) -> Recipe:
    take = Take(Digest.parse(DIGEST), 12)
    return Recipe("g", "1", Output("image/png", take=take), params={"prompt": prompt})


# ------------------------------------------------------------------------------------------- round trips


@given(RECIPES)
@settings(max_examples=examples(150), deadline=None)
def test_reading_what_was_written_gives_the_same_recipe(recipe):
    text = encoded(recipe)
    again = toml.decode(text)
    assert again == recipe
    assert toml.encode(again) == text
    assert again.key == recipe.key
    assert text.startswith(b"regenstore = 1\n") and text.endswith(b"\n") and not text.endswith(b"\n\n")
    assert b"\r" not in text


@given(TEXT)
@settings(max_examples=examples(400), deadline=None)
def test_prompts_survive(prompt):
    recipe = with_prompt(prompt)
    assert toml.decode(encoded(recipe)).params["prompt"] == prompt


@given(RECIPES)
@settings(max_examples=examples(150), deadline=None)
def test_other_spellings_of_the_same_toml_are_the_same_recipe(recipe):
    text = encoded(recipe)
    assert toml.decode(b"\xef\xbb\xbf" + text) == recipe
    # A reader without our table order or header rules: everything inline, in reverse order.
    table = tomllib.loads(text.decode())
    inline = "".join(f"{toml._key(name)} = {toml._inline(value)}\n" for name, value in reversed(table.items()))
    assert toml.encode(toml.decode(inline.encode())) == text


@pytest.mark.parametrize(
    "spelling",
    [
        SMALL.replace("\n", "\r\n"),
        "\ufeff" + SMALL,
        "# a note\n" + SMALL + "# the end",
        SMALL.replace('prompt = "sea"', "prompt = 'sea'"),
        SMALL.replace('prompt = "sea"', 'prompt = """\\\n   sea"""'),
        SMALL.replace('prompt = "sea"', '"prompt"="\\u0073ea"'),
        SMALL.replace("size = 12", "size = 0x0C"),
        SMALL.replace("size = 12", "size = 1_2"),
        SMALL.replace('[params]\nprompt = "sea"\n', "").replace("\n[output]", 'params.prompt = "sea"\n\n[output]'),
    ],
    ids=range(9),
)
def test_valid_spellings_decode_alike(spelling):
    assert toml.encode(toml.decode(spelling.encode())) == SMALL.encode()


def test_crlf_inside_a_multi_line_prompt_reads_as_lf():
    """Git or an editor may have converted the file: the recipe is the same one."""
    recipe = with_prompt("a\nb\n")
    assert toml.decode(toml.encode(recipe).replace(b"\n", b"\r\n")) == recipe


def test_a_carriage_return_in_a_prompt_survives_conversion():
    recipe = with_prompt("a\r\nb")
    assert toml.decode(toml.encode(recipe).replace(b"\n", b"\r\n")).params["prompt"] == "a\r\nb"


# ------------------------------------------------------------------------------------------- refusals


@given(st.binary(max_size=400))
@example(b"regenstore = 1\n" + b"a." * 5000 + b"b = 1")
@example(b"regenstore = 1\nx = 0000-00-00")
@example(b"regenstore = 1\nx = " + b"9" * 5000)
@example(b"regenstore = 99")
@example(b"regenstore = true")
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_give_a_recipe_or_an_error_of_ours(data):
    for text in (data, b"regenstore = 1\n" + data):
        try:
            assert isinstance(toml.decode(text), Recipe)
        except RegenstoreError as error:
            assert error.kind in ("bad-recipe", "newer-recipe", "conflict-markers")
            assert len(error.message) < 1000


@given(RECIPES, st.data())
@settings(max_examples=examples(200), deadline=None)
def test_damaged_recipes_give_a_recipe_or_an_error_of_ours(recipe, data):
    text = bytearray(encoded(recipe))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(0, 5))
        text[at : at + length] = data.draw(st.binary(max_size=5) | st.sampled_from([b'"', b"\n[", b'"""', b" = "]))
        if not text:
            break
    try:
        read = toml.decode(bytes(text))
    except RegenstoreError:
        return
    assert toml.decode(toml.encode(read)) == read


FULL = toml.MAX_BYTES - 200


@pytest.mark.parametrize(
    "bomb",
    [
        b"x = " + b"[" * FULL,
        b"x = " + b"{a=" * (FULL // 3),
        b"[" + b"a." * (FULL // 2) + b"a]",
        b"x = {" + b"a . " * (FULL // 4) + b"a = 1}",
        b'"a".' * (FULL // 4) + b"a = 1",
        b"x = " + b"1" * FULL,
        b'x = """' + b'"\\"' * (FULL // 3),
        b"x = [" + b"1," * 300_000 + b"]",
        b"\n".join(b"k%d = 1" % n for n in range(50_000)),
        b"x = 1e" + b"9" * FULL,
        b"\xff" * FULL,
    ],
    ids=range(11),
)
def test_bombs_end_in_bounded_time(bomb):
    begun = time.process_time()
    with pytest.raises(FormatError) as caught:
        toml.decode(b"regenstore = 1\n" + bomb)
    assert caught.value.kind == "bad-recipe"
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("size = 12", "size = -1"), "size"),
        (("size = 12", "size = true"), "size"),
        (("size = 12\n", ""), "together"),
        (("size = 12", "size = 9223372036854775808"), "64 bits"),
        (("5e" * 32, "5E" * 32), "lower-case"),
        (("blake3:", "sha256:"), "blake3:"),
        (('media_type = "image/png"\n', ""), "media_type"),
        (('media_type = "image/png"', 'media_type = ""'), "media_type"),
        (('version = "1"\n', ""), "version"),
        (('version = "1"', "version = 1"), "version"),
        (('generator = "procedural.image"\n', ""), "no generator"),
        (('prompt = "sea"', "prompt = nan"), "finite"),
        (('prompt = "sea"', "prompt = -9223372036854775809"), "64 bits"),
        (("[params]", "[params.x.y]\nz = 1\n[[params]]"), ""),
        (("regenstore = 1", "regenstore = 1.0"), "regenstore"),
        (("regenstore = 1", "regenstore = 0"), "regenstore"),
        (("size = 12", 'size = 12\nseconds = "long"'), "seconds"),
        (("size = 12", "size = 12\nseconds = -1"), "seconds"),
        (("[params]", "inputs = 3\n[params]"), "inputs"),
        (("[params]", "[inputs.a]\npath = 'x'\n[params]"), "digest"),
    ],
)
def test_errors_name_the_field(change, words):
    with pytest.raises(FormatError) as caught:
        toml.decode(SMALL.replace(*change).encode())
    assert caught.value.kind == "bad-recipe"
    assert words in caught.value.message


def test_newer_versions_are_told_from_bad_ones():
    with pytest.raises(FormatError) as caught:
        toml.decode(SMALL.replace("regenstore = 1", "regenstore = 2").replace("size = 12", "size = {}").encode())
    assert caught.value.kind == "newer-recipe"


def test_texts_that_are_no_recipes():
    for text in (None, b"", b"\x89PNG", b"regenstore = 1\nbroken", b"regenstore = 9\n"):
        assert toml.decode_or_none(text) is None
    assert toml.decode_or_none(SMALL.encode()) == toml.decode(SMALL.encode())


def test_nesting_has_a_limit():
    def nested(depth: int) -> bytes:
        return SMALL.replace('"sea"', "[" * depth + "]" * depth).encode()

    toml.decode(nested(bounded.MAX_DEPTH - 2))
    with pytest.raises(FormatError, match="nested"):
        toml.decode(nested(bounded.MAX_DEPTH - 1))


@pytest.mark.parametrize("quote", ['"', "'", '"""', "'''", "#"])
def test_many_dots_in_a_text_are_no_deep_key(quote):
    dots = "a.b " + "a." * 5000
    line = f"# {dots}" if quote == "#" else f"prompt = {quote}{dots}{quote}"
    recipe = toml.decode(SMALL.replace('prompt = "sea"', line).encode())
    assert recipe.params == ({} if quote == "#" else {"prompt": dots})


def heavy(count: int, piece: str) -> bytes:
    return (SMALL + "[more]\n" + piece * count).encode()


@pytest.mark.parametrize(
    ("piece", "each"),
    [
        ("[[a]]\n", 6 + 144 + 2 * 48 + 24),
        (" [[a.a]]\n", 9 + 144 + 2 * 48 + 72 + 24),
        ("\n", 1 + 24),
        ("#,\n", 3 + 24),
    ],
)
def test_weight_has_a_limit_that_is_hit_exactly(piece: str, each: int) -> None:
    empty = heavy(0, "")
    assert bounded.weight(heavy(10, piece)) == bounded.weight(empty) + 10 * each
    assert bounded.weight(empty + b"a = '[[.=,\\'") == bounded.weight(empty) + 192 + 12 + 12
    count = (bounded.MAX_WEIGHT - bounded.weight(empty)) // each
    with pytest.raises(FormatError, match="too many") as caught:
        toml.decode(heavy(count + 1, piece))
    assert caught.value.kind == "bad-recipe"
    bounded.tables(heavy(count, piece))


def test_size_has_a_limit() -> None:
    filler = bounded.MAX_BYTES - len(SMALL)
    assert toml.decode((SMALL + "#" * filler).encode())
    with pytest.raises(FormatError, match="long"):
        toml.decode((SMALL + "#" * (filler + 1)).encode())


@pytest.mark.parametrize(
    "line",
    [
        "".join(f"k{number} = 1\n" for number in range(200_000)),
        "".join(f"[params.{'a.' * 20}k{number}]\n" for number in range(30_000)),
        "[" + ".".join(["a"] * 3000) + "]\n",
        ".".join(["a"] * 100_000) + " = 1\n",
        'a = "' + "\\n" * 1_000_000 + '"\n',
        "a = [" + "1," * 1_000_000 + "]\n",
        "a = " + "[" * 100_000 + "\n",
        "a = " + "{a=" * 100_000 + "\n",
        "a = 0x" + "f" * 100_000 + "\n",
        "a = " + "9" * 100_000 + "\n",
        "#\n" * 1_500_000,
        "a = " + "'" * 100_000 + "\n",
        'a = """' + '"' * 100_000 + "\n",
    ],
    ids=lambda line: line[:24],
)
def test_hostile_texts_are_refused_at_once(line: str) -> None:
    begun = time.process_time()
    with pytest.raises(FormatError) as caught:
        toml.decode((SMALL + "[more]\n" + line).encode())
    assert caught.value.kind == "bad-recipe" and len(caught.value.message) < 300
    assert time.process_time() - begun < 2  # a tenth of it, on a machine that does nothing else


def test_numbers_that_python_does_not_write_are_told_of() -> None:
    huge = "0x" + "f" * 5000
    for change in (("regenstore = 1", f"regenstore = {huge}"), ("size = 12", f"size = {huge}"), ("= 1", f"= {huge}")):
        with pytest.raises(FormatError):
            toml.decode(SMALL.replace(*change).encode())


def test_a_graph_of_thousands_of_nodes_is_a_recipe() -> None:
    node = {
        "class_type": "KSampler",
        "inputs": {"model": ["4", 0], "positive": ["6", 0], "seed": 5, "steps": 20, "cfg": 7.5, "name": "euler"},
        "_meta": {"title": "KSampler"},
    }
    recipe = Recipe("comfyui", "1", Output("image/png"), params={"graph": {str(n): node for n in range(1000)}})
    assert toml.decode(toml.encode(recipe)) == recipe


def test_conflict_markers_are_never_read_nor_written():
    marked = SMALL.replace('prompt = "sea"', '<<<<<<< ours\nprompt = "a"\n=======\nprompt = "b"\n>>>>>>> theirs')
    inside = SMALL.replace('"sea"', '"""\n<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n"""')
    for text in (marked, inside):
        with pytest.raises(FormatError) as caught:
            toml.decode(text.encode())
        assert caught.value.kind == "conflict-markers"
        assert scan_take(text.encode()) is None
    with pytest.raises(FormatError) as caught:
        toml.encode(with_prompt("\n<<<<<<< a\n>>>>>>> b"))
    assert caught.value.kind == "conflict-markers"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**63, "\ud800", None, frozenset(), {"a": None}, b"bytes"], ids=repr
)
def test_values_without_a_text_are_refused(value):
    with pytest.raises(FormatError) as caught:
        toml.encode(Recipe("g", "1", Output("image/png"), params={"x": value}))
    assert caught.value.kind == "bad-recipe"


@given(st.binary(min_size=32, max_size=32), st.integers(0, 1 << 60), TEXT)
@example(b"\xab" * 32, 10**17 + 1, '"ab" ' + "ab" * 32 + str(10**17 + 1))
@settings(deadline=None)
def test_imported_media_get_the_same_text_in_a_shorter_way(digest, size, media_type):
    take = Take(Digest(digest), size)
    try:
        text = toml.encode(Recipe.of_imported(take, media_type))
    except FormatError:
        return
    assert toml.imported_text(take, media_type) == text


# ------------------------------------------------------------------------------------------- the line scan


def parsed(text: bytes) -> tuple[bytes, int] | None:
    take = toml.decode(text).output.take
    return None if take is None else (take.digest.raw, take.size)


@given(RECIPES)
@settings(max_examples=examples(150), deadline=None)
def test_the_scan_agrees_with_the_parser_or_gives_up(recipe):
    text = encoded(recipe)
    found = scan_take(text)
    assert found is None or found == parsed(text)


@given(TEXT, TEXT)
@settings(max_examples=examples(500), deadline=None)
def test_hostile_prompts_do_not_mislead_the_scan(prompt, note):
    recipe = Recipe(
        "g", "1", Output("image/png", take=Take(Digest(b"\1" * 32), 5)), params={"prompt": prompt}, about={"n": note}
    )
    found = scan_take(encoded(recipe))
    assert found in (None, (b"\1" * 32, 5))


@given(st.lists(st.sampled_from(SMALL.splitlines()) | TEXT.map(lambda t: t.replace("\n", " ")), max_size=14))
@settings(max_examples=examples(400), deadline=None)
def test_hand_made_texts_do_not_mislead_the_scan(lines):
    text = ("regenstore = 1\n" + "\n".join(lines) + "\n").encode()
    found = scan_take(text)
    try:
        expected = parsed(text)
    except FormatError:
        return  # no recipe at all: nobody asks the scan for more than not to raise
    assert found is None or found == expected


COMMENT_TRICK = """regenstore = 1
generator = "g"
version = "1"
# a = \"\"\"
[about]
b = \"\"\"
[output]
digest = "blake3:{fake}"
size = 1
c = \"\"\"
[output]
media_type = "image/png"
digest = "blake3:{real}"
size = 2
"""


def test_the_scan_of_ordinary_recipes_succeeds():
    """The hot path must not give up on what it was made for."""
    for prompt in ("sea", "two\nlines\n", 'said "go"', "tab\there", "é \U0001f30a", "[output]\nsize = 7", "x" * 5000):
        assert scan_take(toml.encode(with_prompt(prompt))) == (b"\x5e" * 32, 12), prompt


@pytest.mark.parametrize(
    "text",
    [
        COMMENT_TRICK.format(fake="11" * 32, real="22" * 32),
        SMALL.replace("size = 12", "size = 12 # or so"),
        SMALL.replace("5e" * 32, "5E" * 32),
        SMALL.replace("5e" * 32, "5e" * 31 + "  "),
        SMALL.replace("size = 12", "size = 012"),
        SMALL.replace("size = 12", "size = 99999999999999999999"),
        SMALL.replace("size = 12", "size = " + "9" * 5000),
        SMALL.replace("regenstore = 1", "regenstore = 2"),
        SMALL.replace("\n", "\r\n"),
        SMALL.replace("[output]", "[ output ]"),
        SMALL + "#" * MAX_SCAN,
        "",
    ],
    ids=range(12),
)
def test_the_scan_leaves_unusual_texts_to_the_parser(text):
    assert scan_take(text.encode()) is None


def test_a_wanted_recipe_has_no_take():
    assert scan_take(SMALL.partition("digest")[0].encode()) is None


# ------------------------------------------------------------------------------------------- whose take it is


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(SIMPLE | RECIPES)
def test_the_scan_gives_the_key_that_the_parser_gives(recipe: Recipe) -> None:
    text = encoded(recipe)
    key = scan_key(text)
    assert key is None or (recipe.key is not None and key == recipe.key.raw)


def test_the_scan_gives_the_key_of_an_ordinary_recipe() -> None:
    params = {"prompt": "two\nlines\n", "seed": -3, "scale": 0.25, "tiled": True, "large": 1e300, "name": "é"}
    inputs = {"b": Input(Digest(b"\2" * 32), "a.png"), "a": Input(Digest(b"\1" * 32))}
    recipe = Recipe("g", "1", Output("image/png"), {"name": "m"}, params, inputs, {"note": ["x"]})
    assert recipe.key is not None and scan_key(toml.encode(recipe)) == recipe.key.raw


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=50)
@given(KEYED)
def test_a_take_of_another_key_is_outdated_and_its_text_stays(recipe: Recipe) -> None:
    text = encoded(recipe)
    assert toml.decode(text) == recipe
    assert recipe.key is not None
    own = recipe.output.key == recipe.key.mark
    assert recipe.output.named == (recipe.output.take if own else recipe.output.outdated)
    found = own_take(text)
    assert found is None or (own and recipe.output.take is not None)
    assert not is_unsure(text)


def test_what_is_recorded_says_its_key_and_what_changes_afterwards_is_told() -> None:
    take = Take(Digest(b"\5" * 32), 7)
    recipe = Recipe("g", "1", Output("image/png"), params={"seed": 1}).with_take(take, 2)
    text = toml.encode(recipe)
    assert recipe.key is not None and f'key = "{recipe.key.mark}"'.encode() in text
    assert own_take(text) == (take.digest.raw, 7)
    changed = text.replace(b"seed = 1", b"seed = 2")
    assert own_take(changed) is None and scan_take(changed) == (take.digest.raw, 7)
    outdated = toml.decode(changed)
    assert (outdated.output.take, outdated.output.outdated, outdated.wanted) == (None, take, True)
    assert toml.encode(outdated) == changed
    assert toml.encode(outdated.with_take(None, None)).count(b"key") == 0
    old = b"\n".join(line for line in text.split(b"\n") if not line.startswith(b"key"))
    assert own_take(old) == (take.digest.raw, 7) and is_unsure(old)
    assert toml.decode(old).output.take == take
