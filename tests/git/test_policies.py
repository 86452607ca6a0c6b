"""What a git command may do for missing media: place, fetch or generate, budgets, trust, CI, inline."""

from __future__ import annotations

import shutil

import pytest

from tests.git.film import ALPHA, BETA, FIRST, GENERATOR, MAIN, PLATE, PROGRAM, A, B, C, Film


def absent(film: Film) -> None:
    """On another branch, with nothing of main's own media in the store."""
    film.git("checkout", "-q", "side")
    film.forget(*MAIN, revision="main")


def checkout(film: Film, **environment: str) -> str:
    """Check main out; what the filter said."""
    return film.run("git", "checkout", "-q", "main", **environment).stderr.decode()


MADE = {A: ALPHA[2], B: BETA[1], "shots/d.bin": MAIN["shots/d.bin"]}


def test_generate_is_the_default(film: Film) -> None:
    absent(film)
    said = checkout(film)
    assert said.splitlines() == [
        "regenstore: 1 medium stays a recipe; 'regenstore fsck' looks for other copies of it",
        f"regenstore:   '{C}': it is imported media, and its bytes are not in the store",
    ]
    film.settled(MADE, recipes={C: PLATE[2]}, later=True)


@pytest.mark.parametrize("policy", ["place", "fetch"])
def test_place_and_fetch_make_nothing(film: Film, policy: str) -> None:
    absent(film)
    film.git("config", "regenstore.smudge", policy)
    said = checkout(film)
    told = {"place": "brings them", "fetch": "brings 3 of them, 'regenstore fsck' looks for copies of the rest"}
    assert f"4 media stay recipes; 'regenstore get' {told[policy]}" in said, "place asks no remote, which may have it"
    assert "regenstore.smudge" in said
    kept = {A: ALPHA[2], B: BETA[1], "shots/d.bin": MAIN["shots/d.bin"], C: PLATE[2]}
    film.settled({}, recipes=kept, later=True)
    film.run("regenstore", "get", check=False)
    film.settled(MADE, recipes={C: PLATE[2]})


def test_store_hits_are_placed_under_every_policy(film: Film) -> None:
    for policy in ("place", "fetch", "generate"):
        film.git("config", "regenstore.smudge", policy)
        film.git("checkout", "-q", "first")
        film.settled(FIRST)
        film.git("checkout", "-q", "main")
        film.settled(MAIN)


@pytest.mark.parametrize("value", ["true", "1", "woodpecker"])
def test_ci_makes_nothing_by_default(film: Film, value: str) -> None:
    absent(film)
    assert "stay recipes" in checkout(film, CI=value)
    assert film.is_recipe(A)
    film.quiet(later=True)


def test_ci_follows_what_is_configured(film: Film) -> None:
    absent(film)
    film.git("config", "regenstore.smudge", "generate")
    checkout(film, CI="true")
    assert film.read(A) == ALPHA[2]


def test_ci_false_is_no_ci(film: Film) -> None:
    absent(film)
    checkout(film, CI="false")
    assert film.read(A) == ALPHA[2]


def test_the_environment_wins(film: Film) -> None:
    absent(film)
    film.git("config", "regenstore.smudge", "generate")
    assert "stay recipes" in checkout(film, REGENSTORE_SMUDGE="place")
    assert film.is_recipe(A)


def test_over_budget(film: Film) -> None:
    """Each of the three costs 0.1 s by its generator's word: two fit."""
    absent(film)
    film.git("config", "regenstore.budget", "0.25")
    said = checkout(film)
    assert (
        "2 media stay recipes; 'regenstore get' brings 1 of them, 'regenstore fsck' looks for copies of the rest"
        in said
    )
    assert "it takes longer than the budget leaves" in said
    left = [name for name in MADE if film.is_recipe(name)]
    assert len(left) == 1
    assert f"'{left[0]}'" in said
    film.quiet(later=True)
    film.run("regenstore", "get", check=False)
    film.settled(MADE, recipes={C: PLATE[2]})


def test_unknown_cost_is_over_budget(film: Film) -> None:
    slow = GENERATOR.replace("generators.words", "generators.slow").replace("seconds = 0.1\n", "")
    film.write("regenstore.toml", GENERATOR + slow)
    film.regenstore("trust", "--yes")
    text = film.blob(A).decode().replace('"words"', '"slow"').replace("alpha2", "unknown")
    film.write(A, text[: text.index("digest")])
    film.git("add", "-A")
    film.git("commit", "-q", "-m", "wanted")
    film.git("checkout", "-q", "HEAD~1", "--", A)
    said = film.run("git", "checkout", "-q", "HEAD", "--", A).stderr.decode()
    assert "how long it takes is not known" in said
    assert film.is_recipe(A)
    film.quiet(later=True)


def test_untrusted_generator_never_runs(film: Film) -> None:
    absent(film)
    film.regenstore("trust", "--revoke", "words")
    said = checkout(film)
    assert "trust" in said
    assert "media stay recipes" in said
    assert film.is_recipe(A)
    film.quiet(later=True)
    assert film.run("regenstore", "get", check=False).returncode
    assert film.is_recipe(A)
    film.regenstore("trust", "--yes")
    film.run("regenstore", "get", check=False)
    film.settled(MADE, recipes={C: PLATE[2]})


