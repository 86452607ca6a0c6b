"""A plug-in installed into a Python environment of its own, and items for its generator."""

from __future__ import annotations

import os
import shutil
import sysconfig
import venv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from regenstore.generators.api import Declaration, Item
from regenstore.generators.schema import Param, ParamSchema
from regenstore.jobs.local import Slot

PLUGIN = Path(__file__).parent / "plugin"
ENTRY_POINTS = """[regenstore.generators]
odd = oddities_declared:ODD
misnamed = oddities_declared:MISNAMED
nothing = oddities_declared:NO_DECLARATION
broken = oddities_declared:MISSING
absent = no_such_module:ODD
procedural.image = oddities_declared:ODD
"""
MAX_OUTPUT = 1 << 20


@pytest.fixture(scope="session")
def plugin_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as an installer would leave it: the plug-in's modules and their metadata."""
    site = tmp_path_factory.mktemp("plug-in")
    for module in PLUGIN.glob("*.py"):
        shutil.copy(module, site)
    info = site / "oddities-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: oddities\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.fixture(scope="session")
def plugin_python(plugin_site: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has all that this one has, and the plug-in."""
    home = tmp_path_factory.mktemp("python")
    venv.create(home, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    lines = [f"import site; site.addsitedir({folder!r})" for folder in sorted(here)]
    (packages / "plugin.pth").write_text("\n".join([*lines, str(plugin_site), ""]))
    return str(home / "bin" / "python")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture
def odd(plugin_python: str, log: Path, monkeypatch: pytest.MonkeyPatch) -> Declaration:
    """The misbehaving generator's declaration, with workers that can import it."""
    monkeypatch.setattr("sys.executable", plugin_python)
    return Declaration(
        name="odd",
        version="1",
        summary="",
        params=ParamSchema({"do": Param(type="string")}),
        media_types=("application/octet-stream",),
        implementation="oddities:Odd",
        options={"log": str(log)},
    )


@pytest.fixture
def slot() -> Iterator[Slot]:
    made = Slot(20.0, MAX_OUTPUT, {"PATH": os.environ["PATH"]})
    yield made
    made.close()


@pytest.fixture
def item(tmp_path: Path) -> Callable[..., Item]:
    """Makes items: ``item("what to do")``."""
    count = 0

    def make(do: str, **fields: Any) -> Item:
        nonlocal count
        count += 1
        outdir = tmp_path / f"out-{count}"
        outdir.mkdir()
        made = Item(f"{count}-{do}", {"do": do}, {}, "application/octet-stream", str(outdir))
        return replace(made, **fields)

    return make


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes(log: Path) -> set[int]:
    """Every process that a log of the generator names: workers, and what they started."""
    found = set()
    for line in log.read_text().splitlines():
        pid, word, *rest = line.split()
        found.add(int(pid))
        if word == "child":
            found |= set(map(int, rest))
    return found
