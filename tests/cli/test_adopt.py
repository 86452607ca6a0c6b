"""adopt: a folder of media becomes contents of the store and recipes in Git."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from regenstore.capture.captured import Captured, Level, ModelReference
from regenstore.errors import InvalidInput
from regenstore.objects.ids import Digest
from regenstore.tracked.adopted_names import SourceFile, checked_pattern, filled, safe_name
from tests.conftest import Checkout, noise

PNG = b"\x89PNG\r\n\x1a\n"


def medium(name: str, size: int = 3000) -> bytes:
    return PNG + noise(name, size)


def fill(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def adopt(film: Checkout, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = film.run("regenstore", "adopt", *arguments, "--json", check=False)
    assert done.returncode == code, done.stderr.decode()
    return json.loads(done.stdout)


def paths(told: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {each["source"]: (each["path"], each["duplicate"]) for each in told["files"]}


def test_a_folder_is_taken_once_and_stays_as_it_is(empty: Checkout) -> None:
    output = empty.path.parent / "output"
    photo = medium("photo")
    empty.write("refs/photo.png", photo)
    empty.commit()
    files = {
        "a.png": medium("a"),
        "day 1/Bücher.png": medium("b"),
        "day 1/again.png": medium("a"),
        "known.png": photo,
        "clip.MP4": b"\0\0\0\x18ftypisom" + noise("clip", 5000),
        "large.png": medium("large", 17 << 20),
        "notes.txt": b"no medium",
        "empty.png": b"",
    }
    fill(output, files)
    (output / "link.png").symlink_to("a.png")
    (output / "out").symlink_to(empty.path)
    os.mkfifo(output / "pipe.png")

    refused = empty.run("regenstore", "adopt", str(output), check=False)
    assert refused.returncode == 2 and b"--track" in refused.stderr and b"*.MP4" in refused.stderr
    before = empty.git("status", "--porcelain", "--ignored")
    plan = adopt(empty, str(output), "--track", "-n")
    assert empty.git("status", "--porcelain", "--ignored") == before and plan["tracked"] == ["*.MP4"]

    told = adopt(empty, str(output), "--track")
    assert paths(told) == paths(plan) == {
        "a.png": ("output/a.png", False),
        "clip.MP4": ("output/clip.MP4", False),
        "day 1/Bücher.png": ("output/day 1/Bücher.png", False),
        "day 1/again.png": ("output/a.png", True),
        "known.png": ("refs/photo.png", True),
        "large.png": ("output/large.png", False),
    }  # fmt: skip
    assert (told["others"], told["links"], told["failed"], told["levels"]["none"]["contents"]) == (2, 2, [], 4)
    assert empty.git("diff", "--cached", "--name-only", "-z").split("\0")[:-1] == [
        ".gitattributes", "output/a.png", "output/clip.MP4", "output/day 1/Bücher.png", "output/large.png",
    ]  # fmt: skip
    assert empty.is_recipe("output/a.png") and {name: (output / name).read_bytes() for name in files} == files
    empty.git("add", ".gitattributes")
    empty.git("commit", "-qm", "adopted")
    empty.regenstore("get", "output")
    assert all(empty.read(f"output/{name}") == files[name] for name in ("a.png", "day 1/Bücher.png", "large.png"))
    assert empty.status() == ""
    again = adopt(empty, str(output))
    assert all(duplicate for _, duplicate in paths(again).values()) and empty.status() == ""

    # What gc or an accident took is taken again from the folder.
    lost = Path(next(iter(empty.store.glob(f"vault/{told['files'][0]['digest'][7:9]}/*"))))
    lost.unlink()
    adopt(empty, str(output))
    assert lost.read_bytes() == files["a.png"]


def test_recipes_are_those_that_git_add_gives(empty: Checkout) -> None:
    output = empty.path.parent / "output"
    about = PngInfo()
    about.add_text(
        "parameters", "a lighthouse\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 42, Size: 64x48, Model: sea"
    )
    output.mkdir()
    Image.new("RGB", (64, 48), "navy").save(output / "00001.png", pnginfo=about)
    told = adopt(empty, str(output), "--to", "{program}/{model}-{seed}")
    (row,) = told["files"]
    assert row["level"] == "parameters" and row["path"].endswith("/sea-42.png")
    assert told["provable_bytes"] == row["size"] == told["levels"]["parameters"]["bytes"]
    adopted = empty.blob(row["path"])
    assert b"seed = 42" in adopted and empty.git("diff-files", "--name-only") == ""
    empty.git("rm", "-q", "-f", row["path"])
    empty.write(row["path"], (output / "00001.png").read_bytes())
    empty.git("add", row["path"])
    assert empty.blob(row["path"]) == adopted


def test_moved_placed_and_numbered(empty: Checkout) -> None:
    output = empty.path.parent / "output"
    files = {f"{folder}/pic.png": medium(folder) for folder in ("x", "y", "z")}
    fill(output, {**files, "x/copy.png": medium("x")})
    empty.write("sorted/pic.png", medium("own"))
    told = adopt(empty, str(output), "--to", "Sorted/{name}", "--move", "--place")
    assert paths(told) == {
        "x/copy.png": ("Sorted/copy.png", False),
        "x/pic.png": ("Sorted/copy.png", True),
        "y/pic.png": ("Sorted/pic.png", False),
        "z/pic.png": ("Sorted/pic-2.png", False),
    }
    assert (told["removed"], told["placed"]) == (4, 3) and not [each for each in output.rglob("*") if each.is_file()]
    assert empty.read("Sorted/pic-2.png") == medium("z")
    assert [line for line in empty.status().splitlines() if not line.startswith("A  ")] == ["?? sorted/"]


def test_refused_folders_and_patterns(empty: Checkout) -> None:
    output = empty.path.parent / "output"
    fill(output, {"a.png": medium("a")})
    fill(empty.path, {"inside/a.png": medium("a"), ".gitignore": b"/output/\n"})
    assert b"inside the worktree" in empty.run("regenstore", "adopt", "inside", check=False).stderr
    assert b".gitignore" in empty.run("regenstore", "adopt", str(output), check=False).stderr
    assert b"no field" in empty.run("regenstore", "adopt", str(output), "--to", "{sede}", check=False).stderr
    assert empty.run("regenstore", "adopt", "nowhere", check=False).returncode == 3
    # The worktree itself is left out of a folder around it.
    told = adopt(empty, str(empty.path.parent), "--into", "all")
    assert list(paths(told)) == ["output/a.png"]


@pytest.mark.parametrize("moment", ["killed", "index-locked"])
def test_a_run_that_was_stopped_is_continued(empty: Checkout, moment: str) -> None:
    output = empty.path.parent / "output"
    files = {f"{number % 7}/{number:03}.png": medium(str(number), 20_000) for number in range(150)}
    fill(output, files)
    lock = empty.path / ".git" / "index.lock"
    if moment == "index-locked":
        lock.touch()
        assert empty.run("regenstore", "adopt", str(output), "--to", "{name}", check=False).returncode
        lock.unlink()
    else:
        command = ["regenstore", "adopt", str(output), "--to", "{name}"]
        running = subprocess.Popen(command, cwd=empty.path, env=empty.environment, stderr=subprocess.DEVNULL)
        while running.poll() is None and len(list(empty.store.glob("vault/*/*"))) < 20:
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        lock.unlink(missing_ok=True)
    assert {name: (output / name).read_bytes() for name in files} == files
    adopt(empty, str(output), "--to", "{name}")
    assert empty.git("ls-files", "*.png").split("\n") == sorted(os.path.basename(name) for name in files)
    empty.regenstore("get")
    assert all(empty.read(os.path.basename(name)) == data for name, data in files.items())


def source(captured: Captured | None = None, path: bytes = b"sub/ComfyUI_1_.png") -> SourceFile:
    return SourceFile(path, 1_700_000_000.0, "image/png", Digest(b"\xab" * 32), captured)


def test_names_from_a_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    graph = Captured(
        Level.GRAPH,
        "ComfyUI",
        params={
            "seed": "18446744073709551615",
            "width": 832,
            "nodes": {"9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "Port/rait"}}},
        },
        models=(ModelReference("xl/sdxl: base.safetensors", "checkpoint"),),
    )
    assert filled("{date}/{workflow}/{seed}", source(graph)) == b"2023-11-14/Port_rait/18446744073709551615.png"
    assert filled("{program}-{level}/{model}/{name}.{ext}", source(graph)) == (
        b"ComfyUI-graph/sdxl_ base/ComfyUI_1_.png"
    )
    assert filled("{folder}/{kind}/{seed}_{digest}", source()) == b"sub/image/unknown_abababababab.png"
    assert filled("{folder}/{name}", source(path=b"a.jpg")) == b"a.png"  # the content is a PNG
    assert filled("{name}", source(path=b"K\xf6ln.png")) == b"K\xf6ln.png"
    for wrong in ("{sede}", "{name", "../{name}", "/{name}", ".git/{name}"):
        with pytest.raises(InvalidInput):
            checked_pattern(wrong)
    safe = {"..": "", "CON.png": "_CON.png", " a. ": "a", "-rf": "_rf", "a\x1b[1m?b": "a_[1m_b"}
    assert {each: safe_name(each) for each in safe} == safe
    assert len(os.fsencode(safe_name("ü" * 300 + ".png"))) <= 120 and safe_name("ü" * 300 + ".png").endswith(".png")
