"""Checks of the store: its location, how media are placed from it, and what uses its space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from regenstore.doctor import file_system, quarantine
from regenstore.doctor.check import NOTE, OK, PROBLEM, WARNING, CheckContext, Findings
from regenstore.fs import durable, presence, sharing
from regenstore.fs.reflink import Linker
from regenstore.objects import store_format
from regenstore.objects.content_store import TRASH
from regenstore.quantities import size_text
from regenstore.worktree.location import in_worktree


def store(context: CheckContext) -> Findings:
    root = context.store.root
    if not presence.is_folder(root):
        if context.location.is_bare:
            yield OK, "there is no store: a bare repository needs none", ""
            return
        yield WARNING, f"the store {root} does not exist yet", "Run 'regenstore init'."
        return
    for operation in ("read", "write"):
        store_format.check(root, operation)
    context.store.require_one_disk()
    probe = f"{root}/tmp"
    if not os.access(probe if presence.is_folder(probe) else root, os.W_OK | os.X_OK):
        yield PROBLEM, f"the store {root} cannot be written", "Check owner and permissions of the store."
        return
    kind = context.kind_of(root)
    if kind in file_system.NETWORK:
        remedy = "Keep the store on a local disk: set regenstore.store, and share media by other means."
        yield WARNING, f"the store is on {kind}, which lacks the shared memory that SQLite's log needs", remedy
    free = shutil.disk_usage(root).free
    if free < context.low_space:
        yield WARNING, f"only {size_text(free)} are free at {root}", "Free some space, or set regenstore.store."
    if in_worktree(root, context.location):
        remedy = "Move it out of the worktree, and set regenstore.store to its new location."
        yield WARNING, f"the store {root} is inside the worktree: 'git clean' would remove it", remedy
    if context.shared is not None:
        remedy = "" if os.path.isabs(context.shared) else "Give regenstore.store an absolute path."
        yield NOTE, f"regenstore.store is set: repositories may share {root}", remedy
    told = f" on {kind}" if kind else ""
    yield OK, f"the store is {root}{told}, {size_text(free)} free", ""


def linking(context: CheckContext) -> Findings:
    """How bytes get from the store to the worktree; tested with a small file."""
    if not presence.is_folder(context.store.root):
        return
    if not context.reflink:
        yield NOTE, "regenstore.reflink is off: media are copied, and take twice the space", ""
        return
    top, home = os.fsdecode(context.location.top), context.location.git_dir
    if os.stat(home).st_dev != os.stat(top).st_dev:
        home = top
    tail = f"regenstore-doctor-{os.getpid()}-{os.urandom(4).hex()}"
    sharing.make_folders(f"{context.store.root}/tmp")
    source, target = f"{context.store.root}/tmp/{tail}", f"{home}/.{tail}"
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
        remedy = "To save space, keep both on one file system that supports reflinks (Btrfs, XFS)."
        yield NOTE, "media are copied from the store, and take twice the space", remedy


def kept_aside(context: CheckContext) -> Findings:
    """Contents that use space but are not in use: the trash and the quarantine."""
    for folder, what, remedy in (
        (TRASH, "contents in the trash", "'regenstore undo --list' lists them; gc deletes them after a time."),
        (
            quarantine.FOLDER,
            "bad files in the quarantine",
            "A text file beside each says why; remove those that you do not need.",
        ),
    ):
        sizes = list(_sizes(f"{context.store.root}/{folder}"))
        if sizes:
            yield NOTE, f"{what}: {len(sizes)}, {size_text(sum(sizes))}", remedy


def _sizes(folder: str) -> Iterator[int]:
    for base, _, names in presence.walk(folder):
        for name in names:
            found = presence.lstat(f"{base}/{name}")
            if found is not None and not (name.endswith(".txt") and name[:-4] in names):
                yield found.st_size
