"""Generators that a repository declares: reading them, what their trust is bound to, and running them."""

from __future__ import annotations

import json
import os
import shutil
import sys
import wave
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regenstore.errors import FormatError, GenerationError, RegenstoreError
from regenstore.generators.api import Item
from regenstore.generators.command import fill
from regenstore.generators.declared import DeclaredGenerator, read_declared
from regenstore.jobs.local import Slot

GOOD: dict[str, str] = {
    "version": '"1"',
    "command": '["sh", "tools/make.sh", "{output}", "--", "{text}"]',
    "media_type": '"audio/wav"',
}
TEXT_PARAM = '[generators.voice.params.text]\ntype = "string"\n'


def declare(top: Path, tail: str = TEXT_PARAM, **fields: str | None) -> None:
    lines = [f"{name} = {value}" for name, value in {**GOOD, **fields}.items() if value is not None]
    (top / "regenstore.toml").write_text("[generators.voice]\n" + "\n".join(lines) + "\n" + tail, encoding="utf-8")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = tmp_path / "top"
    (made / "tools").mkdir(parents=True)
    (made / "tools" / "make.sh").write_text("echo made\n")
    declare(made)
    return made


def read(top: Path) -> DeclaredGenerator:
    return read_declared(str(top))["voice"]


# ------------------------------------------------------------------------------------------- reading


def test_no_file_declares_nothing(tmp_path):
    assert read_declared(str(tmp_path)) == {}
    (tmp_path / "regenstore.toml").mkdir()
    assert read_declared(str(tmp_path)) == {}


def test_a_declaration_says_what_would_run(top):
    found = read(top)
    assert found.argv == (shutil.which("sh"), str(top / "tools/make.sh"), "{output}", "--", "{text}")
    assert [name for name, _ in found.files] == ["sh", "tools/make.sh"]
    assert all(digest.startswith("blake3:") for _, digest in found.files)
    assert found.declaration.media_types == ("audio/wav",)
    assert found.declaration.estimate is None


def test_a_program_is_called_by_the_name_that_was_written(top):
    """busybox, ImageMagick and a virtual environment's Python look at the name they were called by."""
    os.symlink("/bin/sh", top / "tools" / "other-name")
    declare(top, command='["tools/other-name", "{text}"]')
    assert read(top).argv[0] == str(top / "tools" / "other-name")


@pytest.mark.parametrize(
    ("fields", "tail", "words"),
    [
        ({"version": None}, TEXT_PARAM, "generators.voice.version"),
        ({"version": "1"}, TEXT_PARAM, "generators.voice.version"),
        ({"version": '""'}, TEXT_PARAM, "generators.voice.version"),
        ({"command": None}, TEXT_PARAM, "generators.voice.command"),
        ({"command": '"rm -rf /"'}, TEXT_PARAM, "generators.voice.command"),
        ({"command": "[]"}, TEXT_PARAM, "generators.voice.command"),
        ({"command": '["a", 3]'}, TEXT_PARAM, "generators.voice.command.1"),
        ({"media_type": '"wav"'}, TEXT_PARAM, "generators.voice.media_type"),
        ({"seconds": "-1"}, TEXT_PARAM, "generators.voice.seconds"),
        ({"shell": "true"}, TEXT_PARAM, "generators.voice.shell"),
        ({}, '[generators.voice.params.text]\ntype = "txt"\n', "generators.voice.params.text.type"),
        ({}, TEXT_PARAM + "default = 3\n", "generators.voice.params.text"),
        ({}, TEXT_PARAM + "colour = 3\n", "generators.voice.params.text.colour"),
        ({}, TEXT_PARAM + '[generators.voice.inputs.a]\nkinds = ["smell"]\n', "generators.voice.inputs.a.kinds"),
        ({}, "", "command: '{text}' is neither a parameter nor an input"),
        ({"command": '["sh", "{input.plate}"]'}, TEXT_PARAM, "'{input.plate}'"),
        ({}, TEXT_PARAM + '[generators.voice.params.output]\ntype = "string"\n', "params.output"),
        ({}, TEXT_PARAM + '[generators.voice.params."input.a"]\ntype = "string"\n', "params.input.a"),
        ({"summary": '"\\ud800"'}, TEXT_PARAM, "not valid TOML"),
        ({"seconds": "nan"}, TEXT_PARAM, "generators.voice"),
    ],
)
def test_bad_declarations_name_file_and_field(top, fields, tail, words):
    declare(top, tail, **fields)
    with pytest.raises(FormatError) as caught:
        read_declared(str(top))
    assert caught.value.kind == "bad-declaration"
    assert caught.value.message.startswith("regenstore.toml")
    assert words in caught.value.message


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"[generators", b"generators = 3", b"[generators]\nvoice = 3", b"x = " + b"[" * 50_000, b"#" * (2 << 20)],
    ids=range(6),
)
def test_bad_files_are_errors_of_ours(top, content):
    (top / "regenstore.toml").write_bytes(content)
    with pytest.raises(FormatError) as caught:
        read_declared(str(top))
    assert caught.value.kind == "bad-declaration"
    assert len(caught.value.message) < 500


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    top = tmp_path_factory.mktemp("top")
    (top / "regenstore.toml").write_bytes(b"[generators.voice]\nversion = '1'\n" + data)
    try:
        read_declared(str(top))
    except RegenstoreError as error:
        assert error.kind == "bad-declaration"


