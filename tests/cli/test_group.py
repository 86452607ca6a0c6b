"""What all commands have in common: the group's options and help, paths, completion."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
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
    "demo": "writes a new folder only",
    "events": "without options it only shows what waits",
    "help": "--man writes manual pages, and nothing else",
    "template edit": "interactive: the editor works on the file itself",
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
    "completion",
    "hook",
    "migrate-from",
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
    "models",
    "models list",
    "models find",
}
NO_JSON = {
    "demo": "for people",
    "template edit": "interactive; 'template check' has it",
    "hook": "for git",
    "help": "for people",
    "completion": "prints a script",
}
"""Commands without --json, with the reason."""


def test_every_command_has_a_dry_run_and_json_or_a_reason_why_not() -> None:
    found = commands()
    options = {name: {opt for param in command.params for opt in param.opts} for name, command in found.items()}
    assert {name for name in found if "--dry-run" not in options[name]} == NO_DRY_RUN.keys() | ONLY_LOOKS
    groups = {name for name, command in found.items() if isinstance(command, click.Group)}
    assert {name for name in found if "--json" not in options[name]} == NO_JSON.keys() | groups
    for name, command in found.items():
        assert "--dry-run" not in options[name] or "-n" in options[name] or name == "clone", name  # -n is git's own
        if name not in groups:
            assert re.search(r"^ *Examples?:", command.help or "", re.MULTILINE), name


DRY_RUNS = {
    "init": ("--store", "../elsewhere"),
    "clone": (".", "../copy"),
    "track": ("*.tga",),
    "untrack": ("*.png",),
    "install": ("--local", "--hooks"),
    "uninstall": ("--local",),
    "new": ("plates/new.png", "-g", "procedural.image", "-p", "prompt=fog"),
    "set": ("plates/*.png", "-p", "seed=7"),
    "unset": ("plates", "-p", "seed"),
    "edit": ("plates/sea.png",),
    "capture": ("plates/sea.png",),
    "adopt": ("../found",),
    "tries": ("plates/sea.png", "--take", "1"),
    "migrate-from lfs": (),
    "migrate-from git": (),
    "migrate-from dvc": (),
    "models scan": (".",),
    "models forget": ("--missing",),
    "tag": ("plates", "scene=sc1"),
    "record": (),
    "history": ("plates/sea.png", "--take"),
    "verify": ("plates",),
    "get": (),
    "drop": ("plates",),
    "push": (),
    "fetch": (),
    "trust": (),
    "remote add": ("other", "../other", "--create"),
    "remote remove": ("share",),
    "remote gc": ("share",),
    "gc": (),
    "undo": (),
    "pin": ("plates",),
    "unpin": ("refs/*.png",),
    "doctor": ("--fix",),
    "fsck": (),
    "export sidecar": ("plates",),
    "export dataset": ("../set", "plates", "--trainer", "none"),
    "template new": ("again",),
    "template delete": ("studio",),
}
"""Every command with a dry run, and arguments with which it would change something; 'accept' needs a generator that
varies, and writes its output as 'set' does."""


def everything(film: Checkout) -> dict[str, bytes]:
    """All that a dry run must leave as it is."""
    top = film.path.parent
    found = [path for path in film.path.rglob("*") if path.is_file() and ".git/" not in str(path)]
    stored = {str(path): b"" for part in ("vault", "cache", "trash") for path in (film.store / part).rglob("*")}
    refs = {"refs": film.git("for-each-ref").encode(), "around": " ".join(sorted(os.listdir(top))).encode()}
    return {str(each): each.read_bytes() for each in [*found, film.path / ".git/config"]} | stored | refs


def test_every_dry_run_says_so_for_programs_and_changes_nothing(film: Checkout) -> None:
    film.write("regenstore.toml", '[remotes.studio]\nurl = "../studio"\n')
    film.regenstore("verify", "plates/sea.png")
    before = film.regenstore("takes", "plates/sea.png").split()[0]
    film.regenstore("set", "plates/sea.png", "seed=8")
    film.regenstore("template", "new", "studio")
    film.commit("seed 8")
    film.git("reflog", "expire", "--expire=now", "--all")
    film.regenstore("gc", "--yes")
    film.regenstore("remote", "add", "share", "../shared", "--create")
    film.regenstore("pin", "refs")
    film.write("../found/sky.png", film.read("refs/photo.png") + b"other")
    options = {name: {opt for param in found.params for opt in param.opts} for name, found in commands().items()}
    assert {name for name in options if "--dry-run" in options[name]} == DRY_RUNS.keys() | {"accept"}
    was = everything(film)
    for name, arguments in DRY_RUNS.items():
        more = (before,) if name == "history" else ()
        done = film.run(
            "regenstore",
            *name.split(),
            "--dry-run",
            "--json",
            *arguments,
            *more,
            check=False,
            GIT_EDITOR="sed -i s/8/9/",
        )
        told = json.loads(done.stdout)
        assert told["dry_run"] is True, name
        assert done.returncode == 0, (name, done.stderr)
        assert everything(film) == was, name
    assert json.loads(film.regenstore("track", "--json"))["dry_run"] is False


def test_a_dry_run_shows_the_difference(film: Checkout) -> None:
    said = film.regenstore("set", "-n", "plates/*.png", "-p", "seed=7").splitlines()
    assert said[0] == "plates/sea.png: would write" and "  +seed = 7" in said
    assert "  -seed = 42" in film.regenstore("unset", "-n", "plates", "-p", "seed")
    made = film.regenstore("new", "-n", "plates/new.png", "-g", "procedural.image", "-p", "prompt=fog")
    assert '  +prompt = "fog"' in made
    kept = film.run("regenstore", "edit", "-n", "plates/sea.png", GIT_EDITOR="sed -i s/42/43/")
    assert b"  +seed = 43" in kept.stdout and b"Your text is kept in " in kept.stderr
    assert "would be labelled" in film.regenstore("tag", "-n", "plates", "scene=sc1")
    key = film.regenstore("show", "--key", "plates/sea.png").strip()
    assert film.regenstore("pin", "-n", "plates") == f"would pin {key}\n"
    assert film.regenstore("pins") == "Nothing is pinned.\n"
    assert "filter.regenstore.process = " in film.regenstore("clone", "--dry-run", ".", "../copy")
    refs = Checkout(film.path / "refs", film.environment)
    film.regenstore("drop")
    for content in (film.store / "vault").rglob("*"):
        if content.is_file():
            content.unlink()
    assert " s  ../plates/sea.png" in refs.regenstore("get", "-n", "../plates")
    assert " s  ../plates/sea.png" in refs.regenstore("verify", "-n", "../plates")


def test_the_group_s_help_is_by_topic_and_names_exit_codes(empty: Checkout) -> None:
    said = empty.regenstore("help")
    assert said.index("Start:") < said.index("Look:") < said.index("Share:") < said.index("Clean up:")
    assert "Exit codes:" in said and all(re.search(rf"^  {name} ", said, re.MULTILINE) for name in COMMANDS)
    assert empty.regenstore("help", "remote", "add") == empty.regenstore("remote", "add", "--help")
    assert empty.run("regenstore", "help", "remote", "ad", check=False).returncode == 2
    assert empty.regenstore("-V") == empty.regenstore("--version")
    for shell, change in (("bash", "compopt -o nospace"), ("zsh", "-S '' -a open")):
        assert change in empty.regenstore("completion", shell), "click's script has changed"


def test_every_command_has_a_manual_page(empty: Checkout) -> None:
    assert " pages in man1" in empty.regenstore("help", "--man", "man1")
    known = {"": cli, **commands()}
    pages = {path.name: path.read_text("ascii") for path in (empty.path / "man1").iterdir()}
    assert pages.keys() == {f"{'-'.join(['regenstore', *name.split()])}.1" for name in known}
    for name, command in known.items():
        page = pages[f"{'-'.join(['regenstore', *name.split()])}.1"].replace("\\-", "-")
        assert all(opt in page for param in command.params if isinstance(param, click.Option) for opt in param.opts)
        assert not re.search(r"^['.](?!TH|SH|PP|TP|B |nf|fi)", page, re.MULTILINE), name
    assert "\\fBregenstore\\-remote\\-add\\fR(1)" in pages["regenstore-remote.1"]
    if shutil.which("groff"):  # it also warns about what it does not know
        done = empty.run("groff", "-man", "-ww", "-Tutf8", "-z", *(f"man1/{name}" for name in sorted(pages)))
        assert done.stderr == b""


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


def test_several_paths_are_explained_and_shown_one_after_the_other(film: Checkout) -> None:
    said = film.regenstore("why", "refs/*.png", "plates", "--json")
    assert re.findall('"rule": "(.*)"', said) == ["imported", "unproven"] and said.count('"regenstore.why"') == 2
    shown = film.regenstore("show", "plates", "HEAD:refs/photo.png")
    assert shown.startswith("# plates/sea.png\nregenstore = 1\n") and "\n\n# HEAD:refs/photo.png\nregenstore" in shown
    assert film.regenstore("show", "--key", "plates") == film.regenstore("show", "--key", "plates/sea.png")
    refs = Checkout(film.path / "refs", film.environment)
    done = refs.run("regenstore", "takes", "nope.png", "../plates", check=False)
    assert done.returncode == 3 and b"the take" in done.stdout and done.stderr.startswith(b"regenstore: nope.png: ")
    done = refs.run("regenstore", "accept", "../plates/sea.png", check=False)
    assert done.stderr.startswith(b"regenstore: ../plates/sea.png: no other take is known")
    done = refs.run("regenstore", "history", "../plates/sea.png", "--take", "f", check=False)
    assert b": ../plates/sea.png: it never had" in done.stderr


def test_new_media_count_before_they_are_added(film: Checkout) -> None:
    film.regenstore("new", "a.png", "-g", "procedural.image", "-p", "prompt=x", "-p", "width=64", "-p", "height=48")
    film.write("photo.png", b"\x89PNG\r\n\x1a\nnew")
    rows = {row["path"]: row for row in json.loads(film.regenstore("status", "--json"))["paths"]}
    assert rows["a.png"]["state"] == rows["photo.png"]["state"] == "new"
    assert rows["a.png"]["stored"] and rows["a.png"]["digest"] and rows["photo.png"]["digest"] is None
    assert "1 of 1 take comes back" in film.regenstore("verify", "a.png")
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
