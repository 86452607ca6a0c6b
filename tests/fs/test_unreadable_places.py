"""Every place that could take what cannot be read for what is missing: each one raises, or is in the list with the
reason why "cannot be told" does no harm there."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "regenstore"
PATH_QUESTIONS = {"exists", "isdir", "isfile", "lexists", "islink", "ismount"}
"""Of ``os.path``: each answers no where the system says that it cannot tell."""
METHODS = {"is_file", "is_dir", "is_symlink", "is_mount", "is_socket", "is_fifo", "exists", "glob", "rglob"}
"""Of ``pathlib``; of an entry of ``os.scandir`` the first three raise, and count all the same."""
CAUGHT = {"OSError", "IOError", "EnvironmentError", "PermissionError", "Exception", "BaseException"}


def names_in(node: ast.expr | None) -> set[str]:
    """The exceptions that a handler names; of a tuple all of them."""
    if node is None:
        return {"BaseException"}
    if isinstance(node, ast.Starred):
        return names_in(node.value)
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return {part.attr if isinstance(part, ast.Attribute) else getattr(part, "id", "?") for part in parts}


def ends_in_error(body: list[ast.stmt]) -> bool:
    """Whether every way through some statements raises."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    if isinstance(last, ast.If):
        return bool(last.orelse) and ends_in_error(last.body) and ends_in_error(last.orelse)
    if isinstance(last, ast.Try):
        return ends_in_error(last.finalbody) if last.finalbody else False
    if isinstance(last, (ast.With, ast.For, ast.While)):
        return isinstance(last, ast.With) and ends_in_error(last.body)
    return False


def swallowed(node: ast.AST, aliases: dict[str, set[str]]) -> str | None:
    """What at a node can hide that something cannot be read; None where nothing does."""
    if isinstance(node, ast.ExceptHandler):
        caught = set[str]().union(*(aliases.get(name, {name}) for name in names_in(node.type)))
        returns_early = any(isinstance(inner, (ast.Return, ast.Continue, ast.Break)) for inner in ast.walk(node))
        if caught & CAUGHT and (not ends_in_error(node.body) or returns_early):
            return "except"
        return None
    if not isinstance(node, ast.Call):
        return None
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    owner = ast.unparse(called.value) if isinstance(called, ast.Attribute) else ""
    given = {word.arg for word in node.keywords}
    if name == "suppress":
        named = set[str]().union(*(names_in(argument) for argument in node.args))
        caught = set[str]().union(*(aliases.get(each, {each}) for each in named))
        return "suppress" if caught & CAUGHT else None
    if owner == "presence":
        return None
    if name == "rmtree" and given & {"ignore_errors", "onerror", "onexc"}:
        return "rmtree"
    if (owner, name) == ("os", "walk") and "onerror" not in given:
        return "walk"
    if (owner, name) == ("os", "access"):
        return "access"
    if owner == "os.path" and name in PATH_QUESTIONS:
        return name
    if owner in ("glob", "shutil") and name in ("glob", "iglob", "which"):
        return name
    if owner != "os.path" and name in METHODS and isinstance(called, ast.Attribute):
        return name
    return None


def places(path: Path) -> Iterator[tuple[str, str]]:
    """(function, what) of each such place of a module, in its order."""
    tree = ast.parse(path.read_text())
    aliases = {
        target.id: names_in(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name) and isinstance(statement.value, (ast.Tuple, ast.Attribute, ast.Name))
    }

    def inside(node: ast.AST, within: str) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
            here = f"{within}.{child.name}".lstrip(".") if named else within
            what = swallowed(child, aliases)
            if what is not None:
                yield here, what
            yield from inside(child, here)

    yield from inside(tree, "")


@cache
def found() -> Counter[tuple[str, str, str]]:
    everywhere: Counter[tuple[str, str, str]] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        module = path.relative_to(PACKAGE).with_suffix("").as_posix()
        everywhere.update((module, function, what) for function, what in places(path))
    return everywhere


