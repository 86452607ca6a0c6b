"""The real servers, each started once per process that runs tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.remotes.real_servers import Started


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    found = Started(tmp_path_factory.mktemp)
    yield found
    found.close()
