"""The entry point ``regenstore`` and its table of commands. Imports nothing from outside before the environment is
isolated."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper

SECTIONS = {
    "Start": {
        "init": "Set up this repository: filter, merge driver, store.",
        "clone": "Clone a repository with its media.",
        "track": "Let Git store recipes for files that match patterns.",
        "untrack": "Stop tracking files that match patterns.",
        "install": "Write the filter into Git's configuration.",
        "uninstall": "Remove the filter from Git's configuration.",
        "demo": "Demonstrate the whole workflow on a small film project.",
    },
    "Take over what exists": {
        "adopt": "Take a folder of media into this repository.",
        "capture": "Show what media's metadata tell, and make recipes of it.",
        "models": "Know model files by their hashes: scan folders, list, find.",
        "migrate-from": "Turn what Git LFS or DVC keep, or Git's history, into recipes.",
    },
    "Create and change": {
        "new": "Create a recipe and make its medium.",
        "set": "Change parameters or inputs of a recipe and make it again.",
        "unset": "Remove parameters or inputs of a recipe and make it again.",
        "edit": "Edit a recipe's text in your editor, also one in conflict.",
        "tag": "Label media: scene, characters, tags, failures, rating.",
        "record": "Record the medium in the worktree as its recipe's take.",
        "accept": "Make another known content the take of a recipe.",
    },
    "Look": {
        "status": "Show the state of tracked media.",
        "ls-files": "List tracked paths.",
        "find": "Find media by what their recipes say.",
        "show": "Show a recipe, in the worktree or at a revision.",
        "history": "List every content that a path has had, or bring one back.",
        "tries": "List what has been tried at a path, or make a contact sheet.",
        "takes": "List all contents that a recipe is known to have made.",
        "why": "Explain why a medium is kept or evictable.",
        "verify": "Run recipes again and compare the results with their takes.",
        "generators": "List generators, or show a generator's parameters.",
    },
    "Media in the worktree": {
        "get": "Bring media into the worktree, fetching or making them if needed.",
        "drop": "Replace media in the worktree with recipe text.",
    },
    "Share": {
        "remote": "Manage remotes: shared storage for media.",
        "push": "Send media to a remote, with results and proofs.",
        "fetch": "Fetch media from remotes into the store.",
        "trust": "Approve generators and remotes declared by this repository.",
    },
    "Clean up": {
        "du": "Show the store's disk usage, and how much is evictable.",
        "gc": "Free space by evicting media that are proven to come back.",
        "undo": "Restore contents that gc evicted and has not deleted yet.",
        "pin": "Keep all takes of a recipe in any case.",
        "unpin": "Remove a pin.",
        "pins": "List pins.",
    },
    "Hand over": {
        "export": "Export sidecars for other programs, and training datasets.",
        "template": "List, show, create and check sidecar templates.",
        "events": "Show, deliver or discard pending events.",
    },
    "Check and repair": {
        "check": "Find raw media, invalid recipes and conflict markers; for CI.",
        "doctor": "Check the setup, or rebuild the database.",
        "fsck": "Check the store's integrity and repair it.",
        "hook": "Run a Git hook's check (called by the hooks themselves).",
    },
    "Help": {
        "help": "Show the help of a command.",
        "completion": "Print the completion script for a shell.",
    },
}
"""The commands by what one wants to do."""
COMMANDS = {name: line for listed in SECTIONS.values() for name, line in listed.items()}

_FOLDERS = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY")


_NEW_OBJECTS = 50_000
"""New objects before Python searches for cycles: imports create thousands of objects, which all stay alive."""


def main() -> None:
    """Entry point; never returns."""
    _end(run())


def run() -> int:
    """Run the given command; returns its exit code."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    _leave_others_behind()
    os.environ.pop("GIT_CONFIG", None)  # only 'git config' reads it, and would report settings that git does not use
    for name in _FOLDERS:
        if name in os.environ:  # git's child processes run in other folders than this command
            os.environ[name] = os.path.abspath(os.environ[name])
    from regenstore.cli import group

    return group.run()


def _end(code: int) -> None:
    """Exit without tearing down the interpreter, which would take a tenth of a short command's time. If other threads
    still run, or output cannot be written, exit as usual."""
    import atexit
    import threading

    try:
        if threading.active_count() == 1:
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            os._exit(code)
    except OSError:
        pass
    sys.exit(code)


def _leave_others_behind() -> None:
    """Undo settings that other programs' shells make for their own Python. Entries of PYTHONPATH move behind this
    installation's packages, so that only plug-ins are found there; warnings are not errors; and characters that the
    output's encoding lacks are not errors."""
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
