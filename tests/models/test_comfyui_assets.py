"""Digests from a ComfyUI server's asset database, from a server that answers as ``app/assets/api`` does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from regenstore.errors import InvalidInput, NotFound, StorageError
from regenstore.models import scan
from regenstore.models.comfyui_assets import ModelAsset, digests_of, model_assets
from regenstore.models.index import ModelIndex
from tests.models.files import safetensors

LIMIT = 500


class Assets:
    """An asset database: rows, and how the server gives them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.cursors = True
        self.status = 200
        self.body: bytes | None = None
        self.asked: list[dict[str, list[str]]] = []

    def answer(self, target: str) -> tuple[int, bytes]:
        place = urlsplit(target)
        if place.path != "/api/assets":
            return 404, b""
        if self.status != 200 or self.body is not None:
            error = {"error": {"code": "SERVICE_DISABLED", "message": "Assets system is disabled.", "details": {}}}
            return self.status, self.body or json.dumps(error).encode()
        query = parse_qs(place.query)
        self.asked.append(query)
        assert query["include_tags"] == ["models"] and query["sort"] == ["name"]
        limit, at = int(query["limit"][0]), int(query.get("after", query.get("offset", ["0"]))[0].removesuffix("=="))
        assert 1 <= limit <= LIMIT
        page = self.rows[at : at + limit]
        more = at + limit < len(self.rows)
        told: dict[str, Any] = {"assets": page, "total": len(self.rows), "has_more": more}
        if more and self.cursors:
            told["next_cursor"] = f"{at + limit}=="
        return 200, json.dumps(told).encode()

    @contextmanager
    def served(self) -> Iterator[str]:
        assets = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = assets.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def row(name: str, size: int, digit: str, **more: Any) -> dict[str, Any]:
    """A row as ``_build_record_response`` makes it; null fields are left out."""
    fields = {
        "id": "9a3f4f7e-1c55-4a53-9a5c-3f0d2f7f0b11",
        "name": name.rpartition("/")[2],
        "hash": f"blake3:{digit * 64}",
        "loader_path": name.partition("/")[2],
        "display_name": name,
        "size": size,
        "tags": ["models", f"model_type:{name.partition('/')[0]}"],
        "user_metadata": {},
        "created_at": "2026-11-01T10:00:00Z",
        "updated_at": "2026-11-01T10:00:00Z",
    }
    return {key: value for key, value in {**fields, **more}.items() if value is not None}


def test_all_pages_are_read() -> None:
    assets = Assets()
    assets.rows = [row(f"loras/{number}.safetensors", number, "a") for number in range(LIMIT + 3)]
    assets.rows[1] = row("loras/1.safetensors", 1, "b", hash=None)  # not hashed yet
    assets.rows[2] = row("loras/2.safetensors", 2, "c", hash=None, asset_hash="blake3:" + "c" * 64)
    assets.rows[3] = row("loras/3.safetensors", 3, "d", display_name=None)  # in a folder of extra_model_paths.yaml
    assets.rows[4] = row("loras/4.safetensors", 4, "e", tags=["models", "missing"])
    assets.rows[5] = row("loras/5.safetensors", 5, "f", loader_path=None, display_name=None)
    assets.rows[6] = {"hash": 7, "size": "x"}
    with assets.served() as url:
        for assets.cursors in (True, False):
            found = model_assets(f"{url}/")
            assert len(found) == LIMIT + 3 - 4 and found[-1].path == f"loras/{LIMIT + 2}.safetensors"
            assert found[:3] == [
                ModelAsset("loras/0.safetensors", 0, "a" * 64),
                ModelAsset("loras/2.safetensors", 2, "c" * 64),
                ModelAsset("3.safetensors", 3, "d" * 64),
            ]
    assert [sorted(query.keys() & {"after", "offset"}) for query in assets.asked] == [["offset"], ["after"]] + [
        ["offset"]
    ] * 2


def test_servers_without_one_and_bad_answers_are_told_apart() -> None:
    assets = Assets()
    with assets.served() as url:
        for status in (404, 503):
            assets.status = status
            with pytest.raises(NotFound, match="offers no asset database"):
                model_assets(url)
        assets.status = 500
        with pytest.raises(StorageError, match="500"):
            model_assets(url)
        assets.status = 200
        for assets.body in (b"<html>", b"[]", b'{"assets": 3}', b"[" * 999, b"\xff"):
            with pytest.raises(StorageError, match=r"127\.0\.0\.1"):
                model_assets(url)
    with pytest.raises(StorageError, match=r"127\.0\.0\.1"):
        model_assets(url)  # it has ended
    for bad in ("127.0.0.1:8188", "ftp://x/", "http:///", "http://x/?a=b"):
        with pytest.raises(InvalidInput, match="such as http"):
            model_assets(bad)


def test_only_one_file_that_fits_one_asset_counts() -> None:
    assets = [
        ModelAsset("loras/a.safetensors", 5, "a" * 64),
        ModelAsset("b.safetensors", 5, "b" * 64),
        ModelAsset("c.safetensors", 5, "c" * 64),
        ModelAsset("sub/c.safetensors", 5, "d" * 64),
    ]
    files = [
        (["/m/loras/a.safetensors", "/linked/a.safetensors"], 5),
        (["/m/other/a.safetensors"], 5),
        (["/m/x/b.safetensors"], 5),
        (["/m/y/b.safetensors"], 5),
        (["/m/sub/c.safetensors"], 5),
        (["/m/loras/a.safetensors.old"], 5),
        (["/n/loras/a.safetensors"], 6),
    ]
    assert digests_of(assets, files) == {"/m/loras/a.safetensors": "a" * 64}


def test_a_scan_takes_digests_and_a_later_one_completes_them(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "models" / "loras" / "a.safetensors", {"x.lora_down.weight": (1, 1)})
    other = safetensors(tmp_path / "models" / "vae" / "b.safetensors", {"w": (1,)})
    assets = [ModelAsset("loras/a.safetensors", path.stat().st_size, "a" * 64)]
    index = ModelIndex(str(tmp_path / "models.jsonl"))

    def scanned(assets: list[ModelAsset]) -> list[str]:
        found = scan.plan([str(tmp_path / "models")], index, assets=assets)
        scan.carry_out(found, index, lambda file: None, lambda count: None, lambda file, problem: None)
        return [file.paths[0] for file in found.hash]

    assert scanned(assets) == [str(other)]
    told = index.models[str(path)]
    assert told.hashes.blake3 == "a" * 64 and not told.complete and told.kind == "lora"
    assert scanned(assets) == []
    assert scanned([]) == [str(path)]
    assert index.models[str(path)].complete and index.models[str(path)].hashes.blake3 != "a" * 64
    assert scanned(assets) == []
