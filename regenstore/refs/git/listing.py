"""Git's configuration, index, trees and attributes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from regenstore.errors import FormatError
from regenstore.refs.git.answers import (
    IndexEntry,
    TreeChange,
    TreeEntry,
    changes,
    index_entries,
    lines,
    pairs,
    parts,
    staged_blobs,
    tree_entries,
)
from regenstore.refs.git.process import Process, failed

FILTER = "regenstore"
"""The filter's name in attributes."""

_NO_WORKTREE = (b"not a git repository", b"must be run in a work tree")
"""Parts of git's messages where there is no repository, and in a bare one."""


class Places(NamedTuple):
    """The location of a repository, as found by git: both paths are absolute."""

    top: str
    git_dir: str


class GitSettings(Process):
    """Git's configuration. Names are in Git's form: lower case, except for the part between two dots."""

    def config(self, pattern: str, scope: str | None = None) -> dict[str, str]:
        """Return the effective settings whose names match an extended regular expression. Raises FormatError
        (``git-failed``) if the configuration cannot be read."""
        args = ("config", *_scope(scope), "-z", "--get-regexp", pattern)
        done = self._run(*args, check=False)
        if done.returncode > 1:  # 1: nothing is set
            raise failed(args, done.stderr)
        return dict(pairs(done.stdout))

    def config_value(self, name: str, kind: str | None = None) -> str | None:
        """Return the value of a setting, normalised by git to a ``kind`` (``bool``); None if it is not set."""
        return self._line("config", *(() if kind is None else (f"--type={kind}",)), "--get", name)

    def config_source(self, name: str) -> str | None:
        """Return the origin of a setting's value, in Git's words; None if it is not set."""
        told = self._line("config", "--show-origin", "--get", name)
        return None if told is None else told.partition("\t")[0]

    def set_config(self, name: str, value: str, scope: str = "local") -> None:
        """Set a setting to this single value. Raises FormatError (``git-failed``)."""
        self._run("config", *_scope(scope), "--replace-all", name, value)

    def unset_config(self, name: str, scope: str = "local", *, check: bool = True) -> None:
        """Remove all values of a setting. Raises FormatError (``git-failed``); with ``check`` also if it is not set."""
        self._run("config", *_scope(scope), "--unset-all", name, check=check)

    def remove_config_section(self, name: str) -> bool:
        """Remove a section from this repository's own configuration; returns whether it existed."""
        return self._run("config", "--local", "--remove-section", name, check=False).returncode == 0

    def committer(self) -> str:
        """Return the committer as Git knows it, name and address; empty if unknown."""
        who = (self._line("var", "GIT_COMMITTER_IDENT") or "").rpartition("> ")[0]
        return f"{who}>" if who else ""

    def editor(self) -> str | None:
        """Return the user's editor as Git knows it, a shell command; None if there is none on this terminal."""
        return self._line("var", "GIT_EDITOR")

    def credential(self, url: str) -> tuple[str, str] | None:
        """Return user and password for an address, as found by ``git credential fill``, or None."""
        answer = self._run("credential", "fill", stdin=f"url={url}\n\n".encode(), check=False)
        told = dict(line.decode(errors="replace").partition("=")[::2] for line in lines(answer.stdout))
        if answer.returncode or "password" not in told:
            return None
        return told.get("username", ""), told["password"]


