"""Check of the environment that a shell, a hook or another program sets for this command."""

from __future__ import annotations

import os

from regenstore.doctor.check import NOTE, OK, WARNING, CheckContext, Findings
from regenstore.refs.git import REPOSITORY_VARIABLES

_LIBRARIES = ("LD_LIBRARY_PATH", "LD_PRELOAD")


def surroundings(context: CheckContext) -> Findings:
    """Variables that other programs set for themselves, and the ``regenstore`` that the shell finds."""
    environ = context.environ
    quiet = True
    if theirs := sorted(name for name in environ if name.startswith("PYTHON") and "_" not in name):
        quiet = False
        message = f"{', '.join(theirs)} set, perhaps for another Python: the filter and our processes ignore them"
        yield NOTE, message, "If the command 'regenstore' itself fails to start in such a shell, unset them there."
    if libraries := [name for name in _LIBRARIES if environ.get(name)]:
        quiet = False
        message = f"{', '.join(libraries)} set: libraries from there can break Python's own, such as SSL and SQLite"
        yield WARNING, message, "The filter is started without LD_LIBRARY_PATH; unset them for other commands."
    if of_git := [name for name in REPOSITORY_VARIABLES if name in environ]:
        quiet = False
        shown = ", ".join(f"{name}={environ[name]}" for name in of_git)
        yield NOTE, f"{shown}: set by a hook or by hand; they determine the repository or index", ""
    if not environ.get("HOME"):
        quiet = False
        remedy = "Set HOME for the program that starts Git, or set up each repository with 'regenstore init'."
        yield WARNING, "HOME is not set: Git and regenstore do not find the user's settings and approvals", remedy
    yield from _on_path(context, quiet)


def _on_path(context: CheckContext, quiet: bool) -> Findings:
    here = os.path.dirname(context.python)
    if context.on_path is None:
        yield NOTE, "regenstore is not on PATH: hooks that call it check nothing", f"It is in {here}."
    elif os.path.realpath(os.path.dirname(os.path.realpath(context.on_path))) != os.path.realpath(here):
        message = f"the regenstore on PATH is {context.on_path}; this is another installation, in {here}"
        yield NOTE, message, "Remove one of them, or run 'regenstore init' of the one that Git should use."
    elif quiet:
        yield OK, "nothing in the environment changes how this command works", ""
