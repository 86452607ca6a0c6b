"""``regenstore models``: outside of any repository, over a folder like ComfyUI's."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from pathlib import Path

import pytest

from regenstore.objects import toml
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from tests.capture.pictures import GRAPH, INFOTEXT, png
from tests.conftest import Checkout, new_home, noise
from tests.models.files import gguf, safetensors
from tests.models.test_comfyui_assets import Assets, row
from tests.unprivileged import AS_USER, needed, unreadable


@pytest.fixture
def studio(tmp_path: Path) -> Checkout:
    """A folder that is no repository, with models."""
    at = Checkout(tmp_path / "studio", new_home(tmp_path / "home"))
    models = at.path / "models"
    unet = {"model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048)}
    unet |= {"conditioner.embedders.0.transformer.text_model.embeddings.position_ids": (1, 77)}
    safetensors(models / "checkpoints" / "sdxl" / "base.safetensors", unet, weights=b"x" * 99)
    safetensors(models / "loras" / "style.safetensors", {"a.lora_down.weight": (1, 1)}, weights=noise("style", 50))
    gguf(models / "diffusion_models" / "flux.gguf", ("general.architecture", "flux"))
    (models / "loras" / "notes.txt").write_text("no model")
    return at


def test_scan_list_find_and_forget(studio: Checkout) -> None:
    planned = json.loads(studio.regenstore("models", "scan", "-n", "models", "--json"))
    assert len(planned["hash"]) == 3 and planned["hash_bytes"] > 99
    assert "3 models to hash" in studio.regenstore("models", "scan", "models", "--dry-run")
    assert "The index is empty" in studio.regenstore("models", "list")
    done = studio.run("regenstore", "models", "scan", "models", "--json")
    told = json.loads(done.stdout)
    assert len(told["hashed"]) == 3 and told["known"] == 0 and not told["problems"]
    progress = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["what"] for line in progress].count("finished") == 3 and progress[-1]["done"] == 3
    assert "0 models hashed (0 B), 3 known" in studio.regenstore("models", "scan", "models")
    assert "3 models hashed" in studio.regenstore("models", "scan", "--rehash", "models")
    listed = {row["name"]: row for row in json.loads(studio.regenstore("models", "list", "--json"))["models"]}
    assert {name: (row["kind"], row["base"]) for name, row in listed.items()} == {
        "sdxl/base.safetensors": ("checkpoint", "sdxl"),
        "style.safetensors": ("lora", None),
        "flux.gguf": ("diffusion_model", "flux"),
    }
    style = listed["style.safetensors"]
    text = studio.regenstore("models", "list")
    assert style["autov2"] in text and style["digest"][7:19] in text and "3 models, " in text
    assert "flux" not in studio.regenstore("models", "list", "sdxl*")
    assert style["path"] in studio.regenstore("models", "list", "LORA", "--paths")
    for what in (style["sha256"], style["digest"], style["autov3"], "style", "Style.safetensors"):
        assert style["path"] in studio.regenstore("models", "find", what)
    found = studio.run("regenstore", "models", "find", "0123456789", check=False)
    assert found.returncode == 1 and b"No model of the index" in found.stdout
    assert (Path(studio.environment["HOME"]) / ".local/share/regenstore/models.jsonl").exists()
    assert "would forget" in studio.regenstore("models", "forget", "-n", "models/loras")
    studio.regenstore("models", "forget", "models/loras")
    (studio.path / "models" / "diffusion_models" / "flux.gguf").unlink()
    gone = json.loads(studio.regenstore("models", "forget", "--missing", "--json"))
    assert [os.path.basename(path) for path in gone["paths"]] == ["flux.gguf"]
    assert len(json.loads(studio.regenstore("models", "list", "--json"))["models"]) == 1


def test_files_that_differ_and_mistakes(studio: Checkout) -> None:
    safetensors(studio.path / "models" / "loras" / "b" / "style.safetensors", {"a.lora_down.weight": (1, 1)})
    studio.regenstore("models", "scan", "models")
    found = studio.run("regenstore", "models", "find", "style", check=False)
    assert found.returncode == 0  # the whole name below the model folder
    (studio.path / "models" / "loras" / "c").mkdir()
    (studio.path / "models" / "loras" / "style.safetensors").rename(
        studio.path / "models" / "loras" / "c" / "style.safetensors"
    )
    studio.regenstore("models", "forget", "--missing")
    studio.regenstore("models", "scan", "models")
    found = studio.run("regenstore", "models", "find", "style", "--json", check=False)
    told = json.loads(found.stdout)
    assert found.returncode == 1 and told["by"] == "stem" and not told["unambiguous"] and len(told["models"]) == 2
    assert studio.run("regenstore", "models", "scan", "nowhere", check=False).returncode == 3
    assert studio.run("regenstore", "models", "forget", "nowhere", check=False).returncode == 3
    assert studio.run("regenstore", "models", "forget", check=False).returncode == 2
    assert studio.run("regenstore", "models", "scan", "models", "--comfyui", "x", check=False).returncode == 2


def test_digests_of_a_comfyui_server(studio: Checkout) -> None:
    assets = Assets()
    style = studio.path / "models" / "loras" / "style.safetensors"
    assets.rows = [row("loras/style.safetensors", style.stat().st_size, "a")]
    with assets.served() as url:
        command = ("models", "scan", "models", "--comfyui", url)
        assert "would hash" in studio.regenstore(*command, "-n")
        assert "2 models hashed" in (said := studio.regenstore(*command)) and "1 told by ComfyUI" in said
        assert "0 models hashed (0 B), 3 known" in studio.regenstore(*command)
        assert str(style) in studio.regenstore("models", "find", "blake3:" + "a" * 64)
        assert "1 model hashed" in studio.regenstore("models", "scan", "models")  # its other hashes
        assets.status = 503
        done = studio.run("regenstore", *command, check=False)
    assert done.returncode == 3 and b"offers no asset database" in done.stderr and b"--enable-assets" in done.stderr


def test_recipes_name_models_and_inputs_by_digest(empty: Checkout, tmp_path: Path) -> None:
    """What 'git add' writes for pictures of ComfyUI and A1111, with and without the index."""
    base = safetensors(tmp_path / "models" / "checkpoints" / "sd_xl_base_1.0.safetensors", {"w": (1,)})
    pose, mask = b"\x89PNG\r\n\x1a\npose", b"\x89PNG\r\n\x1a\nmask"
    empty.write("refs/pose.png", pose)
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "mask.png").write_bytes(mask)
    nodes = copy.deepcopy(GRAPH)
    nodes["5"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["10", 0], "vae": ["4", 2], "mask": ["11", 0]}}
    nodes["10"] = {
        "class_type": "LoadImage",
        "inputs": {"image": "pose.png"},
        "is_changed": [hashlib.sha256(pose).hexdigest()],
    }
    nodes["11"] = {"class_type": "LoadImageMask", "inputs": {"image": "mask.png", "channel": "alpha"}}

    def added(name: str, data: bytes) -> toml.Recipe:
        empty.write(name, data)
        empty.git("add", name)
        return toml.decode(empty.blob(name))

    recipe = added("unknown.png", png({"prompt": json.dumps(nodes)}))
    assert "digest" not in recipe.model and recipe.about["unpinned"] == ["sd_xl_base_1.0.safetensors"]
    assert {each.path for each in recipe.inputs.values()} == {"refs/pose.png"}
    assert [each["file"] for each in recipe.about["unbound_inputs"]] == ["mask.png"]
    empty.regenstore("models", "scan", str(tmp_path / "models"))
    empty.git("config", "--global", "regenstore.captureInputs", str(tmp_path / "input"))
    digest = str(hash_bytes(base.read_bytes()))
    recipe = added("known.png", png({"prompt": json.dumps(nodes)}, 91))
    assert recipe.model["digest"] == digest and not {"unpinned", "unbound_inputs"} & recipe.about.keys()
    by_path = {each.path: each.digest for each in recipe.inputs.values()}
    assert by_path == {"refs/pose.png": hash_bytes(pose), None: hash_bytes(mask)}
    assert ContentStore(str(empty.store)).find(hash_bytes(mask)) is not None
    short = hashlib.sha256(base.read_bytes()).hexdigest()[:10]
    recipe = added("other.png", png({"parameters": INFOTEXT.replace("31e35c80fc", short)}))
    assert (recipe.model["digest"], recipe.model["autov2"]) == (digest, short)
    recipe = added("differs.png", png({"parameters": INFOTEXT}))
    assert "digest" not in recipe.model and recipe.about["unpinned"] == ["sd_xl_base_1.0"]


@needed
def test_what_cannot_be_read_is_named_and_the_rest_is_done(studio: Checkout) -> None:
    base = studio.path / "models" / "checkpoints" / "sdxl" / "base.safetensors"
    with unreadable(base), unreadable(studio.path / "models" / "loras"):
        done = studio.run(*AS_USER, "regenstore", "models", "scan", "models", check=False)
    assert done.returncode == 6 and b"1 model hashed" in done.stdout and b"2 paths unreadable" in done.stdout
    assert str(base).encode() in done.stderr and b"loras cannot be read" in done.stderr
