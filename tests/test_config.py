"""Settings: where they come from, which one wins, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regenstore.config import GitEnvironment, Settings, capture_inputs, load, model_index
from regenstore.errors import InvalidInput
from regenstore.refs.git import Git
from regenstore.remotes.settings import SshSetting
from tests.conftest import Checkout


@pytest.fixture
def checkout(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Checkout:
    for name in [*os.environ]:
        if name.startswith(("GIT_", "REGENSTORE_", "XDG_")) or name in ("HOME", "CI"):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "film"
    folder.mkdir()
    made = Checkout(folder, environment)
    made.git("init", "-q")
    return made


def settings_of(checkout: Checkout, **environ: str) -> Settings:
    return load(Git(str(checkout.path)), {**checkout.environment, **environ})


def refused(checkout: Checkout, **environ: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        settings_of(checkout, **environ)
    assert caught.value.kind == "bad-config"
    return caught.value.message


def test_defaults(checkout):
    found = settings_of(checkout, PATH="/bin", SECRET="x")
    assert found == Settings(
        trust_file=f"{checkout.environment['HOME']}/.config/regenstore/trusted.json",
        netrc=f"{checkout.environment['HOME']}/.netrc",
        ssh=SshSetting(f"{checkout.environment['HOME']}/.ssh"),
        worker_environment={"PATH": "/bin"},
    )
    assert (found.smudge, found.budget, found.timeout, found.max_output) == ("generate", 60.0, 3600.0, 64_000_000_000)
    assert found.oid_size == 20
    assert found.workers >= 1


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("smudge", "place", "smudge", "place"),
        ("budget", "2.5", "budget", 2.5),
        ("budget", "2m", "budget", 120.0),
        ("budget", "0", "budget", 0.0),
        ("budget", "inf", "budget", float("inf")),
        ("timeout", "1h", "timeout", 3600.0),
        ("inline", "yes", "inline", True),
        ("inline", "0", "inline", False),
        ("inline", "", "inline", False),
        ("reflink", "off", "reflink", False),
        ("jobs", "3", "jobs", 3),
        ("maxOutput", "500m", "max_output", 500_000_000),
        ("maxOutput", "1.5 GiB", "max_output", 3 << 29),
        ("maxOutput", "2gb", "max_output", 2_000_000_000),
        ("maxOutput", "100", "max_output", 100),
        ("MAXOUTPUT", "1k", "max_output", 1000),
    ],
)
def test_git_configuration(checkout, name, text, field, value):
    checkout.git("config", f"regenstore.{name}", text)
    assert getattr(settings_of(checkout), field) == value


def test_a_name_without_a_value_is_true_as_git_has_it(checkout):
    with open(checkout.path / ".git" / "config", "a") as file:
        file.write("[regenstore]\n\tinline\n")
    assert settings_of(checkout).inline is True


def test_the_nearest_value_wins(checkout):
    checkout.git("config", "--global", "regenstore.budget", "1")
    assert settings_of(checkout).budget == 1
    checkout.git("config", "regenstore.budget", "2")
    assert settings_of(checkout).budget == 2
    checkout.git("config", "--add", "regenstore.budget", "3")
    assert settings_of(checkout).budget == 3
    assert settings_of(checkout, REGENSTORE_BUDGET="4").budget == 4
    assert settings_of(checkout, REGENSTORE_BUDGET="").budget == 3
    environment = {**checkout.environment, "REGENSTORE_BUDGET": "4"}
    said = load(Git(str(checkout.path)), environment, {"budget": 5.0, "jobs": None})
    assert (said.budget, said.jobs) == (5.0, 0)


def test_git_command_line_values_count(checkout, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "regenstore.smudge")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "place")
    assert settings_of(checkout).smudge == "place"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMUDGE", "fetch"),
        ("BUDGET", "9"),
        ("INLINE", "1"),
        ("JOBS", "2"),
        ("TIMEOUT", "5"),
        ("MAX_OUTPUT", "1m"),
        ("REFLINK", "0"),
        ("STORE", "/somewhere"),
    ],
)
def test_every_setting_has_an_environment_variable(checkout, name, value):
    changed = settings_of(checkout, **{f"REGENSTORE_{name}": value})
    assert getattr(changed, name.lower()) != getattr(settings_of(checkout), name.lower())


@pytest.mark.parametrize("value", ["true", "1", "yes", "woodpecker"])
def test_in_ci_nothing_is_generated_by_itself(checkout, value):
    assert settings_of(checkout, CI=value).smudge == "fetch"
    checkout.git("config", "regenstore.smudge", "generate")
    assert settings_of(checkout, CI=value).smudge == "generate"


@pytest.mark.parametrize("value", ["", "false", "0", "No", "off"])
def test_ci_can_be_denied(checkout, value):
    assert settings_of(checkout, CI=value).smudge == "generate"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("smudge", "always"),
        ("smudge", "Place"),
        ("smudge", ""),
        ("budget", "-1"),
        ("budget", "nan"),
        ("budget", "soon"),
        ("budget", "m"),
        ("budget", ""),
        ("timeout", "1y"),
        ("grace", "-1d"),
        ("maxSize", "0"),
        ("maxSize", "all"),
        ("inline", "maybe"),
        ("jobs", "-1"),
        ("jobs", "1.5"),
        ("jobs", "\u00b2"),
        ("jobs", "\u0663"),
        ("jobs", "9" * 5000),
        ("maxOutput", "lots"),
        ("maxOutput", "5x"),
        ("maxOutput", "-5"),
        ("maxOutput", "0"),
        ("maxOutput", "1e400"),
        ("maxOutput", "nan"),
        ("maxOutput", ""),
    ],
)
def test_bad_values_are_refused_by_name(checkout, name, text):
    checkout.git("config", f"regenstore.{name}", text)
    message = refused(checkout)
    assert message.startswith(f"regenstore.{name.lower()}: expected ")
    assert "found" in message


def test_the_size_of_the_store_and_the_grace(checkout):
    assert (settings_of(checkout).max_size, settings_of(checkout).grace) == (None, 86400.0)
    checkout.git("config", "regenstore.maxSize", "20g")
    checkout.git("config", "regenstore.grace", "2d")
    assert (settings_of(checkout).max_size, settings_of(checkout).grace) == (20_000_000_000, 172_800.0)
    checkout.git("config", "regenstore.maxSize", "")  # takes back what a wider configuration says
    assert settings_of(checkout).max_size is None
    assert settings_of(checkout, REGENSTORE_MAX_SIZE="1k").max_size == 1000


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_is_read_or_refused(checkout, text):
    for name in ("BUDGET", "MAX_OUTPUT", "JOBS", "INLINE", "SMUDGE"):
        try:
            found = settings_of(checkout, **{f"REGENSTORE_{name}": text})
        except InvalidInput as error:
            assert error.kind == "bad-config"
            continue
        assert found.budget >= 0
        assert found.max_output > 0
        assert found.jobs >= 0


def test_the_store_is_relative_to_the_worktree(checkout, monkeypatch, tmp_path):
    checkout.git("config", "regenstore.store", "../shared")
    monkeypatch.chdir(tmp_path)
    assert settings_of(checkout).store == str(tmp_path / "shared")
    checkout.git("config", "regenstore.store", "/a/../b")
    assert settings_of(checkout).store == "/b"
    checkout.git("config", "regenstore.store", "~/media")
    assert settings_of(checkout).store == f"{checkout.environment['HOME']}/media"


def test_nothing_is_read_from_the_worktree(checkout):
    checkout.write("regenstore.toml", 'budget = 10000\nsmudge = "generate"\nstore = "/"\n')
    checkout.write(".regenstore", "[regenstore]\n\tbudget = 10000\n")
    checkout.write(".gitconfig", "[regenstore]\n\tbudget = 10000\n")
    assert settings_of(checkout).budget == 60


def test_the_object_format_is_the_repositorys(checkout, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    sha256 = Checkout(other, checkout.environment)
    sha256.git("init", "-q", "--object-format=sha256")
    assert settings_of(sha256).oid_size == 32


def test_the_users_approvals_lie_where_the_system_wants_them(checkout):
    assert settings_of(checkout, XDG_CONFIG_HOME="/x").trust_file == "/x/regenstore/trusted.json"


def test_what_git_tells_its_children():
    assert vars(GitEnvironment.read({"GIT_DIR": "/g", "GIT_INDEX_FILE": "i"})) == {"git_dir": "/g", "index": "i"}
    assert vars(GitEnvironment.read({})) == {"git_dir": None, "index": None}


def test_before_a_push(checkout):
    assert settings_of(checkout).pre_push == "warn"
    checkout.git("config", "regenstore.prePush", "refuse")
    assert settings_of(checkout).pre_push == "refuse"
    assert settings_of(checkout, REGENSTORE_PRE_PUSH="off").pre_push == "off"
    checkout.git("config", "regenstore.prePush", "perhaps")
    assert "regenstore.prePush" in refused(checkout)


def test_folders_of_inputs_are_the_user_s_choice_alone(checkout: Checkout) -> None:
    """A repository cannot make capture read elsewhere, not even with its own configuration."""
    git = Git(str(checkout.path))
    checkout.git("config", "regenstore.captureInputs", "/etc")
    assert capture_inputs(git) == ()
    checkout.git("config", "--global", "regenstore.captureInputs", "/a:~/b::")
    assert capture_inputs(git) == ("/a", f"{checkout.environment['HOME']}/b")
    assert capture_inputs(git, {**checkout.environment, "REGENSTORE_CAPTURE_INPUTS": "/c"}) == ("/c",)
    with pytest.raises(InvalidInput, match="captureInputs: expected absolute paths"):
        capture_inputs(git, {**checkout.environment, "REGENSTORE_CAPTURE_INPUTS": "/c:here"})


def test_the_index_of_models_lies_in_the_user_s_data() -> None:
    assert model_index({"HOME": "/h"}) == "/h/.local/share/regenstore/models.jsonl"
    assert model_index({"HOME": "/h", "XDG_DATA_HOME": "/d"}) == "/d/regenstore/models.jsonl"
