"""Digests that a ComfyUI server has computed already: its asset database, over HTTP.

``GET /api/assets`` (ComfyUI of 2026, started with ``--enable-assets``) lists pages of assets: ``hash``
(``blake3:<64 hex digits>``, absent until it is computed; ``asset_hash`` before May 2026), ``size``, ``tags``
(``models`` among them) and where the file is: ``display_name`` (below ``models``), ``loader_path`` (below its model
folder). ``name`` is a label that users change. Source: ``app/assets/api/routes.py``, ``schemas_in.py`` and
``services/path_utils.py`` of Comfy-Org/ComfyUI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from regenstore.capture import bounded_json
from regenstore.errors import InvalidInput, NotFound, StorageError
from regenstore.objects.bounded import Unparsable
from regenstore.remotes.settings import Pace, Proxies

if TYPE_CHECKING:
    from regenstore.remotes.backends.http_client import HttpClient

_PAGE = 500
"""The most that the server lists at once."""
_MOST_PAGES = 400
_MAX_ANSWER = 32 << 20
_CONNECT, _PATIENCE = 10.0, 60.0
_HASH = re.compile(r"blake3:([0-9a-f]{64})")


class ModelAsset(NamedTuple):
    """A model file that a server has hashed."""

    path: str
    """The end of its path, with ``/`` between folders."""
    size: int
    digest: str
    """64 hex digits."""


def model_assets(url: str, proxies: Proxies | None = None) -> list[ModelAsset]:
    """Return the models of a server's asset database of which it knows the digest. Raises InvalidInput
    (``bad-parameter``) for what is no web address, NotFound (``no-asset-database``) if the server has none, and
    StorageError if it does not answer, or not as described above."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput("bad-parameter", f"expected an address such as http://127.0.0.1:8188, found {url!r}")
    from regenstore.remotes.backends.http_client import HttpClient  # slow to import

    client = HttpClient(url, lambda place: None, _CONNECT, Pace(1, _PATIENCE), proxies)
    try:
        return [asset for row in _rows(client, url, parts.path.rstrip("/")) if (asset := _asset(row)) is not None]
    finally:
        client.close()


def _rows(client: HttpClient, url: str, base: str) -> Iterator[Mapping[str, Any]]:
    """All rows: by cursor where the server gives one, else by offset."""
    place, seen = "offset=0", 0
    for _ in range(_MOST_PAGES):
        query = f"include_tags=models&sort=name&order=asc&limit={_PAGE}&{place}"
        page = _page(client, url, f"{quote(base, safe='/%')}/api/assets?{query}")
        rows = page.get("assets")
        if not isinstance(rows, list):
            raise StorageError("remote-failed", f"{url} answered, but without a list of assets")
        yield from (row for row in rows if isinstance(row, dict))
        seen += len(rows)
        cursor = page.get("next_cursor")
        if not rows or not (cursor or page.get("has_more")):
            return
        place = f"after={quote(cursor, safe='')}" if isinstance(cursor, str) and cursor else f"offset={seen}"


def _page(client: HttpClient, url: str, target: str) -> Mapping[str, Any]:
    with client.ask("GET", target) as answer:
        if answer.status in (404, 503):
            raise NotFound("no-asset-database", f"{url} offers no asset database (status {answer.status})")
        client.check(answer, "GET", "api/assets")
        data = bytearray()
        for block in client.body(answer):
            data += block
            if len(data) > _MAX_ANSWER:
                raise StorageError("remote-failed", f"{url}: a page of assets is longer than {_MAX_ANSWER} bytes")
    try:
        page = bounded_json.parse(data.decode())
    except (Unparsable, UnicodeDecodeError) as error:
        raise StorageError("remote-failed", f"{url}: a page of assets cannot be read: {error}") from None
    if not isinstance(page, dict):
        raise StorageError("remote-failed", f"{url} answered, but without a list of assets")
    return page


def _asset(row: Mapping[str, Any]) -> ModelAsset | None:
    digest = _HASH.fullmatch(str(row.get("hash") or row.get("asset_hash") or ""))
    size, tags = row.get("size"), row.get("tags")
    path = next((row[key] for key in ("display_name", "loader_path") if row.get(key)), None)
    if digest is None or type(size) is not int or not isinstance(path, str):
        return None
    if isinstance(tags, list) and ("models" not in tags or "missing" in tags):
        return None
    return ModelAsset(path.replace("\\", "/").strip("/"), size, digest[1])


def digests_of(assets: Iterable[ModelAsset], files: Iterable[tuple[Sequence[str], int]]) -> dict[str, str]:
    """Return first path -> digest for the files that a server's assets describe: one of its paths ends like the
    asset's, and the size is the same. ``files``: all paths and the size of each. Where several assets or several files
    fit, and could be different, none counts."""
    sized: dict[tuple[str, int], list[ModelAsset]] = {}
    for asset in assets:
        sized.setdefault((asset.path.rpartition("/")[2], asset.size), []).append(asset)
    fitting: dict[ModelAsset, set[str]] = {}
    found: dict[str, set[str]] = {}
    for paths, size in files:
        for path in paths:
            plain = path.replace("\\", "/")
            for asset in sized.get((plain.rpartition("/")[2], size), ()):
                if plain.endswith("/" + asset.path):
                    fitting.setdefault(asset, set()).add(paths[0])
                    found.setdefault(paths[0], set()).add(asset.digest)
    unsure = {path for several in fitting.values() if len(several) > 1 for path in several}
    return {path: digests.pop() for path, digests in found.items() if len(digests) == 1 and path not in unsure}
