"""Any stream at all: the filter process answers or ends with bad-packet, and the store stays sound."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from regenstore.config import GitEnvironment
from regenstore.errors import RegenstoreError
from regenstore.gitfilter.clean import CleanFilter
from regenstore.gitfilter.pktline import BadPacket, PacketReader, packets, text_packets
from regenstore.gitfilter.process import Request, handshake, serve
from regenstore.gitfilter.smudge import MissingMedium, SmudgeFilter
from regenstore.objects.mismatched_takes import outdated_texts
from regenstore.refs.git import blob_id
from regenstore.repository import Repository
from tests.conftest import Checkout, examples, noise

RECIPE = b'regenstore = 1\n\n[output]\nname = "main"\nmedia_type = "image/png"\n'
HELLO = text_packets(b"git-filter-client", b"version=2") + text_packets(
    b"capability=clean", b"capability=smudge", b"capability=delay"
)


def request(command: bytes, path: bytes, body: bytes, *more: bytes) -> bytes:
    return text_packets(b"command=" + command, b"pathname=" + path, *more) + packets(body) + b"0000"


PIECES = [
    request(b"clean", b"a.bin", noise("a", 3000)),
    request(b"clean", b"deep/b c.bin", noise("b", 70_000)),
    request(b"clean", b"new.bin", RECIPE),
    request(b"clean", b"empty.bin", b""),
    request(b"smudge", b"a.bin", RECIPE, b"can-delay=1", b"blob=" + b"ab" * 20),
    request(b"smudge", b"../out.bin", RECIPE, b"can-delay=1"),
    request(b"smudge", b"raw.bin", noise("raw", 500)),
    text_packets(b"command=list_available_blobs"),
    text_packets(b"command=list_available_blobs", b"pathname=a.bin"),
    b"0000", b"0001", b"0004", b"fff4", b"zzzz", b"00", b"\x00" * 9, text_packets(b"pathname=a\0b", b"command=clean"),
    text_packets(b"command=smudge", b"pathname=x", b"blob=nothex"),
]  # fmt: skip

mutation = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 1 << 17), st.just(b"")),
    st.tuples(st.just("flip"), st.integers(0, 1 << 17), st.binary(min_size=1, max_size=5)),
    st.tuples(st.just("insert"), st.integers(0, 1 << 17), st.binary(max_size=9)),
)


def mutated(stream: bytes, how: str, at: int, what: bytes) -> bytes:
    at %= len(stream) + 1
    if how == "cut":
        return stream[:at]
    return stream[:at] + what + stream[at + (len(what) if how == "flip" else 0) :]


class Filter:
    """The filter of a real repository, fed from files: a read can end, and never waits."""

    def __init__(self, checkout: Checkout) -> None:
        self.repository = Repository.at_top(str(checkout.path), GitEnvironment(None, None))
        self.left: list[bytes] = []

    def left_alone(self, path: bytes, reason: str) -> None:
        self.left.append(path)

    def run(self, stream: bytes) -> str:
        """What became of it: ``end``, or ``bad-packet``."""
        given, size = self.repository, self.repository.settings.oid_size

        class Report:
            left = staticmethod(self.left_alone)

            @staticmethod
            def placed(count: int) -> None: ...

            @staticmethod
            def failed() -> None: ...

        def missing(found: object) -> None:
            assert all(isinstance(each, MissingMedium) for each in found)

        clean = CleanFilter(
            given.location.top, size, given.store, lambda: given.cache, given.index, given.blobs, given.pending,
            moved=lambda: given.moved, guessed=lambda path, origin: None, capturer=lambda: given.capturer,
        )  # fmt: skip
        smudge = SmudgeFilter(
            given.store, given.pending, lambda: given.filler, lambda text: blob_id(text, size), missing, Report(),
            lambda texts: outdated_texts(given.cache, texts),
        )  # fmt: skip
        errors: list[BaseException] = []

        def failed(request: Request) -> None:
            import sys

            error = sys.exc_info()[1]
            assert error is not None
            errors.append(error)

        with tempfile.TemporaryFile() as file, open(os.devnull, "wb") as out:
            file.write(stream)
            file.seek(0)
            reader = PacketReader(file.fileno())
            try:
                handshake(reader, out.fileno())
                serve(reader, out.fileno(), {b"clean": clean.clean, b"smudge": smudge.smudge}, failed, smudge.ahead)
                end = "end"
            except BadPacket:
                end = "bad-packet"
            clean.finish()
            if end == "end":
                smudge.finish()
        assert all(isinstance(error, RegenstoreError) and error.category != "internal" for error in errors), errors
        return end


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Filter, Path]]:
    from tests.conftest import hermetic_environment

    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "home").mkdir()
    checkout = Checkout(folder / "film", hermetic_environment(folder / "home"))
    checkout.path.mkdir()
    checkout.git("init", "-q")
    checkout.regenstore("init")
    checkout.regenstore("track", "*.bin")
    checkout.write("a.bin", noise("a", 3000))
    checkout.commit()
    made = Filter(checkout)
    yield made, folder
    made.repository.close()


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chosen=st.lists(st.integers(0, len(PIECES) - 1), max_size=5),
    hello=st.booleans(),
    mutations=st.lists(mutation, max_size=3),
)
def test_any_stream(
    fuzzed: tuple[Filter, Path], chosen: list[int], hello: bool, mutations: list[tuple[str, int, bytes]]
) -> None:
    stream = HELLO * hello + b"".join(PIECES[number] for number in chosen)
    for each in mutations:
        stream = mutated(stream, *each)
    filter_, folder = fuzzed
    assert filter_.run(stream) in ("end", "bad-packet")
    store = folder / "film/.git/regenstore"
    assert os.listdir(store / "tmp") == []
    assert not (folder / "out.bin").exists()
    for path in [*store.glob("vault/*/*"), *store.glob("cache/*/*")]:
        assert blake3(path.read_bytes()).hexdigest() == path.parent.name + path.name


def test_what_ends_inside_of_a_request_is_a_bad_packet(fuzzed: tuple[Filter, Path]) -> None:
    filter_ = fuzzed[0]
    assert filter_.run(HELLO) == "end"
    for tail in (PIECES[8], PIECES[0][:-4], PIECES[0][:40], text_packets(b"command=clean", b"pathname=x")[:-4]):
        assert filter_.run(HELLO + tail) == "bad-packet"
    for start in (b"", HELLO[:10], HELLO[: HELLO.index(b"0000") + 4], b"GET / HTTP/1.1\r\n\r\n"):
        assert filter_.run(start) == "bad-packet"
