"""The record of what the user approved."""

from __future__ import annotations

import os

import pytest

from regenstore.errors import StorageError
from regenstore.project.trust import Approval, TrustRecord


def test_approvals_are_kept(tmp_path):
    path = tmp_path / "deep" / "trusted.json"
    record = TrustRecord(str(path))
    assert record.approvals() == {}
    first, second = Approval("a" * 64, "voice", 1.5), Approval("b" * 64, "voice", 2.5)
    record.approve(first)
    record.approve(second)
    record.approve(Approval("c" * 64, "other", 3.0))
    assert TrustRecord(str(path)).approvals()["a" * 64] == first
    assert record.revoke("voice") == 2
    assert record.revoke("voice") == 0
    assert list(record.approvals()) == ["c" * 64]
    assert os.stat(path.parent).st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"trusted": 3}', '{"trusted": [{"hash": 1}]}', "\xff"])
def test_a_damaged_record_approves_nothing(tmp_path, content):
    path = tmp_path / "trusted.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StorageError) as caught:
        TrustRecord(str(path)).approvals()
    assert caught.value.kind == "store-damaged"