class Listings(GitSettings):
    """The location of a repository, and the contents of its index and trees."""

    # -------------------------------------------------------------------------------- places

    def places(self, *, bare: bool = False) -> Places | None:
        """Return the worktree around this folder; None if there is none. With ``bare``, a repository without one counts
        too, and its Git folder stands for the top. Raises FormatError (``git-failed``) with
        git's reason if it refuses to use the one that is there, for example because another user owns it."""
        args = ("rev-parse", "--show-toplevel", "--absolute-git-dir")
        answer = self._run(*args, check=False)
        if answer.returncode and not any(reason in answer.stderr for reason in _NO_WORKTREE):
            said = answer.stderr.decode(errors="replace").strip().removeprefix("fatal: ").replace("\t", "  ")
            hint = "Do what Git says, then run the same command again."
            raise FormatError("git-failed", f"Git does not use the repository here: {said}", hint=hint)
        told = answer.stdout.decode(errors="surrogateescape").split("\n")
        if not answer.returncode and len(told) > 1 and told[0]:
            return Places(told[0], told[1])
        if not bare or self._line("rev-parse", "--is-bare-repository") != "true":
            return None
        return Places(self.git_dir(), self.git_dir())

    def git_dir(self) -> str:
        """Return the Git folder of the repository found here. Raises FormatError (``git-failed``), for example if git
        refuses one of another owner."""
        return os.fsdecode(self._output("rev-parse", "--absolute-git-dir").rstrip(b"\n"))

    def common_dir(self) -> str | None:
        """Return the Git folder that all worktrees share."""
        return self._line("rev-parse", "--path-format=absolute", "--git-common-dir")

    def objects_folder(self) -> str | None:
        """Return the folder of Git's objects; None outside a repository."""
        found = self._line("rev-parse", "--git-path", "objects")
        return None if found is None else os.path.join(os.fsdecode(self.cwd), found)

    def git_path(self, name: str) -> str:
        """Return the path of one of git's own files."""
        return os.path.join(os.fsdecode(self.cwd), self._line("rev-parse", "--git-path", name) or name)

    def worktrees(self) -> list[str]:
        """Return the tops of all worktrees of the repository, the current one first, whether they exist or not."""
        own = self._line("rev-parse", "--show-toplevel")
        listed = parts(self._output("worktree", "list", "--porcelain", "-z", check=False))
        tops = [os.fsdecode(entry[9:]) for entry in listed if entry.startswith(b"worktree ")]
        return list(dict.fromkeys([*([own] if own else []), *tops]))

    # -------------------------------------------------------------------------------- the index

    def ls_files(self, *specs: str, check: bool = True) -> list[bytes]:
        """Return the paths of the index that match pathspecs."""
        return parts(self._output("ls-files", "-z", "--", *specs, check=check))

    def ls_entries(self, *specs: str, check: bool = True, skipped: bool = False) -> list[IndexEntry]:
        """Return the index entries that match pathspecs, with full paths and all sides of conflicts. With ``skipped``,
        entries excluded by a sparse checkout are flagged."""
        tags = ("-t",) if skipped else ()
        args = ("ls-files", *tags, "-s", "-z", "--full-name", "--", *specs)
        return list(index_entries(self._output(*args, check=check)))

    def index_blobs(self) -> dict[bytes, bytes]:
        """Return the blob ids of the regular files in the index, by full path, without conflicts. Of a whole index this
        takes a third of the time that reading the file does."""
        return staged_blobs(self._output("ls-files", "-s", "-z", "--full-name", "--", ":/"))

    def ls_untracked(self, *specs: str, check: bool = True) -> list[bytes]:
        """Return the full paths of files that are neither in the index nor ignored."""
        args = ("ls-files", "-z", "--others", "--exclude-standard", "--full-name", "--", *specs)
        return parts(self._output(*args, check=check))

    def edited(self) -> set[bytes]:
        """Return the paths whose files differ from the index."""
        return set(parts(self._output("diff-files", "-z", "--name-only")))

    def staged(self) -> set[bytes]:
        """Return the paths that are added to the index, or changed there in content or type, compared with HEAD."""
        return set(parts(self._output("diff", "--cached", "--name-only", "-z", "--diff-filter=AMT")))

    def unstaged_from_head(self) -> list[TreeChange]:
        """Return what HEAD has and the index no longer has; empty without a HEAD."""
        args = ("diff-index", "--cached", "-z", "--no-renames", "--diff-filter=DM", "HEAD", "--")
        return list(changes(self._output(*args, check=False)))

    def grep_index(self, text: str, spec: str) -> list[bytes]:
        """Return the paths of the index whose blobs contain a text."""
        args = ("grep", "--cached", "-z", "-l", "-F", "-e", text, "--", spec)
        return parts(self._output(*args, check=False))

    def update_index(self, paths: Iterable[bytes]) -> None:
        """Have git update its index for paths; it reads the files and calls the clean filter."""
        self._run("update-index", "-q", "-z", "--stdin", stdin=_each(paths), check=False)

    def add(self, paths: Iterable[bytes]) -> None:
        """Have git add paths, taken literally, to its index."""
        self._run("--literal-pathspecs", "add", "--pathspec-from-file=-", "--pathspec-file-nul", stdin=_each(paths))

    def renormalize(self, paths: Iterable[bytes]) -> None:
        """Have git filter tracked files, taken literally, and add them again, also those it knows to be unchanged."""
        named = ("--pathspec-from-file=-", "--pathspec-file-nul")
        self._run("--literal-pathspecs", "add", "--renormalize", *named, stdin=_each(paths))

    def read_tree(self, tree: str) -> None:
        """Set the index to a tree."""
        self._run("read-tree", tree)

    def move_worktree(self, before: str, after: str) -> None:
        """Bring index and worktree from one commit to another. Raises FormatError (``git-failed``) if that would
        overwrite changes."""
        self._run("read-tree", "-m", "-u", before, after)

    # -------------------------------------------------------------------------------- trees and attributes

    def ls_tree(self, tree: str, *, sizes: bool = False, check: bool = True) -> list[TreeEntry]:
        """Return all entries of a tree, with full paths. Without ``check``, empty if there is no such tree."""
        told = ("-l",) if sizes else ()
        return list(tree_entries(self._output("ls-tree", "-r", "-z", *told, "--full-tree", tree, check=check)))

    def diff_tree(self, commit: str) -> list[TreeChange]:
        """Return what a commit changed, compared with its first parent."""
        args = ("diff-tree", "--root", "-m", "--first-parent", "-r", "-z", "--no-renames", "--no-commit-id", commit)
        return list(changes(self._output(*args)))

    def check_attr(
        self, paths: Iterable[bytes], names: Sequence[str], *, cached: bool = False, check: bool = True
    ) -> list[tuple[bytes, str, str]]:
        """Return path, attribute and value for each path and name; with ``cached``, from the index alone."""
        stdin = _each(dict.fromkeys(paths))
        if not stdin:
            return []
        args = ("check-attr", *(("--cached",) if cached else ()), "-z", "--stdin", *names)
        told = iter(parts(self._output(*args, stdin=stdin, check=check)))
        return [(path, name.decode(), os.fsdecode(value)) for path, name, value in zip(told, told, told)]

    def ignored(self, paths: Iterable[bytes]) -> list[bytes]:
        """Return those of the paths that Git ignores."""
        stdin = _each(paths)
        return parts(self._output("check-ignore", "-z", "--stdin", stdin=stdin, check=False)) if stdin else []

    def filtered(self, paths: Iterable[bytes], *, cached: bool = False, check: bool = True) -> list[bytes]:
        """Return the paths whose attributes name our filter."""
        return [p for p, _, value in self.check_attr(paths, ("filter",), cached=cached, check=check) if value == FILTER]


def _scope(scope: str | None) -> tuple[str, ...]:
    return () if scope is None else (f"--{scope}",)


def _each(paths: Iterable[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in paths)
