"""The exceptions that regenstore raises, in categories by what the caller can do about them.

    RegenstoreError
    ├── InvalidInput      the request is wrong; change it
    ├── NotFound          a path, revision, generator or content does not exist
    ├── Conflict          something else changed or locked it; check, then try again
    ├── TrustRequired     the user has to approve it first
    ├── StorageError      disk full, permissions, damaged store
    ├── FormatError       a recipe, index, packet or store cannot be read
    ├── GenerationError   a generator failed, crashed, hung or gave a wrong result
    └── InternalError     a bug in regenstore

Every error has a ``kind``: a stable word that scripts may rely on; kinds are only ever added. :data:`KINDS` maps each
to its remedy; ``docs/errors.md`` lists the same ones, and a test compares the two. Standard library only: the Git
filter imports this module.
"""

from __future__ import annotations


class RegenstoreError(Exception):
    """Base class. ``message`` says what failed, ``hint`` what to do next; ``exit_code`` is for the command line.

    Message and hint are valid UTF-8: other bytes of paths, which text holds as lone surrogates, are escaped. Passwords,
    tokens and signatures are removed from any addresses in them.
    """

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
        """The same error with its subject in front of the message, unless it is there already."""
        if self.message.startswith(shown):
            return self
        return type(self)(self.kind, f"{shown}: {self.message}", hint=self.hint)

    def adding(self, line: str) -> RegenstoreError:
        """The same error with another line in its message."""
        return type(self)(self.kind, f"{self.message}\n{line}", hint=self.hint)


def _presentable(text: str) -> str:
    if "://" in text:
        from regenstore.addresses import without_secrets

        text = without_secrets(text)
    return utf8_text(text)


