"""What to do next, for people: the hint of an error, but never the very command that just failed."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from regenstore.errors import RegenstoreError

GROUPS = ("export", "remote", "template")
"""Commands whose own names have two words."""
_NAMED = re.compile(r"\bregenstore ([a-z]+)(?: ([a-z]+|COMMAND))?")
_INSTEAD = {
    ("get", "content-missing"): "Bring the medium back from another copy; 'regenstore fsck' looks for one.",
    ("get", "input-missing"): "Bring the input back from another copy; 'regenstore fsck' looks for one.",
    ("get", "over-budget"): "Leave --no-generate out to make it now.",
    ("get", "policy-forbids"): "Set regenstore.smudge to 'generate'.",
    ("get", "store-damaged"): "Run 'regenstore fsck', which moves damaged files away and repairs what it can.",
    ("get", "generator-crashed"): "Try again; if it crashes again, report it to the generator's author.",
    ("undo", "no-such-run"): "Give --list to see those that are known.",
    ("show", "no-such-recipe"): "Give --key PATH for the key of a recipe that is known.",
    (
        "events",
        "notify-failed",
    ): "Nothing is lost: it is tried again later. Correct what the message names.",
    ("push", "remote-wrong-bytes"): "Nothing of it was kept. Give --again PATH where the content is.",
    ("gc", "needs-unknown"): "Bring it back, complete its clone, or forget it with --forget-repository PATH.",
    ("export", "bad-export"): "Ask again differently; --help shows what there is.",
    ("template check", "bad-template"): "Correct the template, then check it again.",
    ("template list", "no-such-template"): "Check the spelling.",
    ("generators", "no-such-generator"): "Leave the name out for a list of those that are installed.",
    ("status", "no-such-path"): "Check the spelling; without paths all media are listed.",
    ("takes", "no-such-take"): "Give one of the digests that are listed.",
    ("edit", "bad-recipe"): "Correct the text, or take the last good one from 'git log -p PATH'.",
    ("remote check", "remote-failed"): "Look at what the message says, and at the server's own log.",
    ("remote check", "remote-refused"): "Check the credentials, and what they allow.",
    ("set", "input-changed"): "Give the recipe another input with -i NAME=PATH.",
    ("track", "not-tracked"): "Give the pattern of the file's name.",
    ("new", "imported-media"): "Give another path, and the generator that makes the medium.",
    ("trust", "untrusted-generator"): "Read the definition, then agree to it.",
    ("trust", "untrusted-remote"): "Look at the address, then agree to it.",
}
_ELSE = "Run 'regenstore doctor': it looks for the cause."


def hint_for(error: RegenstoreError, arguments: Sequence[str] | None = None) -> str:
    """What to tell whoever ran a command (``arguments``: its command line) that this error came of."""
    command = _command(sys.argv[1:] if arguments is None else arguments)
    if command is None or not names_command(error.hint, command):
        return error.hint
    found = _INSTEAD.get((command, error.kind)) or _INSTEAD.get((command.partition(" ")[0], error.kind))
    return found or (_ELSE if command != "doctor" else "Correct what the message names, then try again.")


def names_command(hint: str, command: str) -> bool:
    """Whether a hint tells people to run this command."""
    for first, second in _NAMED.findall(hint):
        named = f"{first} {second}" if first in GROUPS else first
        if named == command or (second == "COMMAND" and command.startswith(f"{first} ")):
            return True
    return False


def _command(arguments: Sequence[str]) -> str | None:
    words = [each for each in arguments if not each.startswith("-")][:2]
    return " ".join(words if words[:1] and words[0] in GROUPS else words[:1]) or None
