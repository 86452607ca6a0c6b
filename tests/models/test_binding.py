"""From what media name to digests: by hash, by name, or not at all, and what is said of it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from regenstore.capture.captured import Captured, InputReference, Level, ModelReference
from regenstore.config import GitEnvironment
from regenstore.models import scan
from regenstore.models.binding import BoundModels, bind
from regenstore.models.finding import FoundModels
from regenstore.models.index import ModelIndex
from regenstore.models.indexed_model import IndexedModel
from regenstore.models.inputs import BoundInputs, InputLookup, bind_inputs
from regenstore.objects.content_store import ContentStore
from regenstore.objects.hashing import hash_bytes
from regenstore.repository import Repository
from tests.conftest import Checkout, noise
from tests.models.files import safetensors

LORA = {"x.lora_down.weight": (1, 1)}


class Library:
    """Models of all kinds, scanned."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "models"
        self.index = ModelIndex(str(home / "models.jsonl"))
        weights = noise("sdxl", (2 << 20) + 7)
        self.main = self.add("checkpoints/sdxl/Base_v1.safetensors", weights=weights)
        self.lora = self.add("loras/style_v1.5.safetensors", LORA, {"ss_output_name": "My Style"})
        self.vae = self.add("vae/shared.safetensors")
        self.other = self.add("loras/shared.safetensors", LORA)
        self.twin_1 = self.add("loras/a/twin.safetensors", LORA, weights=b"one")
        self.twin_2 = self.add("loras/b/twin.safetensors", LORA, weights=b"two")
        self.retitled = self.add("loras/retitled.safetensors", LORA, {"modelspec.title": "x"}, weights=b"three")
        self.original = self.add("loras/original.safetensors", LORA, weights=b"three")
        found = scan.plan([str(self.folder)], self.index)
        scan.carry_out(found, self.index, lambda file: None, lambda count: None, lambda file, problem: None)

    def add(
        self,
        name: str,
        tensors: dict[str, tuple[int, ...]] | None = None,
        metadata: dict[str, str] | None = None,
        weights: bytes = b"",
    ) -> str:
        path = self.folder / name
        return str(safetensors(path, tensors or {"w": (1,)}, metadata, weights or noise(name, 99)))

    def model(self, path: str) -> IndexedModel:
        return self.index.models[path]

    def find(self, name: str, role: str = "lora", **hashes: str) -> FoundModels:
        return self.index.finder.find(ModelReference(name, role, hashes))

    def bind(self, *references: ModelReference) -> BoundModels:
        return bind(Captured(Level.GRAPH, "ComfyUI", models=references), self.index)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(tmp_path_factory.mktemp("library"))


@pytest.mark.parametrize(
    ("name", "role", "found", "by"),
    [
        ("sdxl/Base_v1.safetensors", "checkpoint", "main", "name"),
        ("sdxl\\Base_v1.safetensors", "checkpoint", "main", "name"),
        ("Base_v1.safetensors", "checkpoint", "main", "name"),
        ("base_V1.safetensors", "checkpoint", "main", "case"),
        ("Base_v1", "checkpoint", "main", "stem"),
        ("style_v1.5", "lora", "lora", "stem"),
        ("My Style", "lora", "lora", "alias"),
        ("shared.safetensors", "vae", "vae", "name"),
        ("shared", "lora", "other", "stem"),
        ("shared.safetensors", "upscaler", "", ""),
        ("shared.safetensors", "checkpoint", "", ""),
        ("a/twin.safetensors", "lora", "twin_1", "name"),
        ("sdxl/Base_v1.safetensors", "diffusion_model", "main", "name"),
        ("sdxl/Base_v1.safetensors", "a role of a custom node", "main", "name"),
        ("Base_v1.ckpt", "checkpoint", "", ""),
        ("Base_v", "checkpoint", "", ""),
        ("win.safetensors", "lora", "", ""),
        ("", "lora", "", ""),
        ("../../x", "lora", "", ""),
    ],
)
def test_names_as_programs_write_them(library: Library, name: str, role: str, found: str, by: str) -> None:
    expected = (library.model(getattr(library, found)),) if found else ()
    assert library.find(name, role) == (expected, by, ())


def test_hashes_as_programs_write_them(library: Library) -> None:
    main, lora = library.model(library.main), library.model(library.lora)
    for model in (main, lora):
        for kind in ("sha256", "tensors", "autov2", "autov3"):
            text = getattr(model.hashes, kind)
            assert library.find("renamed", **{kind: text}) == ((model,), kind, ())
            assert library.find("renamed", **{kind: "0x" + text.upper()}).models == (model,)
            assert library.index.finder.by_digits(text) == ((model,), kind, ())
    # The old hash collides: it needs the name, too.
    old = main.hashes.autov1
    assert library.find("other", autov1=old) == ((main,), "autov1", ()) and not library.find("other", autov1=old).digest
    assert library.find("Base_v1", "checkpoint", autov1=old).digest == main.hashes.blake3
    assert library.index.finder.by_digits(f"blake3:{main.hashes.blake3}") == ((main,), "blake3", ())
    assert not library.index.finder.by_digits("abc").models


