"""What of an address may be shown; and that errors, whatever they are made of, show no more."""

from __future__ import annotations

import pytest

from regenstore.addresses import shown, without_secrets
from regenstore.errors import StorageError


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://host.example/film", "https://host.example/film"),
        ("https://user:s3cr3t@host:8443/film", "https://***@host:8443/film"),
        ("https://s3cr3t@host/film", "https://***@host/film"),
        ("https://user:s3cr3t@127.0.0.1:1/x?token=s3cr3t&X-Amz-Signature=s3cr3t#s3cr3t", "https://***@127.0.0.1:1/x?***"),
        ("https://user:p@s3cr3t@host/x", "https://***@host/x"),
        ("https://user:s3/cr3t@host/x", "https://***"),
        ("https://host:8443/a@b", "https://host:8443/a@b"),
        ("https://[::1]:8443/a@b", "https://[::1]:8443/a@b"),
        ("sftp://ada@host/srv", "sftp://ada@host/srv"),
        ("sftp://ada:s3cr3t@host/srv", "sftp://***@host/srv"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("/mnt/film?a@b", "/mnt/film?a@b"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_secrets(address: str, said: str) -> None:
    assert shown(address) == said
    assert without_secrets(f"asked '{address}' (twice), no luck") == (
        f"asked '{said}' (twice), no luck" if "://" in address else f"asked '{address}' (twice), no luck"
    )


def test_no_error_shows_a_secret() -> None:
    error = StorageError(
        "remote-failed",
        "error sending request for url (http://k:s3cr3t@h/b?X-Amz-Signature=s3cr3t): refused",
        hint="Ask https://h/?token=s3cr3t",
    )
    assert "s3cr3t" not in f"{error} {error.message} {error.hint} {error!r}"
    assert "http://***@h/b?***" in error.message and "refused" in error.message
