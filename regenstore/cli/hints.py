"""Hints on what to do next: an error's own hint, but never the very command that just failed."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from regenstore.errors import RegenstoreError

GROUPS = ("export", "remote", "template")
"""Command groups, whose commands have two-word names."""
_NAMED = re.compile(r"\bregenstore ([a-z]+)(?: ([a-z]+|COMMAND))?")
_INSTEAD = {
    ("get", "content-missing"): "Bring the medium back from another copy; 'regenstore fsck' looks for one.",
    ("get", "input-missing"): "Bring the input back from another copy; 'regenstore fsck' looks for one.",
    ("get", "over-budget"): "Omit --no-generate to make it now.",
    ("get", "policy-forbids"): "Set regenstore.smudge to 'generate'.",
    ("get", "store-damaged"): "Run 'regenstore fsck', which moves damaged files away and repairs what it can.",
    ("get", "generator-crashed"): "Try again; if it crashes again, report it to the generator's author.",
    ("undo", "no-such-run"): "Use --list to see the known runs.",
    ("show", "no-such-recipe"): "Use --key PATH to get the key of a known recipe.",
    (
        "events",
        "notify-failed",
    ): "Nothing is lost: delivery is retried later. Fix the problem in the message.",
    ("push", "remote-wrong-bytes"): "The content was discarded. Run with --again PATH on a machine that has it.",
    ("gc", "needs-unknown"): "Restore the repository, complete its clone, or use --forget-repository PATH.",
    ("export", "bad-export"): "Change the arguments; --help lists the options.",
    ("template check", "bad-template"): "Fix the template, then check it again.",
    ("template list", "no-such-template"): "Check the spelling.",
    ("generators", "no-such-generator"): "Omit the name to list the installed generators.",
    ("status", "no-such-path"): "Check the spelling; omit paths to list all media.",
    ("takes", "no-such-take"): "Give one of the listed digests.",
    ("history", "no-such-take"): "Omit --take to list the contents.",
    ("edit", "bad-recipe"): "Fix the text, or restore the last valid one from 'git log -p PATH'.",
    ("remote check", "remote-failed"): "See the message and the server's own log.",
    ("remote check", "remote-refused"): "Check the credentials and their permissions.",
    ("set", "input-changed"): "Give the recipe another input with -i NAME=PATH.",
    ("track", "not-tracked"): "Give a pattern that matches the file's name.",
    ("new", "imported-media"): "Give another path and a generator.",
    ("trust", "untrusted-generator"): "Read the definition, then approve it.",
    ("trust", "untrusted-remote"): "Check the address, then approve it.",
}
_ELSE = "Run 'regenstore doctor' to find the cause."


def hint_for(error: RegenstoreError, arguments: Sequence[str] | None = None) -> str:
    """The hint for an error. ``arguments``: the command line that it came from."""
    command = _command(sys.argv[1:] if arguments is None else arguments)
    if command is None or not names_command(error.hint, command):
        return error.hint
    found = _INSTEAD.get((command, error.kind)) or _INSTEAD.get((command.partition(" ")[0], error.kind))
    return found or (_ELSE if command != "doctor" else "Fix the problem in the message, then try again.")


def names_command(hint: str, command: str) -> bool:
    """Whether a hint suggests a command."""
    for first, second in _NAMED.findall(hint):
        named = f"{first} {second}" if first in GROUPS else first
        if named == command or (second == "COMMAND" and command.startswith(f"{first} ")):
            return True
    return False


def _command(arguments: Sequence[str]) -> str | None:
    named = iter(arguments)
    words = []
    for each in named:
        if each == "-C":
            next(named, None)
        elif not each.startswith("-"):
            words.append(each)
    words = words[:2]
    return " ".join(words if words[:1] and words[0] in GROUPS else words[:1]) or None
