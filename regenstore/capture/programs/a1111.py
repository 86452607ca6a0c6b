"""AUTOMATIC1111's web UI and the programs that write its text of settings: Forge, reForge, SD.Next,
stable-diffusion.cpp, Civitai, and nodes that save pictures for ComfyUI.

Sources of the names: ``modules/processing.py`` and ``modules/infotext_utils.py`` of these web UIs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from regenstore.capture.captured import Captured, Level, ModelReference
from regenstore.capture.embedded import Embedded
from regenstore.capture.graphs.values import from_recipe, to_recipe
from regenstore.capture.programs import infotext, settings
from regenstore.capture.programs.infotext import Infotext, Setting
from regenstore.errors import FormatError

PIECES = ("parameters", "usercomment", "comment", "description", "imagedescription", "stealth", "xpcomment")
NAMES = {
    "Steps": "steps",
    "Sampler": "sampler",
    "Schedule type": "scheduler",
    "Scheduler": "scheduler",
    "CFG scale": "cfg",
    "CFG Scale": "cfg",
    "Distilled CFG Scale": "guidance",
    "Guidance": "guidance",
    "Seed": "seed",
    "Denoising strength": "denoise",
    "Denoise": "denoise",
    "Clip skip": "clip_skip",
    "Clip Skip": "clip_skip",
    "Batch size": "batch_size",
}
"""Names that all programs share. The others keep their own, in snake_case."""
_NUMBERS = {*NAMES.values()} - {"sampler", "scheduler"}
_OF_MODELS = {"Model", "Model hash", "VAE", "VAE hash", "Lora hashes", "TI hashes", "Hashes", "Civitai resources"}
_APART = _OF_MODELS | {"Version", "App", "Software", "User", "Created Date", "Civitai metadata"}
"""Settings that are not params: [model] and [about] tell them."""
_RESERVED = (
    *("prompt", "negative_prompt", "width", "height", "template", "negative_template", "after", "loras"),
    *("postprocessing", "extras"),
)
_NETWORK = re.compile(r"<(lora|lyco|hypernet):([^:<>\n]{1,255})(?::[^<>\n]{0,255})?>")
_BRACKETED = re.compile(r"(.{1,255}?)\s*\[([0-9a-fA-F]{8,64})\]")
_CONTROLNET_MODEL = re.compile(r"(?:^|, )Model: ([^,]{1,255})")
_MODULE = re.compile(r"(?:Hires )?Module \d{1,3}")
_SETTING_ROLES = {
    "Hires upscaler": "upscaler",
    "Hires checkpoint": "checkpoint",
    "Refiner": "checkpoint",
    "TE": "text_encoder",
    "Unet": "diffusion_model",
    "UNet": "diffusion_model",
}
_LORA = re.compile(r"Lora_\d{1,3} Model name")
_NOT_FILES = ("latent", "none", "lanczos", "nearest", "use same")
_ROLES = {"lora": "lora", "lyco": "lora", "hypernet": "hypernetwork", "embed": "embedding", "vae": "vae"}
_RESOURCES = {"checkpoint": "checkpoint", "lora": "lora", "lycoris": "lora", "dora": "lora", "embed": "embedding"}
_RESOURCES |= {"textualinversion": "embedding", "vae": "vae", "upscaler": "upscaler", "controlnet": "controlnet"}


def understand(pieces: Sequence[Embedded]) -> Captured | None:
    """Return what the first such text says, or the bare prompt that a PNG's ``parameters`` are."""
    for text in settings.texts(pieces, *PIECES):
        if (parts := infotext.parse(text)) is not None:
            captured = captured_of(parts, text)
            return _with_postprocessing(captured, pieces)
    return _without_settings(pieces)