def utf8_text(text: str) -> str:
    """Escape lone surrogates, which stand for bytes that are not UTF-8, so that the text can be encoded."""
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
    "ambiguous-parameter": "Name the node too: NAME@NODE.",
    "missing-parameter": "Give it with -p NAME=VALUE.",
    "unknown-input": "Run 'regenstore generators NAME' to see its inputs.",
    "missing-input": "Give it with -i NAME=PATH.",
    "bad-path": "Use a path inside the worktree, without '..' and outside '.git'.",
    "not-tracked": "Run 'regenstore track PATTERN' first, so that Git stores a recipe at this path.",
    "editor-failed": "Set an editor with 'git config core.editor PROGRAM', or in GIT_EDITOR.",
    "bad-config": "Fix the value with 'git config'.",
    "bad-media-type": "Use a file extension of a type that the generator makes.",
    "no-change": "Nothing to do.",
    "no-such-take": "Run 'regenstore takes PATH' to list them, then give a digest with --take.",
    "imported-media": "Make a recipe with 'regenstore new'; imported media have none to change or record.",
    "excluded": "Run 'git sparse-checkout add FOLDER' to bring it into the worktree.",
    "outdated-take": "Run 'regenstore get' to make the medium with these parameters, or change the parameters back.",
    "dependency-cycle": "Give one of the recipes another input.",
    "bad-export": "Change the request; 'regenstore export COMMAND --help' lists the options.",
    "bad-template": "Fix the template; 'regenstore template check NAME' lists its errors.",
    # not found
    "not-a-repository": "Run the command inside a Git repository, or create one with 'git init'.",
    "no-such-path": "Check the spelling; 'regenstore status' lists the media.",
    "no-such-revision": "Check the revision with 'git rev-parse'.",
    "no-such-generator": "Run 'regenstore generators' to list the installed ones.",
    "content-missing": "Run 'regenstore get PATH', or restore the medium from another copy.",
    "not-a-recipe": "The path has no recipe; 'regenstore check' finds raw media.",
    "input-missing": "Run 'regenstore get' on the input's path first.",
    "no-such-recipe": "Run 'regenstore show --key PATH' to get the key of a known recipe.",
    "extra-missing": "Install the extra named in the message.",
    "no-such-dataset": "Give the folder or the ZIP that 'regenstore export dataset' wrote.",
    "no-such-template": "Run 'regenstore template list' to list them.",
    "no-such-run": "Run 'regenstore undo --list' to list the known runs.",
    "no-such-remote": "Run 'regenstore remote list' to list the remotes, or 'regenstore remote add' to add one.",
    "no-such-model": "Run 'regenstore models list' to list them, or 'regenstore models scan DIR' to add some.",
    "no-asset-database": "Start ComfyUI with --enable-assets and --enable-asset-hashing, or scan without --comfyui.",
    "not-pinned": "Run 'regenstore pins' to list the pins.",
    "git-missing": "Install Git 2.39 or newer.",
    "git-too-old": "Install Git 2.39 or newer, and put it first on PATH.",
    # conflict
    "exists": "Choose another path, or use --force.",
    "index-locked": "Another Git process is running in this repository; try again when it has finished.",
    "foreign-config": "Check the current value with 'git config'; --force replaces it.",
    "edited": "Commit or copy the edited medium first, or use --force.",
    "not-a-file": "Move it away; nothing was read from it or written to it.",
    "unmerged": "Run 'regenstore edit PATH', or 'regenstore set PATH --ours FIELD --theirs FIELD', then 'git add'.",
    "interrupted": "Nothing was lost; run the same command again.",
    "store-busy": "Another regenstore process is using the store; try again when it has finished.",
    "export-busy": "Try again when it has finished.",
    "remote-busy": "Try again when it has finished. If it was killed, a minute is enough.",
    "needs-unknown": "Restore it, complete its clone, or forget it: 'regenstore gc --forget-repository PATH'.",
    # trust
    "untrusted-generator": "Read the definition, then run 'regenstore trust'.",
    "untrusted-remote": "Check the address, then run 'regenstore trust'.",
    "over-budget": "Run 'regenstore get' to make it now, or raise regenstore.budget.",
    "policy-forbids": "Set regenstore.smudge to 'generate', or run 'regenstore get'.",
    "not-confirmed": "Check with --dry-run, then use --yes.",
    # storage
    "disk-full": "Free some space, then run the same command again.",
    "store-unwritable": "Check owner and permissions of the store.",
    "store-damaged": "Move the damaged file away and run 'regenstore get'.",
    "source-damaged": "Have the other tool fetch it again ('git lfs fetch', 'dvc fetch'), then run the same command.",
    "io-error": "Check the system's log for disk errors; nothing was half-written.",
    "unreadable": "Make it readable, then run the same command again; nothing that depends on it was done.",
    "notify-failed": "Nothing is lost: the next command retries; 'regenstore events --deliver' retries now.",
    "remote-unreachable": "Check the connection or the mount, then run the same command again to continue.",
    "remote-refused": "Check the credentials and their permissions; 'regenstore remote check NAME' tests them.",
    "remote-failed": "Run 'regenstore remote check NAME' to see what the server can do.",
    "remote-wrong-bytes": "They were discarded. On a machine that has the content, run 'regenstore push --again PATH'.",
    # format
    "bad-recipe": "Run 'regenstore edit PATH', or restore the last valid one from 'git log -p PATH'.",
    "newer-recipe": "Upgrade regenstore to read this recipe; until then it is left unchanged.",
    "newer-store": "Upgrade regenstore to use this store.",
    "conflict-markers": "Run 'regenstore edit PATH', or 'regenstore set PATH --theirs FIELD', then 'git add' it.",
    "bad-index": "Run 'git fsck' and 'git status'.",
    "bad-packet": "The program that called the filter does not speak Git's filter protocol, version 2.",
    "bad-dataset": "Export it again to the same place with --force.",
    "bad-declaration": "Fix the declaration in regenstore.toml.",
    "bad-dvc-file": "Have DVC check it with 'dvc status', fix it, and commit it.",
    "git-failed": "Run the named git command by hand to see what is wrong.",
    # generation
    "generator-failed": "See the generator's message above; fix the recipe or the installation.",
    "generator-crashed": "Run 'regenstore get PATH' again; if it crashes again, report it to the generator's author.",
    "generator-timeout": "Raise regenstore.timeout, or make the asset smaller.",
    "generator-unavailable": "Install what the generator needs; see 'regenstore generators NAME'.",
    "output-missing": "The generator finished without its output; check its definition.",
    "output-wrong-type": "Make the generator write the media type in the recipe.",
    "output-too-large": "Raise regenstore.maxOutput, or make the asset smaller.",
    "input-changed": "The input no longer comes back with the pinned digest; use 'regenstore set PATH -i NAME=PATH'.",
    "cancelled": "Run the same command again to continue.",
    # internal
    "bug": "Please report it with the text above.",
}
