"""Checks of Git's setup: the filter, settings, attributes, hooks."""

from __future__ import annotations

import os
import re
import subprocess
from difflib import get_close_matches

from regenstore.doctor.check import NOTE, OK, PROBLEM, WARNING, CheckContext, Findings
from regenstore.fs import presence
from regenstore.project.repository_file import FILE, TABLES, unknown_tables
from regenstore.quantities import counted
from regenstore.refs.git import Git
from regenstore.remotes.settings import KEYS as REMOTE_KEYS

_HELLO = (
    b"0016git-filter-client\n000eversion=2\n00000015capability=clean\n0016capability=smudge\n0015capability=delay\n0000"
)
_ANSWER = b"0016git-filter-server\n000eversion=2\n0000"
_ITSELF = b"capability=delay"
"""Sent by the filter itself, but not by the script that stands in for it."""
_START = 30.0
_SET_UP = "Run 'regenstore init' here, or 'regenstore install' for all your repositories."


def git_filter(context: CheckContext) -> Findings:
    """Whether the effective filter and merge driver exist, are regenstore's, and can start."""
    told = context.git.config(r"^(filter|merge|diff)\.regenstore\.")
    values = {name: told.get(name) for name in context.git_values}
    process = values["filter.regenstore.process"]
    if process is None:
        yield PROBLEM, "Git has no filter for regenstore: media themselves would be committed", _SET_UP
        return
    for name, value in values.items():
        program = name.endswith((".process", ".clean", ".smudge", ".driver"))
        if value is None:
            yield WARNING, f"{name} is not set", _SET_UP
        elif value == context.git_values[name]:
            continue
        elif program and "regenstore" not in value:
            remedy = "Check it with 'git config'; 'regenstore install --force' replaces it."
            yield PROBLEM, f"{name} is {value!r}, which is not regenstore's", remedy
        elif program:
            alone = " -I" in value or " -E " in value
            old = "" if alone else " as earlier versions did, and Python's environment variables can break it"
            yield NOTE, f"{name} runs another installation{old}: {value:.90}", "Run 'regenstore init' to use this one."
        elif name == "filter.regenstore.required":
            yield PROBLEM, f"{name} is {value!r}: a failing filter would commit raw media", _SET_UP
        else:
            yield WARNING, f"{name} is {value!r}, not {context.git_values[name]!r}", _SET_UP
    why = _start(process, context.git.cwd)
    if why is None:
        yield OK, f"the filter starts and answers: {_program(process)}", ""
    else:
        remedy = "Reinstall regenstore, then run 'regenstore init' or 'regenstore install'."
        yield PROBLEM, f"the filter does not start ({process:.90}): {why}", remedy


def _program(command: str) -> str:
    """The interpreter in the filter's command, which is long."""
    found = re.search(r"/[^ ']*python[^ ']*", command)
    return found[0] if found else f"{command:.90}"


def _start(command: str, folder: str | bytes) -> str | None:
    """Perform the handshake with a filter as git does; returns the error, if any."""
    try:
        done = subprocess.run(
            ["sh", "-c", command], input=_HELLO, cwd=folder, capture_output=True, timeout=_START, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_START:g} s"
    except OSError as error:
        return str(error)
    if done.stdout.startswith(_ANSWER) and _ITSELF in done.stdout and done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[-1][:200] if said else f"exit code {done.returncode}, without an answer in the filter protocol"


def settings(context: CheckContext) -> Findings:
    """Settings with unknown names."""
    for name in sorted(context.git.config(r"^regenstore\.")):
        known = name.removeprefix("regenstore.")
        of_a_remote = known.startswith("remote.") and known.rpartition(".")[2] in REMOTE_KEYS
        if known in context.setting_names or of_a_remote:
            continue
        near = get_close_matches(known, context.setting_names, 1)
        remedy = f"Did you mean regenstore.{near[0]}? " if near else ""
        yield (
            WARNING,
            f"{name} is set, but there is no such setting",
            f"{remedy}'git config --unset-all {name}' removes it.",
        )


