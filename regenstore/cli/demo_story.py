"""The demo script. It runs real commands: regenstore's in this process, git's as programs."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import struct
import subprocess
import time
import zlib

import click

from regenstore.cli.console import say
from regenstore.cli.context import size_text
from regenstore.cli.demo_assets import EDITED_SHOT, REPAINTED, Asset, assembled, derived, originals
from regenstore.cli.group import cli
from regenstore.config import GitEnvironment
from regenstore.fs import interpreter
from regenstore.objects import toml
from regenstore.objects.hashing import hash_file
from regenstore.objects.ids import Digest
from regenstore.refs.blobs import read_texts
from regenstore.refs.git import people
from regenstore.repository import Repository
from regenstore.tracked.status import Status, status

MARK = ".regenstore-demo"
_SHOWN = 3


class DemoFailed(click.ClickException):
    """The demo did not end as expected."""


class Story:
    """Runs the demo in a folder with the repository ``film``, its store, and clones."""

    def __init__(self, top: str, scale: float) -> None:
        self.top = top
        self.film = os.path.join(top, "film")
        self.store = os.path.join(top, "store")
        self.scale = scale
        self._begun = time.monotonic()
        self._photo: Digest | None = None
        self._facts: list[tuple[str, bool]] = []

    def play(self) -> int:
        """Run the whole demo; returns 0 if everything came back."""
        _isolate(self.top)
        os.makedirs(self.film)
        open(os.path.join(self.top, MARK), "w").close()
        self._set_up()
        self._make()
        self._merge()
        self._prove()
        self._free_the_disk()
        self._clone_shared()
        self._clone_empty()
        self._share()
        return self._end()

    # -------------------------------------------------------------------------------- the chapters

    def _set_up(self) -> None:
        self._chapter("A film project: Git keeps recipes, the store keeps media")
        self._go(self.film)
        self._git("init", "-q", "-b", "main")
        self._regenstore("init", "--store", self.store)
        self._regenstore("track", "*.png", "*.mp4", "*.wav")

    def _make(self) -> None:
        self._chapter("Thirty assets from prompts and seeds, and one photo with a paint-over")
        for wave in (originals(self.scale), derived(self.scale), assembled()):
            self._recipes(list(wave))
            self._regenstore("get")
        os.makedirs("refs")
        _repaint("plates/sea.png", REPAINTED)
        self._photo = hash_file(REPAINTED)[0]
        self._say(f"cp plates/sea.png {REPAINTED}  # and paint over it, in any program")
        self._git("add", "-A")
        self._git("commit", "-q", "-m", "First shots")
        self._git("show", "--stat", "--format=%h %s", "HEAD", tail=3)

    def _merge(self) -> None:
        self._chapter("Two artists change one shot; Git merges their parameters")
        self._git("switch", "-q", "-c", "ada")
        self._regenstore("set", EDITED_SHOT, "seed=8")
        self._git("commit", "-q", "-a", "-m", "sh010: calmer waves")
        self._git("switch", "-q", "-c", "ben", "main")
        self._regenstore("set", EDITED_SHOT, "prompt=storm at dawn over the sea")
        self._git("diff", "-U0", only=("-prompt", "+prompt"))
        self._git("commit", "-q", "-a", "-m", "sh010: at dawn")
        self._git("switch", "-q", "main")
        self._git("merge", "-q", "--no-edit", "ada")
        self._git("merge", "-q", "--no-edit", "ben")
        self._regenstore("status")
        self._regenstore("record", "--add")
        self._git("commit", "-q", "-m", "sh010: record the merged take")
        self._git("log", "--oneline", "--graph", "--", EDITED_SHOT)
        self._git("diff", "HEAD~3", "--", EDITED_SHOT, only=("-prompt", "+prompt", "-seed", "+seed"))

    def _prove(self) -> None:
        self._chapter("Does it come back? Run every recipe a second time")
        self._regenstore("verify", "--all", tail=1)
        self._regenstore("why", EDITED_SHOT)

    def _free_the_disk(self) -> None:
        self._chapter("The disk is full: gc deletes what was proven to come back, and nothing else")
        media = self._status(self.film).paths
        proven = {path.digest: path.size or 0 for path in media if path.digest != self._photo}
        self._regenstore("gc", "--free", str(sum(proven.values())), "--yes", tail=5)
        before = self._status(self.film)
        kept = [path.digest for path in before.paths if path.stored]
        self._facts.append((f"gc deleted {len(proven)} proven contents, and kept the photo", kept == [self._photo]))
        for path in before.paths:
            os.unlink(path.path)
        say(f"  removed the {len(before.paths)} media from the worktree, too")
        self._git("checkout", "-q", "--", ".")
        self._verify("after the loss", self.film, imported=True)

    def _clone_shared(self) -> None:
        self._chapter("A clone beside it, on the same store: nothing is made again")
        self._go(self.top)
        self._regenstore_program("clone", "--store", self.store, "-q", "film", "film-shared")
        self._verify("in the clone on the shared store", os.path.join(self.top, "film-shared"), imported=True)

    def _clone_empty(self) -> None:
        self._chapter("A clone on another machine, with an empty store: all is made again from Git alone")
        self._go(self.top)
        self._git("clone", "-q", "--bare", "film", "hub.git")
        self._regenstore_program("clone", "-q", "hub.git", "film-empty")
        say("  (The photo was never generated: it needs a remote, or a copy of the store.)")
        self._verify("in the clone with an empty store", os.path.join(self.top, "film-empty"), imported=False)

    def _share(self) -> None:
        self._chapter("A shared folder as the team's remote: the photo is fetched, and media that take long to make")
        shared = os.path.join(self.top, "shared")
        self._go(self.film)
        self._regenstore("remote", "add", "studio", shared, "--create", tail=1)
        self._regenstore("push", tail=2)
        empty = os.path.join(self.top, "film-empty")
        self._go(empty)
        self._regenstore("remote", "add", "studio", shared, tail=1)
        self._regenstore("get", REPAINTED)
        self._verify("in that clone, with the photo from the remote", empty, imported=True)

    def _end(self) -> int:
        self._chapter("Summary")
        os.chdir(self.film)
        self._git("gc", "-q", quiet=True)
        held = _folder_size(os.path.join(self.film, ".git", "objects"))
        media = self._media_bytes()
        saved = 1 - held / media
        self._facts.append(
            (f"Git stores {size_text(held)} for {size_text(media)} of media: {saved:.2%} less", saved > 0.95)
        )
        for fact, true in self._facts:
            say(f"  {'yes' if true else 'NO '}  {fact}")
        seconds = time.monotonic() - self._begun
        say(f"  all of it in {seconds:.0f} s")
        good = all(true for _, true in self._facts)
        if good:
            for line in _NEXT.format(film=os.path.relpath(self.film, _START)).split("\n"):
                say(line)
        return 0 if good else 1

    # -------------------------------------------------------------------------------- telling

    def _chapter(self, title: str) -> None:
        say()
        say(title, style="bold")

    def _go(self, folder: str) -> None:
        here = os.getcwd()
        if here != folder:
            self._say(f"cd {shlex.quote(os.path.relpath(folder, here))}")
            os.chdir(folder)

    def _say(self, line: str) -> None:
        say("  $ " + line)

    def _recipes(self, assets: list[Asset]) -> None:
        for number, asset in enumerate(assets):
            os.makedirs(os.path.dirname(asset.path), exist_ok=True)
            if number < _SHOWN:
                self._say("regenstore new --no-generate " + shlex.join(asset.arguments))
            self._call("new", *asset.arguments, "--no-generate", quiet=True)
        if len(assets) > _SHOWN:
            say(f"    and {len(assets) - _SHOWN} more like these")

    def _regenstore(self, *words: str, tail: int = 0) -> None:
        """Run a command as a user types it, and show all of its output or the last lines."""
        self._say("regenstore " + " ".join(_shown(word) for word in words))
        if not tail:
            self._call(*words)
            return
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            self._call(*words)
        for line in said.getvalue().splitlines()[-tail:]:
            say(line)

    def _call(self, *words: str, quiet: bool = False) -> None:
        """Run a regenstore command in this process, as the terminal would."""
        with contextlib.ExitStack() as silence:
            if quiet:
                silence.enter_context(contextlib.redirect_stdout(io.StringIO()))
            try:
                cli.main(list(words), standalone_mode=False)
            except SystemExit as leave:
                if leave.code:
                    raise DemoFailed(f"regenstore {' '.join(words)} ended with {leave.code}") from None

    def _regenstore_program(self, *words: str) -> None:
        """Run regenstore as a separate program, for commands that replace their process."""
        self._say("regenstore " + " ".join(_shown(word) for word in words))
        if subprocess.run(interpreter.command("regenstore.cli.main", *words), check=False).returncode:
            raise DemoFailed(f"regenstore {' '.join(words)} failed")

    def _git(self, *words: str, tail: int = 0, only: tuple[str, ...] = (), quiet: bool = False) -> None:
        if not quiet:
            self._say("git " + " ".join(_shown(word) for word in words))
        done = people.call(words, listen=True)
        if done.code:
            raise DemoFailed(f"git {' '.join(words)} failed")
        lines = done.text.splitlines()
        if only:
            lines = [line for line in lines if line.startswith(only)]
        for line in lines[-tail:]:
            say("    " + line)

    # -------------------------------------------------------------------------------- looking

    def _repository(self, folder: str) -> Repository:
        os.chdir(folder)
        return Repository.discover(folder, GitEnvironment.read())

    def _status(self, folder: str) -> Status:
        repository = self._repository(folder)
        try:
            return status(repository.workbench)
        finally:
            repository.close()

    def _verify(self, where: str, folder: str, *, imported: bool) -> None:
        """Verify the digest of every medium in a worktree against its recipe, and check that Git's status is clean."""
        found = self._status(folder)
        right = wrong = 0
        for path in found.paths:
            if path.digest == self._photo and not imported:
                continue
            if hash_file(path.path)[0] == path.digest:
                right += 1
            else:
                wrong += 1
        clean = not people.call(["status", "--porcelain"], listen=True).text
        say(f"  {right} of {right + wrong} digests are right, git status is {'clean' if clean else 'NOT clean'}")
        self._facts.append(
            (f"every digest came back {where} ({right} of {right + wrong}), git status is clean", clean and not wrong)
        )

    def _media_bytes(self) -> int:
        """The total size of all distinct media in Git's history."""
        repository = self._repository(self.film)
        sizes: dict[Digest, int] = {}
        for _, text in read_texts(repository.git, repository.git.list_blobs(("--all",), ()).blobs):
            recipe = toml.decode_or_none(text)
            if recipe is not None and recipe.output.take is not None:
                sizes[recipe.output.take.digest] = recipe.output.take.size
        repository.close()
        return sum(sizes.values())