def test_the_same_weights_in_two_files_are_told_apart_by_name(library: Library) -> None:
    both = (library.model(library.original), library.model(library.retitled))
    weights = both[0].hashes.autov3
    assert set(library.find("renamed", autov3=weights).models) == set(both)
    assert library.find("renamed", autov3=weights).digest == ""
    assert library.find("retitled", autov3=weights).models == (both[1],)


def test_a_hash_that_differs_beats_a_name(library: Library) -> None:
    found = library.find("sdxl/Base_v1.safetensors", "checkpoint", autov2="0" * 10)
    assert found == ((), "name", (library.model(library.main),))
    # What is no hash of its kind says nothing.
    assert library.find("sdxl/Base_v1.safetensors", "checkpoint", autov2="xyz", sha256="12").by == "name"


def test_the_model_table(library: Library) -> None:
    main, lora = library.model(library.main).hashes, library.model(library.lora).hashes
    bound = library.bind(
        ModelReference("old name", "checkpoint", {"autov2": main.autov2}),
        ModelReference("My Style", "lora", {"autov3": lora.autov3}),
        ModelReference("twin.safetensors", "lora"),
        ModelReference("shared.safetensors", "vae"),
        ModelReference("shared.safetensors", "lora"),
        ModelReference("twin.safetensors", "lora"),
        ModelReference("gone.safetensors", "controlnet", {"autov1": "12345678"}),
        ModelReference("elsewhere", "upscaler", {"sha256": "AB" * 32}),
        ModelReference("invoke", "vae", {"blake3": "cd" * 32}),
        ModelReference("sur\ud800rogate", "lora"),
    )
    assert bound.model == {
        "name": "old name",
        "digest": f"blake3:{main.blake3}",
        "autov2": main.autov2,
        "files": {
            "My Style": {"role": "lora", "digest": f"blake3:{lora.blake3}", "autov3": lora.autov3},
            "twin.safetensors": {"role": "lora"},
            "shared.safetensors": {"role": "vae", "digest": f"blake3:{library.model(library.vae).hashes.blake3}"},
            "shared.safetensors (lora)": {
                "role": "lora",
                "digest": f"blake3:{library.model(library.other).hashes.blake3}",
            },
            "gone.safetensors": {"role": "controlnet", "autov1": "12345678"},
            "elsewhere": {"role": "upscaler", "sha256": "ab" * 32},
            "invoke": {"role": "vae", "digest": f"blake3:{'cd' * 32}"},
            "sur\\ud800rogate": {"role": "lora"},
        },
    }
    assert bound.unpinned == ("twin.safetensors", "gone.safetensors", "sur\\ud800rogate")
    assert [note.partition(library.folder.as_posix())[0] for note in bound.notes] == [
        "twin.safetensors: several files fit: ",
        "shared.safetensors: found by its name alone: ",
        "shared.safetensors: found by its name alone: ",
    ]
    assert library.bind() == ({}, (), ())


def test_a_changed_file_is_not_found_by_its_name(tmp_path: Path) -> None:
    library = Library(tmp_path)
    before = library.model(library.lora).hashes
    Path(library.lora).write_bytes(b"another")
    assert library.bind(ModelReference("style_v1.5", "lora")).unpinned == ("style_v1.5",)
    # By hash it is: that this digest belongs to that hash stays true.
    reference = ModelReference("style_v1.5", "lora", {"sha256": before.sha256})
    assert library.bind(reference).model["digest"] == f"blake3:{before.blake3}"
    Path(library.lora).unlink()  # moved away, or on a disk that is not mounted
    assert library.bind(ModelReference("style_v1.5", "lora")).unpinned == ()