def tables(context: CheckContext) -> Findings:
    """Tables of regenstore.toml with unknown names."""
    for name, near in unknown_tables(os.fsdecode(context.location.top)).items():
        remedy = f"Did you mean [{near}]?" if near else f"Remove it; the known tables are {', '.join(TABLES)}."
        yield WARNING, f"{FILE}: [{name}] is not a known table", remedy


def conversions(context: CheckContext) -> Findings:
    """Settings that make Git bring back media where they are not needed."""
    for name in ("diff.regenstore.textconv", "diff.regenstore.command"):
        value = context.git.config_value(name)
        if value is not None:
            remedy = f"Run 'git config --unset-all {name}': recipes are text already."
            yield WARNING, f"{name} is set: every old version that 'git log -p' shows would be made again", remedy
    if context.git.config_value("merge.renormalize", "bool") == "true":
        remedy = "Run 'git config merge.renormalize false' here."
        yield WARNING, "merge.renormalize is set: a merge would make three media for every path", remedy


def attributes(context: CheckContext) -> Findings:
    """Whether Git filters paths here, will do so in other clones, and leaves recipe text unchanged."""
    git = context.git
    tracked = {os.fsdecode(path) for path in git.ls_files(".gitattributes", "**/.gitattributes")}
    top = os.fsdecode(context.location.top)
    lines = [(file, line) for file in {".gitattributes", *tracked} for line in _lines(f"{top}/{file}")]
    ours = [(file, line) for file, line in lines if "filter=regenstore" in line.split()[1:]]
    seen = context.recipe_blobs
    if not ours and not seen:
        yield NOTE, "no path is tracked yet", "Run 'regenstore track PATTERN'."
        return
    for file in sorted({file for file, _ in ours} - tracked):
        yield WARNING, f"{file} is not in Git's index: clones would not filter these paths", f"Run 'git add {file}'."
    for file, line in sorted(set(ours)):
        lacking = {"-text", "merge=regenstore", "diff=regenstore"} - set(line.split())
        if lacking:
            level = WARNING if "-text" in lacking else NOTE
            what = " ".join(sorted(lacking))
            yield level, f"{file}: {line.split()[0]} lacks {what}", "Add it, as 'regenstore track' writes it."
    yield from _effective(git, [entry.path for entry in seen])
    if ours:
        yield (
            OK,
            (
                f"{counted(len(ours), 'pattern is', 'patterns are')} tracked,"
                f" {counted(len({entry.path for entry in seen}), 'path')}"
            ),
            "",
        )


def _effective(git: Git, paths: list[bytes]) -> Findings:
    """The effective attributes of the paths: a later line, or another file, may override regenstore's."""
    wrong: dict[str, list[bytes]] = {}
    for path, name, value in git.check_attr(paths, ("text", "eol", "ident", "working-tree-encoding")):
        if value not in ("unspecified", "unset") or (name == "text" and value != "unset"):
            wrong.setdefault(f"{name}={value}", []).append(path)
    for what, where in wrong.items():
        more = f" and {len(where) - 1} more" if len(where) > 1 else ""
        message = f"{os.fsdecode(where[0])}{more} has {what}: Git would convert line ends inside media and recipes"
        yield WARNING, message, "Make the line that names the filter the last one, and end it with -text."


def hooks(context: CheckContext) -> Findings:
    moved = context.git.config_value("core.hooksPath")
    if moved is not None:
        yield NOTE, f"core.hooksPath is {moved}: Git runs the hooks there", ""
    path = os.path.join(context.git.git_path("hooks"), "pre-commit")
    if not presence.is_file(path):
        yield NOTE, "there is no pre-commit hook; it is optional", "Run 'regenstore install --local --hooks'."
    elif not os.access(path, os.X_OK):
        yield WARNING, f"{path} is not executable: Git ignores it", f"Run 'chmod +x {path}'."
    elif any("regenstore hook" in line for line in _lines(path)):
        yield OK, "the pre-commit hook checks recipes", ""
    else:
        remedy = "Add this line to it: regenstore hook pre-commit || exit 1"
        yield NOTE, "a pre-commit hook exists that does not check recipes", remedy


def _lines(path: str) -> list[str]:
    """The lines of a small text file without comments; empty if it does not exist. Raises StorageError
    (``unreadable``)."""
    text = os.fsdecode(presence.read(path) or b"")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
