"""``regenstore``: the entry point, and which commands there are. Imports nothing from elsewhere before it is alone."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper

COMMANDS = {
    "init": "Set up this repository: filter, merge driver, store.",
    "install": "Write the filter into Git's configuration.",
    "uninstall": "Remove the filter from Git's configuration.",
    "track": "Let Git store recipes for file name patterns.",
    "untrack": "Stop that for file name patterns.",
    "new": "Write a new recipe and make its medium.",
    "set": "Change parameters or inputs of a recipe, and make it again.",
    "unset": "Remove parameters or inputs of a recipe, and make it again.",
    "tag": "Label media: scene, characters, tags, failures, rating.",
    "edit": "Edit a recipe's text in your editor.",
    "show": "Show a recipe, here or at a revision.",
    "status": "How things stand at every tracked path.",
    "fetch": "Bring what others pushed to a remote into the store.",
    "get": "Bring media into the worktree, fetched or made again where need be.",
    "drop": "Put recipe text in the place of media.",
    "record": "Write the medium in the worktree into its recipe as the take.",
    "verify": "Run recipes a second time and compare: do the takes come back?",
    "takes": "List every content that a recipe is known to have made.",
    "accept": "Take another known content as the take of a recipe.",
    "pin": "Keep all takes of a recipe, whatever else is known of them.",
    "unpin": "Take a pin away.",
    "pins": "List what is pinned.",
    "why": "Why a medium is kept, or may be evicted.",
    "export": "Write sidecars for other programs, and datasets.",
    "template": "List, show, make and check the templates of sidecars.",
    "events": "What a pipeline is still to be told, and telling it now.",
    "generators": "List generators, or show one with its parameters.",
    "trust": "Approve the generators and remotes that this repository declares.",
    "remote": "Shared places for media: add, list, check, remove.",
    "push": "Send media to a remote, with what is known of them.",
    "clone": "Clone a repository, media included.",
    "gc": "Free space: evict what is proven to come back.",
    "undo": "Bring back what gc took and has not deleted yet.",
    "du": "What the store holds, and how much of it may go.",
    "check": "Find raw media, bad recipes and conflict markers; for CI.",
    "fsck": "Check the store and repair what can be made again.",
    "doctor": "Check how everything is set up; rebuild the database.",
    "hook": "Run a Git hook's check (called by the hooks themselves).",
    "demo": "Play the whole story on a small film project.",
}

_FOLDERS = ("GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY")


_NEW_OBJECTS = 50_000
"""How many are made before Python looks for cycles among them: imports make thousands, and none of those goes."""


def main() -> None:
    """Entry point; never returns."""
    _end(run())


def run() -> int:
    """Run the command that was given; gives its exit code."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    _leave_others_behind()
    os.environ.pop("GIT_CONFIG", None)  # only 'git config' hears it, and would tell us other settings than git's own
    for name in _FOLDERS:
        if name in os.environ:  # git's children run in other folders than this command
            os.environ[name] = os.path.abspath(os.environ[name])
    from regenstore.cli import group

    return group.run()


def _end(code: int) -> None:
    """End without taking the interpreter apart, which is a tenth of a short command's time. What still runs beside
    the command, and output that cannot be written, get the usual end."""
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
    """Shells of other programs set variables for a Python of their own: what PYTHONPATH leads to comes after the
    packages of this installation, so that only plug-ins are found there; warnings are nobody's errors; and what
    an encoding does not have is no reason to fail."""
    if "PYTHONPATH" in os.environ:
        theirs = {os.path.abspath(folder) for folder in os.environ["PYTHONPATH"].split(os.pathsep) if folder}
        sys.path.sort(key=lambda folder: folder in theirs)  # keeps the order of each
    if "PYTHONWARNINGS" in os.environ:
        import warnings

        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")
