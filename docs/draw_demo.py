"""Draw docs/demo.svg from a demo that was run: ``python docs/draw_demo.py regenstore-demo > docs/demo.svg``.

Everything in it is taken from the demo's repository and its store: the difference of two revisions of a shot as Git
shows it, and a frame of the medium of each revision.
"""

from __future__ import annotations

import base64
import html
import io
import subprocess
import sys
from pathlib import Path

import av
from blake3 import blake3

SHOT, BEFORE, AFTER = "shots/sh010.mp4", "HEAD~3", "HEAD"
RED, GREEN, GREY, WHITE, BLUE = "#ff7b72", "#7ee787", "#8b949e", "#e6edf3", "#79c0ff"
WIDTH, HEIGHT, LINE, PICTURE = 1200, 500, 32, 424


def main(demo: Path) -> None:
    film, stores = demo / "film", [demo / "store", demo / "film-empty" / ".git" / "regenstore"]

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", film, *words], capture_output=True, text=True, check=True).stdout

    changes = [
        line for line in git("diff", "-U0", BEFORE, AFTER, "--", SHOT).splitlines()
        if line.startswith(("-prompt", "+prompt", "-seed", "+seed"))
    ]  # fmt: skip
    take = git("show", f"{AFTER}:{SHOT}").partition("blake3:")[2][:64]
    if blake3((film / SHOT).read_bytes()).hexdigest() != take:
        raise SystemExit(f"{film / SHOT} is not the recorded take")
    text = len(git("show", f"{AFTER}:{SHOT}").encode())
    media = [medium_of(git("show", f"{revision}:{SHOT}"), stores) for revision in (BEFORE, AFTER)]
    size = media[1].stat().st_size
    lines = [
        [("$ ", GREY), (f"git diff {BEFORE} -- {SHOT}", WHITE)],
        *(
            [(line, GREEN if line[0] == "+" else RED)]
            for line in sorted(changes, key=lambda line: (line[1:5], line[0] == "+"))
        ),
        [],
        [("$ ", GREY), (f"rm {SHOT} && git checkout .", WHITE)],
        [("made again from the recipe: the same bytes", GREEN)],
        [],
        [("$ ", GREY), (f"git cat-file -s {AFTER}:{SHOT}", WHITE)],
        [(f"{text}", BLUE), (f"   bytes of text, for {size:,} bytes of video", GREY)],
    ]
    sys.stdout.write(drawn(lines, [picture_of(medium) for medium in media]) + "\n")


def medium_of(recipe: str, stores: list[Path]) -> Path:
    digest = recipe.partition("blake3:")[2][:64]
    for store in stores:
        for path in store.rglob("*"):
            if path.is_file() and digest in "".join(path.parts):
                return path
    raise SystemExit(f"{digest} is not in the demo's stores")


def picture_of(medium: Path) -> str:
    """A frame as JPEG, in base64."""
    into = io.BytesIO()
    with av.open(str(medium)) as opened:
        frame = list(opened.decode(video=0))[5]
        frame.to_image().resize((PICTURE, PICTURE * frame.height // frame.width)).save(into, "jpeg", quality=85)
    return base64.b64encode(into.getvalue()).decode()


def drawn(lines: list[list[tuple[str, str]]], pictures: list[str]) -> str:
    rows = []
    for number, line in enumerate(lines):
        spans = "".join(f'<tspan fill="{colour}">{html.escape(text)}</tspan>' for text, colour in line)
        rows.append(f'<text x="32" y="{110 + number * LINE}" xml:space="preserve">{spans}</text>')
    tall = PICTURE * 9 // 16 - 24
    shown = []
    for number, (picture, words, colour) in enumerate(zip(pictures, ("before", "after"), (RED, GREEN))):
        top = 52 + number * (tall + 8)
        shown.append(
            f'<image x="{WIDTH - tall * 16 // 9 - 20}" y="{top}" width="{tall * 16 // 9}" height="{tall}" '
            f'href="data:image/jpeg;base64,{picture}"/>'
            f'<rect x="{WIDTH - 116}" y="{top + 8}" width="88" height="28" rx="6" fill="#0d1117" opacity="0.8"/>'
            f'<text x="{WIDTH - 72}" y="{top + 28}" text-anchor="middle" font-weight="bold" '
            f'fill="{colour}">{words}</text>'
        )
    left = WIDTH - tall * 16 // 9 - 20
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" \
font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="20">
<rect width="{WIDTH}" height="{HEIGHT}" rx="12" fill="#0d1117"/>
<text x="32" y="36" fill="{WHITE}" font-weight="bold">What Git holds</text>
<text x="{left}" y="36" fill="{WHITE}" font-weight="bold">What you see</text>
<line x1="20" y1="60" x2="{left - 24}" y2="60" stroke="#30363d"/>
{chr(10).join(rows)}
{chr(10).join(shown)}
<!-- drawn by docs/draw_demo.py from a run of the demo -->
</svg>"""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
