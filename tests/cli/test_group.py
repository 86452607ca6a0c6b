"""What all commands have in common: the group's options and help, paths, completion."""

from __future__ import annotations

import ast
import json
import re
import shlex
from pathlib import Path

import click
import pytest

from regenstore.cli.group import cli
from regenstore.cli.main import COMMANDS
from regenstore.errors import KINDS
from tests.conftest import Checkout

ROOT = Path(__file__).parents[2]


def commands(group: click.Group = cli, words: tuple[str, ...] = ()) -> dict[str, click.Command]:
    """Every command by its full name."""
    found: dict[str, click.Command] = {}
    context = click.Context(cli)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[" ".join((*words, name))] = command
        if isinstance(command, click.Group):
            found |= commands(command, (*words, name))
    return found


def test_options_that_messages_and_documents_name_exist() -> None:
    known = commands()
    texts = [*KINDS.values(), (ROOT / "README.md").read_text()]
    for source in (ROOT / "regenstore").rglob("*.py"):
        nodes = ast.walk(ast.parse(source.read_text()))
        texts += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    wrong = []
    for text in texts:
        for line in re.findall(r"regenstore ([a-z][^'`\n;|)$]*)", text):
            words = line.split()
            name = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in known), None)
            if name is None or name in ("clone", "hook"):
                continue
            options = {opt for param in known[name].params for opt in (*param.opts, *param.secondary_opts)}
            named = re.findall(r"(?<=\s)--?[a-z][a-z-]*", line.partition(" && ")[0])
            wrong += [f"{name} {each}: {text[:80]!r}" for each in named if each not in {*options, "--help", "-h"}]
    assert not wrong


NO_DRY_RUN = {
    "init": "lacking so far; 'install --dry-run' shows the settings",
    "clone": "git does the work, and has no dry run of it",
    "demo": "writes a new folder only",
    "edit": "interactive: what would be written is on the screen, and closing the editor unchanged writes nothing",
    "remote add": "writes one setting, which it prints",
    "remote remove": "removes one setting, which it prints",
    "undo": "restores what gc took, and deletes nothing",
    "trust": "shows all that it would approve, and asks",
    "events": "without options it only shows what waits",
    "template edit": "interactive",
    "template new": "writes one file, which it names",
    "template delete": "deletes one file, which it names",
    "export sidecar": "--preview shows everything and writes nothing",
}
"""Commands that change something and have no dry run, with the reason."""
ONLY_LOOKS = {
    "status",
    "ls-files",
    "find",
    "show",
    "takes",
    "why",
    "generators",
    "du",
    "pins",
    "check",
    "help",
    "completion",
    "hook",
    "remote",
    "export",
    "template",
    "remote list",
    "remote check",
    "export show",
    "template check",
    "template fields",
    "template list",
    "template show",
}
NO_JSON = {
    "init": "set-up, by hand",
    "clone": "its output is git's",
    "demo": "for people",
    "edit": "interactive",
    "ls-files": "its output is lines for programs already",
    "trust": "for people: a program approves with --yes and reads the exit code",
    "template check": "the exit code says it",
    "template delete": "the exit code says it",
    "template edit": "interactive",
    "template new": "the exit code says it",
    "hook": "for git",
    "help": "for people",
    "completion": "prints a script",
}
"""Commands without --json, with the reason."""

NO_EXAMPLES = {"hook", "template delete", "template edit", "template list", "template new", "template show"}
"""Commands whose help has no example: the usage line says it all."""


def test_every_command_has_a_dry_run_and_json_or_a_reason_why_not() -> None:
    found = commands()
    options = {name: {opt for param in command.params for opt in param.opts} for name, command in found.items()}
    assert {name for name in found if "--dry-run" not in options[name]} == NO_DRY_RUN.keys() | ONLY_LOOKS
    groups = {name for name, command in found.items() if isinstance(command, click.Group)}
    assert {name for name in found if "--json" not in options[name]} == NO_JSON.keys() | groups
    for name, command in found.items():
        assert "--dry-run" not in options[name] or "-n" in options[name], name
        if name not in groups | NO_EXAMPLES:
            assert re.search(r"^ *Examples?:", command.help or "", re.MULTILINE), name


