"""A repository with its worktree: creates its parts and keeps them. Commands take the parts that they need.

Each part is created on first use, and heavy modules are imported only then, because the Git filter opens a repository
for every git command.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from regenstore import config
from regenstore.errors import FormatError, NotFound, RegenstoreError, StorageError
from regenstore.objects.content_store import ContentStore
from regenstore.refs.git import BlobReader, Git
from regenstore.refs.pending import Pending
from regenstore.refs.registration import own_store, register
from regenstore.worktree.fill import Filler
from regenstore.worktree.index_view import IndexView
from regenstore.worktree.location import Location, locate, refuse_attributes, refuse_unreadable

if TYPE_CHECKING:
    from regenstore.capture.captured import Captured
    from regenstore.capture.recipes import Capturer
    from regenstore.doctor.fsck_context import FsckContext
    from regenstore.doctor.fsck_plan import Invalid
    from regenstore.gc.collect import Collector
    from regenstore.generators.registry import Registry
    from regenstore.models.binder import Binder
    from regenstore.models.index import ModelIndex
    from regenstore.models.inputs import InputLookup
    from regenstore.objects.result import Proof, Result
    from regenstore.objects.results.cache import ResultCache
    from regenstore.project.trust import TrustRecord
    from regenstore.proof.environments import Environments
    from regenstore.proof.probe import Prober
    from regenstore.proof.survey import Confirm
    from regenstore.proof.surveyor import Surveyor
    from regenstore.realise import Realiser
    from regenstore.refs.git import Rewriter
    from regenstore.refs.moved_media import Moved
    from regenstore.refs.roots import Roots
    from regenstore.refs.store_repositories import Holders
    from regenstore.remotes.definitions import Definition, Remotes
    from regenstore.remotes.remote import Remote
    from regenstore.remotes.remote_set import RemoteSet
    from regenstore.tracked.workbench import Workbench
    from regenstore.worktree.place import Placer


_HOLDING = (
    *("blobs", "cache", "remote_definitions", "moved", "elsewhere", "realiser", "holders", "surveyor", "collector"),
    "workbench",
)
"""The parts that must be closed, and the parts that refer to one of them."""


class Repository:
    """The parts of one worktree."""

    def __init__(self, location: Location, settings: config.Settings, git: Git) -> None:
        self.location = location
        self.git = git
        self._settings = settings
        self._opened_store: ContentStore | None = None
        self.waits: Callable[[str, float], None] = lambda reason, seconds: None
        """Called when a request to a remote is retried after a pause: the reason, and the seconds until then. May be
        called from any thread."""
        self._forget()

    def _forget(self) -> None:
        """Reset: nothing is open, and nothing was done yet."""
        self._closers: list[Callable[[], None]] = []
        self._generated: Sequence[tuple[str, Result]] = ()
        self._remote_problems: Mapping[str, RegenstoreError] = {}
        self._unasked_remotes: Iterable[str] = ()

    @classmethod
    def at_top(cls, top: str, environment: config.GitEnvironment) -> Repository:
        """Open the repository with a known top of the worktree, as in a filter."""
        git = Git(top)
        return cls(locate(top, environment.git_dir, environment.index), config.load(git), git)

    @classmethod
    def discover(
        cls,
        cwd: str,
        environment: config.GitEnvironment,
        overrides: Mapping[str, object] | None = None,
        *,
        bare: bool = False,
    ) -> Repository:
        """Open the repository around a folder. Raises NotFound (``not-a-repository``), and FormatError (``git-failed``)
        if Git refuses to use it. With ``bare``, it may have no worktree. ``overrides``: see :func:`config.load`."""
        git = Git(cwd)
        try:
            found = git.places(bare=bare)
        except FormatError:
            refuse_unreadable(cwd)  # git's own words would be less clear
            raise
        if found is None:
            refuse_unreadable(cwd)
            raise NotFound("not-a-repository", f"{cwd} is not inside a Git worktree")
        top, git_dir = found
        refuse_attributes(os.fsencode(top), [b""])
        located = locate(top, git_dir, environment.index)  # a relative index file is below the top, for git as well
        inside = Git(top)
        return cls(located, config.load(inside, overrides=overrides), inside)

    @property
    def settings(self) -> config.Settings:
        """They do not change while the repository is open."""
        return self._settings

    # -------------------------------------------------------------------------------- what happened so far

    @property
    def bytes_added(self) -> int:
        """Bytes that were added to the store so far."""
        return self._opened_store.added if self._opened_store is not None else 0

    @property
    def generated(self) -> Sequence[tuple[str, Result]]:
        """Label and result of each medium that was generated so far."""
        return self._generated

    @property
    def remote_problems(self) -> Mapping[str, RegenstoreError]:
        """The remotes that failed so far, by name; they are not used any more."""
        return self._remote_problems

    @property
    def unasked_remotes(self) -> Iterable[str]:
        """The names of the remotes that were skipped so far because they are not trusted."""
        return self._unasked_remotes

    # -------------------------------------------------------------------------------- parts

    @cached_property
    def store(self) -> ContentStore:
        common, moved = self.location.common_dir, self.settings.store
        if moved is None:
            store = ContentStore(own_store(common))
        else:
            store = ContentStore(moved, prepared=lambda: register(moved, common))
            try:
                if os.path.isdir(moved):
                    register(moved, common)  # a repository that only reads from the store relies on it, too
            except RegenstoreError:
                pass  # a store that cannot be written, so nothing can be evicted from here either
        self._opened_store = store
        return store

    @cached_property
    def cache(self) -> ResultCache:
        from regenstore.objects.results.cache import ResultCache

        cache = ResultCache(self.store.root)
        self._closers.append(cache.close)
        return cache

    @cached_property
    def index(self) -> IndexView:
        return IndexView(self.location, self.settings.oid_size)

    @cached_property
    def blobs(self) -> BlobReader:
        blobs = BlobReader(self.git)
        self._closers.append(blobs.close)
        return blobs

    @cached_property
    def pending(self) -> Pending:
        return Pending(self.location.git_dir)

    @cached_property
    def moved(self) -> Moved:
        from regenstore.refs.moved_media import Moved

        return Moved(self.git, self.blobs, self.index, self.pending, lambda: self.cache, self.settings.oid_size)

    @cached_property
    def capturer(self) -> Capturer:
        from regenstore.capture.recipes import Binding, Capturer

        def bind(path: bytes, captured: Captured) -> Binding:
            return self.binder.bind(path, captured) if captured.models or captured.inputs else Binding()

        given = self.settings.capture
        return Capturer(bind, enabled=given != config.OFF, keep_workflow=given == config.FULL)

    @cached_property
    def placer(self) -> Placer:
        from regenstore.fs.reflink import Linker
        from regenstore.worktree.place import Placer

        return Placer(self.location, self.settings.oid_size, Linker(reflink=self.settings.reflink))

    @cached_property
    def filler(self) -> Filler:
        return Filler(self.placer)

    @cached_property
    def trust(self) -> TrustRecord:
        """The user's approvals, for all repositories."""
        from regenstore.project.trust import TrustRecord

        return TrustRecord(self.settings.trust_file)

    @cached_property
    def model_index(self) -> ModelIndex:
        """The user's model files, for all repositories."""
        from regenstore.models.index import ModelIndex

        return ModelIndex(config.model_index())

    @cached_property
    def input_lookup(self) -> InputLookup:
        """Finds the files that a captured medium names as its inputs: tracked and untracked ones, and those in the
        folders of the user's settings. Raises InvalidInput (``bad-config``)."""
        from regenstore.models.inputs import InputLookup

        def paths() -> Iterable[bytes]:
            return dict.fromkeys([*self.git.ls_files(check=False), *self.git.ls_untracked(check=False)])

        return InputLookup(self.location.top, paths, config.capture_inputs(self.git), self.store)

    @cached_property
    def binder(self) -> Binder:
        from regenstore.models.binder import Binder

        return Binder(self.model_index, lambda: self.input_lookup, self.store)

    @cached_property
    def registry(self) -> Registry:
        return self._registry()

    @cached_property
    def rewriter(self) -> Rewriter:
        from regenstore.refs.git import Rewriter

        return Rewriter(self.git, self.location.common_dir, self.settings.object_format)

    def _registry(self) -> Registry:
        """The generators as they are now: a declared one may have changed since the last look."""
        from regenstore.generators.registry import Registry
        from regenstore.refs.worktree_files import WorktreeFiles

        listing = WorktreeFiles(Git(os.fsdecode(self.location.top)))
        return Registry(os.fsdecode(self.location.top), self.trust, listing)

    @cached_property
    def realiser(self) -> Realiser:
        from regenstore.jobs.local import LocalExecutor
        from regenstore.realise import Realiser
        from regenstore.refs.recipes import RecipeFinder

        given = self.settings
        executor = LocalExecutor(given.workers, given.timeout, given.max_output, given.worker_environment)
        finder = RecipeFinder(self.git, self.blobs, self.index.oids)
        realiser = Realiser(
            self.store, self.cache, self.registry, executor, finder.find, remotes=lambda: self.elsewhere
        )
        self._generated = realiser.made
        return realiser

    @cached_property
    def elsewhere(self) -> RemoteSet | None:
        """All usable remotes and other stores on this machine together; None if there are none. Opening them does not
        use the network."""
        remotes = {}
        with suppress(FormatError, StorageError):  # 'remote list' reports a bad declaration; a checkout goes on without
            remotes = self.remotes
        from regenstore.remotes.nearby import Nearby

        nearby = Nearby(self.git, self.store)
        if not remotes and not nearby:
            return None
        from regenstore.remotes.remote_set import RemoteSet

        together = RemoteSet(list(remotes.values()), nearby)
        self._remote_problems = together.problems
        return together

    @cached_property
    def roots(self) -> Roots:
        from regenstore.refs.roots import Roots

        where = self.location
        return Roots(self.git, where.git_dir, where.common_dir, where.index)

    @cached_property
    def holders(self) -> Holders:
        from regenstore.refs.store_repositories import Holders

        return Holders(self.roots, self.cache, self.store.root)

    @cached_property
    def surveyor(self) -> Surveyor:
        """Judges contents by local data, for commands that only report: asks no remote, and asks the built-in
        generators only if their cached fingerprints have expired."""
        from regenstore.proof.environment_cache import FILE, RecentEnvironments

        path = os.path.join(os.path.dirname(self.settings.trust_file), FILE)
        seen = self.settings.worker_environment
        return self._surveyor(None, lambda: RecentEnvironments(path, seen, self._environments))

    def _environments(self) -> Environments:
        from regenstore.proof.environments import Environments

        return Environments(self._registry(), self.realiser.executor)

    def _surveyor(self, confirm: Confirm | None, environments: Callable[[], Environments]) -> Surveyor:
        from regenstore.objects.holds import held
        from regenstore.proof.surveyor import Surveyor

        return Surveyor(
            self.store,
            self.cache,
            environments,
            lambda: self.holders.holders(),
            held=lambda: held(self.store.root),
            corrected=lambda proof: self.realiser.corrects(proof),
            confirm=confirm,
            others=self._others_proofs,
        )

    def _others_proofs(self) -> Iterable[Proof]:
        """The proofs of others that count here, from local copies."""
        shared = self.settings.proofs == config.SHARED
        if not shared or self.elsewhere is None:
            return ()
        return self.cache.standing(self.elsewhere.proofs())

    @cached_property
    def collector(self) -> Collector:
        from regenstore.gc.collect import Collector
        from regenstore.gc.content_names import names

        return Collector(
            self.store,
            self.cache,
            self._surveyor(self.elsewhere.confirm if self.elsewhere else None, self._environments).survey,
            self.holders.pins,
            lambda digest: self.realiser.producers(digest, None),
            lambda: names(self.git, self.cache),
            prober=self._prober(),
        )

    def _prober(self) -> Prober:
        from regenstore.proof.probe import Prober
        from regenstore.realise import Realiser
        from regenstore.refs.recipes import RecipeFinder

        def realiser(store: ContentStore) -> Realiser:
            """Uses no remote."""
            finder = RecipeFinder(self.git, self.blobs, self.index.oids)
            return Realiser(store, self.cache, self._registry(), self.realiser.executor, finder.find)

        return Prober(self.store.root, self.cache, realiser, self.settings.gc_budget)

    def fsck_context(self) -> FsckContext:
        from regenstore.doctor.fsck_context import FsckContext
        from regenstore.doctor.fsck_plan import Invalid
        from regenstore.refs.recipes import RecipeFinder
        from regenstore.tracked.check import check_index

        def judge(entries: Mapping[bytes, bytes]) -> Iterator[Invalid]:
            for found in check_index(self.git, self.blobs, entries):
                yield Invalid(found.path, found.kind, found.message)

        return FsckContext(
            store=self.store,
            location=self.location,
            oid_size=self.settings.oid_size,
            git=self.git,
            roots=self.roots,
            pending=self.pending,
            finder=RecipeFinder(self.git, self.blobs, self.index.oids),
            registry=self.registry,
            executor=self.realiser.executor,
            corrected=self.realiser.corrects,
            judge=judge,
            cache=lambda: self.cache,
            elsewhere=lambda: self.elsewhere,
            place=lambda wishes: self.placer.place(wishes),
        )

    @cached_property
    def remote_definitions(self) -> Remotes:
        """All remotes that are defined here. Raises FormatError (``bad-declaration``)."""
        from regenstore.remotes.definitions import Remotes

        top = os.fsdecode(self.location.top)
        definitions = Remotes(top, self.settings.remotes, self.trust, self.open_remote)
        self._unasked_remotes = definitions.untrusted
        self._closers += [remote.backend.close for remote in definitions.remotes.values()]
        return definitions

    @property
    def remotes(self) -> dict[str, Remote]:
        """The remotes that can be used, those of Git's configuration first."""
        return self.remote_definitions.remotes

    @property
    def untrusted_remotes(self) -> dict[str, Definition]:
        """The remotes that regenstore.toml declares and the user has not approved. They are never contacted."""
        return self.remote_definitions.untrusted

    def open_remote(self, definition: Definition, *, create: bool = False) -> Remote:
        """The remote with this definition, without contacting it; ``create`` makes its folder."""
        from regenstore.refs.credentials import credentials
        from regenstore.remotes.backends.opening import open_backend
        from regenstore.remotes.remote import JOBS, Remote
        from regenstore.remotes.retries import RetryingBackend
        from regenstore.remotes.throttle import Throttle

        top, setting = os.fsdecode(self.location.top), definition.setting
        settings, ask = self.settings, credentials(top, self.settings.netrc)
        proxies, ssh, pace = settings.proxies, settings.ssh, setting.pace
        opened = open_backend(definition.url, ask, base=top, create=create, proxies=proxies, ssh=ssh, pace=pace)
        jobs, throttle = setting.jobs or JOBS, Throttle(setting.limit)
        return Remote(
            definition.name,
            RetryingBackend(opened, pace=pace, waits=self.waits),
            self.store,
            jobs=jobs,
            throttle=throttle,
        )

    @cached_property
    def workbench(self) -> Workbench:
        from regenstore.tracked.workbench import Workbench

        return Workbench(self.location, self.git, self.index, self.blobs, self.pending, self)

    def close(self) -> None:
        """Close what is open; the object can be used again."""
        for close in reversed(self._closers):
            close()
        if self._opened_store is not None:
            self._opened_store.holds.release()
        for name in _HOLDING:
            try:
                delattr(self, name)
            except AttributeError:
                pass  # it was never made
        self._forget()
