"""What commands say of files that are neither media nor recipes, and of what somebody else did first."""

from __future__ import annotations

import json

import av
import numpy as np

from tests.conftest import Checkout, noise


def states(film: Checkout) -> dict[str, str]:
    return {row["path"]: row["state"] for row in json.loads(film.regenstore("status", "--json"))["paths"]}


def test_empty_files_links_and_what_is_only_announced(empty: Checkout) -> None:
    empty.write("e.bin", b"")
    empty.write("v.bin", noise("v", 100))
    (empty.path / "l.bin").symlink_to("v.bin")
    empty.commit()
    assert "e.bin" not in empty.regenstore("drop") and empty.is_recipe("v.bin")
    empty.write("n.bin", noise("n", 100))
    empty.git("add", "-N", "n.bin")
    assert states(empty) == {"e.bin": "imported", "v.bin": "recipe"}
    empty.write("e.bin", noise("e", 10))
    assert states(empty)["e.bin"] == "edited"


def test_a_hook_that_places_first_is_not_called_a_failure(empty: Checkout) -> None:
    for version in ("one", "two"):
        empty.write("v.bin", noise(version, 100))
        empty.commit(version)
    hook = empty.write(".git/hooks/post-checkout", "#!/bin/sh\nregenstore get >/dev/null 2>&1\n")
    hook.chmod(0o755)
    said = empty.run("git", "checkout", "-q", "HEAD~1").stderr
    assert empty.read("v.bin") == noise("one", 100) and b"stays" not in said


def test_a_pointer_of_git_lfs_is_named(empty: Checkout) -> None:
    empty.write("plate.png", f"version https://git-lfs.github.com/spec/v1\noid sha256:{7:064}\nsize 7340032\n")
    empty.commit()
    done = empty.run("regenstore", "check", "HEAD", check=False)
    assert done.returncode == 1 and b"plate.png: lfs-pointer" in done.stdout
    assert "plate.png is a pointer of Git LFS" in empty.run("regenstore", "doctor", check=False).stdout.decode()


def test_sound_alone_in_an_mp4_is_sound(empty: Checkout) -> None:
    empty.write(".gitattributes", "*.mp4 filter=regenstore diff=regenstore\n")
    with av.open(str(empty.path / "voice.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 48000, 0
        file.mux([*stream.encode(frame), *stream.encode()])
    assert b'media_type = "audio/mp4"' in empty.run("regenstore", "show", "voice.mp4").stdout  # not added yet
    empty.commit()
    assert b'media_type = "audio/mp4"' in empty.blob("voice.mp4")
