"""The errors that regenstore raises, in categories by what the caller can do about them.

    RegenstoreError
    ├── InvalidInput      what was asked for is wrong; ask again differently
    ├── NotFound          a path, revision, generator or content that is not there
    ├── Conflict          something else changed or holds it; look, then try again
    ├── TrustRequired     the user has to approve first
    ├── StorageError      disk full, permissions, damaged store
    ├── FormatError       a recipe, index, packet or store that cannot be read
    ├── GenerationError   a generator failed, crashed, hung or gave something wrong
    └── InternalError     a bug in regenstore

Every failure has a ``kind``: a stable, append-only word that scripts may rely on. All kinds are in
:data:`KINDS` with their remedy; ``docs/errors.md`` lists the same ones, and a test compares the two.
This module uses the standard library only: the Git filter imports it.
"""

from __future__ import annotations


class RegenstoreError(Exception):
    """Base class. ``message`` names what failed, ``hint`` what to do next, ``exit_code`` is the CLI's. Both are UTF-8:
    a path's byte that is not, which text holds as a lone surrogate, is spelled out. Addresses in either are without
    passwords, tokens and signatures, whatever was given."""

    category = "internal"
    exit_code = 70

    def __init__(self, kind: str, message: str, *, hint: str | None = None) -> None:
        if kind not in KINDS:
            raise ValueError(f"unregistered error kind {kind!r}")
        self.kind = kind
        self.message = _presentable(message)
        self.hint = KINDS[kind] if hint is None else _presentable(hint)
        super().__init__(self.message)

    def at(self, shown: str) -> RegenstoreError:
        """The same error, naming first what it is about, unless it does so already."""
        if self.message.startswith(shown):
            return self
        return type(self)(self.kind, f"{shown}: {self.message}", hint=self.hint)


def _presentable(text: str) -> str:
    if "://" in text:
        from regenstore.addresses import without_secrets

        text = without_secrets(text)
    return utf8_text(text)


def utf8_text(text: str) -> str:
    """A text for people in which every byte that is not UTF-8, and every other lone surrogate, is spelled out."""
    try:
        text.encode()
    except UnicodeEncodeError:
        bytes_spelled = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}
        return text.translate(bytes_spelled).encode(errors="backslashreplace").decode()
    return text


class InvalidInput(RegenstoreError):
    category = "invalid-input"
    exit_code = 2


class NotFound(RegenstoreError):
    category = "not-found"
    exit_code = 3


class Conflict(RegenstoreError):
    category = "conflict"
    exit_code = 4


class TrustRequired(RegenstoreError):
    category = "trust"
    exit_code = 5


class StorageError(RegenstoreError):
    category = "storage"
    exit_code = 6


class FormatError(RegenstoreError):
    category = "format"
    exit_code = 7


class GenerationError(RegenstoreError):
    category = "generation"
    exit_code = 8


class InternalError(RegenstoreError):
    category = "internal"
    exit_code = 70


