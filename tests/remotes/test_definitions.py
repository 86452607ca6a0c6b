"""Which remotes there are: Git's configuration, what a repository declares, and what is trusted of it."""

from __future__ import annotations

import os
import subprocess

import pytest

from regenstore.config import GitEnvironment
from regenstore.errors import FormatError, InvalidInput, NotFound, TrustRequired
from regenstore.project.trust import Approval
from regenstore.remotes.definitions import FILE, GIT_CONFIG
from regenstore.repository import Repository


@pytest.fixture
def top(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def opened(top):
    return Repository.discover(str(top), GitEnvironment.read())


def configure(top, name, value):
    subprocess.run(["git", "-C", str(top), "config", f"regenstore.remote.{name}", value], check=True)


def test_none_is_cheap_and_empty(top):
    repository = opened(top)
    assert repository.remotes == {} and repository.untrusted_remotes == {}
    assert repository.remote_problems == {} and list(repository.unasked_remotes) == []
    assert repository.bytes_added == 0 and not repository.generated
    with pytest.raises(AttributeError):
        repository.settings = repository.settings
    first = repository.cache
    repository.close()
    assert repository.cache is not first
    repository.close()


def test_git_configuration(top):
    configure(top, "Studio-1.url", "/mnt/media")
    configure(top, "Studio-1.jobs", "3")
    configure(top, "Studio-1.limit", "10m")
    repository = opened(top)
    assert repository.settings.remotes["Studio-1"].limit == 10_000_000
    assert repository.settings.remotes["Studio-1"].jobs == 3
    remote = repository.remotes["Studio-1"]
    assert (remote.name, remote.url) == ("Studio-1", "/mnt/media")
    assert repository.remote_definitions.find("Studio-1") is remote
    assert repository.remote_definitions.definitions["Studio-1"].source == GIT_CONFIG
    with pytest.raises(NotFound, match="Studio-1") as caught:
        repository.remote_definitions.find("studio-1")
    assert caught.value.kind == "no-such-remote"


@pytest.mark.parametrize(
    ("name", "value"),
    [("a.jobs", "0"), ("a.jobs", "65"), ("a.jobs", "x"), ("a.limit", "fast"), ("a.limit", "0"), ("a b.url", "/x")],
)
def test_bad_configuration_is_named(top, name, value):
    configure(top, name, value)
    with pytest.raises(InvalidInput, match=r"regenstore\.remote\.a") as caught:
        opened(top)
    assert caught.value.kind == "bad-config"


def test_a_declared_one_needs_approval_of_name_and_address(top):
    (top / FILE).write_text('[remotes.studio]\nurl = "../shared"\n')
    configure(top, "studio.jobs", "2")
    repository = opened(top)
    assert list(repository.unasked_remotes) == []  # nothing looked at remotes yet
    assert repository.elsewhere is None and list(repository.unasked_remotes) == ["studio"]
    assert repository.remotes == {}
    definition = repository.untrusted_remotes["studio"]
    assert (definition.url, definition.source, definition.setting.jobs) == ("../shared", FILE, 2)
    with pytest.raises(TrustRequired) as caught:
        repository.remote_definitions.find("studio")
    assert caught.value.kind == "untrusted-remote"

    repository.trust.approve(Approval(definition.hash, definition.trust_name, 0.0))
    repository = opened(top)
    assert repository.remotes["studio"].url == os.path.normpath(top / "../shared")  # relative to the top
    assert not repository.untrusted_remotes

    elsewhere = top.parent / "deeper" / "clone"  # the same words lead to another folder there
    subprocess.run(["git", "clone", "-q", str(top), str(elsewhere)], check=True, stderr=subprocess.DEVNULL)
    (elsewhere / FILE).write_bytes((top / FILE).read_bytes())
    assert opened(elsewhere).remotes == {}

    for text in ('[remotes.studio]\nurl = "../other"\n', '[remotes.atelier]\nurl = "../shared"\n'):
        (top / FILE).write_text(text)
        assert opened(top).remotes == {}


def test_git_configuration_wins(top):
    (top / FILE).write_text('[remotes.studio]\nurl = "https://elsewhere.example"\n')
    configure(top, "studio.url", str(top / "here"))
    repository = opened(top)
    assert repository.remotes["studio"].url == str(top / "here") and not repository.untrusted_remotes


@pytest.mark.parametrize(
    "text",
    [
        "remotes = 3",
        "[remotes]\nstudio = 3",
        '[remotes."a b"]\nurl = "/x"',
        "[remotes.a]\n",
        "[remotes.a]\nurl = 3",
        '[remotes.a]\nurl = "/x"\njobs = 3',
        '[remotes.a]\nurl = "https://me:secret@host/x"',
        '[remotes.a]\nurl = "https://token@host/x"',
        '[remotes.a]\nurl = "sftp://me:secret@host/x"',
        '[remotes.a]\nurl = "/x\\u001b[2J"',
    ],
)
def test_bad_declarations(top, text):
    (top / FILE).write_text(text)
    with pytest.raises(FormatError) as caught:
        _ = opened(top).remote_definitions.definitions
    assert caught.value.kind == "bad-declaration"
    assert "secret" not in caught.value.message


def test_one_that_cannot_be_opened_leaves_the_others(top):
    configure(top, "odd.url", "gopher://host/x")
    configure(top, "good.url", str(top))
    repository = opened(top)
    assert list(repository.remotes) == ["good"]
    assert repository.remote_definitions.unusable["odd"].kind == "bad-config"
    with pytest.raises(InvalidInput, match="gopher"):
        repository.remote_definitions.find("odd")
    repository.close()


def test_generators_cannot_take_a_remotes_place_in_the_record(top):
    (top / FILE).write_text('[generators."remotes.x"]\nversion="1"\ncommand=["true"]\nmedia_type="image/png"\n')
    with pytest.raises(FormatError, match=r"\[remotes\.x\]"):
        _ = opened(top).registry.declared
