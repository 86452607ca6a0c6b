"""Hashes as the programs define them, and what headers tell."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.models.hashes import hash_model
from regenstore.models.headers import data_start, read_header
from regenstore.models.indexed_model import ModelHashes, ModelHeader
from regenstore.models.model_files import folder_kind, is_model, name_below_folder
from tests.conftest import examples, noise
from tests.models.files import gguf, safetensors


def header_of(path: Path) -> ModelHeader:
    with path.open("rb") as file:
        size = path.stat().st_size
        return read_header(file, size, data_start(file, size))


def hashes_of(path: Path) -> ModelHashes:
    with path.open("rb") as file:
        start = data_start(file, path.stat().st_size)
        return hash_model(file.fileno(), start, lambda count: None)


@pytest.mark.parametrize("size", [1, 1 << 20, (1 << 20) + 300, (17 << 20) + 5])
def test_hashes_are_those_of_the_programs(tmp_path: Path, size: int) -> None:
    """Checked against each program's definition, over block borders and for files shorter than AutoV1's place."""
    weights = noise("model", size)
    path = safetensors(tmp_path / "a.safetensors", {"w": (2, 3)}, weights=weights)
    data = path.read_bytes()
    found = hashes_of(path)
    assert found.blake3 == blake3(data).hexdigest()
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.autov2 == found.sha256[:10]
    (length,) = struct.unpack("<Q", data[:8])
    assert found.tensors == hashlib.sha256(data[8 + length :]).hexdigest() == hashlib.sha256(weights).hexdigest()
    assert found.autov3 == found.tensors[:12]
    old = hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
    assert found.autov1 == (old if len(data) > 0x100000 else "")


def test_files_of_other_formats_have_no_hash_of_their_weights(tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    path.write_bytes(noise("pickle", 100))
    assert hashes_of(path).tensors == "" and hashes_of(path).autov3 == ""


UNET = "model.diffusion_model."


@pytest.mark.parametrize(
    ("tensors", "kind", "base"),
    [
        (
            {f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768), "first_stage_model.x": ()},
            "checkpoint",
            "sd1",
        ),
        ({f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)}, "diffusion_model", "sd2"),
        (
            {f"{UNET}input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048), "conditioner.e": ()},
            "checkpoint",
            "sdxl",
        ),
        ({"down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight": (640, 2048)}, "diffusion_model", "sdxl"),
        (
            {
                "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
                "img_in.weight": (3072, 64),
                "vector_in.in_layer.weight": (3072, 768),
            },
            "diffusion_model",
            "flux",
        ),
        ({"head.modulation": (1, 2, 5120), "blocks.0.ffn.0.weight": (1, 1)}, "diffusion_model", "wan"),
        ({"joint_blocks.0.context_block.attn.qkv.weight": (1, 1)}, "diffusion_model", "sd3"),
        (
            {
                "cap_embedder.1.weight": (3840, 2560),
                "noise_refiner.0.attention.k_norm.weight": (128,),
            },
            "diffusion_model",
            "z-image",
        ),
        ({"lora_unet_down_blocks_1_attn2_to_k.lora_down.weight": (16, 2048)}, "lora", "sdxl"),
        ({"diffusion_model.blocks.3.cross_attn.k.lora_A.weight": (16, 5120)}, "lora", "wan"),
        ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (16, 3072)}, "lora", ""),
        ({"encoder.block.0.layer.0.SelfAttention.k.weight": (4096, 4096)}, "text_encoder", "t5"),
        ({"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}, "vae", ""),
        ({"control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)}, "controlnet", "sd1"),
        ({"emb_params": (4, 768)}, "embedding", "sd1"),
        ({"clip_l": (4, 768), "clip_g": (4, 1280)}, "embedding", "sdxl"),
        ({"something.else": (1,)}, "", ""),
    ],
)
def test_kind_and_base_by_tensors(tmp_path: Path, tensors: dict[str, tuple[int, ...]], kind: str, base: str) -> None:
    assert header_of(safetensors(tmp_path / "a.safetensors", tensors))[:2] == (kind, base)


def test_metadata_tell_what_tensors_do_not(tmp_path: Path) -> None:
    lora = {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (16, 3072)}
    told = {"ss_base_model_version": "flux1", "ss_output_name": "Style", "sshs_model_hash": "AB" * 32}
    path = safetensors(tmp_path / "a.safetensors", lora, told)
    assert header_of(path) == ModelHeader("lora", "flux", "Style", "ab" * 32)
    told = {"modelspec.architecture": "stable-diffusion-xl-v1-base/textual-inversion"}
    assert header_of(safetensors(tmp_path / "b.safetensors", {"x": (1,)}, told))[:2] == ("embedding", "sdxl")
    told = {"modelspec.architecture": "Some New Model"}
    assert header_of(safetensors(tmp_path / "c.safetensors", {"x": (1,)}, told))[:2] == ("", "Some New Model")


def test_gguf_tells_its_architecture(tmp_path: Path) -> None:
    pairs = (("general.quantization_version", 2), ("general.architecture", "flux"), ("x", ["long"] * 9))
    assert header_of(gguf(tmp_path / "a.gguf", *pairs)) == ModelHeader("diffusion_model", "flux")
    assert header_of(gguf(tmp_path / "b.gguf", ("general.architecture", "qwen_image"))).base == "qwen-image"
    assert header_of(gguf(tmp_path / "c.gguf", ("general.architecture", "t5encoder"))).kind == "text_encoder"


GOOD = b'{"__metadata__": {"ss_output_name": "x"}, "w": {"dtype": "F16", "shape": [1, 2], "data_offsets": [0, 4]}}'


@settings(max_examples=examples(200))
@given(
    st.one_of(
        st.binary(max_size=64),
        st.binary(max_size=200).map(lambda more: b"GGUF\x03\0\0\0" + more),
        st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=80)).map(
            lambda two: struct.pack("<Q", two[0]) + b"{" + two[1]
        ),
        st.tuples(st.integers(0, len(GOOD)), st.binary(max_size=3)).map(
            lambda two: struct.pack("<Q", len(GOOD)) + GOOD[: two[0]] + two[1] + GOOD[two[0] + len(two[1]) :]
        ),
        st.sampled_from(
            [
                struct.pack("<Q", 60_000) + b'{"a":' * 12_000,
                struct.pack("<Q", 16) + b'{"__metadata__":1',
                struct.pack("<Q", 9) + b'{"w":[]} ',
                struct.pack("<Q", 24) + b'{"w":{"shape":["a",{}]}} ',
                b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60),
            ]
        ),
    )
)
def test_hostile_headers_tell_nothing_and_raise_nothing(data: bytes) -> None:
    file = io.BytesIO(data)
    found = read_header(file, len(data), data_start(file, len(data)))
    assert isinstance(found, ModelHeader) and all(isinstance(text, str) and len(text) <= 1000 for text in found)


def test_names_and_folders() -> None:
    assert is_model("a.SafeTensors") and is_model("a.gguf") and not is_model("a.txt") and not is_model(".a.ckpt")
    assert folder_kind("/c/models/Lora/x/a.safetensors") == "lora"
    assert folder_kind("/c/models/diffusion_models/a.gguf") == "diffusion_model" and folder_kind("/c/a.pt") == ""
    assert name_below_folder("/c/models/loras/x/a.safetensors") == "x/a.safetensors"
    assert name_below_folder("/c/own/a.safetensors") == "a.safetensors"
