"""No hint tells people to run the command that just failed, whatever the error."""

from __future__ import annotations

import pytest

from regenstore import errors
from regenstore.cli.hints import GROUPS, hint_for, names_command
from regenstore.cli.main import COMMANDS
from regenstore.errors import KINDS, RegenstoreError
from tests.conftest import Checkout

WORDS = [*COMMANDS, *(f"{group} {each}" for group in GROUPS for each in ("list", "check", "add", "dataset", "show"))]


@pytest.mark.parametrize("command", WORDS)
def test_no_kind_of_error_sends_people_back(command: str) -> None:
    for kind in KINDS:
        said = hint_for(RegenstoreError(kind, "m"), ["-q", *command.split(), "--json", "x.png"])
        assert said and not names_command(said, command), f"{command}, {kind}: {said}"


def test_every_kind_has_its_own_hint_elsewhere() -> None:
    assert hint_for(errors.StorageError("remote-failed", "m"), ["push"]) == KINDS["remote-failed"]
    assert hint_for(errors.StorageError("remote-failed", "m"), []) == KINDS["remote-failed"]


def test_get_that_fails_names_another_way(empty: Checkout) -> None:
    empty.regenstore("new", "--no-generate", "a.png", "--generator", "procedural.image", "-p", "prompt=x")
    done = empty.run("regenstore", "get", "--no-generate", check=False)
    said = done.stderr.decode()
    assert done.returncode == 5 and "hint: " in said and "regenstore get" not in said