_START = os.getcwd()
_NEXT = """
What to try next:
  cd {film}
  git log -p --follow shots/sh010.mp4        # the history of a shot, as parameters
  regenstore set plates/sea.png seed=43      # another variation; then look at it, and git diff
  regenstore drop && regenstore get          # media away, media back
  regenstore generators procedural.video     # what can be set"""


def _isolate(top: str) -> None:
    """Isolate the demo: Git needs no identity, and the user's configuration is neither read nor written."""
    who = {"NAME": "regenstore demo", "EMAIL": "demo@example.org"}
    for name, value in who.items():
        os.environ[f"GIT_AUTHOR_{name}"] = os.environ[f"GIT_COMMITTER_{name}"] = value
    os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    os.environ |= {"REGENSTORE_SMUDGE": "generate", "REGENSTORE_BUDGET": "600", "GIT_PAGER": "cat"}
    os.environ["XDG_CONFIG_HOME"] = os.path.join(top, "config")
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "REGENSTORE_STORE", "REGENSTORE_INLINE"):
        os.environ.pop(name, None)


def _repaint(source: str, target: str) -> None:
    """Copy a PNG with an added note, giving bytes that no recipe makes."""
    with open(source, "rb") as file:
        data = file.read()
    chunk = b"tEXtComment\0painted over by hand"
    block = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with open(target, "wb") as file:
        file.write(data[:33] + block + data[33:])  # after the signature and the header chunk


def _folder_size(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(base, name)) for base, _, names in os.walk(folder) for name in names)


def _shown(word: str) -> str:
    return shlex.quote(os.path.relpath(word) if os.path.isabs(word) else word)