HARMLESS = {
    "part of a fingerprint or a definition's hash: what cannot be read counts as just that, so it is another one, and \
gc makes a take once more before it relies on either": """
        generators/command.CommandGenerator._is except
        generators/command_environment.CommandEnvironment.fingerprint exists
        generators/command_environment.CommandEnvironment._programs isfile access which
        generators/command_environment.CommandEnvironment._hash except
        generators/command_environment.CommandEnvironment._ask except isdir
        generators/command_environment.CommandEnvironment._locks isfile
        generators/command_environment.CommandEnvironment._container isfile
        generators/command_environment._interpreter except isfile which
        generators/command_environment._state except
        generators/declared._declared isfile
        generators/declared._watched isfile
        project/definition_files.DefinitionFiles._matching isdir
        project/definition_files.DefinitionFiles._walk is_dir
        generators/python_packages.Packages.of isdir
        generators/python_packages._Looking._record except
        generators/python_packages._Looking._distribution isfile*2
        generators/python_packages._Looking._loose isdir
        generators/python_packages._Looking._project isdir exists
        generators/python_packages._Looking._sources walk
        generators/python_packages._Looking._hash except
        generators/python_packages._changed except*2
        generators/python_packages._editable except
        generators/python_packages._passed_over exists
        generators/python_packages._listed except
    """,
    "a memory that nothing needs: without it files are read again": """
        proof/environment_cache.RecentEnvironments._keep except
        proof/environment_cache._read except
        proof/environment_cache._entries except
        tracked/get_and_drop._records isdir
        objects/hash_cache.KnownHashes._all except
        objects/hash_cache.KnownHashes._keep except
    """,
    "git meets it next, and tells": """
        refs/git/linked.Linked._loose except
        refs/git/linked.open_linked except
        refs/git/process.Process._missing isdir
        worktree/location.refuse_attributes except
    """,
    "cleaning up afterwards: what stays behind is found, told and cleared later, and nothing is decided by it": """
        tracked/adopt.Adoption._read_all suppress
        cli/demo_story._folder_size walk
        gc/trash.Trash.tidy walk
        generators/worker._end_group except rmtree
        generators/worker_host.WorkerHost.__init__ rmtree
        refs/git/rewriting.Rewriter.rewrite rmtree
        generators/worker_host.WorkerHost.close rmtree
        generators/worker_host._kill_group except
        media/encode.MediaWriter._abandon except exists
        objects/content_store.ContentStore.clean_temp except isdir islink
        objects/content_store._last_change walk
        fs/durable.remove_folder except
        objects/fact_cache.ContentFacts.put except
        objects/holds.Holds.release except
        realise.Realiser._make rmtree
        refs/leases.lease except
        remotes/backends/directory.Directory._put suppress
        fs/durable.write_file suppress
        fs/durable.write_locked suppress
        objects/unsynced.left except
        fs/stage._remove except rmtree
        fs/stage.Stage.close except
        fs/stage.recover except
        worktree/stage.open_stage except
        """,
    "where it cannot be told, it counts as in use, as too young, or as nobody's to touch": """
        doctor/leftovers._age except walk
        doctor/leftovers._paths except
        doctor/checks/left_behind._users except
        doctor/checks/left_behind._working except
        fs/file_lock._flock except
        fs/file_lock.claim except
        fs/file_lock.in_use except
        objects/content_store.ContentStore.stale_temp except
        objects/holds.Holds.mark except
        refs/leases._open except
        remotes/partial_download._leads_to except
        remotes/partial_download.part_of suppress
        """,
    "it becomes the answer: people and programs are told what failed, and of what": """
        tracked/folder_scan._walk except
        tracked/adopt.Adoption._remove except
        cli/filter_entry.main except*2
        doctor/checks/git_setup._start except
        doctor/check.examine except*2
        doctor/checks/git_setup.hooks access
        doctor/quarantine.confine except
        objects/results/examination.read_damaged except
        doctor/checks/store.store access
        doctor/store_scan._look except
        doctor/store_scan._look_at_correction except
        export/dataset/read_back.damaged except
        export/dataset/read_back._reader except
        export/sidecar/jinja_child.main except
        generators/worker._Worker._probe except
        generators/worker._Worker._run except
        generators/worker._message except
        project/repository_file.resolve except isfile which
        gitfilter/process.serve except
        gitfilter/smudge.SmudgeFilter.smudge except
        jobs/local._Batch._work except
        remotes/remote.Remote._all.run except
        worktree/place.Placer._rename except*2
        worktree/place.Placer.place except
        worktree/fill._Work._fill except*2
        worktree/fill._Work._give_back except
        worktree/fill._Work._slices except
        cli/filter_entry._prepare except
        cli/filter_entry._process.handler.answer except
        cli/group.run except*2
        doctor/checks/rights._entries except walk
        doctor/checks/rights.rights access
        fs/swap._put_new except
        fs/swap._system except
        remotes/backends/time_limits.within.run except
        worktree/recovery.recover except*3
        models/inputs.InputLookup._of_folder except*2
        models/inputs.InputLookup._of_worktree except*2
        models/scan._files except islink
        models/scan.carry_out except
        models/scan.plan except
        """,
    "the medium is stored and added all the same; it only lacks the recipe that its metadata may have told, which \
'regenstore capture' reads again": """
        capture/programs/read._asked except
        capture/recipes.Capturer.text except
        capture/carriers/read.embedded except
        """,
    "only a shortcut, an estimate or a comfort: without it the slow and sure way is taken": """
        cli/completing._completer.complete except
        cli/console._is_piped except
        cli/console.width_of except
        cli/main._end except
        cli/background._start except
        cli/filter_entry._widen_pipes except
        cli/gc._by_itself except
        cli/hook._tell_once exists
        events/courier.Courier._pause except
        export/dataset/kept_rows.KeptRows.keep except
        export/dataset/kept_rows.KeptRows.open except
        export/dataset/sinks.FolderSink.intact except
        export/dataset/tar_sink.TarSink.intact exists
        export/dataset/zip_sink.SplitZipSink.intact except
        export/media_facts.Measurements.stamp except
        export/sidecar/batch._lies_there except
        gc/auto.suggest except
        gc/trash.Trash.share except
        gc/use_counts.load except
        gitfilter/clean.CleanFilter._candidate except
        gitfilter/clean.CleanFilter._clone except*2
        gitfilter/smudge.SmudgeFilter.ahead except
        objects/content_store.ContentStore.claim except*2
        objects/content_store.ContentStore._revive except
        objects/fact_cache.ContentFacts.get except
        remotes/backends/directory._copy except
        remotes/remote.Remote._learn except
        remotes/remote.Remote._speed except
        remotes/remote.Remote.last_confirmed except
        tracked/pinning._known_recipe isdir
        tracked/status.status isdir
        gitfilter/attributes.as_pattern isdir lexists
        fs/reflink.Linker._copy except
        worktree/place.Placer.there_already except
        fs/reflink.Linker.clone except
        worktree/fill.mend except
        cli/clone.command exists
        cli/filter_entry._Busy.begin except
        cli/filter_report.FilterTally._tell_starter except
        objects/content_store._write_some except
        fs/durable._dirty except
        fs/boot.boot_id except
        fs/sharing._group except
        gitfilter/calling_command._asker except
        gitfilter/launch.starter except
        objects/content_store.ContentStore._take_over except
        worktree/recovery._replay except
        """,
    "a copy that is looked for elsewhere, or where something was last: none is taken for the only one": """
        doctor/missing_contents.NeedsSurvey._recipes isdir
        doctor/missing_contents.NeedsSurvey._places_of isdir
        doctor/recovery_sources._files walk
        doctor/recovery_sources._hash except*2
        doctor/recovery_sources._size except
        refs/nearby_stores._lines except
        refs/nearby_stores._of isfile
        refs/nearby_stores.nearby_stores isdir
        remotes/nearby.Nearby.having except
        doctor/recovery_sources.search isdir
        """,
    "what follows works at the same path, and fails with what the system says": """
        cli/context.path_or_key lexists
        cli/demo.command exists isdir
        cli/init.command exists
        cli/push._remote_and_paths lexists
        cli/show._Reader.named lexists
        doctor/fsck._rename islink
        export/dataset/exporting._previous isdir lexists*2
        export/dataset/layouts.finish_interrupted isfile
        export/dataset/read_back.local isfile
        export/dataset/places._refuse isdir
        export/dataset/places.datasets_at isdir lexists*2
        export/dataset/sinks._finish exists isdir*3 lexists
        export/dataset/sinks._leaves walk
        export/dataset/sinks.made_in exists
        export/dataset/sinks.refuse_occupied isdir lexists
        export/dataset/tar_sink.TarSink._drop exists
        export/dataset/zip_sink.Archive.__init__ exists
        export/dataset/zip_sink.SplitZipSink._archive exists
        export/sidecar/batch._there isdir isfile
        export/sidecar/deliver._finish isfile
        export/sidecar/deliver._is isfile islink
        export/sidecar/deliver._make_folders isdir
        export/sidecar/deliver._refuse_links islink
        export/sidecar/deliver._write lexists
        export/sidecar/deliver.existing lexists
        export/sidecar/preview.difference isfile
        generators/implementation.InProcessSession.generate exists
        objects/content_store.ContentStore.put_file isdir
        fs/durable.make_folder isdir
        remotes/backends/directory.Directory.names is_dir
        repository.Repository.store isdir
        fs/sharing.make_folders isdir*2
        objects/results/database.Database._connect isdir lexists suppress
        """,
    "not about files of a repository or store: a program, a limit, a login, a system without flock": """
        cli/doctor._context which*2
        export/sidecar/jinja_child.limit except
        generators/command.CommandGenerator.probe access
        generators/command._text except
        generators/worker._limit except
        generators/worker_host.WorkerHost._keep_tail except
        media/correction/png.Png.rows except
        media/cut_off._tiff except
        media/stills.is_still except
        objects/results/database_file._usable access isfile lexists
        fs/durable.fsync_folder except*2
        refs/credentials._from_netrc except
        remotes/backends/ssh.Login._options exists
        remotes/backends/ssh.Login._told exists
        remotes/backends/ssh._known_hosts is_file
        """,
}
"""Reason -> places, as ``module.function what``. ``what*2``: two of them in that function."""


