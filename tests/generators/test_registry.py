"""Finding generators by name: built in, installed, declared; and who is trusted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regenstore.errors import FormatError, GenerationError, NotFound, TrustRequired
from regenstore.generators.registry import Registry, built_in
from regenstore.project.trust import Approval, TrustRecord

VOICE = """
[generators.voice]
version = "1"
command = ["true"]
media_type = "audio/wav"
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    made = tmp_path / "top"
    made.mkdir()
    return made


@pytest.fixture
def registry(top: Path, tmp_path: Path, plugin_site: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.syspath_prepend(str(plugin_site))
    return Registry(str(top), TrustRecord(str(tmp_path / "home" / "trusted.json")))


def test_built_in_generators_are_trusted(registry):
    known = registry.find("procedural.image")
    assert (known.source, known.trusted) == ("built-in", True)
    assert registry.runnable("procedural.image", known.declaration.version) is known.declaration


def test_no_plug_in_replaces_a_built_in_one(registry):
    assert registry.find("procedural.image").declaration is built_in()["procedural.image"].load()


def test_installed_generators_are_found(registry):
    known = registry.find("odd")
    assert (known.source, known.trusted, known.declaration.implementation) == ("plug-in", True, "oddities:Odd")


@pytest.mark.parametrize("name", ["misnamed", "nothing", "broken", "absent"])
def test_a_broken_plug_in_is_named(registry, name):
    with pytest.raises(GenerationError) as caught:
        registry.find(name)
    assert caught.value.kind == "generator-unavailable"
    assert f"'{name}'" in caught.value.message


def test_an_unknown_name_gets_a_suggestion(registry):
    with pytest.raises(NotFound) as caught:
        registry.find("procedural.imgae")
    assert caught.value.kind == "no-such-generator"
    assert "did you mean 'procedural.image'?" in caught.value.message


def test_another_version_is_another_contract(registry):
    with pytest.raises(GenerationError) as caught:
        registry.runnable("odd", "2")
    assert caught.value.kind == "generator-unavailable"
    assert "version 2" in caught.value.message


def test_declared_generators_run_only_when_trusted(registry, top):
    (top / "regenstore.toml").write_text(VOICE)
    known = registry.find("voice")
    assert (known.source, known.trusted) == ("regenstore.toml", False)
    with pytest.raises(TrustRequired) as caught:
        registry.runnable("voice", "1")
    assert caught.value.kind == "untrusted-generator"
    registry.trust.approve(Approval(known.declared.hash, "voice", 1.0))
    assert registry.runnable("voice", "1").name == "voice"
    assert registry.trust.revoke("voice") == 1
    with pytest.raises(TrustRequired):
        registry.runnable("voice", "1")


def test_trust_is_not_for_a_name_but_for_a_definition(registry, top, tmp_path):
    (top / "regenstore.toml").write_text(VOICE)
    registry.trust.approve(Approval(registry.find("voice").declared.hash, "voice", 1.0))
    (top / "regenstore.toml").write_text(VOICE.replace('["true"]', '["true", "--more"]'))
    changed = Registry(str(top), registry.trust)
    assert not changed.find("voice").trusted


def test_a_declaration_cannot_take_a_built_in_name(registry, top):
    (top / "regenstore.toml").write_text(VOICE.replace("voice", '"procedural.image"'))
    with pytest.raises(FormatError) as caught:
        registry.find("voice")
    assert caught.value.kind == "bad-declaration"
    assert registry.find("procedural.image").source == "built-in"


# ------------------------------------------------------------------------------------------- approvals


def test_a_repository_cannot_bring_its_own_approvals(registry, top):
    (top / "regenstore.toml").write_text(VOICE)
    found = registry.find("voice").declared.hash
    for folder in (top, top / ".config" / "regenstore", top / "regenstore"):
        folder.mkdir(parents=True, exist_ok=True)
        record = {"trusted": [{"hash": found, "generator": "voice", "approved": 1}]}
        (folder / "trusted.json").write_text(json.dumps(record))
    assert not Registry(str(top), registry.trust).find("voice").trusted