KINDS: dict[str, str] = {
    # invalid input
    "bad-parameter": "Run 'regenstore generators NAME' to see the parameters, their types and ranges.",
    "unknown-parameter": "Run 'regenstore generators NAME' to see the parameters.",
    "missing-parameter": "Give it with -p NAME=VALUE.",
    "unknown-input": "Run 'regenstore generators NAME' to see the inputs it takes.",
    "missing-input": "Give it with -i NAME=PATH.",
    "bad-path": "Use a path inside the worktree, without '..' and outside '.git'.",
    "not-tracked": "Run 'regenstore track PATTERN' first, so that Git stores a recipe at this path.",
    "bad-config": "Correct the value with 'git config'.",
    "bad-media-type": "Use a file name ending of a type that the generator makes.",
    "no-change": "Nothing to do.",
    "no-such-take": "Run 'regenstore takes PATH' for those that are known, then give its digest with --take.",
    "imported-media": "Make a recipe with 'regenstore new'; imported media have none to change or record.",
    "excluded": "Run 'git sparse-checkout add FOLDER' to have it in the worktree.",
    "outdated-take": "Run 'regenstore get' to make the medium of these parameters, or set the parameters back.",
    "dependency-cycle": "Give one of the recipes another input.",
    "bad-export": "Ask again differently; 'regenstore export COMMAND --help' shows what there is.",
    "bad-template": "Correct the template; 'regenstore template check NAME' shows what is wrong with it.",
    # not found
    "not-a-repository": "Run it inside a Git repository, or 'git init' one.",
    "no-such-path": "Check the spelling; 'regenstore status' lists the media.",
    "no-such-revision": "Check the revision with 'git rev-parse'.",
    "no-such-generator": "Run 'regenstore generators' for those that are installed.",
    "content-missing": "Run 'regenstore get PATH', or bring the medium back from another copy.",
    "not-a-recipe": "The path holds no recipe; 'regenstore check' finds raw media.",
    "input-missing": "Bring the input back first: 'regenstore get' on its path.",
    "no-such-recipe": "Run 'regenstore show --key PATH' for the key of a recipe that is known.",
    "extra-missing": "Install the extra that the message names.",
    "no-such-dataset": "Give the folder or the ZIP that 'regenstore export dataset' wrote.",
    "no-such-template": "Run 'regenstore template list' for those that there are.",
    "no-such-run": "Run 'regenstore undo --list' for those that are known.",
    "no-such-remote": "Run 'regenstore remote list' for those that there are, or 'regenstore remote add' one.",
    "not-pinned": "Run 'regenstore pins' for those that are.",
    "git-missing": "Install Git 2.39 or newer.",
    "git-too-old": "Install Git 2.39 or newer, and let it come first on PATH.",
    # conflict
    "exists": "Choose another path, or use --force.",
    "index-locked": "Another Git process is running in this repository; try again when it has ended.",
    "foreign-config": "Look at the present value with 'git config'; --force replaces it.",
    "edited": "Commit or copy the edited medium first, or use --force.",
    "not-a-file": "Look at what lies there, and move it away; nothing was read from it or written to it.",
    "unmerged": "Edit the recipe to resolve the conflict, then 'git add' it.",
    "interrupted": "Nothing was lost; run the same command again.",
    "store-busy": "Another regenstore process is using the store; try again when it has ended.",
    "export-busy": "Try again when it has ended.",
    "remote-busy": "Try again when it has ended; after an hour without a sign of it, its turn is taken over.",
    "needs-unknown": "Bring it back, complete its clone, or forget it: 'regenstore gc --forget-repository PATH'.",
    # trust
    "untrusted-generator": "Read the definition, then run 'regenstore trust'.",
    "untrusted-remote": "Look at the address, then run 'regenstore trust'.",
    "over-budget": "Run 'regenstore get' to make it now, or raise regenstore.budget.",
    "policy-forbids": "Set regenstore.smudge to 'generate', or run 'regenstore get'.",
    "not-confirmed": "Look at it with --dry-run, then say --yes.",
    # storage
    "disk-full": "Free some space, then run the same command again.",
    "store-unwritable": "Check owner and permissions of the store.",
    "store-damaged": "Move the damaged file away and run 'regenstore get'.",
    "io-error": "Look at the system's log for the disk; nothing was half-written.",
    "unreadable": "Make it readable, then run the same command again: nothing that depends on it was done.",
    "notify-failed": "Nothing is lost: the next command tries again, 'regenstore events --deliver' does so now.",
    "remote-unreachable": "Check the connection or the mount, then run the same command again: it goes on.",
    "remote-refused": "Check the credentials, and what they allow; 'regenstore remote check NAME' tries them.",
    "remote-failed": "Run 'regenstore remote check NAME' to see what the server can do.",
    "remote-wrong-bytes": "Nothing of it was kept. Where the content is, run 'regenstore push --again PATH'.",
    # format
    "bad-recipe": "Run 'regenstore edit PATH', or take the last good one from 'git log -p PATH'.",
    "newer-recipe": "Upgrade regenstore to read this recipe; until then it is left as it is.",
    "newer-store": "Upgrade regenstore to work with this store.",
    "conflict-markers": "Edit the recipe to resolve the conflict, then 'git add' it.",
    "bad-index": "Run 'git fsck' and 'git status'.",
    "bad-packet": "The program that called the filter does not speak Git's filter protocol, version 2.",
    "bad-dataset": "Export it again, with --force in the same place.",
    "bad-declaration": "Correct the generator's table in regenstore.toml.",
    "git-failed": "Run the named git command by hand to see what is wrong.",
    # generation
    "generator-failed": "Read the generator's message above; correct the recipe or the installation.",
    "generator-crashed": "Run 'regenstore get PATH' again; if it crashes again, report it to the generator's author.",
    "generator-timeout": "Raise regenstore.timeout, or make the asset smaller.",
    "generator-unavailable": "Install what the generator needs; 'regenstore generators NAME' tells.",
    "output-missing": "The generator ended without its output; check its definition.",
    "output-wrong-type": "Let the generator write the media type that the recipe names.",
    "output-too-large": "Raise regenstore.maxOutput, or make the asset smaller.",
    "input-changed": "The input no longer comes back with the pinned digest; use 'regenstore set PATH -i NAME=PATH'.",
    "cancelled": "Run the same command again to go on.",
    # internal
    "bug": "Please report it with the text above.",
}