def test_a_changed_program_is_no_longer_trusted(film: Film) -> None:
    """Also when it comes with the very checkout that needs it."""
    film.git("checkout", "-q", "-b", "evil")
    ran = film.path.parent / "ran"
    film.write("tools/words.sh", f"#!/bin/sh\ntouch '{ran}'\n" + PROGRAM.removeprefix("#!/bin/sh\n"))
    text = film.blob(A).decode().replace("alpha2", "evil")
    film.write(A, text[: text.index("digest")])
    film.commit("evil")
    film.git("checkout", "-q", "main")
    said = film.run("git", "checkout", "-q", "evil").stderr.decode()
    assert "trust" in said
    assert film.is_recipe(A)
    assert not ran.exists()
    film.quiet(later=True)


def test_failing_generator(film: Film) -> None:
    film.write("tools/words.sh", "#!/bin/sh\necho no such voice >&2\nexit 3\n")
    film.regenstore("trust", "--yes")
    film.git("commit", "-q", "-a", "-m", "broken")
    film.forget(A)
    (film.path / A).unlink()
    said = film.run("git", "checkout", "--", A).stderr.decode()
    assert "no such voice" in said
    assert film.is_recipe(A)
    film.quiet(later=True)


def test_drift_is_placed_and_told(film: Film) -> None:
    """The generator gives other bytes today: the tree stays clean, the recipe keeps its take."""
    film.write("tools/words.sh", '#!/bin/sh\nyes "other $2" | head -c "$3" > "$1"\n')
    film.regenstore("trust", "--yes")
    film.git("commit", "-q", "-a", "-m", "another build")
    film.git("init", "-q", "../kept")
    shutil.copytree(film.path / ".git/regenstore", film.path.parent / "kept/.git/regenstore")
    film.forget(A)
    (film.path / A).unlink()
    film.git("checkout", "--", A)
    drifted = film.read(A)
    assert drifted.startswith(b"other alpha2\n")
    film.quiet()
    film.expect_blob(A, ALPHA[2])
    assert "drifted" in film.regenstore("status")
    assert film.regenstore("get").startswith("0 placed")  # nobody here has the take
    film.git("remote", "add", "origin", "../kept")
    film.write(A, "an edit")
    film.regenstore("get")
    assert film.read(A) == b"an edit"
    film.write(A, drifted)
    film.regenstore("get", "--local")  # the store of the origin has it
    assert film.read(A) == ALPHA[2]
    film.quiet()
    film.write(A, drifted)
    film.regenstore("record", A)
    film.git("add", A)
    film.expect_blob(A, film.read(A))


def test_inline_hooks_see_media(film: Film) -> None:
    film.write(".git/hooks/post-checkout", f"#!/bin/sh\ncp {B} ../seen\n").chmod(0o755)
    film.git("checkout", "-q", "side")
    assert film.read("../seen") == film.blob(B, "side")  # by default hooks run before the media come
    film.git("checkout", "-q", "main")
    film.git("config", "regenstore.inline", "true")
    film.git("checkout", "-q", "side")
    assert film.read("../seen") == BETA[2]
    film.settled({A: ALPHA[1], B: BETA[2], C: PLATE[1], "plates/e.bin": film.read("plates/e.bin")}, later=True)
    film.git("checkout", "-q", "first", REGENSTORE_INLINE="0")
    film.settled(FIRST)


def test_inline_makes_what_is_missing(film: Film) -> None:
    absent(film)
    said = checkout(film, REGENSTORE_INLINE="1")
    assert f"'{C}'" in said
    film.settled(MADE, recipes={C: PLATE[2]}, later=True)


@pytest.mark.parametrize(
    "setting", [("regenstore.budget", "soon"), ("regenstore.smudge", "maybe"), ("regenstore.jobs", "-1")]
)
def test_bad_settings_stop_no_checkout(film: Film, setting: tuple[str, str]) -> None:
    """A smudge error would leave the checkout half done; a clean error keeps media out of Git."""
    film.git("config", *setting)
    done = film.run("git", "checkout", "-q", "side")
    assert setting[0] in done.stderr.decode()
    assert film.read(B) == film.blob(B, "side")
    film.put(A, b"painted")
    refused = film.run("git", "add", A, check=False)
    assert refused.returncode
    assert setting[0] in refused.stderr.decode()
    film.git("config", "--unset", setting[0])
    film.git("add", A)
    film.expect_blob(A, b"painted")
    film.regenstore("get")
    assert film.read(B) == BETA[2]


def test_a_newer_store_stops_no_checkout(film: Film) -> None:
    """Another, newer version wrote the store: recipes arrive, and nothing is added to it."""
    described = film.store / "format.json"
    before = described.read_text()
    described.write_text(before.replace("1", "99"))
    film.git("checkout", "-q", "side")
    assert film.git("rev-parse", "--abbrev-ref", "HEAD") == "side"
    film.put(A, b"painted")
    assert film.run("git", "add", A, check=False).returncode
    assert film.status() == f" M {A}" or film.run("git", "status", check=False).returncode
    described.write_text(before)
    film.git("add", A)
    film.expect_blob(A, b"painted")


def test_without_the_program_checkout_refuses_before_it_changes_anything(film: Film) -> None:
    """required=true: media cannot be committed raw when the program is gone."""
    film.git("config", "filter.regenstore.process", "/nonexistent/regenstore-filter process")
    film.put(A, b"painted")
    refused = film.run("git", "add", A, check=False)
    assert refused.returncode
    film.git("config", "--unset", "filter.regenstore.process")
    assert film.status() == f" M {A}"
    film.expect_blob(A, ALPHA[2])