def test_a_dry_run_shows_the_difference_and_writes_nothing(film: Checkout) -> None:
    def everything() -> dict[str, bytes]:
        return {str(each): each.read_bytes() for each in film.path.glob("*/*") if each.is_file()}

    before, contents = everything(), sorted(film.store.rglob("vault/*/*"))
    said = film.regenstore("set", "-n", "plates/*.png", "-p", "seed=7").splitlines()
    assert said[0] == "plates/sea.png: would write" and "  +seed = 7" in said
    assert "  -seed = 42" in film.regenstore("unset", "-n", "plates", "-p", "seed")
    made = film.regenstore("new", "-n", "plates/new.png", "-g", "procedural.image", "-p", "prompt=fog")
    assert '  +prompt = "fog"' in made
    assert "would be labelled" in film.regenstore("tag", "-n", "plates", "scene=sc1")
    key = film.regenstore("show", "--key", "plates/sea.png").strip()
    assert film.regenstore("pin", "-n", "plates") == f"would pin {key}\n"
    assert film.regenstore("pins") == "Nothing is pinned.\n"
    assert json.loads(film.regenstore("pin", "plates", key, "--json"))["subjects"] == [key]
    film.regenstore("unpin", "-n", "plates")
    assert json.loads(film.regenstore("unpin", "plates/*.png", "--json"))["unpinned"] == ["plates/sea.png"]
    assert json.loads(film.regenstore("drop", "-n", "plates", "--json"))["dropped"] == ["plates/sea.png"]
    assert json.loads(film.regenstore("track", "-n", "*.tga", "--json"))["patterns"] == ["*.tga"]
    assert json.loads(film.regenstore("untrack", "-n", "*.png", "--json"))["patterns"] == ["*.png"]
    assert json.loads(film.regenstore("install", "-n", "--local", "--json"))["scope"] == "local"
    assert json.loads(film.regenstore("uninstall", "-n", "--local", "--json"))["type"] == "regenstore.uninstall"
    assert film.status() == "" and everything() == before
    assert sorted(film.store.rglob("vault/*/*")) == contents


def test_the_group_s_help_is_by_topic_and_names_exit_codes(empty: Checkout) -> None:
    said = empty.regenstore("help")
    assert said.index("Start:") < said.index("Look:") < said.index("Share:") < said.index("Clean up:")
    assert "Exit codes:" in said and all(re.search(rf"^  {name} ", said, re.MULTILINE) for name in COMMANDS)
    assert empty.regenstore("help", "remote", "add") == empty.regenstore("remote", "add", "--help")
    assert empty.run("regenstore", "help", "remote", "ad", check=False).returncode == 2
    assert empty.regenstore("-V") == empty.regenstore("--version")


def test_paths_are_shown_from_where_one_stands(film: Checkout) -> None:
    refs = Checkout(film.path / "refs", film.environment)
    assert "../plates/sea.png" in refs.regenstore("status", "--all", "..")
    done = refs.run("regenstore", "set", "../plates/sea.png", "sed=1", check=False)
    assert b"regenstore: ../plates/sea.png: " in done.stderr
    assert "plates/sea.png" in refs.regenstore("-C", "..", "status", "-a").split()
    assert refs.regenstore("-q", "-C", "..", "status", "-a") == ""
    done = refs.run("regenstore", "-v", "unset", "../plates", "-p", "x", check=False)
    assert b"kind: unknown-parameter" in done.stderr
    assert refs.run("regenstore", "-C", "nowhere", "status", check=False).returncode == 2


def test_folders_and_patterns_stand_for_their_media(film: Checkout) -> None:
    film.regenstore("new", "plates/fog bank.png", "-g", "procedural.image", "-p", "prompt=fog", "-p", "width=64")
    told = json.loads(film.regenstore("set", "plates/*.png", "-p", "seed=3", "height=32", "--json"))
    assert [row["path"] for row in told["paths"]] == ["plates/sea.png", "plates/fog bank.png"]
    film.regenstore("unset", "plates", "-p", "seed")
    assert film.regenstore("tag", "plates/", "scene=sc1").count("labelled") == 2
    assert film.run("regenstore", "set", "nothing/*", "seed=1", check=False).returncode == 3


def test_new_media_count_before_they_are_added(film: Checkout) -> None:
    film.regenstore("new", "a.png", "-g", "procedural.image", "-p", "prompt=x", "-p", "width=64", "-p", "height=48")
    film.write("photo.png", b"\x89PNG\r\n\x1a\nnew")
    rows = {row["path"]: row for row in json.loads(film.regenstore("status", "--json"))["paths"]}
    assert rows["a.png"]["state"] == rows["photo.png"]["state"] == "new"
    assert rows["a.png"]["stored"] and rows["a.png"]["digest"] and rows["photo.png"]["digest"] is None
    assert "1 of 1 takes come back" in film.regenstore("verify", "a.png")
    before = film.read("a.png")
    done = film.run("regenstore", "drop", "*.png")
    assert b"kept photo.png: it is new" in done.stderr and film.is_recipe("a.png")
    assert "new " in film.regenstore("status", "a.png")
    film.regenstore("get", "a.png")
    film.git("add", "a.png")
    assert film.read("a.png") == before and b"digest" in film.blob("a.png")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("sta", "status"),
        ("new x.png -g procedural.i", "procedural.image"),
        ("new x.png -g procedural.image -p see", "seed="),
        ("set plates/sea.png wid", "width="),
        ("export sidecar -t xm", "xmp"),
        ("template show xm", "xmp"),
        ("remote remove sha", "share"),
        ("get --no", "--no-generate"),
    ],
)
def test_bash_completes(film: Checkout, line: str, found: str) -> None:
    film.git("config", "regenstore.remote.share.url", "/nowhere")
    words = ("regenstore", *line.split())
    script = f"""
        eval "$(regenstore completion bash)"
        compopt() {{ :; }}
        COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
        _regenstore_completion regenstore
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert found in film.run("bash", "-c", script).stdout.decode().split()
