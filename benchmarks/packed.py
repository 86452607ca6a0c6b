"""How much a committed recipe adds to the packed repository, trees and commits included."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

from benchmarks import trees
from benchmarks.bench import Bench
from benchmarks.measure import Row
from benchmarks.trees import REGENSTORE, Shape, Tree
from regenstore.objects import toml
from regenstore.objects.ids import Digest
from regenstore.objects.recipe import Output, Recipe, Take

COUNT, COMMITS = 1000, 20
_SUBJECTS = [
    "a lighthouse keeper with a storm lantern",
    "two children on a rusted fire escape",
    "an old tram crossing a flooded street",
    "a red fox under a stone bridge",
    "the harbour crane at the end of the pier",
    "a violinist on an empty stage",
    "a paper boat in a gutter",
    "the astronaut's helmet on a kitchen table",
    "a herd of deer between parked cars",
    "a market stall with pomegranates",
    "a glass greenhouse overgrown with ferns",
    "the night guard in the museum hall",
]
_PLACES = [
    "on a cliff above the North Sea",
    "in a narrow alley of Lisbon",
    "under the arcades of a railway station",
    "in a burnt pine forest",
    "beside a frozen canal",
    "in front of a brutalist housing block",
    "in a dry riverbed",
    "on the roof of a hotel",
    "inside a cathedral under repair",
    "at the edge of a salt flat",
]
_LIGHTS = [
    "at dusk, sodium lamps just coming on",
    "in hard noon light",
    "in thick morning fog",
    "lit by a single bare bulb",
    "under a green thunderstorm sky",
    "by moonlight, long exposure",
    "in the blue hour after rain",
    "with low winter sun behind",
]
_STYLES = [
    "35mm film grain, Kodak Portra 400, shallow focus",
    "gouache on rough paper, visible brush strokes",
    "matte painting, wide establishing shot",
    "ink and wash, heavy shadows",
    "anamorphic lens, slight flare, muted teal palette",
    "stop motion look, felt and wood textures",
    "hand-held documentary frame, 24 fps motion blur",
]
_NEGATIVES = (
    "blurry, extra fingers, watermark, text",
    "low contrast, jpeg artefacts",
    "cartoon, oversaturated",
    "",
)
_SAMPLERS = ("euler_a", "dpmpp_2m_karras", "ddim", "uni_pc")
_MODELS = (("sdxl-base", "1.0"), ("flux-dev", "1.1"), ("sd35-large", "2024-10"))


def rows(bench: Bench) -> Iterator[Row]:
    work = f"packed size of {COUNT:,} recipes, per recipe"
    for note, similar in (("a project: 100 shots, ten takes each", True), ("nothing in common but the layout", False)):
        with bench.folder(bench.plain, "packed") as folder:
            tree = _committed(bench, folder, similar=similar)
            for options, how in (((), "git repack -adf"), (("--window=250",), "as git gc --aggressive")):
                size = _size(tree, *options) / COUNT
                yield Row(work, "", 300, [size], unit="bytes", note=f"{note}; {how}")


def _committed(bench: Bench, path: str, *, similar: bool) -> Tree:
    tree = trees.begin(REGENSTORE, path, bench.plain, Shape(0, 0), path)
    chance = random.Random(20261101)
    for commit in range(COMMITS):
        for number in range(commit * COUNT // COMMITS, (commit + 1) * COUNT // COMMITS):
            # In a project the ten takes of a shot share what a person wrote; otherwise nothing is shared.
            written = random.Random(number // 10) if similar else chance
            target = f"{path}/seq{number // 100:02}/shot{number // 10:03}_take{number % 10}.bin"
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(toml.encode(recipe(written, chance, similar=similar)))
        tree.git("add", ".")
        tree.git("commit", "-q", "-m", f"shots {commit}")
    return tree


def recipe(written: random.Random, chance: random.Random, *, similar: bool) -> Recipe:
    """A recipe as an image service would leave it. Seed, digest, size and cost always differ; a project has
    one model, one style, one set of habits; without a project all of these are drawn each time."""
    habits = random.Random(1) if similar else written
    name, revision = habits.choice(_MODELS)
    width, height = habits.choice([(1024, 1024), (1344, 768), (768, 1344)])
    style = habits.choice(_STYLES)
    params: dict[str, object] = {
        "prompt": ", ".join([*(written.choice(part) for part in (_SUBJECTS, _PLACES, _LIGHTS)), style]),
        "negative_prompt": habits.choice(_NEGATIVES),
        "seed": chance.getrandbits(53),
        "steps": habits.randint(20, 50),
        "cfg": round(written.uniform(3, 9), 1),
        "sampler": habits.choice(_SAMPLERS),
        "width": width,
        "height": height,
    }
    take = Take(Digest(chance.randbytes(32)), chance.randint(600_000, 4_000_000))
    weights = random.Random(name).randbytes(32)
    return Recipe(
        "sd.image",
        "1",
        Output("image/png", take=take, seconds=round(chance.uniform(2, 30), 1)),
        model={"name": name, "revision": revision, "digest": str(Digest(weights))},
        params=params,
        about={
            "scene": f"{written.randint(1, 40):02}",
            "tags": sorted(written.sample(["hero", "wip", "key", "alt"], 2)),
        },
    )


def _size(tree: Tree, *options: str) -> int:
    tree.git("repack", "-a", "-d", "-f", "-q", *options)
    tree.git("prune-packed", "-q")
    folder = f"{tree.path}/.git/objects/pack"
    return sum(os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder) if name.endswith(".pack"))
