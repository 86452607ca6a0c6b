"""Checks of the programs in use: Python, SQLite, Git."""

from __future__ import annotations

import platform

from regenstore import __version__
from regenstore.doctor.check import NOTE, OK, PROBLEM, CheckContext, Findings
from regenstore.objects.results.database_file import sqlite_version
from regenstore.refs.git import WORTH_IT, blob_source


def versions(context: CheckContext) -> Findings:
    yield OK, f"regenstore {__version__}, Python {platform.python_version()} on {platform.system()}", ""
    version, new_enough = sqlite_version()
    if new_enough:
        yield OK, f"SQLite {version}", ""
    else:
        yield PROBLEM, f"SQLite {version} is too old", "Use a Python with SQLite 3.35 or newer."


def git_version(context: CheckContext) -> Findings:
    context.git.require_version()
    yield OK, context.git.version(), ""


def git_blobs(context: CheckContext) -> Findings:
    """What reads large numbers of blobs: git is always correct, libgit2 is only faster."""
    linked, told = blob_source(context.git)
    if linked:
        yield OK, f"{told} reads {WORTH_IT:,} or more blobs; git does everything else", ""
    else:
        yield NOTE, f"git reads all blobs, which is correct but slower for large numbers: {told}", ""
