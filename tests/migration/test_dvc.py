"""From DVC to recipes: files as DVC 2 and 3 write them, in real repositories."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tomllib
from pathlib import Path

import pytest

from regenstore.errors import RegenstoreError
from regenstore.migration.dvc_files import Md5, ignore_line, listed_files, read_records, without_lines
from regenstore.migration.dvc_stages import Unsuitable, generator_of
from regenstore.objects import toml
from tests.capture.pictures import INFOTEXT, png
from tests.conftest import Checkout, noise

pytest.importorskip("yaml", reason="pip install 'regenstore[dvc]'")

PICTURE, FIRST, SECOND, MADE = png({"parameters": INFOTEXT}), noise("d1", 3000), noise("d2", 2000), noise("d3", 900)
TEXT = b"a,b\r\n1,2\r\n"
LOCK = """schema: '2.0'
stages:
  turn@1:
    cmd: python ../turn.py in.png made.bin --off 1:20
    deps:
    - path: in.png
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
      size: 7
    params:
      ../params.yaml:
        seed: 18446744073709551615
        deep: {{on: yes, nothing: null, rate: 1e-3}}
    outs:
    - path: made.bin
      hash: md5
      md5: {made}
      size: 900
  back@a:
    cmd: python3 ../tools/back.py --seed=7 ../i.bin back.bin {{a}}
    deps:
    - path: ../i.bin
      hash: md5
      md5: {first}
    - path: ../tools/back.py
      md5: {script}
    params:
      params.yaml:
        deep:
          seed: 7
    outs:
    - path: back.bin
      hash: md5
      md5: {back}
  count:
    cmd: wc -l *
    outs:
    - path: count.json
      md5: 0123456789abcdef0123456789abcdef
"""


PIPELINE = """stages:
  turn: {foreach: [1], do: {wdir: data, cmd: x}}
  back:
    foreach: [a]
    do: {wdir: data, cmd: "python3 ../tools/back.py --seed=${deep.seed} ../i.bin back.bin {${item}}"}
"""
SCRIPT = b"""import sys
_, seed, given, made, braces = sys.argv
assert braces == "{a}"
open(made, "wb").write(open(given, "rb").read()[::-1] + seed.encode())
"""
BACK = FIRST[::-1] + b"--seed=7"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


class DvcProject(Checkout):
    cache = "../cache/files/md5"

    def keep(self, data: bytes, *, cache: str = "", suffix: str = "", name: str = "") -> str:
        """Have a file in DVC's cache; returns its MD5."""
        name = name or md5(data)
        self.write(f"{cache or self.cache}/{name[:2]}/{name[2:]}{suffix}", data)
        return name

    def refused(self, *options: str) -> tuple[int, str]:
        before = self.status()
        done = self.run("regenstore", "migrate-from", "dvc", "--track", *options, check=False)
        assert self.status() == before
        return done.returncode, done.stderr.decode()


@pytest.fixture
def project(environment: dict[str, str], tmp_path: Path) -> DvcProject:
    """A folder, a link to the cache, a text file of DVC 2, an import, a stage, and an output elsewhere."""
    given = DvcProject(tmp_path / "film", environment)
    given.path.mkdir()
    given.git("init", "-q")
    given.write(".dvc/config", "['remote \"s\"']\n    url = s3://x/y\n[cache]\n    dir = /wrong\n")
    given.write(".dvc/config.local", "[cache]\n    dir = ../../cache\n")
    given.write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
    names = {"a [1].png": PICTURE, "sub/b.bin": FIRST}
    listing = json.dumps([{"md5": given.keep(data), "relpath": name} for name, data in names.items()]).encode()
    folder = given.keep(listing, suffix=".dir")
    given.write("shots.dvc", f"outs:\n- md5: {folder}.dir\n  size: 5\n  nfiles: 2\n  hash: md5\n  path: shots\n")
    run = f"outs:\n- md5: {given.keep(SECOND)}\n  size: 2000\n  isexec: true\n  hash: md5\n  path: run [x]#!.bin\n"
    given.write("data/run.bin.dvc", run)
    os.symlink(given.path / given.cache / md5(SECOND)[:2] / md5(SECOND)[2:], given.path / "data" / "run [x]#!.bin")
    unix = md5(TEXT.replace(b"\r\n", b"\n"))
    given.keep(TEXT, cache="../cache", name=unix)
    given.write("data/t.csv.dvc", f"wdir: ..\nouts:\n- md5: {unix}\n  path: lists/t.csv\n  cache: true\n")
    imported = (
        f"frozen: true\ndeps:\n- path: https://me:secret@host/i.bin\n  etag: '\"1\"'\nouts:\n- md5: {md5(FIRST)}\n"
    )
    given.write("i.bin.dvc", imported + "  path: i.bin\n")
    given.write("i.bin", FIRST)
    given.write("far.dvc", "outs:\n- etag: abc\n  path: s3://bucket/far.bin\n")
    given.write("tools/back.py", SCRIPT)
    given.write("dvc.yaml", PIPELINE)
    stages = {"made": MADE, "first": FIRST, "script": SCRIPT, "back": BACK}
    given.write("dvc.lock", LOCK.format(**{name: given.keep(data) for name, data in stages.items()}))
    given.write("count.json", "{}")
    given.write(".gitignore", "/i.bin\n*.tmp\n/shots\n")
    given.write("data/.gitignore", "/run \\[x\\]\\#\\!.bin\n/made.bin\n")
    given.write("lists/.gitignore", "t.csv\n")
    given.commit("as DVC leaves it")
    given.regenstore("init")
    return given


