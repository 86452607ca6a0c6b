"""Who is asked for a password: credential helpers, then ~/.netrc."""

from __future__ import annotations

import subprocess

import pytest

from regenstore.refs.credentials import credentials


@pytest.fixture
def top(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    monkeypatch.delenv("GIT_ASKPASS", raising=False)
    monkeypatch.delenv("SSH_ASKPASS", raising=False)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def helper(top, text):
    program = top / "helper"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return program


def test_nobody_knows(top):
    assert credentials(str(top), str(top / "none"))("https://media.example/x") is None


def test_the_helper_comes_first(top):
    netrc = top / ".netrc"
    netrc.write_text("machine media.example login me password fromfile\n")
    netrc.chmod(0o600)
    ask = credentials(str(top), str(netrc))
    assert ask("https://media.example/x") == ("me", "fromfile")
    assert ask("https://other.example/x") is None
    program = helper(top, "test $1 = get && printf 'username=ann\\npassword=fromhelper\\n'")
    subprocess.run(["git", "-C", str(top), "config", "credential.helper", str(program)], check=True)
    assert ask("https://media.example/x") == ("ann", "fromhelper")


def test_the_user_is_asked_last(top):
    """A program that asks the user is started only for what nobody else knows."""
    program = helper(top, f'echo "$1" >>{top}/asked; echo typed')
    subprocess.run(["git", "-C", str(top), "config", "core.askPass", str(program)], check=True)
    netrc = top / ".netrc"
    netrc.write_text("machine media.example login me password fromfile\n")
    netrc.chmod(0o600)
    ask = credentials(str(top), str(netrc))
    assert ask("https://media.example/x") == ("me", "fromfile")
    assert not (top / "asked").exists()
    assert ask("https://other.example/x") == ("typed", "typed")
    assert (top / "asked").exists()
