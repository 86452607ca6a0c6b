"""An HTML page to browse a dataset: a thumbnail of each sample with its labels. One file without scripts or external
resources; all text is escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator
from itertools import islice

from regenstore.export.dataset.read_back import Shown, local, rows
from regenstore.export.dataset.row import Row
from regenstore.export.dataset.splits import SPLITS
from regenstore.media.thumbnail import thumbnail

_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; }
h2 { margin: 1.5em 0 .5em; text-transform: capitalize; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, 200px); gap: 14px; }
figure { margin: 0; padding: 6px; border: 1px solid #8884; border-radius: 6px; overflow: hidden; }
img, .none { display: block; width: 186px; height: 124px; object-fit: contain; background: #8882; }
.none { line-height: 124px; text-align: center; opacity: .6; }
figcaption { font-size: 12px; margin-top: 6px; }
.text { display: -webkit-box; -webkit-line-clamp: 3; -webkit-box-orient: vertical; overflow: hidden; }
.tag { display: inline-block; padding: 0 5px; margin: 2px 2px 0 0; border-radius: 4px; background: #4a90d933; }
.bad { background: #d94a4a44; }
.path { opacity: .65; overflow-wrap: anywhere; }
table { border-collapse: collapse; } td, th { padding: 2px 12px 2px 0; text-align: left; }
"""


def page(out: str, shown: Shown, limit: int) -> Iterator[str]:
    """The page, in parts; shows the first ``limit`` samples of each split."""
    name = html.escape(str(shown.manifest.settings.get("name", "dataset")))
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title><style>{_STYLE}</style>'
    yield f"<h1>{name}</h1><table><tr><th>split<th>samples<th>seconds<th>MB</tr>"
    counts = shown.manifest.counts
    splits = [split for split in SPLITS if counts.get(split)]
    for split in splits:
        told = f"{shown.seconds.get(split, 0):.1f}<td>{shown.bytes.get(split, 0) / 1e6:.1f}"
        yield f"<tr><td>{split}<td>{counts[split]}<td>{told}</tr>"
    yield "</table>"
    for split in splits:
        yield f'<h2>{split}</h2><div class="grid">'
        for row in islice((row for row in rows(out) if row["split"] == split), limit):
            yield _figure(out, shown, row)
        yield "</div>"
        if counts[split] > limit:
            yield f"<p>and {counts[split] - limit} more</p>"
    yield "</html>\n"


def _figure(out: str, shown: Shown, row: Row) -> str:
    entry = shown.manifest.samples.get(row["key"])
    picture = None
    if entry is not None:
        with local(out, entry.files[0].path, entry.files[0].inside) as path:
            picture = thumbnail(path, row["media_type"])
    image = '<div class="none">no picture</div>'
    if picture is not None:
        image = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
    tags = [*row["characters"], *row["tags"], *([row["scene"]] if row["scene"] else [])]
    marks = "".join(f'<span class="tag">{html.escape(tag)}</span>' for tag in tags)
    marks += "".join(f'<span class="tag bad">{html.escape(tag)}</span>' for tag in row["failure_tags"])
    scores = " · ".join(f"{name} {row[name]:g}" for name in ("quality", "rating") if row[name] is not None)
    return (
        f'<figure>{image}<figcaption><div class="text">{html.escape(row["text"][:300])}</div>{marks}'
        f'<div>{scores}</div><div class="path">{html.escape(row["source"])}</div></figcaption></figure>'
    )