# ------------------------------------------------------------------------------------------- trust


def test_the_hash_is_bound_to_the_definition_alone(top):
    before = read(top).hash
    text = (top / "regenstore.toml").read_text()
    (top / "regenstore.toml").write_text("# a comment\n" + text.replace(" = ", "="))
    (top / "tools" / "unrelated.sh").write_text("x")
    assert read(top).hash == before


@pytest.mark.parametrize(
    "change",
    [
        lambda top: declare(top, command='["sh", "tools/make.sh", "{output}", "{text}"]'),
        lambda top: declare(top, command='["cat", "tools/make.sh", "{output}", "--", "{text}"]'),
        lambda top: declare(top, version='"2"'),
        lambda top: declare(top, seconds="3"),
        lambda top: declare(top, TEXT_PARAM + 'default = "hello"\n'),
        lambda top: declare(top, TEXT_PARAM + '[generators.voice.params.speed]\ntype = "integer"\noptional = true\n'),
        lambda top: (top / "tools" / "make.sh").write_text("echo something else\n"),
        lambda top: (top / "tools" / "make.sh").unlink(),
        lambda top: ((top / "tools" / "make.sh").unlink(), (top / "tools" / "make.sh").symlink_to("/etc/hostname")),
    ],
    ids=range(9),
)
def test_the_hash_changes_with_whatever_would_run(top, change):
    before = read(top).hash
    change(top)
    assert read(top).hash != before


def test_the_hash_changes_with_the_program(top, monkeypatch):
    before = read(top).hash
    mine = top.parent / "bin"
    mine.mkdir()
    (mine / "sh").write_text("#!/bin/true\n")
    (mine / "sh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{mine}{os.pathsep}{os.environ['PATH']}")
    assert read(top).hash != before
    monkeypatch.setenv("PATH", str(top))
    absent = read(top)
    assert absent.hash != before
    assert absent.files[0] == ("sh", "not found")


def test_the_hash_follows_a_link_to_what_it_leads_to(top):
    (top / "real.sh").write_text("echo one\n")
    (top / "tools" / "make.sh").unlink()
    (top / "tools" / "make.sh").symlink_to("../real.sh")
    before = read(top).hash
    (top / "real.sh").write_text("echo two\n")
    assert read(top).hash != before


# ------------------------------------------------------------------------------------------- filling in


def filled(*argv: str, inputs: dict[str, str] | None = None, **params: Any) -> list[str]:
    item = Item("x", params, inputs or {}, "audio/wav", "/out")
    return fill(argv, item, "/out/main.wav", "/out/params.json")


def test_placeholders():
    assert filled("a", "{output}", "{params}", "--x={n}", inputs={}, n=3) == [
        "a",
        "/out/main.wav",
        "/out/params.json",
        "--x=3",
    ]
    assert filled("{input.plate}:{a}{b}", inputs={"plate": "/in"}, a="1", b=True) == ["/in:1true"]
    assert filled("{{output}} {} {a b} {{{{") == ["{output} {} {a b} {{"]


@pytest.mark.parametrize(
    "value",
    [
        "{output}",
        "{{output}}",
        "{text}",
        "{",
        "}}",
        "$(id)",
        "`id`",
        "a b",
        '"',
        "'",
        "\n",
        "\\",
        "-rf",
        "--",
        "",
        "%s",
    ],
)
def test_values_are_filled_in_once_and_as_they_are(value):
    assert filled("{text}", "x{text}y", text=value) == [value, f"x{value}y"]


@given(st.text(), st.text())
def test_any_value_stays_one_argument(a, b):
    assert filled("{a}", "{b}{a}", a=a, b=b) == [a, b + a]


def test_an_unknown_placeholder_is_named():
    with pytest.raises(ValueError, match="speed"):
        filled("{speed}")


# ------------------------------------------------------------------------------------------- running

SAY = r"""
import json, sys
given = json.load(sys.stdin)
with open(sys.argv[2]) as file:
    assert json.load(file) == given
with open(sys.argv[1], "w") as file:
    json.dump([given, sys.argv[3:]], file)
"""
KIND = "application/octet-stream"


@pytest.fixture
def slot():
    made = Slot(20.0, 1 << 20, {"PATH": os.environ["PATH"]})
    yield made
    made.close()