def listed() -> Counter[tuple[str, str, str]]:
    known: Counter[tuple[str, str, str]] = Counter()
    for places_of in HARMLESS.values():
        for line in filter(None, map(str.strip, places_of.splitlines())):
            place, *kinds = line.split()
            module, _, function = place.partition(".")
            for kind in kinds:
                what, _, count = kind.partition("*")
                known[module, function, what] += int(count or 1)
    return known


def test_whatever_could_hide_that_something_cannot_be_read_is_explained():
    """Let it raise (``regenstore.fs.presence`` says which errors mean absence), or give the reason above."""
    unexplained = found() - listed()
    assert not unexplained, "\n".join(f"{module}.{function} {what}" for module, function, what in sorted(unexplained))


def test_the_list_names_nothing_that_is_gone():
    stale = listed() - found()
    assert not stale, "\n".join(f"{module}.{function} {what}" for module, function, what in sorted(stale))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("try: x()\nexcept OSError: pass", ["except"]),
        ("try: x()\nexcept OSError as e: raise Y() from e", []),
        ("try: x()\nexcept OSError as e:\n    if e.errno == 2: return None\n    raise", ["except"]),
        ("try: x()\nexcept (ValueError, PermissionError): y = 1", ["except"]),
        ("try: x()\nexcept: pass", ["except"]),
        ("ALIKE = (KeyError, OSError)\ntry: x()\nexcept ALIKE: pass", ["except"]),
        ("ALIKE = (KeyError, OSError)\nwith suppress(*ALIKE): x()", ["suppress"]),
        ("try: x()\nexcept (FileNotFoundError, NotADirectoryError): pass", []),
        ("try: x()\nexcept presence.ABSENT: pass", []),
        ("with contextlib.suppress(OSError): x()", ["suppress"]),
        ("with suppress(FileNotFoundError): x()", []),
        ("shutil.rmtree(a, ignore_errors=True)\nshutil.rmtree(a)", ["rmtree"]),
        ("os.walk(a)\nos.walk(a, onerror=b)\npresence.walk(a)", ["walk"]),
        ("os.path.isdir(a) or Path(a).exists() or presence.is_folder(a)", ["isdir", "exists"]),
        ("entry.is_dir(follow_symlinks=False)\nglob.glob('*')\nos.access(a, 4)", ["is_dir", "glob", "access"]),
    ],
)
def test_what_is_found(tmp_path: Path, text: str, kinds: list[str]):
    (tmp_path / "module.py").write_text(text if "return" not in text else "def f():\n" + re.sub("(?m)^", "    ", text))
    assert sorted(what for _, what in places(tmp_path / "module.py")) == sorted(kinds)
