"""The commands with which Git starts the filter, whatever the environment, and what they do when Python cannot start.

Shells of other programs set PYTHONHOME, PYTHONPATH and LD_LIBRARY_PATH for a Python of their own, and folders of a
cloned repository may hold modules with the names of ours: the interpreter is started in isolated mode, by its
absolute path, without the libraries of others. It gets that variable back for what it starts itself.

With ``required=true`` git ends at the first request that a filter leaves unanswered, in the middle of a checkout. So
the long-running command is a small shell script around the interpreter. It is kept in Git's configuration, beside the
command that runs it: there is no file that could be gone. When that ends between two requests, or
before the first (its environment was removed, its modules are broken, it was killed), the script answers git in its
place, as slow and as simple as can be: recipes pass through in both directions, and media are refused, so that the
tree is whole, and what is new in it is recipes. Standard error tells so.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from regenstore.fs.interpreter import ENTER

ENTRY = ENTER.format(module="regenstore.cli.filter_entry")
LIBRARIES = "REGENSTORE_LD_LIBRARY_PATH"
"""Where the script keeps LD_LIBRARY_PATH, which the interpreter is started without."""
_NEEDS = "import regenstore.cli.filter_entry, blake3"
_PATIENCE = 60.0

# Its arguments are the interpreter with its options. The interpreter writes to descriptor 3: 'b' before it takes
# anything from git, 'i' after each answer. Only where it ended idle, or wrote nothing, can somebody else go on.
_START = (
    "trap : INT TERM; exec 4>&1;",
    f'go() {{ s=$("$@" -c "{ENTRY}" process 3 3>&1 >&4 4>&-); r=$?; }};',
    f"L=$LD_LIBRARY_PATH; unset LD_LIBRARY_PATH; {LIBRARIES}=$L; export {LIBRARIES};",
    'go "$@";',
    'if [ $r != 0 ] && [ -z "$s" ] && [ "$L" ]; then LD_LIBRARY_PATH=$L; export LD_LIBRARY_PATH; go "$@"; fi;',
    "case $r,$s in 0,*|*b) exit $r;; esac;",
)
# Packets of gitprotocol-common(5), read a byte at a time: nothing but dd takes exactly what it was told from a pipe.
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
SCRIPT = " ".join((*_START, *_STAND_IN))
"""For Git's configuration, on one line."""
SCRIPT_NAME = "filter.regenstore.start"


@dataclass(frozen=True)
class Starter:
    """How the filter is started: the interpreter, and the options that keep others out."""

    python: str
    options: tuple[str, ...] = ("-I",)

    def process(self) -> str:
        """The long-running filter."""
        # With the first, which git sets in submodules, no git config runs; with the other it reads another file.
        script = f"unset GIT_INTERNAL_SUPER_PREFIX GIT_CONFIG; git config {SCRIPT_NAME}"
        return f'sh -c "$({script})" regenstore-filter {self._interpreter()}'

    def single(self, arguments: str) -> str:
        """One call, for one file."""
        return f"{self._interpreter()} -c {shlex.quote(ENTRY)} {arguments}"

    def _interpreter(self) -> str:
        return shlex.join((self.python, *self.options))


def starter() -> Starter:
    """How the running installation is started: as much on its own as its place allows. Isolated mode does not see
    the user's own packages, where 'pip install --user' puts them; an installation that is found by PYTHONPATH alone
    needs that variable. Tries it out."""
    choices: Sequence[tuple[str, ...]] = (("-I",), ("-E", "-P"))
    for options in choices:
        try:
            command = [sys.executable, *options, "-c", _NEEDS]
            if not subprocess.run(command, capture_output=True, timeout=_PATIENCE, cwd="/", check=False).returncode:
                return Starter(sys.executable, options)
        except (OSError, subprocess.TimeoutExpired):
            break
    return Starter(sys.executable, ("-P",))