def test_outputs_become_recipes(project: DvcProject) -> None:
    told = json.loads(project.regenstore("migrate-from", "dvc", "-n", "--json"))
    assert {(each["path"], each["size"]) for each in told["files"]} == {
        ("shots/a [1].png", len(PICTURE)), ("shots/sub/b.bin", 3000), ("data/run [x]#!.bin", 2000),
        ("lists/t.csv", len(TEXT)), ("i.bin", 3000), ("data/made.bin", 900), ("data/back.bin", 3008),
    }  # fmt: skip
    assert told["patterns"] == ["*.bin", "*.csv", "*.png"]
    assert [each["path"] for each in told["left"]] == ["far.dvc"]
    code, said = DvcProject.refused(project, "-n"), project.run("regenstore", "migrate-from", "dvc", check=False)
    assert code[0] == 0
    assert said.returncode == 2
    assert b"no pattern of 'regenstore track' covers *.bin, *.csv, *.png" in said.stderr
    assert project.status() == ""
    project.regenstore("migrate-from", "dvc", "--track")
    assert project.read("data/run [x]#!.bin") == SECOND
    assert not (project.path / "data/run [x]#!.bin").is_symlink()
    assert os.access(project.path / "data/run [x]#!.bin", os.X_OK | os.W_OK)
    assert (project.path / project.cache / md5(SECOND)[:2] / md5(SECOND)[2:]).read_bytes() == SECOND
    assert project.git("ls-files", "-s", "data/run*.bin").startswith("100755 ")
    assert (project.read("lists/t.csv"), project.read("data/made.bin")) == (TEXT, MADE)
    assert toml.decode(project.blob("shots/a [1].png")).generator == "a1111"
    assert project.git("ls-files", "*.dvc", "dvc.*", "*gitignore").split() == [
        ".dvc/.gitignore", ".gitignore", "dvc.lock", "dvc.yaml", "far.dvc", "lists/.gitignore",
    ]  # fmt: skip
    assert project.read(".gitignore") == b"*.tmp\n"
    project.git("commit", "-q", "-m", "migrated")
    assert project.status() == ""
    made = toml.decode(project.blob("data/made.bin"))
    assert made.imported
    stage = made.about["dvc_stage"]
    assert (stage["name"], stage["wdir"]) == ("turn@1", "data")
    assert stage["cmd"] == "python ../turn.py in.png made.bin --off 1:20"
    assert stage["deps"][0]["md5"] == "0123456789abcdef0123456789abcdef"
    assert stage["params"]["../params.yaml"] == {
        "seed": str(2**64 - 1), "deep": {"on": "yes", "nothing": "null", "rate": 0.001},
    }  # fmt: skip
    imported = project.blob("i.bin")
    assert b"https://" in imported
    assert b"secret" not in imported
    project.git("rm", "-q", "-r", "--cached", ".")
    project.git("reset", "-q", "--hard")
    assert project.read("shots/sub/b.bin") == FIRST
    assert project.status() == ""
    assert "no file of DVC" in project.regenstore("migrate-from", "dvc")