def captured_of(parts: Infotext, original: str) -> Captured:
    """Return what the parts of a text say."""
    if "Model hash: unknown" in original and parts.prompt.startswith("Prompt: "):  # older Krita AI Diffusion
        parts = replace(parts, prompt=parts.prompt.removeprefix("Prompt: "))
    params, about = values(parts)
    if text(params, about) != original:
        about["infotext"] = to_recipe(original)
    told = [(item.name, infotext.unquoted(item.written)) for item in parts.items if item.written is not None]
    known = dict(told)
    program, version = program_of(known)
    resources = _resources(known.get("Civitai resources", ""))
    loras = [lora for lora in map(_lora, resources) if lora is not None]
    if loras:
        params["loras"] = loras
    models = settings.unique(_models(told, resources, original))
    return Captured(
        Level.PARAMETERS,
        program,
        version,
        "a1111",
        params=params,
        models=models,
        about=about,
        missing=_missing(known, models, program, version),
    )


# ------------------------------------------------------------------------------------------- values


def values(parts: Infotext) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the params of a text, and what is told of it in [about]: ``settings`` (the names in their order) and
    ``written`` (what the text had where that does not follow from the params)."""
    params: dict[str, Any] = {"prompt": parts.prompt}
    if parts.negative is not None:
        params["negative_prompt"] = parts.negative
    params |= _after(parts.after)
    params = {name: to_recipe(value) for name, value in params.items()}
    written: dict[str, str] = {}
    free = settings.FreeNames(_RESERVED)
    for item in parts.items:
        name = free.take(NAMES.get(item.name) or settings.snake(item.name))
        _add(params, written, name, item)
    about = {"settings": to_recipe(", ".join(item.name for item in parts.items))}
    return params, about | ({"written": to_recipe(written)} if written else {})


def text(params: Mapping[str, Any], about: Mapping[str, Any]) -> str:
    """Return the text that these values came from; ``about`` is the recipe's table ``about.embedded``. For params that
    were changed since, the text that the program would have written for them."""
    whole = str(_plain(about.get("infotext", "")))
    if whole and values(infotext.parse(whole) or _NOTHING)[0].items() <= params.items():
        return whole
    params = {name: _plain(value) for name, value in params.items()}
    written = {name: _plain(value) for name, value in about.get("written", {}).items()}
    free = settings.FreeNames(_RESERVED)
    items = []
    for original in _plain(about.get("settings", "")).split(", "):
        name = free.take(NAMES.get(original) or settings.snake(original))
        found = _written(params, written, name, original)
        if found is not None:
            items.append(Setting(original, None if found == original else found))
    after = [f"{label}: {params[name]}" for label, name in _TEMPLATES if name in params]
    after = [params["after"], *after] if "after" in params else after
    parts = Infotext(params["prompt"], params.get("negative_prompt"), tuple(items), "\n".join(after) or None)
    return infotext.text(parts)


def _plain(value: Any) -> Any:
    """Return the value that a recipe has in a form of its own. Raises FormatError for a reference: there are none."""
    return from_recipe(value, _refuse)


def _refuse(reference: list[Any]) -> Any:
    raise FormatError("bad-recipe", f"expected a setting, found {reference!r:.60}")


_NOTHING = Infotext("", None, ())
_TEMPLATES = (("Template", "template"), ("Negative Template", "negative_template"))


def _add(params: dict[str, Any], written: dict[str, str], name: str, item: Setting) -> None:
    if item.name in _APART or item.written is None:
        if item.name in _APART:
            written[name] = item.name if item.written is None else item.written
        else:
            params[name] = to_recipe(item.name)
        return
    if item.name == "Size" and (found := settings.size(item.written)) and "width" not in params:
        params["width"], params["height"] = found
        as_written = "{}x{}".format(*found)
    else:
        value = _value(name, infotext.unquoted(item.written))
        params[name], as_written = to_recipe(value), _as_written(value)
    if as_written != item.written:
        written[name] = item.written


def _written(params: Mapping[str, Any], written: Mapping[str, str], name: str, original: str) -> str | None:
    """Return a setting as the text has it: as it was written if that still means the param's value."""
    before = written.get(name)
    if original in _APART:
        return before
    if original == "Size" and name not in params and "width" in params and "height" in params:
        same = before is not None and settings.size(before) == (params["width"], params["height"])
        return before if same else f"{params['width']}x{params['height']}"
    if name not in params:
        return None
    if before is not None and _value(name, infotext.unquoted(before)) == params[name]:
        return before
    return _as_written(params[name])


