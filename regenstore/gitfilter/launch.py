"""The commands with which Git starts the filter in any environment, and what they do if Python cannot start.

The shells of other programs set PYTHONHOME, PYTHONPATH and LD_LIBRARY_PATH for their own Python, and the folders of a
cloned repository may contain modules with the same names as ours. Therefore the interpreter is started in isolated
mode, by its absolute path, and without LD_LIBRARY_PATH, which it restores for the processes that it starts.

With ``required=true``, git aborts at the first request that the filter leaves unanswered, in the middle of a checkout.
Therefore the long-running command is a small shell script around the interpreter. The script is in Git's configuration,
so that no file of it can be missing. If the interpreter ends between two requests or before the first (its environment
was removed, its modules are broken, it was killed), the script answers git in its place, slowly and simply: recipes
pass through in both directions, and media are refused. The tree is then complete, its new files are recipes, and a
message on standard error says so.

Every git command that filters a file pays for this start. Therefore the shell starts nothing but the interpreter, and
the interpreter is given the place of this package instead of searching everything that is installed; ``filter_entry``
does that search when a request needs it. If the package has moved, Python searches for it as usual.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass

MODULE = "regenstore.cli.filter_entry"
LIBRARIES = "REGENSTORE_LD_LIBRARY_PATH"
"""The variable in which the script keeps LD_LIBRARY_PATH, since the interpreter is started without it."""
_PATIENCE = 60.0
_ENTER = f"from {MODULE} import main"
_ENTER_ALONE = f'exec("try: {_ENTER}\\nexcept ImportError: import site; site.main(); {_ENTER}")'

# The script's arguments are the command that runs the filter. The interpreter records 'b' (busy) before it reads from
# git, and 'i' (idle) after each answer: in a file whose name it writes to descriptor 3, or on that descriptor if it
# cannot create a file. The script can take over only if the interpreter ended idle or wrote nothing.
_START = (
    "trap : INT TERM; exec 4>&1;",
    'go() { s=$("$@" process 3 file 3>&1 >&4 4>&-); r=$?; };',
    f"L=$LD_LIBRARY_PATH; unset LD_LIBRARY_PATH; {LIBRARIES}=$L; export {LIBRARIES};",
    'go "$@";',
    'if [ $r != 0 ] && [ -z "$s" ] && [ "$L" ]; then LD_LIBRARY_PATH=$L; export LD_LIBRARY_PATH; go "$@"; fi;',
    "[ $r != 0 ] || exit 0;",
    'case $s in "") ;;',
    '*/*) x=; [ -f "$s" ] && read x <"$s" && rm -f "$s"; [ "$x" = i ] || exit $r;; *b) exit $r;; esac;',
)
# Packets of gitprotocol-common(5), read a byte at a time: only dd reads an exact number of bytes from a pipe.
_STAND_IN = (
    'f=$(mktemp) || exit $r; trap "rm -f \\"$f\\"" EXIT; w=;',
    "size() { l=$(dd bs=1 count=4 2>/dev/null); case $l in",
    "[0-9a-f][0-9a-f][0-9a-f][0-9a-f]) n=$((0x$l-4));; *) exit $r;; esac; };",
    "data() { dd bs=1 count=$n 2>/dev/null; };",
    "while c=; p=; :; do",
    "while size; [ $n -ge 0 ]; do v=$(data); case $v in command=*) c=${v#*=};; pathname=*) p=${v#*=};;",
    "capability=*) c=offer;; git-filter-client) c=hello;; esac; done;",
    "case $c in",
    'hello) printf "0016git-filter-server\\n000eversion=2\\n0000"; continue;;',
    'offer) printf "0015capability=clean\\n0016capability=smudge\\n0000"; continue;; esac;',
    '[ "$w" ] || echo "regenstore: the filter $1 ended with $r: recipes stay text. Run \\"regenstore doctor\\", then',
    '\\"regenstore get\\"." >&2; w=1;',
    ': >"$f"; while size; [ $n -ge 0 ]; do data >>"$f"; [ $c = smudge ] ||',
    'case $(dd if="$f" bs=1 count=13 2>/dev/null) in ""|"regenstore = "*) ;;',
    '*) echo "regenstore: $p cannot be taken in without the filter; nothing was changed" >&2; exit 1;; esac; done;',
    'printf "0013status=success\\n0000"; k=0; z=$(wc -c <"$f");',
    "while [ $((k*65516)) -lt $z ]; do m=$((z-k*65516)); [ $m -le 65516 ] || m=65516;",
    'printf "%04x" $((m+4)); dd if="$f" bs=65516 skip=$k count=1 2>/dev/null; k=$((k+1)); done;',
    'printf "00000000"; done',
)
_SCRIPT = " ".join((*_START, *_STAND_IN))
EARLIER_SCRIPT_NAME = "filter.regenstore.start"
"""The name under which earlier versions kept the script that their command runs. Only uninstalling touches it."""


@dataclass(frozen=True)
class Starter:
    """How the filter is started: the interpreter, the options that isolate it, and, if it does not search the installed
    packages, the folders of this package and of its dependencies."""

    python: str
    options: tuple[str, ...] = ("-I",)
    folders: tuple[str, ...] = ()

    def process(self) -> str:
        """The command of the long-running filter."""
        return f"set -- {self._filter()}; {_SCRIPT}"

    def single(self, arguments: str) -> str:
        """One call, for one file."""
        return f"{self._filter()} {arguments}"

    def command(self, code: str = "main()") -> list[str]:
        """The command that runs Python code after importing the filter's entry point just as git's command does."""
        if not self.folders:
            return [self.python, *self.options, "-c", f"{_ENTER}; {code}"]
        # If the interpreter of this name has been replaced by another version, these folders are not for it.
        folders = f"[{', '.join(map(ascii, self.folders))}] if sys.hexversion >> 16 == {sys.hexversion >> 16} else []"
        return [self.python, *self.options, "-c", f"import sys; sys.path[:0] = {folders}; {_ENTER_ALONE}; {code}"]

    def _filter(self) -> str:
        return shlex.join(self.command())


def starter() -> Starter:
    """How to start the running installation, as isolated as possible; found by trying. Isolated mode does not see the
    packages that 'pip install --user' installs, and an installation that only PYTHONPATH makes visible needs that
    variable."""
    folders = tuple(dict.fromkeys(_folder_of(name) for name in ("regenstore", "blake3")))
    for given in (
        Starter(sys.executable, ("-I", "-S"), folders),
        Starter(sys.executable, ("-I",)),
        Starter(sys.executable, ("-E", "-P")),
    ):
        try:
            command = given.command("import blake3")
            if not subprocess.run(command, capture_output=True, timeout=_PATIENCE, cwd="/", check=False).returncode:
                return given
        except (OSError, subprocess.TimeoutExpired):
            break
    return Starter(sys.executable, ("-P",))


def _folder_of(package: str) -> str:
    """The folder that contains a package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return os.path.dirname(os.path.dirname(os.path.abspath(spec.origin)))
