"""The entry point ``regenstore`` and its table of commands. Imports nothing from outside before the environment is
isolated."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

COMMANDS = {
    "init": "Set up this repository: filter, merge driver, store.",
    "install": "Write the filter into Git's configuration.",
    "uninstall": "Remove the filter from Git's configuration.",
    "track": "Let Git store recipes for files that match patterns.",
    "untrack": "Stop tracking files that match patterns.",
    "new": "Create a recipe and make its medium.",
    "set": "Change parameters or inputs of a recipe and make it again.",
    "unset": "Remove parameters or inputs of a recipe and make it again.",
    "tag": "Label media: scene, characters, tags, failures, rating.",
    "edit": "Edit a recipe's text in your editor.",
    "show": "Show a recipe, in the worktree or at a revision.",
    "status": "Show the state of tracked media.",
    "ls-files": "List tracked paths.",
    "fetch": "Fetch media from remotes into the store.",
    "get": "Bring media into the worktree, fetching or making them if needed.",
    "drop": "Replace media in the worktree with recipe text.",
    "record": "Record the medium in the worktree as its recipe's take.",
    "verify": "Run recipes again and compare the results with their takes.",
    "takes": "List all contents that a recipe is known to have made.",
    "accept": "Make another known content the take of a recipe.",
    "pin": "Keep all takes of a recipe in any case.",
    "unpin": "Remove a pin.",
    "pins": "List pins.",
    "why": "Explain why a medium is kept or evictable.",
    "export": "Export sidecars for other programs, and training datasets.",
    "template": "List, show, create and check sidecar templates.",
    "events": "Show, deliver or discard pending events.",
    "generators": "List generators, or show a generator's parameters.",
    "trust": "Approve generators and remotes declared by this repository.",
    "remote": "Manage remotes: shared storage for media.",
    "push": "Send media to a remote, with results and proofs.",
    "clone": "Clone a repository with its media.",
    "gc": "Free space by evicting media that are proven to come back.",
    "undo": "Restore what gc took and has not deleted yet.",
    "du": "Show the store's disk usage, and how much is evictable.",
    "check": "Find raw media, invalid recipes and conflict markers; for CI.",
    "fsck": "Check the store's integrity and repair it.",
    "doctor": "Check the setup, or rebuild the database.",
    "hook": "Run a Git hook's check (called by the hooks themselves).",
    "demo": "Demonstrate the whole workflow on a small film project.",
}

_FOLDERS = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY")


def main() -> None:
    """Entry point; never returns."""
    _leave_others_behind()
    os.environ.pop("GIT_CONFIG", None)  # only 'git config' reads it, and would report settings that git does not use
    for name in _FOLDERS:
        if name in os.environ:  # git's child processes run in other folders than this command
            os.environ[name] = os.path.abspath(os.environ[name])
    from regenstore.cli.group import run

    run()


def _leave_others_behind() -> None:
    """Undo settings that other programs' shells make for their own Python. Entries of PYTHONPATH move behind this
    installation's packages, so that only plug-ins are found there; warnings are not errors; and characters that the
    output's encoding lacks are no reason to fail."""
    if "PYTHONPATH" in os.environ:
        theirs = {os.path.abspath(folder) for folder in os.environ["PYTHONPATH"].split(os.pathsep) if folder}
        sys.path.sort(key=lambda folder: folder in theirs)  # preserves the order within each group
    if "PYTHONWARNINGS" in os.environ:
        import warnings

        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")