def test_a_stage_becomes_a_generator_that_makes_its_output_again(project: DvcProject) -> None:
    project.write("regenstore.toml", '[generators.back]\nversion = "1"\ncommand = ["x"]\nmedia_type = "image/png"')
    project.commit("a generator")
    told = json.loads(project.regenstore("migrate-from", "dvc", "--track", "--json"))
    assert [(each["name"], each["generator"], each["why"]) for each in told["stages"]] == [
        ("turn@1", None, "it depends on a folder, or on a file that is not migrated: in.png"),
        ("back@a", "back-2", None),
    ]
    assert tomllib.loads(project.read("regenstore.toml").decode())["generators"]["back-2"] == {
        "version": "1",
        "command": ["python3", "tools/back.py", "--seed={deep.seed}", "{input.i}", "{output}", "{{{item}}}"],
        "media_type": "application/octet-stream",
        "files": [],
        "params": {"deep.seed": {"type": "integer"}, "item": {"type": "string"}},
        "inputs": {"i": {}},
    }
    project.git("commit", "-q", "-m", "migrated")
    assert project.status() == ""
    recipe = toml.decode(project.blob("data/back.bin"))
    assert (recipe.generator, recipe.params, recipe.inputs["i"].path) == (
        "back-2",
        {"deep.seed": 7, "item": "a"},
        "i.bin",
    )
    refused = project.run("regenstore", "verify", "data/back.bin", check=False)
    assert refused.returncode != 0
    assert b"regenstore trust" in refused.stderr
    project.regenstore("trust", "back-2", "--yes")
    project.regenstore("verify", "data/back.bin")


def test_stages_that_cannot_become_generators_say_why() -> None:
    class Around:
        def medium(self, path: bytes) -> Md5 | None:
            return Md5("a" * 32, True) if path in (b"in.png", b"out.png") else None

        def media_type(self, path: bytes) -> str:
            return "image/png"

        def tracked(self, path: bytes) -> bool:
            return path == b"x.py"

        def unchanged(self, path: bytes, md5: Md5) -> bool:
            return md5.digits == "b" * 32

    def made(cmd: str | list[str], deps: dict[str, str], params: object = None, template: str = "") -> list[str] | str:
        listed = [{"path": path, "md5": digits * 32} for path, digits in deps.items()]
        outs = [{"path": "out.png", "md5": "a" * 32}]
        stage = {"cmd": cmd, "deps": listed, "outs": outs, "params": {"params.yaml": params or {}}}
        defined = {"stages": {"s": {"cmd": template}}}
        text = json.dumps({"stages": {"s": stage}, "schema": "2.0"}).encode()
        (record,) = read_records(b"dvc.lock", text, lambda: json.dumps(defined).encode())
        try:
            return list(generator_of(record, Around()).definition["command"])
        except Unsuitable as unsuitable:
            return str(unsuitable)

    given = {"in.png": "a"}
    assert made("cp in.png out.png", given) == ["cp", "{input.in}", "{output}"]
    assert made("./x.py --from=in.png 'out.png' {", given) == ["./x.py", "--from={input.in}", "{output}", "{{"]
    for cmd in ("cp in.png out.png && ls", "cat in.png > out.png", "A=1 cp in.png out.png", "cp $X out.png", "cp '"):
        assert made(cmd, given) == "its command needs a shell"
    assert made(["a", "b"], given) == "it has several commands"
    assert made("cp in.png", given) == "its command does not name its output"
    assert made("cp out.png", given) == "its command does not name what it depends on: in.png"
    assert made("cp in.png out.png", {"in.png": "c"}) == "in.png has changed since it ran"
    assert made("cp in.png out.png", {**given, "x.py": "c"}) == "x.py has changed since it ran"
    assert made("cp in.png out.png --by=x.py", given) == "its command names a file within an argument: --by=x.py"
    reads = "its program reads the parameter seed from a file itself"
    assert made("cp in.png out.png", given, {"seed": 7}) == reads
    assert made("cp in.png out.png 7", given, {"seed": 7}, "cp in.png out.png ${seed}")[-1] == "{seed}"
    assert made("cp in.png out.png -q9", given, {}, "cp in.png out.png -q${item.q}")[-1] == "-q{item.q}"
    assert made("cp in.png out.png", given, {}, "cp ${i}.png ${o}") == ["cp", "{input.in}", "{output}"]
    assert made("cp in.png out.png 8", given, {"seed": 7}, "cp in.png out.png ${seed}") == reads
    assert made("cp in.png out.png True", given, {"seed": True}, "cp in.png out.png ${seed}") == reads


