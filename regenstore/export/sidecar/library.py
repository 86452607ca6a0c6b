"""The available templates: the repository's in ``.regenstore/templates/NAME.toml``, and the built-in ones."""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass, replace
from importlib import resources

from regenstore.errors import Conflict, InvalidInput, NotFound, StorageError
from regenstore.export.sidecar import builtin, template
from regenstore.export.sidecar.template import MAX_BYTES, NAME, SCHEMA, OutputTemplate, Template
from regenstore.fs import durable, presence, swap
from regenstore.worktree.place import replace_file

FOLDER = ".regenstore/templates"


@dataclass(frozen=True)
class TemplateInfo:
    """A template as listings show it."""

    name: str
    built_in: bool
    shadowed: bool
    """Whether it is built in and hidden by a template of the repository with the same name."""
    about: str
    outputs: tuple[str, ...]
    problems: tuple[str, ...]


class Library:
    """The templates of a worktree. ``top`` None: built-in ones only."""

    def __init__(self, top: str | None) -> None:
        self._folder = None if top is None else os.path.join(top, FOLDER)

    def own(self) -> list[str]:
        """Names of the repository's templates, sorted."""
        names = presence.names(self._folder) if self._folder is not None else []
        return sorted(name[:-5] for name in names if name.endswith(".toml") and NAME.fullmatch(name[:-5]))

    @staticmethod
    def built_in() -> list[str]:
        """Names of the built-in templates, sorted."""
        files = resources.files(builtin).iterdir()
        return sorted(file.name[:-5] for file in files if file.name.endswith(".toml"))

    def path(self, name: str) -> str:
        """The path of a repository template by name. Raises InvalidInput (``bad-template``)."""
        if not NAME.fullmatch(name):
            raise InvalidInput("bad-template", f"'{name}' is not a valid name: use up to 64 letters, digits, - and _")
        if self._folder is None:
            raise InvalidInput("bad-template", "templates are kept in a worktree, and there is none")
        return os.path.join(self._folder, f"{name}.toml")

    def text(self, name: str, built_in: bool = False) -> bytes:
        """The text of a template; the repository's takes precedence. Raises NotFound (``no-such-template``),
        StorageError (``unreadable``)."""
        own = presence.read(self.path(name), MAX_BYTES + 1) if not built_in and name in self.own() else None
        if own is not None:
            return own
        if name in self.built_in():
            return resources.files(builtin).joinpath(f"{name}.toml").read_bytes()
        close = difflib.get_close_matches(name, [*self.own(), *self.built_in()], n=1)
        also = f"; did you mean '{close[0]}'?" if close else ""
        raise NotFound("no-such-template", f"there is no template '{name}'{also}")

    def load(self, name: str) -> Template:
        """A template, validated and merged with its bases. Raises NotFound or InvalidInput."""
        made = template.load(name, self.text)
        return replace(made, outputs=tuple(self._with_text(output) for output in made.outputs))

    def _with_text(self, output: OutputTemplate) -> OutputTemplate:
        """Load the file that an output's setting ``template`` names, beside the TOML file."""
        file = output.settings.get("template")
        if not isinstance(file, str):
            return output
        path = os.path.join(self._folder or "", os.path.basename(file))
        inside = self._folder is not None and os.path.basename(file) == file
        text = presence.read(path, MAX_BYTES + 1) if inside else None
        if text is None:
            raise InvalidInput("bad-template", f'template = "{file}": no such file in {FOLDER}')
        try:
            if len(text) > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES >> 10} KiB")
            return replace(output, settings={**output.settings, "text": text.decode()})
        except ValueError as error:
            raise InvalidInput("bad-template", f'template = "{file}": {error}') from None

    def problems(self, name: str) -> list[str]:
        """The errors in a template. Raises NotFound if it does not exist."""
        self.text(name)
        found = template.problems(name, self.text)
        if not found:
            try:
                self.load(name)
            except InvalidInput as error:
                found = [error.message]
        return found

    def list(self) -> list[TemplateInfo]:
        """All templates: the repository's, then the built-in ones."""
        own = self.own()
        found = [self._listed(name, False, False) for name in own]
        return found + [self._listed(name, True, name in own) for name in self.built_in()]

    def _listed(self, name: str, built_in: bool, shadowed: bool) -> TemplateInfo:
        def text(wanted: str, only_built_in: bool) -> bytes:
            return self.text(wanted, only_built_in or (built_in and wanted == name))

        wrong: list[str] = []
        try:
            wrong = template.problems(name, text)
        except (NotFound, StorageError) as error:  # also raised for its bases
            wrong = [error.message]
        if wrong:
            return TemplateInfo(name, built_in, shadowed, "", (), tuple(wrong))
        made = template.load(name, text)
        return TemplateInfo(name, built_in, shadowed, made.about, tuple(output.file for output in made.outputs), ())

    def create(self, name: str, base: str, *, force: bool = False, dry_run: bool = False) -> str:
        """Write a new template based on another one, unless it is a dry run; returns its path.

        Raises Conflict (``exists``) without ``force``, and the errors of :meth:`load` for the base.
        """
        import tomli_w

        path = self.path(name)
        made = self.load(base)
        there = presence.lstat(path)
        if there is not None and not (force and stat.S_ISREG(there.st_mode)):
            raise Conflict("exists", f"{FOLDER}/{name}.toml already exists")
        if dry_run:
            return path
        head = {"schema": SCHEMA, "name": name, "about": f"Like {base}.", "base": base}
        durable.make_folder(os.path.dirname(path))
        replace_file(path, (tomli_w.dumps(head) + "\n" + _instructions(made)).encode(), swap.seen(there))
        return path

    def delete(self, name: str, *, dry_run: bool = False) -> str:
        """Delete one of the repository's templates, unless it is a dry run; returns its path. Raises NotFound, also
        for built-in ones."""
        if name not in self.own():
            what = "is built in and cannot be deleted" if name in self.built_in() else "does not exist"
            raise NotFound("no-such-template", f"the template '{name}' {what}")
        if not dry_run:
            durable.unlink(self.path(name))
        return self.path(name)


def _instructions(base: Template) -> str:
    """Comments for a new template that explain how to change its base."""
    import tomli_w

    first = {"writer": base.outputs[0].writer, "file": base.outputs[0].file}
    field = {"target": base.fields[0].target if base.fields else "…", "source": "gen.prompt"}
    text = (
        "Anything not set here is inherited from the base. Its outputs:\n"
        + "".join(f"  {tomli_w.dumps({output.id: output.file})}" for output in base.outputs)
        + 'To omit outputs, add without = ["…"] above; to change one, write\n[[output]]\n'
        + tomli_w.dumps(first)
        + "\nA field has a target of the output, and a context name (listed in docs/export.md) or a value.\n"
        + "[[field]]\n"
        + tomli_w.dumps(field)
        + 'when_missing = "skip"    # or "empty", "error", or "default" with default = "…"\n'
        + "drop = true             # omit an inherited field\n"
    )
    return "".join(f"# {line}\n" if line else "\n" for line in text.split("\n")[:-1])