def test_an_index_that_cannot_be_read_binds_nothing(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    captured = Captured(Level.GRAPH, "ComfyUI", models=(ModelReference("a", "lora"),))
    bound = bind(captured, ModelIndex(str(tmp_path / "index")))
    assert bound[:2] == ({"name": "a"}, ("a",)) and "the index of models cannot be read" in bound.notes[0]


def test_binding_is_lean_to_import() -> None:
    """``git add`` does it."""
    code = "import sys, regenstore.models.binding, regenstore.models.inputs; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.decode().split()
    assert not {"concurrent.futures", "hashlib", "httpcore2", "pydantic", "tomllib", "sqlite3"} & set(loaded)


# ------------------------------------------------------------------------------------------- inputs


class Place:
    """A worktree with a store, and an input folder beside it."""

    def __init__(self, home: Path) -> None:
        self.top, self.inputs = home / "film", home / "comfy"
        self.store = ContentStore(str(home / "store"))
        self.listings = 0
        self.lookup = InputLookup(os.fsencode(self.top), self._paths, [str(self.inputs)], self.store)

    def _paths(self) -> list[bytes]:
        self.listings += 1
        found = [path for path in self.top.rglob("*") if not path.is_dir() or path.is_symlink()]
        return [os.fsencode(path.relative_to(self.top)) for path in sorted(found)]

    def write(self, path: Path, data: bytes) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(hash_bytes(data))

    def bind(self, file: str, sha256: str | None = None, medium: bytes = b"") -> BoundInputs:
        references = (InputReference("image", file, sha256),)
        return bind_inputs(Captured(Level.GRAPH, "ComfyUI", inputs=references), self.lookup, medium)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_inputs_by_hash_and_by_name(place: Place) -> None:
    right, wrong = b"right picture", b"another picture"
    place.write(place.top / "a" / "pose.png", wrong)
    digest = place.write(place.top / "b" / "pose.png", right)
    only = place.write(place.inputs / "sub" / "only.png", b"only")
    sha256 = hashlib.sha256(right).hexdigest()
    assert place.bind("pose.png", sha256).inputs == {"image": {"path": "b/pose.png", "digest": digest}}
    assert place.bind("poses/pose.png [output]", sha256.upper()).inputs["image"]["digest"] == digest
    unsure = place.bind("pose.png")
    assert unsure.unbound == ({"name": "image", "file": "pose.png"},) and "several files" in unsure.notes[0]
    # The medium itself is no input of its own.
    assert place.bind("pose.png", medium=b"a/pose.png").inputs == {"image": {"path": "b/pose.png", "digest": digest}}
    told = place.bind("pose.png", "0" * 64)
    assert told.unbound[0]["sha256"] == "0" * 64 and "not with this hash" in told.notes[0]
    outside = place.bind("sub/only.png")
    assert outside.inputs == {"image": {"digest": only}}
    assert outside.outside == {"image": str(place.inputs / "sub" / "only.png")}
    assert place.bind("only.png").unbound and place.bind("nowhere.png") == (
        {},
        ({"name": "image", "file": "nowhere.png"},),
        {},
        (),
    )
    assert place.listings == 1


def test_an_input_whose_recipe_text_is_in_the_worktree(place: Place) -> None:
    digest = hash_bytes(b"a stored picture")
    text = f'regenstore = 1\n\n[output]\nname = "main"\nmedia_type = "image/png"\ndigest = "{digest}"\nsize = 16\n'
    place.write(place.top / "pose.png", text.encode())
    assert place.bind("pose.png").inputs == {"image": {"path": "pose.png", "digest": str(digest)}}
    sha256 = hashlib.sha256(b"a stored picture").hexdigest()
    assert place.bind("pose.png", sha256).unbound  # its content is not here
    place.store.prepare()
    place.store.put_bytes(b"a stored picture", digest)
    assert place.bind("pose.png", sha256).inputs["image"]["digest"] == str(digest)


def test_nothing_outside_is_read(place: Place, tmp_path: Path) -> None:
    """Names in a stranger's picture and links in a stranger's repository lead to nothing."""
    place.write(tmp_path / "secret.txt", b"secret")
    place.write(place.inputs / "x.png", b"x")
    (place.top / "deep").mkdir(parents=True)
    (place.top / "secret.txt").symlink_to(tmp_path / "secret.txt")
    (place.top / "linked").symlink_to(tmp_path)
    place.lookup = InputLookup(
        os.fsencode(place.top), lambda: [b"secret.txt", b"linked/secret.txt", b"../secret.txt"], [str(place.inputs)],
        place.store,
    )  # fmt: skip
    names = ["secret.txt", "../secret.txt", str(tmp_path / "secret.txt"), "..", "/", "", "a\0b", "\ud800"]
    for name in names:
        assert not place.bind(name).inputs, name


def test_many_files_of_one_name_are_not_all_hashed(place: Place) -> None:
    for number in range(60):
        place.write(place.top / str(number) / "image.png", b"same")
    assert place.bind("image.png").unbound


def test_a_repository_s_inputs(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracked files and new ones count, ignored ones do not."""
    (tmp_path / "film").mkdir()
    empty = Checkout(tmp_path / "film", environment)
    empty.git("init", "-q")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name, text in (("old/a.png", "a"), ("new/b.png", "b"), ("ignored/c.png", "c"), (".gitignore", "ignored/")):
        empty.write(name, text)
    empty.git("add", "old")
    with closing(Repository.discover(str(empty.path), GitEnvironment.read())) as repository:
        lookup = repository.input_lookup
        found = {name: [each.path for each in lookup.files(name)] for name in ("a.png", "b.png", "c.png", "d.png")}
        assert found == {"a.png": [b"old/a.png"], "b.png": [b"new/b.png"], "c.png": [], "d.png": []}
        assert not repository.model_index.models