def test_nothing_changes_while_a_file_is_missing_damaged_or_edited(project: DvcProject) -> None:
    def at(data: bytes) -> str:
        return f"{project.cache}/{md5(data)[:2]}/{md5(data)[2:]}"

    os.rename(project.path / at(MADE), project.path / "../aside")
    code, said = project.refused()
    assert code == 3
    assert "data/made.bin: DVC does not have its file on this machine" in said
    assert "dvc fetch" in said
    project.write(at(MADE), MADE[:-1] + b"!")
    code, said = project.refused()
    assert code == 6
    assert "its MD5 is" in said
    project.write(at(MADE), MADE)
    project.write("i.bin", "an edit")
    code, said = project.refused()
    assert (code, project.read("i.bin")) == (4, b"an edit")
    project.write("i.bin", FIRST)
    project.write("shots.dvc", project.read("shots.dvc") + b"desc: mine\n")
    assert "shots.dvc: it has changes that are not committed" in project.refused()[1]
    project.git("checkout", "-q", "shots.dvc")
    listing = next((project.path / project.cache).glob("*/*.dir"))
    listing.unlink()
    assert "shots: DVC's cache on this machine does not have the list of its files" in project.refused()[1]


def test_what_dvc_writes_is_read_within_limits() -> None:
    def read(text: str, path: bytes = b"d/x.dvc") -> list[str]:
        records = read_records(path, text.encode(), lambda: None)
        return [out.refused or os.fsdecode(out.path) for each in records for out in each.outputs]

    digits = "a" * 32
    assert read("outs:\n- path: on\n- path: 1:20\n- path: ./a/../b\n") == ["d/on", "d/1:20", "d/b"]
    assert read(f"outs:\n- md5: {digits}\n  path: p\n  cache: false\n") == []
    for outside in ("../../x", "/etc/passwd", "remote://r/x", "../.git/config", ".."):
        assert "is not in the worktree" in read(f"outs:\n- path: {outside}\n")[0]
    aliased = "a: &a [1]\nb: [*a, *a]\n"
    deep, huge = "a: " + "[" * 100 + "]" * 100, "a: " + "b" * (17 << 20)
    for bad in (
        aliased, deep, huge, "a: !!python/name:os.system", "- 1", "a: b: c", "outs: 3", "a: !!bool x", "a: \x01",
        "a: " + "9" * 5000, "outs:\n- md5: x", "outs:\n- path: p\n  files: [{relpath: ../q}]",
    ):  # fmt: skip
        with pytest.raises(RegenstoreError) as caught:
            read(bad)
        assert caught.value.kind == "bad-dvc-file"
    first = f"turn:\n  cmd: x\n  outs:\n  - path: o\n    md5: {digits}\n"
    assert read(first, b"d/dvc.lock") == ["d/o"]
    with pytest.raises(RegenstoreError, match="working folder"):
        read_records(b"dvc.lock", first.encode(), lambda: b"stages: {turn: {wdir: '${x}'}}")
    assert listed_files(b"d", [{"md5": digits, "relpath": "a/b"}], exact=True) == (
        (b"d/a/b", Md5(digits, True), False),
    )
    for name in ("../x", "/x", ".", "../d/../../x", ".git/x"):
        assert listed_files(b"d", [{"md5": digits, "relpath": name}], exact=True) is None
    assert ignore_line(b"d/e [1]?.png") == (b"d", b"/e \\[1\\]\\?.png")
    assert without_lines(b"/a\r\n/ab\na\n/a", {b"/a"}) == b"/ab\na\n"


def test_without_its_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(RegenstoreError) as caught:
        read_records(b"x.dvc", b"outs: []", lambda: None)
    assert caught.value.kind == "extra-missing"
    assert "regenstore[dvc]" in caught.value.hint
