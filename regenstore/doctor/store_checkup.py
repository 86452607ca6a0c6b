"""doctor's checks of the store and of what it stands on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from regenstore.doctor import database as databases
from regenstore.doctor import file_system, git_recipes, index_lock, leftovers, quarantine, salvage
from regenstore.doctor.context import NOTE, OK, PROBLEM, WARNING, Found, Patient
from regenstore.errors import StorageError
from regenstore.fs import presence, sharing
from regenstore.objects import durable, evicted, store_format, toml
from regenstore.objects.content_store import TRASH, VAULT
from regenstore.objects.mismatched_takes import judged
from regenstore.objects.results.cache import ResultCache
from regenstore.refs.blobs import read_texts
from regenstore.refs.registration import held_file, registrations
from regenstore.refs.roots import Roots
from regenstore.refs.store_repositories import refusal
from regenstore.worktree.link import Linker


def sandbox(patient: Patient) -> Found:
    """What keeps a generator from the rest of the machine."""
    here = f"bubblewrap is installed ({patient.bubblewrap})" if patient.bubblewrap else "bubblewrap is not installed"
    yield (
        NOTE,
        f"generators run with your rights, in processes with a scrubbed environment, and in no sandbox; {here}, "
        "and is not used yet",
        "Read what a declared generator runs before 'regenstore trust'.",
    )


def store(patient: Patient) -> Found:
    root = patient.store.root
    if not presence.is_folder(root):
        yield WARNING, f"the store {root} is not there yet", "Run 'regenstore init'."
        return
    for operation in ("read", "write"):
        store_format.check(root, operation)
    probe = f"{root}/tmp"
    if not os.access(probe if presence.is_folder(probe) else root, os.W_OK | os.X_OK):
        yield PROBLEM, f"the store {root} cannot be written", "Check owner and permissions of the store."
        return
    kind = patient.kind_of(root)
    if kind in file_system.NETWORK:
        remedy = "Keep the store on a local disk: set regenstore.store, and share media by other means."
        yield WARNING, f"the store is on {kind}: SQLite's log needs shared memory, which it does not give", remedy
    free = shutil.disk_usage(root).free
    if free < patient.low_space:
        yield WARNING, f"only {free / 1e9:.1f} GB are free at {root}", "Free some space, or set regenstore.store."
    if patient.shared is not None:
        remedy = "" if os.path.isabs(patient.shared) else "Give regenstore.store an absolute path."
        yield NOTE, f"regenstore.store is set: repositories may share {root}", remedy
    told = f" on {kind}" if kind else ""
    yield OK, f"the store is {root}{told}, {free / 1e9:.1f} GB free", ""


def database(patient: Patient) -> Found:
    """The result database, looked over quickly."""
    root = patient.store.root
    found = databases.examine(patient.store, quick=True)
    if found.state == databases.DAMAGED:
        yield PROBLEM, f"the result database is damaged: {found.problems[0]}", "Run 'regenstore fsck'."
    elif found.state == databases.SOUND:
        yield OK, "the result database is sound, as far as a quick look tells", ""
    elif any(patient.store.contents(VAULT)):
        yield NOTE, "the store has no result database", "Run 'regenstore doctor --rebuild'."
    kept = salvage.asides(root)
    if kept:
        what = f"{len(kept)} damaged databases were set aside, the last as {kept[0]}"
        remedy = "Run 'regenstore doctor --rebuild': it takes over what they still tell. Then they can be removed."
        yield NOTE, what, remedy


def repositories(patient: Patient) -> Found:
    """Repositories that use the store, and cannot be asked what they need."""
    root = patient.store.root
    known = registrations(root)
    reachable = 0
    for registered in known:
        try:
            why = refusal(registered)
            if not why:
                Roots.of_another(registered.path).require_readable()
                reachable += 1
                continue
        except StorageError as error:
            yield PROBLEM, f"nobody can tell what {registered.path} needs: {error.message}", error.hint
            continue
        name = registered.path or f"the registration {registered.name}"
        gone = f"Make it reachable (mount it), or, if it is gone for good: regenstore gc --forget-repository {name}"
        if presence.found(held_file(root, registered.name)):
            yield WARNING, f"{name} uses this store and cannot be reached ({why}): what it last held is kept", gone
        else:
            yield WARNING, f"{name} uses this store and never told what it needs ({why}): nothing can be evicted", gone
    if known:
        yield OK, f"{reachable} of {len(known)} registered repositories can be reached", ""


def takes(patient: Patient) -> Found:
    """Recipes in HEAD and the index whose takes were made with other parameters."""
    paths = {seen.oid: seen.path for seen in git_recipes.current(patient.git)}
    texts = {oid: text for oid, text in read_texts(patient.git, list(paths)) if text is not None}
    recipes = {oid: recipe for oid, text in texts.items() if (recipe := toml.decode_or_none(text)) is not None}
    if databases.examine(patient.store).state == databases.SOUND:
        cache = ResultCache(patient.store.root)
        try:
            recipes = dict(zip(recipes, judged(cache, list(recipes.values()))))
        finally:
            cache.close()
    found = sorted(paths[oid] for oid, recipe in recipes.items() if recipe.output.outdated is not None)
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        message = f"{os.fsdecode(found[0])}{more}: the recorded take was made with other parameters"
        yield WARNING, message, "Run 'regenstore get', look at the media, then 'regenstore record' and 'git add'."


def kept_aside(patient: Patient) -> Found:
    """What takes room and is in no use: the trash, the quarantine."""
    for folder, what, remedy in (
        (TRASH, "contents are in the trash", "'regenstore undo --list' tells which; gc deletes them after a time."),
        (
            quarantine.FOLDER,
            "bad files are in the quarantine",
            "Each has a text beside it that says why; remove those that nobody needs.",
        ),
    ):
        sizes = list(_sizes(f"{patient.store.root}/{folder}"))
        if sizes:
            yield NOTE, f"{len(sizes)} {what}, {sum(sizes) / 1e6:.1f} MB", remedy


def _sizes(folder: str) -> Iterator[int]:
    for base, _, names in presence.walk(folder):
        for name in names:
            found = presence.lstat(f"{base}/{name}")
            if found is not None and not (name.endswith(".txt") and name[:-4] in names):
                yield found.st_size


def manifests(patient: Patient) -> Found:
    """What gc wrote down of how to bring back what it took."""
    root = patient.store.root
    bad = list(evicted.damaged(root, quick=True))
    if bad:
        remedy = "Restore the file from a copy, if there is one; what it lost, the result database or Git may know too."
        more = f" and {len(bad) - 1} more lines" if len(bad) > 1 else ""
        yield WARNING, f"a manifest of gc cannot be read: {bad[0]}{more}", remedy
    elif evicted.runs(root):
        yield OK, f"{len(evicted.runs(root))} manifests of gc can be read", ""


def linking(patient: Patient) -> Found:
    """How bytes get from the store to the worktree: tried with a small file."""
    if not presence.is_folder(patient.store.root):
        return
    if not patient.reflink:
        yield NOTE, "regenstore.reflink is off: media are copied, and take room twice", ""
        return
    top, home = os.fsdecode(patient.location.top), patient.location.git_dir
    if os.stat(home).st_dev != os.stat(top).st_dev:
        home = top
    tail = f"regenstore-doctor-{os.getpid()}-{os.urandom(4).hex()}"
    sharing.make_folders(f"{patient.store.root}/tmp")
    source, target = f"{patient.store.root}/tmp/{tail}", f"{home}/.{tail}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    try:
        inside = os.open(source, flags, 0o600)
        try:
            os.write(inside, b"regenstore" * 1000)
            outside = os.open(target, flags, 0o600)
            try:
                shared = Linker().clone(inside, outside)
            finally:
                os.close(outside)
        finally:
            os.close(inside)
    finally:
        durable.unlink(source)
        durable.unlink(target)
    if shared:
        yield OK, "media share their blocks with the store (reflink)", ""
    else:
        remedy = "Keep both on one file system that can reflink (Btrfs, XFS) to save the room."
        yield NOTE, "media are copied from the store, and take room twice", remedy


def _index_lock(lock: index_lock.HeldIndex) -> tuple[str, str, str]:
    """What there is to say about a lock on Git's index, which keeps Git from writing it."""
    since = f"{lock.path} is there since {lock.age:.0f} s"
    if lock.abandoned:
        what = f"{since}: a killed process of regenstore left it, and Git refuses to work"
        return WARNING, what, "Run 'regenstore status': every command removes it."
    if lock.users:
        return NOTE, f"{since}: {', '.join(lock.users)} may be working with it", "Wait until that has ended."
    if lock.ours:
        return NOTE, f"{since}: a process of regenstore that lives holds it", "Wait until that has ended."
    who = "whether its process lives cannot be told" if lock.users is None else "no Git command is running here"
    remedy = f"If no Git command, editor of a commit or other machine works here, remove it: rm {lock.path}"
    return WARNING, f"{since}, and is not regenstore's; {who}: Git refuses to work", remedy


def left_behind(patient: Patient) -> Found:
    """Locks, stages and temp files of killed processes."""
    now = patient.clock()
    lock = index_lock.find(patient.location, now)
    if lock is not None:
        yield _index_lock(lock)
    found = leftovers.find(patient.store, patient.location, now)
    if found.stages:
        yield WARNING, f"{len(found.stages)} stage folders of killed processes", "Run 'regenstore fsck'."
    if found.temps:
        yield NOTE, f"{len(found.temps)} old temp files in the store", "Run 'regenstore fsck'."
    if found.leases:
        yield NOTE, f"{len(found.leases)} leases that nobody holds", "Run 'regenstore fsck'."