def _value(name: str, plain: str) -> Any:
    """Return a setting's value: a number where one is expected, or where its text follows from the number."""
    if plain in ("True", "False"):
        return plain == "True"
    number = infotext.number(plain)
    return number if name in _NUMBERS or str(number) == plain else plain


def _as_written(value: Any) -> str:
    return infotext.quoted(value if isinstance(value, str) else str(value))


def _after(after: str | None) -> dict[str, str]:
    """Return the templates of Dynamic Prompts, and other lines that follow the settings."""
    found: dict[str, str] = {}
    name = "after"
    for line in [] if after is None else after.split("\n"):
        for label, template in _TEMPLATES:
            if line.startswith(f"{label}: ") and template not in found:
                name, line = template, line.removeprefix(f"{label}: ")
        found[name] = f"{found[name]}\n{line}" if name in found else line
    return found


# ------------------------------------------------------------------------------------------- models


def _models(told: list[tuple[str, str]], resources: list[dict[str, Any]], original: str) -> Iterator[ModelReference]:
    """Yield the models that settings and prompts name."""
    known = dict(told)
    recorded = settings.json_object(known.get("Hashes", "")) or {}
    main = settings.hashes(known.get("Model hash")) or settings.hashes(recorded.get("model"))
    name = known.get("Model") or (next(iter(main.values())) if main else None)
    if name:
        yield ModelReference(settings.file_name(name), "checkpoint", main)
    for resource in resources:
        yield ModelReference(*_resource_name(resource))
    if vae := known.get("VAE"):
        yield ModelReference(settings.file_name(vae), "vae", settings.hashes(known.get("VAE hash")))
    for found in _NETWORK.finditer(original):
        yield ModelReference(settings.file_name(found[2]), _ROLES[found[1]])
    for name, digits in _pairs(known.get("Lora hashes", "")):
        yield ModelReference(settings.file_name(name), "lora", settings.hashes(digits))
    for name, digits in _pairs(known.get("TI hashes", "")):
        yield ModelReference(settings.file_name(name), "embedding", settings.hashes(digits[:10]))
    for key, value in recorded.items():
        role, _, of = key.partition(":")
        if of and role in _ROLES:
            yield ModelReference(settings.file_name(of), _ROLES[role], settings.hashes(value))
    for key, value in told:
        if (role_of := _role(key)) and value and not value.lower().startswith(_NOT_FILES):
            yield _bracketed(value, role_of if role_of != "module" else _module_role(value))
        elif _LORA.fullmatch(key):
            recorded_hash = known.get(key.replace("name", "hash"))
            yield ModelReference(settings.file_name(value), "lora", settings.hashes(recorded_hash))
        elif key.startswith("ControlNet") and (model := _CONTROLNET_MODEL.search(value)) and model[1] != "None":
            yield _bracketed(model[1], "controlnet")


def _pairs(written: str) -> Iterator[tuple[str, str]]:
    for pair in written.split(",", infotext.MAX_ITEMS)[: infotext.MAX_ITEMS]:
        name, _, digits = pair.rpartition(":")
        if name:
            yield name, digits.strip()


def _role(key: str) -> str | None:
    if _MODULE.fullmatch(key):
        return "module"
    return "adetailer" if key.startswith("ADetailer model") else _SETTING_ROLES.get(key)


def _module_role(name: str) -> str:
    encoders = ("clip", "t5", "qwen", "llama", "gemma", "text_encoder", "mistral")
    return "text_encoder" if any(word in name.lower() for word in encoders) else "vae"


def _bracketed(value: str, role: str) -> ModelReference:
    found = _BRACKETED.fullmatch(value)
    name, hashes = (found[1], settings.hashes(found[2])) if found else (value, {})
    return ModelReference(settings.file_name(name), role, hashes)