def program(top: Path, code: str, *arguments: str, tail: str = TEXT_PARAM) -> DeclaredGenerator:
    (top / "tools" / "say.py").write_text(code)
    command = json.dumps([sys.executable, "tools/say.py", *arguments])
    declare(top, tail, command=command, media_type=f'"{KIND}"')
    return read(top)


def run(slot: Slot, declared: DeclaredGenerator, tmp_path: Path, **params: Any) -> Path:
    outdir = tmp_path / "out"
    outdir.mkdir()
    checked = declared.declaration.params.check(params)
    item = Item("x", checked, {}, declared.declaration.media_types[0], str(outdir))
    made = slot.run(declared.declaration, "", item, None, lambda done, total, note: None)
    assert {"definition", "program", "machine", "processors"} <= set(made.fingerprint)
    assert made.fingerprint["definition"] == declared.hash
    return Path(made.outputs["main"][0])


@pytest.mark.parametrize(
    "text", ["plain", "$(id) `id` ; rm -rf *", "a\nb", "\"' \\", "-rf", "{output}", "é \U0001f30a", ""]
)
def test_parameters_reach_the_program_untouched(slot, top, tmp_path, text):
    declared = program(top, SAY, "{output}", "{params}", "{text}", "x={text}")
    given, argv = json.loads(run(slot, declared, tmp_path, text=text).read_text())
    assert given == {"text": text}
    assert argv == [text, f"x={text}"]


def test_large_parameters_go_by_file(slot, top, tmp_path):
    code = "import json, sys; open(sys.argv[1], 'w').write(str(len(json.load(open(sys.argv[2]))['text'])))"
    declared = program(top, code, "{output}", "{params}", tail=TEXT_PARAM + "max_length = 3000000\n")
    assert run(slot, declared, tmp_path, text="word " * 180_000).read_text() == "900000"


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("import sys; print('no voice'); sys.exit(3)", "generator-failed", "ended with 3: no voice"),
        ("import os; os.kill(os.getpid(), 11)", "generator-failed", "ended with -11"),
        ("print('x' * 10**6); raise SystemExit(1)", "generator-failed", "ended with 1: xxx"),
        ("pass", "output-missing", "without writing"),
        ("import sys; open(sys.argv[1], 'w')", "output-missing", "empty"),
        ("import sys; open(sys.argv[1], 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n')", "output-wrong-type", "image/png"),
        ("import sys; open(sys.argv[1], 'wb').truncate(1 << 30)", "generator-failed", "File too large"),
        (
            "import sys, signal as s; s.signal(s.SIGXFSZ, s.SIG_DFL); open(sys.argv[1], 'wb').truncate(1 << 30)",
            "output-too-large",
            "1048576",
        ),
    ],
    ids=range(8),
)
def test_a_program_that_fails(slot, top, tmp_path, code, kind, words):
    declared = program(top, code, "{output}")
    with pytest.raises(GenerationError) as caught:
        run(slot, declared, tmp_path, text="x")
    assert (caught.value.kind, words in caught.value.message) == (kind, True), caught.value.message
    assert len(caught.value.message) < 4000


def test_a_nul_in_an_argument_is_an_error_for_the_item(slot, top, tmp_path):
    with pytest.raises(GenerationError) as caught:
        run(slot, program(top, SAY, "{output}", "{params}", "{text}"), tmp_path, text="a\0b")
    assert caught.value.kind == "generator-failed"


def test_a_program_that_is_not_installed(slot, top, tmp_path):
    declare(top, command='["no-such-program-here", "{text}"]')
    with pytest.raises(GenerationError) as caught:
        run(slot, read(top), tmp_path, text="x")
    assert "'no-such-program-here' is not installed" in caught.value.message
    probe, _ = slot.probe(read(top).declaration)
    assert not probe.available


def test_a_program_sees_a_scrubbed_environment(slot, top, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    declared = program(top, "import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))", "{output}")
    assert "hunter2" not in run(slot, declared, tmp_path, text="x").read_text()


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed (.ci/run installs it)")
def test_a_real_program_speaks(top, tmp_path):
    command = '["espeak-ng", "-s", "{speed}", "-w", "{output}", "--", "{text}"]'
    speed = '[generators.voice.params.speed]\ntype = "integer"\ndefault = 170\nminimum = 80\nmaximum = 450\n'
    declare(top, TEXT_PARAM + speed, command=command)
    slot = Slot(60.0, 1 << 30, {"PATH": os.environ["PATH"]})  # the limit holds for its shared memory as well
    spoken = run(slot, read(top), tmp_path, text="-w is not an option here; {output}")
    slot.close()
    with wave.open(str(spoken)) as sound:
        assert sound.getnframes() / sound.getframerate() > 1
