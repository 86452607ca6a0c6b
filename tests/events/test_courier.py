"""Delivery to a real HTTP server and to real commands."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from regenstore.errors import FormatError
from regenstore.events.courier import Courier
from regenstore.events.declaration import read_notify
from regenstore.events.event import Event
from regenstore.events.outbox import Outbox
from regenstore.remotes.settings import Proxies
from tests.events.receiver import receiver
from tests.remotes.forward_proxy import forwarding

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def declare(top: Path, text: str) -> None:
    (top / "regenstore.toml").write_text(f"[notify]\n{text}\n")


def courier(top: Path, clock=time.time, proxies: Proxies | None = None) -> tuple[Outbox, Courier]:
    notify = read_notify(str(top))
    assert notify is not None
    outbox = Outbox(str(top / "store"))
    return outbox, Courier(outbox, notify, str(top), ENVIRONMENT, clock, proxies)


def script(top: Path, text: str) -> None:
    path = top / "told.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    declare(top, 'command = ["./told.sh"]\ntimeout = 2')


def put(outbox: Outbox, count: int = 1) -> list[str]:
    events = [Event("gc", "/film", 1.0, data={"number": number}) for number in range(count)]
    for each in events:
        outbox.put(each)
    return [each.id for each in events]


def test_a_webhook_gets_each_event_once_in_order(tmp_path: Path):
    with receiver() as server:
        declare(tmp_path, f'webhook = "{server.address}"')
        outbox, carrier = courier(tmp_path)
        ids = put(outbox, 5)
        told = carrier.deliver()
        assert (told.delivered, told.waiting, told.error) == (5, 0, None)
        assert [each["id"] for each in server.seen] == ids
        assert server.headers[0]["Content-Type"] == "application/json"
        assert (server.headers[0]["Regenstore-Event"], server.headers[0]["Regenstore-Delivery"]) == ("gc", ids[0])
        assert carrier.deliver().delivered == 0


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 500, 503])
def test_an_event_stays_until_it_is_taken(tmp_path: Path, status: int):
    with receiver() as server:
        declare(tmp_path, f'webhook = "{server.address}"')
        outbox, carrier = courier(tmp_path)
        ids = put(outbox, 2)
        server.answer = status
        told = carrier.deliver()
        assert (told.delivered, told.waiting) == (0, 2)
        assert told.error is not None and str(status) in told.error.message
        assert len(server.seen) == 1  # neither the next event nor a redirection
        server.answer = 200
        assert carrier.deliver().delivered == 2
        assert [each["id"] for each in server.seen] == [ids[0], *ids]


def test_nobody_there_and_nobody_who_answers(tmp_path: Path):
    with receiver() as server:
        declare(tmp_path, f'webhook = "{server.address}"\ntimeout = 0.2')
        server.hold.clear()
        outbox, carrier = courier(tmp_path)
        put(outbox)
        assert "did not answer within 0.2 s" in str(carrier.deliver().error)
    assert "refused" in str(carrier.deliver().error)
    assert len(outbox.waiting()) == 1


def test_a_receiver_that_keeps_failing_is_asked_less_often(tmp_path: Path):
    now = [1e9]
    with receiver() as server:
        declare(tmp_path, f'webhook = "{server.address}"')
        outbox, carrier = courier(tmp_path, lambda: now[0])
        put(outbox)
        server.answer = 500
        for _ in range(20):
            carrier.deliver()
        assert len(server.seen) == 3
        now[0] += 2.1
        carrier.deliver()
        assert len(server.seen) == 4
        for _ in range(30):
            now[0] += 601
            carrier.deliver()
        assert len(server.seen) == 34  # never less than every ten minutes
        now[0] -= 1e6
        carrier.deliver()
        assert len(server.seen) == 35  # the clock was set back, so nothing is known of the pause
        server.answer = 200
        assert carrier.deliver(now=True).delivered == 1
        put(outbox)
        assert carrier.deliver().delivered == 1  # forgiven


def test_a_receiver_says_when_it_wants_to_be_asked_again(tmp_path: Path):
    now = [1e9]
    with receiver() as server:
        declare(tmp_path, f'webhook = "{server.address}?token=s3cret"')
        outbox, carrier = courier(tmp_path, lambda: now[0])
        put(outbox)
        server.answer, server.retry_after = 503, "60"
        assert "s3cret" not in str(carrier.deliver().error)
        now[0] += 59
        carrier.deliver()
        assert len(server.seen) == 1
        now[0] += 2
        carrier.deliver()
        assert len(server.seen) == 2


def test_a_webhook_is_told_through_the_proxy_that_is_set(tmp_path: Path):
    with receiver() as server, forwarding("ada:s3cret") as proxy:
        declare(tmp_path, f'webhook = "{server.address}"')
        outbox, carrier = courier(tmp_path, proxies=Proxies(f"http://ada:s3cret@127.0.0.1:{proxy.port}"))
        put(outbox)
        assert carrier.deliver().delivered == 1 and proxy.asked == [("POST", server.address)]
        assert "Proxy-Authorization" not in server.headers[0]


def test_a_command_gets_the_event_on_its_input(tmp_path: Path):
    script(tmp_path, 'cat >> "seen"; env > environment; pwd > place')
    outbox, carrier = courier(tmp_path)
    ids = put(outbox, 3)
    assert carrier.deliver().delivered == 3
    assert [json.loads(line)["id"] for line in (tmp_path / "seen").read_text().splitlines()] == ids
    assert (tmp_path / "place").read_text().strip() == str(tmp_path.resolve())
    seen = {line.partition("=")[0] for line in (tmp_path / "environment").read_text().splitlines()}
    assert seen <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo no such room >&2; exit 3", "ended with 3: no such room"),
        ("exit 1", "it said nothing"),
        ("kill -9 $$", "ended with -9"),
        ("sleep 30 & sleep 30", "took over 2 s"),
    ],
)
def test_a_command_that_fails_keeps_the_event(tmp_path: Path, text: str, why: str):
    script(tmp_path, text)
    outbox, carrier = courier(tmp_path)
    put(outbox)
    began = time.monotonic()
    told = carrier.deliver()
    assert told.waiting == 1 and why in str(told.error)
    assert time.monotonic() - began < 20


def test_a_command_need_not_read(tmp_path: Path):
    script(tmp_path, "exit 0")
    outbox, carrier = courier(tmp_path)
    outbox.put(Event("gc", "/film", 1.0, data={"much": "x" * 5_000_000}))
    assert carrier.deliver().delivered == 1


def test_a_command_that_is_gone(tmp_path: Path):
    script(tmp_path, "exit 0")
    outbox, carrier = courier(tmp_path)
    put(outbox)
    (tmp_path / "told.sh").unlink()
    assert "cannot be started" in str(carrier.deliver().error)


def test_what_nobody_wants_any_more_is_let_go(tmp_path: Path):
    script(tmp_path, "exit 1")
    declare(tmp_path, 'command = ["./told.sh"]\nevents = ["generation"]')
    outbox, carrier = courier(tmp_path)
    put(outbox)
    assert carrier.deliver().waiting == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "command = []",
        'command = "sh"',
        "command = [1]",
        'command = ["a"]\nevents = ["exports"]',
        'command = ["a"]\ntimeout = 0',
        'command = ["a"]\ntimeout = true',
        'command = ["a"]\ntimeout = nan',
        'command = ["a"]\ntimeout = 1e9',
        'command = ["a"]\nshell = true',
        'webhook = "ftp://example.org"',
        'webhook = "file:///etc/passwd"',
        'webhook = "https://"',
        'webhook = "https://a b"',
        'webhook = "http://[::1"',
        "webhook = 3",
    ],
)
def test_definitions_that_are_none(tmp_path: Path, text: str):
    declare(tmp_path, text)
    with pytest.raises(FormatError) as caught:
        read_notify(str(tmp_path))
    assert caught.value.kind == "bad-declaration" and "notify" in caught.value.message


def test_trust_is_bound_to_everything_that_runs(tmp_path: Path):
    script(tmp_path, "exit 0")
    first = read_notify(str(tmp_path))
    assert first is not None and first.hash == read_notify(str(tmp_path)).hash
    (tmp_path / "told.sh").write_text("#!/bin/sh\nrm -r .\n")
    changed = read_notify(str(tmp_path))
    declare(tmp_path, 'command = ["./told.sh"]\nwebhook = "https://example.org"')
    more = read_notify(str(tmp_path))
    assert len({first.hash, changed.hash, more.hash}) == 3
    assert any("told.sh" in line for line in more.describe()) and "webhook: https://example.org" in more.describe()


def test_nothing_is_declared(tmp_path: Path):
    assert read_notify(str(tmp_path)) is None
    (tmp_path / "regenstore.toml").write_text("")
    assert read_notify(str(tmp_path)) is None
