"""musubi-tuner's own reader opens the folder by the configuration that lies in it.

It is no package: ``REGENSTORE_MUSUBI`` names a checkout of github.com/kohya-ss/musubi-tuner; it needs torch, toml,
voluptuous, einops, safetensors and OpenCV.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.export.dataset.studio import Studio

CHECKOUT = os.environ.get("REGENSTORE_MUSUBI")
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(CHECKOUT is None, reason="REGENSTORE_MUSUBI names no checkout of musubi-tuner"),
]
SCRIPT = """
import argparse, json, sys
sys.path.insert(0, sys.argv[1] + "/src")
from musubi_tuner.dataset import config_utils as config
wanted = config.BlueprintGenerator(config.ConfigSanitizer()).generate(
    config.load_user_config(sys.argv[2]), argparse.Namespace(), architecture="wan")
found = []
for dataset in config.generate_dataset_group_by_blueprint(wanted.dataset_group).datasets:
    for _, batch in dataset.retrieve_latent_cache_batches(1):
        found += [[item.item_key, item.caption, list(item.content.shape)] for item in batch]
print(json.dumps(found))
"""


@pytest.mark.parametrize("suffix", ["mp4", "png"])
def test_it_reads_every_sample_with_its_caption(tmp_path: Path, suffix: str):
    (tmp_path / "media").mkdir()
    studio = Studio(tmp_path / "media")
    for number in range(4):
        studio.add(f"shots/{number}.{suffix}", prompt=f"a storm, number {number}\nand more", scene=str(number))
    studio.export(tmp_path / "set", split="train=100")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(CHECKOUT), str(tmp_path / "set/trainers/musubi.toml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert sorted(caption for _, caption, _ in found) == [f"a storm, number {number} and more" for number in range(4)]
    folder = tmp_path / "set/train" / ("videos" if suffix == "mp4" else "images")
    assert len({key for key, *_ in found}) == 4 == len(list(folder.glob(f"*.{suffix}")))
    assert all(shape[-1] == 3 for *_, shape in found)
