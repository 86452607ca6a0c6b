"""The text of settings of AUTOMATIC1111 and others, both ways."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.capture.captured import Level, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import a1111, infotext
from regenstore.capture.programs.read import understand
from tests.capture.programs import assert_recipe_holds, captured, png

FORGE = (
    "a lighthouse <lora:oil paint:0.8>,\n  night\n\nNegative prompt: blurry,\nlow quality\n"
    "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 5.5, Distilled CFG Scale: 3.5, "
    "Seed: 1028435836, Size: 1024x768, Model hash: 45a21ea00a, Model: sdxl/base, VAE hash: 735e4c3a44, "
    "VAE: ae.safetensors, "
    'Denoising strength: 0.3, Hires Module 1: Use same choices, Hires prompt: "a \\"big\\" lighthouse, 8k", '
    "Hires upscale: 1.5, Hires upscaler: 4x-UltraSharp, "
    'ADetailer model: face_yolov8n.pt, ADetailer prompt: "face: big, \\nyoung", ADetailer inpaint only masked: True, '
    'ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1, Guess: no", '
    'Lora hashes: "oil paint: de92428f6411, other: e3b0c44298fc", TI hashes: "easynegative: c74b4e810b03", '
    "Version: f2.0.1v1.10.1-previous-669-gdfdcbab6, Module 1: clip_l, Module 2: ae"
)


def written(prompt: str, negative: str, items: dict[str, object]) -> str:
    """What ``create_infotext`` of AUTOMATIC1111 writes."""

    def quote(value: object) -> object:
        if not any(character in str(value) for character in ",\n:"):
            return value
        return json.dumps(value, ensure_ascii=False)

    line = ", ".join(name if name == value else f"{name}: {quote(value)}" for name, value in items.items())
    return (prompt + (f"\nNegative prompt: {negative}" if negative else "") + f"\n{line}").strip()


def test_every_setting_of_forge_is_kept_and_the_text_comes_back() -> None:
    found = captured(png(parameters=FORGE))
    assert (found.level, found.program, found.generator) == (Level.PARAMETERS, "Forge", "a1111")
    assert found.params == {
        "prompt": "a lighthouse <lora:oil paint:0.8>,\n  night\n",
        "negative_prompt": "blurry,\nlow quality",
        "steps": 20,
        "sampler": "DPM++ 2M",
        "scheduler": "Karras",
        "cfg": 5.5,
        "guidance": 3.5,
        "seed": 1028435836,
        "width": 1024,
        "height": 768,
        "denoise": 0.3,
        "hires_module_1": "Use same choices",
        "hires_prompt": 'a "big" lighthouse, 8k',
        "hires_upscale": 1.5,
        "hires_upscaler": "4x-UltraSharp",
        "adetailer_model": "face_yolov8n.pt",
        "adetailer_prompt": "face: big, \nyoung",
        "adetailer_inpaint_only_masked": True,
        "controlnet_0": "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1, Guess: no",
        "module_1": "clip_l",
        "module_2": "ae",
    }
    assert found.models == (
        ModelReference("sdxl/base", "checkpoint", {"autov2": "45a21ea00a"}),
        ModelReference("ae.safetensors", "vae", {"autov2": "735e4c3a44"}),
        ModelReference("oil paint", "lora", {"autov3": "de92428f6411"}),
        ModelReference("other", "lora"),
        ModelReference("easynegative", "embedding", {"autov2": "c74b4e810b"}),
        ModelReference("4x-UltraSharp", "upscaler"),
        ModelReference("face_yolov8n.pt", "adetailer"),
        ModelReference("control_v11p_sd15_canny", "controlnet", {"autov1": "d14c016b"}),
        ModelReference("clip_l", "text_encoder"),
        ModelReference("ae", "vae"),
    )
    assert found.missing[0] == "a hash of other"
    assert any("noise" in phrase for phrase in found.missing)
    assert a1111.text(found.params, found.about) == FORGE
    changed = {**found.params, "seed": 7, "cfg": 6.0, "hires_prompt": "day"}
    assert a1111.text(changed, found.about) == FORGE.replace("1028435836", "7").replace(
        "scale: 5.5", "scale: 6.0"
    ).replace('"a \\"big\\" lighthouse, 8k"', "day")


@pytest.mark.parametrize(
    ("line", "program", "version"),
    [
        ("Version: v1.10.1", "AUTOMATIC1111", "v1.10.1"),
        ("Version: f1.0.0v2-v1.10.1RC-latest-2498-g5120e679", "reForge", "f1.0.0v2-v1.10.1RC-latest-2498-g5120e679"),
        ("ADetailer Version: Neo, Version: neo-2.28", "Forge Neo", "2.28"),
        ("Version: classic", "Forge Classic", None),
        ("App: SD.Next, Version: 56a8aea", "SD.Next", "56a8aea"),
        ("Version: stable-diffusion.cpp", "stable-diffusion.cpp", None),
        ("Version: ComfyUI", "ComfyUI", None),
        ('Civitai resources: [{"type":"checkpoint","modelVersionId":1}]', "Civitai", None),
    ],
)
def test_programs_are_told_apart(line: str, program: str, version: str | None) -> None:
    found = captured(png(parameters=f"x\nSteps: 20, Seed: 1, {line}"))
    assert (found.program, found.program_version) == (program, version)


def test_pitfalls_of_the_grammar() -> None:
    style = "style: oil, artist: x, mood: dark"
    found = captured(png(parameters=style))
    assert (found.level, found.about["prompt"]) == (Level.PROMPT, style)

    template = "cat\nNegative prompt: bad\nSteps: 5, Seed: 1, Size: 8x8\n"
    template += f"Template: {{cat|dog}},\n{style}\nNegative Template: bad"
    found = captured(png(parameters=template + ', Hashes: {"model": "45a21ea00a", "lora:x": "de92428f6411"}'))
    assert found.params["negative_prompt"] == "bad"
    assert found.params["template"] == f"{{cat|dog}},\n{style}"
    assert found.params["negative_template"] == "bad"
    assert found.models[0].hashes == {"autov2": "45a21ea00a"}
    assert found.models[1] == ModelReference("x", "lora", {"autov3": "de92428f6411"})
    again = captured(png(parameters=template))
    assert a1111.text(again.params, again.about) == template
    assert "infotext" not in again.about

    resources = (
        '[{"type":"checkpoint","modelVersionId":691639,"modelName":"FLUX, new","modelVersionName":"Dev"},'
        '{"type":"lora","weight":0.65,"modelVersionId":2,"modelName":"Oil"}]'
    )
    civitai = f"cat\nSteps: 5, Seed: 1, Civitai resources: {resources}, Civitai metadata: {{}}, Clip skip: 2"
    found = captured(png(parameters=civitai))
    assert found.params["loras"] == [{"name": "Oil (civitai 2)", "strength": 0.65}]
    assert found.params["clip_skip"] == 2
    assert found.models[0].name == "FLUX, new Dev (civitai 691639)"
    assert a1111.text(found.params, found.about) == civitai

    quoting = 'a sign "Negative prompt: none" <lora:a:1>\nNegative prompt: \nSteps: 5, Seed: 1, App: SD.Next'
    found = captured(png(parameters=quoting))
    assert found.params["prompt"] == 'a sign "Negative prompt: none" <lora:a:1>'
    assert found.params["negative_prompt"] == ""
    assert a1111.text(found.params, found.about) == quoting

    unquoted = "cat\nSteps: 5, Seed: 1, Model: one, two v3, Hires fix, Clip skip: 2, Hires fix, "
    unquoted += "Skip layers: [7, 8, ], CFG scale: 5.000000"
    found = captured(png(parameters=unquoted))
    assert found.models[0].name == "one, two v3, Hires fix"
    assert found.params["hires_fix"] == "Hires fix"
    assert found.params["skip_layers"] == "[7, 8, ]"
    assert found.params["cfg"] == 5.0
    assert a1111.text(found.params, found.about) == unquoted

    flat = "a cat, night Negative prompt: bad Steps: 23, Sampler: Euler, CFG scale: 3.5, Seed: 5, Size: 832x1216"
    found = captured([Embedded("exif", "UserComment", flat)])
    assert (found.params["prompt"], found.params["negative_prompt"]) == ("a cat, night", "bad")
    assert a1111.text(found.params, found.about) == flat

    broken = 'cat\nSteps: 5, Seed: 1, Civitai resources: [{"type":"lora","modelName":}], Clip skip: 2'
    found = captured(png(parameters=broken))
    assert found.params.keys() == {"prompt", "steps", "seed", "clip_skip"}
    assert a1111.text(found.params, found.about) == broken

    krita = "Prompt: A cat\nNegative prompt: dog\nSteps: 20, Seed: 5, Model hash: unknown, Model: m.ckpt"
    found = captured(png(parameters=krita))
    assert (found.program, found.params["prompt"], found.models) == (
        "Krita AI Diffusion",
        "A cat",
        (ModelReference("m.ckpt", "checkpoint"),),
    )
    node = "cat\nSteps: 20, Seed: 1, Lora_0 Model name: a.safetensors, Lora_0 Model hash: abcdef0123"
    assert captured(png(parameters=node)).models[0] == ModelReference("a.safetensors", "lora", {"autov2": "abcdef0123"})

    wrapped = "cat\nSteps: 5, Seed: 18446744073709551615, Size: 8x8,\nClip skip: 2, Steps: 6, TE: a, TE: b"
    found = captured(png(parameters=wrapped))
    assert found.params["seed"] == "18446744073709551615"
    assert (found.params["steps"], found.params["steps_2"], found.params["te_2"]) == (5, 6, "b")


def test_texts_that_a_recipe_cannot_hold_as_they_are_come_back() -> None:
    for prompt in ("<<<<<<< a\n>>>>>>> b", "lone \ud83d surrogate", "\0nothing\0 \x85\u2028"):
        prompts = f"x {prompt}\n{prompt}\nNegative prompt: \n{prompt}"
        text = f"{prompts}\nSteps: 5, Seed: 1, \ud83d: \ud83d, Z: a\nTemplate: \n{prompt}"
        found = captured(png(parameters=text))
        assert (found.params["steps"], a1111.text(found.params, found.about)) == (5, text)


def test_what_is_no_text_of_settings() -> None:
    for name, text in (
        ("UserComment", "holiday: Rome, 12:30, rain: no"),
        ("comment", "Steps: 3 easy ones, Seed: apple"),
        ("ImageDescription", "{}"),
    ):
        assert understand([Embedded("exif", name, text)], strict=True) is None
    found = captured(png(postprocessing="Postprocess upscale by: 4, Postprocess upscaler: R-ESRGAN 4x+"))
    assert found.level is Level.PROVENANCE
    found = captured(png(parameters="x\nSteps: 1, Seed: 2", postprocessing="Postprocess upscale by: 4"))
    assert found.params["postprocessing"] == "Postprocess upscale by: 4"


NAMES = st.from_regex(r"[A-Z][A-Za-z0-9 /\-]{0,15}[a-z0-9]", fullmatch=True)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"), max_size=40)
PLAIN = TEXT.map(str.strip).filter(lambda text: not text.startswith(('"', "[", "{")))
VALUES = PLAIN | st.integers(-(2**40), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
SETTINGS = st.dictionaries(NAMES, VALUES, max_size=8).map(
    lambda items: {"Steps": 20, "Seed": 5, **items, "End": "of it"}
)


@settings(max_examples=100)
@given(PLAIN, PLAIN, SETTINGS)
def test_values_of_written_texts_come_back(prompt: str, negative: str, items: dict[str, object]) -> None:
    text = written(prompt, negative, items)
    parts = infotext.parse(text)
    assert parts is not None
    if "\nNegative prompt:" not in "\n" + prompt:
        assert (parts.prompt.strip(), (parts.negative or "").strip()) == (prompt, negative)
    found = {item.name: item.name if item.written is None else infotext.unquoted(item.written) for item in parts.items}
    assert found == {name: str(value) for name, value in items.items()}


@settings(max_examples=100)
@given(
    TEXT,
    TEXT,
    st.dictionaries(NAMES | TEXT, VALUES | TEXT | st.lists(TEXT) | st.dictionaries(TEXT, TEXT), max_size=8),
    st.booleans(),
)
def test_no_text_is_changed(prompt: str, negative: str, items: dict[str, object], known: bool) -> None:
    text = written(prompt, negative, {"Steps": 20, "Seed": 5, **items} if known else items)
    found = understand(png(parameters=text), strict=True)
    assert found is not None or not text.strip("\0 \r\n\t") or text.lstrip("\0 \r\n\t").startswith(("{", "["))
    if found is not None and found.level is Level.PARAMETERS:
        assert_recipe_holds(found)
        assert a1111.text(found.params, found.about) == text.strip("\0 \r\n\t")


@pytest.mark.parametrize(
    "hostile",
    [
        "Steps: 1, " + 'a: "\\",' * 130_000,
        "Steps: 1, " + 'a: {"x": [' * 100_000,
        "Steps: 1, " + "a: [" * 250_000,
        "Steps: 1, a" + " " * 1_000_000,
        "Steps: 1, " + "a: b, " * 160_000,
        "Steps: 1, Seed: 1, Lora hashes: " + '"' + "a:" * 500_000 + '"',
        ("<lora:" + "x" * 250 + ":") * 4000 + "\nSteps: 1, Seed: 2",
        "\n".join(["Steps: 1"] * 100_000),
        "Steps: 1, x" * 90_000,
        "Negative prompt:" * 60_000 + '\nSteps: 1, Seed: \ud800, a: "\\ud800, b"',
    ],
    ids=map(str, range(10)),
)
def test_hostile_texts_take_little_time(hostile: str) -> None:
    before = time.process_time()
    understand(png(parameters=hostile), strict=True)
    understand([Embedded("exif", "UserComment", hostile)], strict=True)
    assert time.process_time() - before < 1.5