def _resources(written: str) -> list[dict[str, Any]]:
    """Return Civitai's list of the models a picture was made with."""
    found = settings.json_value(written)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _resource_name(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and role of such a model: its AIR if that is told, else name and version."""
    version = resource.get("modelVersionId")
    parts = (resource.get("modelName"), resource.get("modelVersionName") or resource.get("versionName"))
    name = resource.get("air") or " ".join(part for part in parts if isinstance(part, str))
    if isinstance(version, int) and not resource.get("air"):
        name = f"{name} (civitai {version})" if name else f"civitai {version}"
    role = str(resource.get("type", "")).lower()
    if not role and isinstance(resource.get("air"), str):
        role = [*resource["air"].split(":"), "", "", "", ""][3]
    return settings.file_name(str(name or "unnamed")), _RESOURCES.get(role, role or "checkpoint")


def _lora(resource: Mapping[str, Any]) -> dict[str, Any] | None:
    name, role = _resource_name(resource)
    strength = resource.get("weight")
    if role != "lora":
        return None
    return {"name": name} | ({"strength": to_recipe(strength)} if isinstance(strength, (int, float)) else {})


# ------------------------------------------------------------------------------------------- programs


def program_of(known: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the program that wrote such settings, and its version."""
    version = known.get("Version")
    app = known.get("App")
    if app:
        return app, version
    if software := known.get("Software"):
        name, _, number = software.rpartition(" ")
        return (name, number) if name and number[:1].isdigit() else (software, None)
    if version is None and known.get("Model hash") == "unknown":
        return "Krita AI Diffusion", None
    if version is None:
        return ("Civitai" if "Civitai resources" in known else "AUTOMATIC1111 or alike"), None
    if version.startswith("Fooocus"):
        return "Fooocus", version.removeprefix("Fooocus").strip().removeprefix("v") or None
    if version in ("ComfyUI", "KoboldCpp") or version.startswith("stable-diffusion.cpp"):
        name, _, number = version.partition(" ")
        return name, number or None
    if version.startswith("neo"):
        return "Forge Neo", version.removeprefix("neo").lstrip("-") or None
    if version == "classic":
        return "Forge Classic", None
    if re.match(r"f1\.\d+\.\d+[^-]{0,9}-v", version):
        return "reForge", version
    if re.match(r"f\d", version):
        return "Forge", version
    return "AUTOMATIC1111", version


def _missing(
    known: Mapping[str, str], models: Sequence[ModelReference], program: str, version: str | None
) -> tuple[str, ...]:
    missing = [] if models and models[0].role in settings.MAIN else ["the model's name"]
    missing += settings.unhashed(model for model in models if model.role in ("checkpoint", "lora", "vae", "embedding"))
    if version is None:
        missing.append("the program's version")
    if "RNG" not in known and program.startswith(("AUTOMATIC1111", "Forge", "reForge")):
        missing.append("where the noise was made: by default on the GPU, whose kind is not recorded")
    if "Seed" not in known:
        missing.append("the seed")
    hires = any(key.lower().startswith(("hires ", "first pass")) for key in known)
    if "Init image hash" in known or ("Denoising strength" in known and not hires):
        missing.append("the picture that it began with")
    if any(key.startswith("ControlNet") for key in known):
        missing.append("the pictures that ControlNet was given")
    return tuple(missing)


def _with_postprocessing(captured: Captured, pieces: Sequence[Embedded]) -> Captured:
    for name in ("postprocessing", "extras"):
        for found in settings.texts(pieces, name):
            params = {**captured.params, name: to_recipe(found)}
            captured = replace(captured, params=params)
    return captured


def _without_settings(pieces: Sequence[Embedded]) -> Captured | None:
    for found in settings.texts([piece for piece in pieces if piece.carrier == "png"], "parameters"):
        if not found.startswith(("{", "[")) and len(found) <= infotext.MAX_LENGTH:
            about = {"prompt": to_recipe(found)}
            missing = ("the seed and all settings",)
            return Captured(Level.PROMPT, "AUTOMATIC1111 or alike", about=about, missing=missing)
    for name in ("postprocessing", "extras"):
        for found in settings.texts(pieces, name):
            about = {name: to_recipe(found)}
            missing = ("the picture that was processed",)
            return Captured(Level.PROVENANCE, "AUTOMATIC1111 or alike", about=about, missing=missing)
    return None
