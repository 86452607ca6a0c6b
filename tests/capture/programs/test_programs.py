"""What each program embeds, crafted as its source code writes it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.capture.captured import Level, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.programs import a1111, cbor, fooocus
from regenstore.capture.programs.read import ORDER, understand
from regenstore.objects.bounded import Unparsable
from tests.capture.programs import assert_recipe_holds, captured, png

FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8Rundiffusion",
    "base_model_hash": "aeb7e9e689",
    "full_prompt": ["a cat", "cinematic still a cat"],
    "guidance_scale": 4,
    "lora_combined_1": "sd_xl_offset : 0.1",
    "loras": [["sd_xl_offset", 0.1, "4852686128"]],
    "metadata_scheme": "fooocus",
    "negative_prompt": "",
    "prompt": "a cat",
    "refiner_model": "None",
    "resolution": "(1152, 896)",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "4512112233445566778",
    "sharpness": 2,
    "steps": 30,
    "styles": "['Fooocus V2']",
    "vae": "Default (model)",
    "version": "Fooocus v2.5.0",
}
FOOOCUS_TEXT = (
    "a cat, cinematic\nNegative prompt: ugly\nSteps: 30, Sampler: DPM++ 2M SDE Karras, Seed: 5, Size: 1152x896, "
    'CFG scale: 4, Sharpness: 2, ADM Guidance: "(1.5, 0.8, 0.3)", Model: juggernaut, Model hash: aeb7e9e689, '
    'Raw prompt: "a cat\\n, big", Lora hashes: "x: 4852686128", Lora weights: "x: 0.1", Version: Fooocus v2.5.0'
)
RUINED = {
    "Prompt": "a cat",
    "Negative": "bad",
    "steps": 30,
    "cfg": 8,
    "width": 1024,
    "height": 768,
    "seed": 2020047614,
    "sampler_name": "dpmpp_2m",
    "scheduler": "karras",
    "base_model_name": "wai.safetensors",
    "base_model_hash": "BEFC694A296F75E996488EBF9F9DB8A1493BD059B6E704B975829E87D5AEB4FA",
    "loras": [{"name": "a", "weight": 0.5}],
    "denoise": None,
    "software": "RuinedFooocus",
}
SWARM = {
    "sui_image_params": {
        "prompt": "a cat <random:x,y>",
        "negativeprompt": "",
        "model": "Official/sd_xl_base",
        "loras": ["style/oil", "other"],
        "loraweights": ["0.8", "1"],
        "seed": 1,
        "steps": "20",
        "cfgscale": 7.0,
        "width": 1024,
        "height": 768,
        "sampler": "euler",
        "scheduler": "karras",
        "automaticvae": True,
        "refinerupscale": 1.5,
        "swarm_version": "0.9.7.4",
    },
    "sui_extra_data": {"date": "2026-01-03", "original_prompt": "a cat <random:x,y>"},
    "sui_models": [
        {"name": "Official/sd_xl_base.safetensors", "param": "model", "hash": "0x" + "AB" * 32},
        {"name": "style/oil.safetensors", "param": "loras", "hash": "0x" + "cd" * 32},
    ],
}
NOVELAI = {
    "prompt": "2girls",
    "uc": "lowres",
    "steps": 28,
    "height": 1024,
    "width": 832,
    "scale": 5.0,
    "seed": 447042893,
    "n_samples": 1,
    "noise_schedule": "karras",
    "sampler": "k_euler",
    "extra": {"r": None},
    "v4_prompt": {"caption": {"base_caption": "2girls", "char_captions": [{"char_caption": "miku", "centers": []}]}},
    "signed_hash": "x",
}
NOVELAI_CHUNKS = {
    "Title": "NovelAI generated image",
    "Description": "2girls",
    "Software": "NovelAI",
    "Source": "NovelAI Diffusion V4.5 4BDE2A90",
    "Generation time": "3.8",
    "Comment": json.dumps(NOVELAI),
}
DRAW_THINGS = {
    "c": "a <red> cube",
    "uc": "blue",
    "model": "flux.ckpt",
    "sampler": "Euler A",
    "scale": 4.5,
    "seed": 2441935286,
    "size": "64x32",
    "steps": 8,
    "strength": 1,
    "profile": {"duration": 3},
    "v2": {
        "seed": 2441935286,
        "width": 64,
        "height": 32,
        "tea_cache": False,
        "loras": [{"file": "d.ckpt", "weight": 0.8}],
    },
}


def xmp(body: str) -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" '
        'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f"{body}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


def alternative(name: str, text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<{name}><rdf:Alt><rdf:li xml:lang="x-default">{escaped}</rdf:li></rdf:Alt></{name}>'


DRAW_THINGS_XMP = xmp(
    "<xmp:CreatorTool>Draw Things</xmp:CreatorTool>" + alternative("exif:UserComment", json.dumps(DRAW_THINGS))
)
IPTC_XMP = xmp(
    "<Iptc4xmpExt:AISystemUsed>ImageMaker</Iptc4xmpExt:AISystemUsed>"
    "<Iptc4xmpExt:AISystemVersionUsed>3</Iptc4xmpExt:AISystemVersionUsed>"
    "<Iptc4xmpExt:AIPromptInformation>a cat</Iptc4xmpExt:AIPromptInformation>"
    "<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    "</Iptc4xmpExt:DigitalSourceType>"
)
MIDJOURNEY = (
    "a lighthouse -- at night --ar 2:1 --no fog, rain --v 6 --tile Job ID: a7421d2f-b262-44f9-977c-ac23e9c7d3e3"
)
HORDE = {
    "prompt": "a cat###bad",
    "params": {
        "sampler_name": "k_euler",
        "cfg_scale": 7,
        "seed": "123",
        "steps": 20,
        "width": 512,
        "height": 512,
        "n": 1,
    },
    "models": ["Deliberate"],
    "apikey": "secret",
}
EASY = {
    "prompt": "a cat",
    "negative_prompt": "bad",
    "seed": "42",
    "num_inference_steps": "25",
    "guidance_scale": "7.5",
    "width": "512",
    "height": "768",
    "sampler_name": "euler_a",
    "use_stable_diffusion_model": "C:\\models\\sd-v1-5.safetensors",
    "use_vae_model": "",
}
MOCHI = (
    "Include in Image: a cat; wearing a hat; Exclude from Image: bad; Model: sd-1.5; Steps: 17; Guidance Scale: 7.5; "
    "Seed: 42; Size: 512x768; Scheduler: DPM-Solver++; ML Compute Unit: CPU & GPU; Generator: Mochi Diffusion 6.0"
)


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def labelled(label: str, *content: bytes) -> bytes:
    return box(b"jumb", box(b"jumd", bytes(16) + b"\3" + label.encode() + b"\0") + b"".join(content))


def encoded(value: object) -> bytes:
    """CBOR of short texts, lists and tables."""
    if isinstance(value, str):
        data = value.encode()
        return bytes([0x78, len(data)]) + data
    if isinstance(value, list):
        return bytes([0x80 + len(value)]) + b"".join(map(encoded, value))
    assert isinstance(value, dict)
    return bytes([0xA0 + len(value)]) + b"".join(encoded(key) + encoded(each) for key, each in value.items())


AI_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
C2PA = labelled(
    "c2pa",
    labelled(
        "urn:c2pa:1",
        labelled(
            "c2pa.assertions",
            labelled(
                "c2pa.actions.v2",
                box(
                    b"cbor",
                    encoded(
                        {
                            "actions": [
                                {
                                    "action": "c2pa.created",
                                    "softwareAgent": {"name": "gpt-image"},
                                    "digitalSourceType": AI_SOURCE,
                                }
                            ]
                        }
                    ),
                ),
            ),
        ),
        labelled(
            "c2pa.claim.v2",
            box(b"cbor", encoded({"claim_generator_info": {"name": "Some Media Service", "version": "1.2"}})),
        ),
    ),
)

FILES: dict[str, list[Embedded]] = {
    "fooocus": png(parameters=json.dumps(FOOOCUS), fooocus_scheme="fooocus"),
    "fooocus text": [Embedded("exif", "UserComment", FOOOCUS_TEXT), Embedded("exif", "MakerNote", b"a1111")],
    "ruined": png(parameters=json.dumps(RUINED)),
    "swarmui": [Embedded("exif", "UserComment", json.dumps(SWARM, indent=2))],
    "novelai": png(**NOVELAI_CHUNKS),
    "novelai alpha": [Embedded("alpha", "stealth", json.dumps(NOVELAI_CHUNKS))],
    "draw things": [Embedded("xmp", "packet", DRAW_THINGS_XMP)],
    "midjourney": png(Description=MIDJOURNEY, Author="kim"),
    "horde": png(parameters=json.dumps(HORDE)),
    "easy diffusion": png(**EASY),
    "mochi": [Embedded("iptc", "Caption", MOCHI)],
    "iptc": [Embedded("xmp", "packet", IPTC_XMP)],
    "c2pa": [Embedded("c2pa", "manifest", C2PA)],
}


def test_fooocus_both_schemes_and_its_fork() -> None:
    found = captured(FILES["fooocus"])
    assert (found.generator, found.program, found.program_version) == ("fooocus", "Fooocus", "2.5.0")
    assert found.params == {
        "prompt": "a cat",
        "negative_prompt": "",
        "seed": 4512112233445566778,
        "steps": 30,
        "cfg": 4,
        "sampler": "dpmpp_2m_sde_gpu",
        "scheduler": "karras",
        "width": 1152,
        "height": 896,
        "adm_guidance": "(1.5, 0.8, 0.3)",
        "sharpness": 2,
        "styles": "['Fooocus V2']",
        "full_prompt": ["a cat", "cinematic still a cat"],
        "refiner_model": "None",
        "vae": "Default (model)",
        "loras": [{"name": "sd_xl_offset", "strength": 0.1}],
    }
    assert found.models == (
        ModelReference("juggernautXL_v8Rundiffusion", "checkpoint", {"autov2": "aeb7e9e689"}),
        ModelReference("sd_xl_offset", "lora", {"autov2": "4852686128"}),
    )
    assert found.missing == fooocus.MISSING

    found = captured(FILES["fooocus text"])
    assert (found.generator, found.program_version, found.params["raw_prompt"]) == ("fooocus", "2.5.0", "a cat\n, big")
    assert found.params["loras"] == [{"name": "x", "strength": 0.1}]
    assert a1111.text(found.params, found.about) == FOOOCUS_TEXT

    found = captured(FILES["ruined"])
    assert (found.program, found.params["prompt"], found.params["denoise"]) == (
        "RuinedFooocus",
        "a cat",
        ["json", "null"],
    )
    assert found.models[0].hashes["sha256"].startswith("befc694a")

    old = {name: value for name, value in FOOOCUS.items() if name not in ("loras", "version")}
    found = captured(png(Comment=json.dumps(old)))
    assert found.params["loras"] == [{"name": "sd_xl_offset", "strength": 0.1}]


def test_swarmui() -> None:
    found = captured(FILES["swarmui"])
    assert (found.generator, found.program, found.program_version) == ("swarmui", "SwarmUI", "0.9.7.4")
    assert found.params["loras"] == [{"name": "style/oil", "strength": 0.8}, {"name": "other", "strength": 1}]
    assert (found.params["cfg"], found.params["steps"], found.params["automaticvae"]) == (7.0, 20, True)
    assert "model" not in found.params
    assert found.models == (
        ModelReference("Official/sd_xl_base", "checkpoint", {"tensors": "ab" * 32}),
        ModelReference("style/oil", "lora", {"tensors": "cd" * 32}),
        ModelReference("other", "lora"),
    )
    assert found.about["date"] == "2026-01-03"
    assert found.missing == ("a hash of other",)
    uneven = {"sui_image_params": {**SWARM["sui_image_params"], "loraweights": ["0.8"]}}
    assert captured(png(parameters=json.dumps(uneven))).params["loraweights"] == ["0.8"]


def test_a_graph_gets_the_hashes_that_the_program_in_front_of_it_recorded() -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "Official\\sd_xl_base.safetensors"}},
        "2": {"class_type": "KSampler", "inputs": {"seed": 1, "model": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
    }
    found = captured(png(prompt=json.dumps(graph), parameters=json.dumps(SWARM)))
    assert (found.level, found.generator, found.about["front_end"]) == (Level.GRAPH, "comfyui", "SwarmUI 0.9.7.4")
    assert found.models[0].hashes == {"tensors": "ab" * 32}
    assert found.about["original_prompt"] == "a cat <random:x,y>"


@pytest.mark.parametrize("where", ["novelai", "novelai alpha"])
def test_novelai_keeps_characters_and_says_the_prompt_once(where: str) -> None:
    found = captured(FILES[where])
    assert (found.generator, found.models[0].name) == ("novelai", "NovelAI Diffusion V4.5 4BDE2A90")
    assert (found.params["negative_prompt"], found.params["cfg"], found.params["scheduler"]) == (
        "lowres",
        5.0,
        "karras",
    )
    assert found.params["v4_prompt"] == {"caption": {"char_captions": [{"char_caption": "miku", "centers": []}]}}
    assert found.params["extra"] == {"r": ["json", "null"]}
    assert found.about["title"] == "NovelAI generated image"
    old = {
        **NOVELAI_CHUNKS,
        "Comment": '{"steps": 28, "uc": "lowres", "seed": 1}',
        "Source": "Stable Diffusion 1D44365E",
    }
    assert captured(png(**old)).params["prompt"] == "2girls"


def test_draw_things() -> None:
    found = captured(FILES["draw things"])
    assert (found.generator, found.params["prompt"], found.params["width"], found.params["denoise"]) == (
        "drawthings",
        "a <red> cube",
        64,
        1,
    )
    assert found.params["loras"] == [{"name": "d.ckpt", "strength": 0.8}]
    assert found.params["v2"] == {"tea_cache": False}
    assert [model.name for model in found.models] == ["flux.ckpt", "d.ckpt"]
    text = "draw prompt\n-draw negative\n"
    text += "Steps: 20, Sampler: Euler, Guidance Scale: 4.0, Seed: 42, Size: 64x32, Model: m.ckpt"
    packet = xmp("<xmp:CreatorTool>Draw Things</xmp:CreatorTool>" + alternative("dc:description", text))
    found = captured([Embedded("xmp", "packet", packet)])
    assert (found.params["prompt"], found.params["negative_prompt"]) == ("draw prompt", "draw negative")
    assert (found.params["cfg"], found.params["height"], found.models[0].name) == (4.0, 32, "m.ckpt")


def test_services_tell_prompts_or_only_themselves() -> None:
    found = captured(FILES["midjourney"])
    assert (found.level, found.program, found.program_version) == (Level.PROMPT, "Midjourney", "6")
    assert found.about["prompt"] == "a lighthouse -- at night"
    assert found.about["flags"] == {"ar": "2:1", "no": "fog, rain", "v": "6", "tile": True}
    assert (found.about["job_id"][:8], found.about["author"]) == ("a7421d2f", "kim")

    found = captured(FILES["iptc"])
    assert (found.level, found.program, found.program_version) == (Level.PROMPT, "ImageMaker", "3")
    assert found.about["digital_source_type"] == "trainedAlgorithmicMedia"

    found = captured(FILES["c2pa"])
    assert (found.level, found.program, found.program_version) == (Level.PROVENANCE, "OpenAI", None)
    assert found.about["c2pa"] == {
        "claim_generators": ["Some Media Service 1.2"],
        "software_agents": ["gpt-image"],
        "source_types": ["trainedAlgorithmicMedia"],
        "actions": ["c2pa.created"],
        "signature": "not verified",
    }
    both = captured([*FILES["midjourney"], *FILES["c2pa"]])
    assert (both.level, both.program, "c2pa" in both.about) == (Level.PROMPT, "Midjourney", True)

    credit = [Embedded("iptc", "Credit", "Made with Google AI")]
    assert captured(credit).program == "Google AI"
    flux = [Embedded("exif", "Make", "Black Forest Labs"), Embedded("exif", "ImageDescription", "a cat")]
    assert captured(flux).level is Level.PROMPT
    grok = [
        Embedded("exif", "ImageDescription", "Signature: " + "Ab1+" * 20),
        Embedded("exif", "Artist", "a7421d2f-b262-44f9-977c-ac23e9c7d3e3"),
    ]
    assert captured(grok).program == "Grok"
    for photo in (
        [
            Embedded("exif", "Make", "Canon"),
            Embedded("exif", "Software", "GIMP 3.0"),
            Embedded("exif", "Artist", "Kim"),
        ],
        [Embedded("xmp", "packet", xmp("<photoshop:Credit>Kim</photoshop:Credit>"))],
    ):
        assert understand(photo, strict=True) is None


def test_horde_easy_diffusion_and_others() -> None:
    found = captured(FILES["horde"])
    assert (found.generator, found.params["negative_prompt"], found.params["seed"]) == ("stablehorde", "bad", 123)
    assert found.models == (ModelReference("Deliberate", "checkpoint"),)
    assert "secret" not in str(found)

    found = captured(FILES["easy diffusion"])
    assert (found.program, found.params["steps"], found.params["cfg"]) == ("Easy Diffusion", 25, 7.5)
    assert found.models == (ModelReference("C:/models/sd-v1-5.safetensors", "checkpoint"),)
    found = captured([Embedded("exif", "UserComment", json.dumps(EASY))])
    assert found.params["seed"] == 42

    found = captured(FILES["mochi"])
    assert (found.program, found.program_version) == ("Mochi Diffusion", "6.0")
    assert (found.params["prompt"], found.params["height"]) == ("a cat; wearing a hat", 768)
    kobold = "Prompt: a cat | NegativePrompt: bad | Steps: 20 | CFGScale: 7 | Seed: 5 | Size: 512x768 | "
    kobold += "Sampler: euler karras| Timestep Shift: 2 | Clip skip: -1 | Model: sd15.ckpt | Version: KoboldCpp"
    found = captured(png(parameters=kobold))
    assert (found.program, found.params["sampler"], found.params["clip_skip"]) == ("KoboldCpp", "euler karras", -1)
    assert (found.params["timestep_shift"], found.params["width"], found.models[0].name) == ("2", 512, "sd15.ckpt")
    newer = "a cat\nSize: 24x16, Model: gpt-image-2, Software: Mochi Diffusion 6.2"
    assert captured(png(parameters=newer)).program_version == "6.2"

    space = {
        "prompt": "x",
        "resolution": "1024 x 768",
        "Model": "WAI v16",
        "Model hash": "BD" * 32,
        "use_upscaler": None,
    }
    found = captured(png(parameters=json.dumps(space)))
    assert (found.params["width"], found.models[0].hashes) == (1024, {"sha256": "bd" * 32})


@given(st.sampled_from(sorted(FILES)), st.data())
@settings(max_examples=150)
def test_damaged_metadata_never_raise(which: str, data: st.DataObject) -> None:
    pieces = []
    for piece in FILES[which]:
        start = data.draw(st.integers(0, len(piece.value)))
        end = data.draw(st.integers(start, min(len(piece.value), start + 30)))
        if isinstance(piece.value, bytes):
            value: str | bytes = piece.value[:start] + data.draw(st.binary(max_size=8)) + piece.value[end:]
        else:
            junk = st.text(max_size=5) | st.sampled_from(
                ["null", "[]", "{}", "[[]]", "1e999", "-1", '""', "9" * 30, "\ud800"]
            )
            value = piece.value[:start] + data.draw(junk) + piece.value[end:]
        pieces.append(piece._replace(value=value))
    found = understand(pieces, strict=True)
    if found is not None:
        assert_recipe_holds(found)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just("0.5"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from([FOOOCUS, RUINED, SWARM, SWARM["sui_image_params"], NOVELAI, DRAW_THINGS, HORDE, EASY]), st.data()
)
@settings(max_examples=150)
def test_values_of_other_types_never_raise(base: dict[str, object], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(base)), max_size=4))
    changed = {**base, **{name: data.draw(JUNK) for name in names}}
    whole = {"sui_image_params": changed} if "swarm_version" in base else changed
    for pieces in (png(parameters=json.dumps(whole)), png(**{**NOVELAI_CHUNKS, "Comment": json.dumps(whole)})):
        found = understand(pieces, strict=True)
        if found is not None:
            assert_recipe_holds(found)


def test_hostile_metadata_take_little_time() -> None:
    nested = b"".join((8 * (1000 - n)).to_bytes(4, "big") + b"jumb" for n in range(1000))
    many = labelled("c2pa.claim", box(b"cbor", b"\x9f" + b"\x81" * 200_000)) * 60
    hostile = [
        [Embedded("c2pa", "manifest", nested * 200)],
        [Embedded("c2pa", "manifest", many)],
        [Embedded("c2pa", "manifest", bytes(8) * 200_000)],
        png(Description="--a " * 20_000 + MIDJOURNEY),
        png(parameters=json.dumps({**RUINED, **{" " * n + "steps": n for n in range(1000)}})),
        png(Comment='{"Comment": "' + "\\" * 1_000_000, Software="NovelAI"),
        png(parameters='{"sui_image_params": ' + '{"a":' * 100_000),
        [Embedded("xmp", "packet", xmp("<a>" * 100_000))],
        [Embedded("iptc", "Caption", "Include in Image: Generator: Mochi Diffusion" + "; Seed: " * 100_000)],
        [Embedded("exif", "ImageDescription", "Signature: " + "A" * 1_000_000), Embedded("exif", "Artist", "x")],
    ]
    for pieces in hostile:
        before = time.process_time()
        understand(pieces, strict=True)
        assert time.process_time() - before < 1.5, pieces[0].value[:40]
    for bad in (b"", b"\x5f\x41", b"\xbf\x01", b"\x1c", b"\x3f", b"\xa1\x80\x01", b"\x7f\x41a\xff", b"\x81" * 100):
        with pytest.raises(Unparsable):
            cbor.parse(bad)
    assert cbor.parse(b"\xbf\x61a\xf9\x3c\x00\x61b\xd8\x20\x38\x63\xff") == {"a": 1.0, "b": -100}


def test_a_module_is_asked_only_about_what_it_could_understand(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("regenstore.capture.programs.read._asked", lambda program, *rest: asked.append(program))
    understand([Embedded("exif", "DateTime", "2026:01:01")])
    assert asked == []
    understand([Embedded("c2pa", "manifest", b"")])
    assert asked == ["c2pa"]
    assert len({program for program, _ in ORDER}) == len(ORDER)


def test_an_unexpected_exception_of_one_module_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(pieces: object) -> None:
        raise RecursionError

    monkeypatch.setattr("regenstore.capture.programs.midjourney.understand", fails)
    assert understand(FILES["midjourney"]) is None
    with pytest.raises(RecursionError):
        understand(FILES["midjourney"], strict=True)
