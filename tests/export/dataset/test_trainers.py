"""Configurations for trainers that need nothing installed."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator

from regenstore.export.dataset import trainers


def test_configurations_fit_the_clips():
    def samples(rate: float | None = None) -> Iterator[tuple[str, str]]:
        yield from ((name, "a storm") for name, fps in (("a.mp4", 24.0), ("b.mp4", 30.0)) if rate in (None, fps))

    given = trainers.Training("/set", "video", samples, (24.0, 30.0), (18, 60), (1920, 1080))
    made = {name: data.decode() for name, data in trainers.configurations(given, trainers.DEFAULT).items()}
    musubi = tomllib.loads(made["musubi.toml"])
    assert musubi["general"]["resolution"] == [960, 544]
    assert [(each["source_fps"], each["target_frames"]) for each in musubi["datasets"]] == [
        (24.0, [1, 17]), (30.0, [1, 17]),
    ]  # fmt: skip
    assert len({each["cache_directory"] for each in musubi["datasets"]}) == 2
    (listed,) = made[os.path.basename(musubi["datasets"][1]["video_jsonl_file"])].splitlines()
    assert json.loads(listed) == {"video_path": "/set/train/videos/b.mp4", "caption": "a storm"}
    assert tomllib.loads(made["diffusion-pipe.toml"])["frame_buckets"] == [1, 17, 33]
    assert "num_frames: 17\n" in made["ai-toolkit.yaml"]
    assert json.loads(made["simpletuner.json"])[0]["video"] == {"num_frames": 17, "min_frames": 17}
