"""What people write at a path while a command works on it is kept: absent and "do not care" are not the same."""

from __future__ import annotations

import pytest

from regenstore.errors import Conflict
from regenstore.fs.swap import NOTHING
from regenstore.gitfilter import attributes
from tests.git.film import A, Film

SAVING = """\
#!/bin/sh
yes "$2" | head -c "$3" > "$1"
eval "$(cat '{meanwhile}')"
"""


@pytest.fixture
def saving(film: Film) -> Film:
    """The generator does, while a medium is made, what the file ``meanwhile`` says."""
    script = film.path.parent / "meanwhile"
    script.write_text("")
    film.write("tools/words.sh", SAVING.replace("{meanwhile}", str(script))).chmod(0o755)
    film.regenstore("trust", "--yes")
    return film


def meanwhile(film: Film, *commands: str) -> None:
    (film.path.parent / "meanwhile").write_text(f"cd '{film.path}'\n" + "\n".join(commands))


def refused(film: Film, *command: str) -> str:
    done = film.run("regenstore", *command, check=False)
    assert done.returncode == 4, done.stderr.decode()
    return done.stderr.decode()


IN_PLACE = f"printf edited > {A}"
BY_RENAME = f"printf edited > tmp; mv tmp {A}"


@pytest.mark.parametrize("save", [IN_PLACE, BY_RENAME], ids=["in place", "by rename"])
@pytest.mark.parametrize(
    ("command", "before"),
    [
        (("get", A), "gone"),
        (("get", A), "recipe"),
        (("new", A, "-g", "words", "-p", "word=other"), "gone"),
        (("new", A, "-g", "words", "-p", "word=other", "--force"), "gone"),
        (("new", A, "-g", "words", "-p", "word=other", "--force"), "medium"),
        (("set", A, "word=other"), "medium"),
        (("set", A, "word=other"), "gone"),
        (("unset", A, "bytes"), "recipe"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_a_file_saved_while_its_medium_was_made_stays(
    saving: Film, command: tuple[str, ...], before: str, save: str
) -> None:
    if command[0] == "unset":
        saving.regenstore("set", A, "word=fresh", "bytes=900")
        saving.commit("shorter")
    saving.forget(A)
    if before == "recipe":
        saving.write(A, saving.blob(A))
    elif before == "gone":
        (saving.path / A).unlink()
    meanwhile(saving, save)
    said = refused(saving, *command)
    assert A in said and "meanwhile" in said
    assert saving.read(A) == b"edited"


def test_a_file_rewritten_with_its_old_size_and_date_stays(saving: Film) -> None:
    """Only the time of the change tells."""
    size = len(saving.read(A))
    meanwhile(saving, f"touch -r {A} ref; printf %{size}s x > {A}; touch -r ref {A}")
    assert "meanwhile" in refused(saving, "set", A, "word=other")
    assert saving.read(A) == b"x".rjust(size)


def test_an_edit_that_met_another_is_kept_beside(film: Film) -> None:
    editor = film.write("editor.sh", f"#!/bin/sh\nsed -i s/alpha2/typed/ \"$1\"\ncd '{film.path}'\n{BY_RENAME}\n")
    editor.chmod(0o755)
    done = film.run("regenstore", "edit", A, check=False, GIT_EDITOR=f"'{editor}'")
    assert done.returncode == 4
    assert film.read(A) == b"edited"
    (kept,) = (film.path / ".git").glob("regenstore-edit-*.toml")
    assert str(kept).encode() in done.stderr and b'"typed"' in kept.read_bytes()


def test_attributes_written_meanwhile_stay(film: Film) -> None:
    top = str(film.path)
    text, was = attributes.read(top)
    film.write(".gitattributes", text + "*.txt text\n")
    with pytest.raises(Conflict):
        attributes.write(top, "*.png\n", was)
    with pytest.raises(Conflict):
        attributes.write(top, "*.png\n", NOTHING)
    assert film.read(".gitattributes").endswith(b"*.txt text\n")
