"""The rules over known facts: one by one, and on random stores against a model that tries it out."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regenstore.errors import GenerationError
from regenstore.objects.ids import Digest, RecipeKey
from regenstore.objects.result import Proof
from regenstore.proof.judge import Judge
from regenstore.proof.rules import RULES
from regenstore.proof.survey import JudgedContent, Referrer, Standing, StoredContent, Survey
from regenstore.proof.survey_inputs import ProofFacts
from tests.conftest import examples

HERE, THERE = {"machine": "here"}, {"machine": "there"}
DEAD, SUPERSEDED, TIP, WORKING = Standing


def digest(number: int) -> Digest:
    return Digest(bytes([number]) * 32)


def key(number: int) -> RecipeKey:
    return RecipeKey(bytes([number]) * 32)


@dataclass
class World:
    """A store and all that is known, told in numbers. A recipe's size is its digest's number."""

    facts: ProofFacts = field(default_factory=lambda: ProofFacts({}))
    usable: bool = True
    corrections: set[Digest] = field(default_factory=set)

    def store(self, *numbers: int) -> World:
        for n in numbers:
            self.facts.stored[digest(n)] = StoredContent(digest(n), n, "vault", (n, n))
        return self

    def recipe(
        self, k: int, take: int, *inputs: int, standing: Standing = WORKING, seconds: float | None = 1.0
    ) -> World:
        made = Referrer(
            *(key(k), "main", "paint", "1", "image/png", digest(take), take, seconds),
            *(tuple(digest(n) for n in inputs), standing, "here"),
        )
        self.facts.referrers.setdefault(digest(take), []).append(made)
        self.facts.referrers[digest(take)].sort(key=lambda r: -r.standing)
        if standing:
            self.facts.inputs.update(made.inputs)
        return self

    def imported(self, take: int) -> World:
        made = Referrer(None, "main", None, "", "image/png", digest(take), take, None, (), WORKING, "here")
        self.facts.referrers.setdefault(digest(take), []).insert(0, made)
        return self

    def proof(
        self, k: int, take: int, tier: str = "bytes", second: int = 99, where=HERE, seconds: float = 2.0
    ) -> World:
        gave = digest(take if tier == "bytes" else second)
        given = Proof(key(k), digest(take), gave, tier, "", None, None, seconds, 1.0, where)
        self.facts.proofs.setdefault((key(k), digest(take)), []).append(given)
        return self

    def ran(self, k: int, gave: int, where=HERE) -> World:
        self.facts.runs.setdefault((key(k), "main"), []).append((where, digest(gave)))
        return self

    def survey(self, **confirmed: int) -> Survey:
        def here(generator: str, version: str):
            if not self.usable:
                raise GenerationError("generator-unavailable", "it is gone")
            return HERE

        remote = {digest(int(name[1:])): size for name, size in confirmed.items()}
        return Judge(self.facts, here, lambda proof: proof.second in self.corrections, remote).survey()

    def rule(self, number: int, **confirmed: int) -> str:
        return self.entry(number, **confirmed).finding.rule

    def entry(self, number: int, **confirmed: int) -> JudgedContent:
        return self.survey(**confirmed).entries[digest(number)]


def proven(k: int = 1, take: int = 1, *inputs: int, standing: Standing = WORKING) -> World:
    return World().store(take).recipe(k, take, *inputs, standing=standing).proof(k, take)


# ------------------------------------------------------------------------------------------- one take by itself


def test_a_proof_of_here_lets_it_go():
    entry = proven().entry(1)
    assert (entry.evictable, entry.finding.rule, entry.recipe_key) == (True, "proven", key(1))
    assert (entry.own, entry.closure, entry.standing) == (2.0, 2.0, WORKING)  # as the proof measured it
    assert entry.proof is not None and entry.proof.tier == "bytes"


@pytest.mark.parametrize(
    ("world", "rule"),
    [
        (World().store(1).recipe(1, 1), "unproven"),
        (World().store(1).imported(1), "imported"),
        (World().store(1), "unknown"),
        (World().store(1).recipe(1, 1).proof(1, 1, where=THERE), "lapsed"),
        (World().store(1).recipe(1, 1).proof(1, 1, "different"), "different"),
        (World().store(1).recipe(1, 1).proof(1, 1, "a tier of the future"), "different"),
        (World().store(1).recipe(1, 1).proof(1, 1, "content"), "proven"),
        (World().store(1).recipe(1, 1).proof(1, 1, "equivalent"), "proven"),
    ],
)
def test_rules_of_one_take(world: World, rule: str):
    assert world.rule(1) == rule
    assert rule in RULES


def test_a_generator_that_cannot_run_keeps_its_takes():
    world = proven()
    world.usable = False
    assert (world.rule(1), world.entry(1).finding.detail) == ("generator", "it is gone")


def test_a_lucky_second_proof_does_not_undo_what_gave_other_bytes():
    assert proven().proof(1, 1, "different", second=7).rule(1) == "different"
    assert proven().proof(1, 1, "different", second=7, where=THERE).rule(1) == "proven"


def test_a_run_that_gave_other_bytes_here_makes_it_vary():
    entry = proven().ran(1, 1).ran(1, 7).entry(1)
    assert (entry.finding.rule, entry.evictable, entry.finding.others) == ("varies", False, (digest(7),))
    assert proven().ran(1, 7, where=THERE).rule(1) == "proven"
    assert World().store(1).recipe(1, 1).ran(1, 7).entry(1).finding.others == (digest(7),)


def test_what_was_compared_does_not_vary_any_more():
    world = World().store(1).recipe(1, 1).proof(1, 1, "equivalent", second=7).ran(1, 7)
    assert (world.rule(1), world.entry(1).finding.exact) == ("proven", False)
    assert proven().proof(1, 1, "content", second=7).ran(1, 7).entry(1).finding.exact is False


def test_a_correction_brings_back_the_byte():
    world = World().store(1).recipe(1, 1).proof(1, 1, "different", second=7)
    world.corrections.add(digest(7))
    assert (world.rule(1), world.entry(1).finding.exact, world.entry(1).evictable) == ("corrected", True, True)
    assert world.proof(1, 1, "different", second=8).rule(1) == "different"  # for each of what it gives


def test_cost_is_as_measured_else_as_told_else_as_usual():
    world = World().store(1).recipe(1, 1, seconds=None)
    assert (world.entry(1).own, world.entry(1).closure) == (None, None)
    world.facts.typical["paint", "1"] = 9.0
    assert world.entry(1).own == 9.0
    world.facts.cost[key(1)] = 8.0
    assert world.entry(1).own == 8.0
    assert World().store(1).recipe(1, 1, seconds=7.0).entry(1).own == 7.0
    assert proven().entry(1).own == 2.0


def test_a_file_of_another_size_is_no_content():
    world = proven(1, 2, 1).recipe(2, 1).proof(2, 1)
    world.facts.stored[digest(1)] = StoredContent(digest(1), 5, "vault", (1, 1))
    assert (world.rule(1), world.rule(2)) == ("damaged", "inputs")


# ------------------------------------------------------------------------------------------- others


def test_every_live_recipe_of_the_bytes_has_to_say_the_same():
    assert proven().recipe(2, 1, standing=SUPERSEDED).rule(1) == "shared"
    assert proven().imported(1).rule(1) == "imported"
    assert proven().recipe(2, 1, standing=SUPERSEDED).proof(2, 1).rule(1) == "proven"
    assert proven().recipe(2, 1, standing=DEAD).rule(1) == "proven"


def test_one_dead_recipe_is_enough_where_no_root_reaches_it():
    world = World().store(1).recipe(1, 1, standing=DEAD).recipe(2, 1, standing=DEAD).proof(2, 1)
    entry = world.entry(1)
    assert (entry.finding.rule, entry.standing, entry.recipe_key) == ("proven", DEAD, key(2))
    assert World().store(1).recipe(1, 1, standing=DEAD).rule(1) == "unproven"


def test_the_dead_way_that_can_be_gone_is_the_one_that_is_named():
    world = World().store(1).recipe(1, 1, 8, standing=DEAD).proof(1, 1).recipe(2, 1, standing=DEAD).proof(2, 1)
    assert (world.entry(1).recipe_key, world.rule(1)) == (key(2), "proven")


def test_what_an_unreadable_recipe_mentions_is_kept():
    world = proven()
    world.facts.mentioned.add(digest(1))
    assert world.rule(1) == "shared"


def test_a_pin_keeps_all_takes_of_its_key():
    world = proven().store(2).recipe(1, 2, standing=DEAD).proof(1, 2)
    world.facts.pins.add(key(1).hex)
    assert (world.rule(1), world.rule(2)) == ("pinned", "pinned")
    assert {digest(1), digest(2)} <= world.survey().needed
    imported = World().store(1).imported(1)
    imported.facts.pins.add("imported-" + digest(1).hex)
    assert imported.rule(1, d1=1) == "pinned"


def test_a_running_program_keeps_what_it_holds():
    world = proven()
    world.facts.held = {digest(1)}
    assert world.rule(1) == "held" and world.rule(1, d1=1) == "held"


def test_who_never_told_what_it_needs_keeps_everything():
    world = proven()
    world.facts.unknown.append("elsewhere")
    survey = world.survey(d1=1)
    assert survey.entries[digest(1)].finding.rule == "incomplete"
    assert not survey.complete and "elsewhere" in survey.problems[0]


def test_a_partial_clone_keeps_what_no_root_reaches_here():
    world = proven().store(2).recipe(2, 2, standing=DEAD).proof(2, 2)
    world.facts.partial.append("clone")
    assert (world.rule(1), world.rule(2), world.survey().complete) == ("proven", "incomplete", False)


def test_a_remote_that_has_just_confirmed_the_same_size_lets_anything_go():
    world = World().store(1).imported(1)
    assert (world.rule(1, d1=1), world.entry(1, d1=1).evictable) == ("confirmed", True)
    assert world.rule(1, d1=2) == "imported"


def test_what_is_made_from_confirmed_bytes_can_go_too():
    world = proven(2, 2, 1).store(1).imported(1)
    survey = world.survey(d1=1)
    assert all(entry.evictable for entry in survey.entries.values())


# ------------------------------------------------------------------------------------------- inputs


def test_inputs_are_there_or_come_back_themselves():
    assert proven(2, 2, 1).rule(2) == "inputs"
    assert proven(2, 2, 1).entry(2).finding.blocked == digest(1)
    assert proven(2, 2, 1).entry(2).finding.detail == RULES["unknown"]
    assert proven(2, 2, 1).recipe(1, 1).entry(2).finding.detail == RULES["unproven"]
    entry = proven(2, 2, 1).recipe(1, 1).proof(1, 1, seconds=5.0).entry(2)
    assert (entry.finding.rule, entry.own, entry.closure) == ("proven", 2.0, 7.0)


def test_a_shared_missing_input_is_made_once():
    world = proven(4, 4, 2, 3).recipe(2, 2, 1).proof(2, 2).recipe(3, 3, 1).proof(3, 3).recipe(1, 1).proof(1, 1)
    assert world.entry(4).closure == 8.0


def test_what_others_need_to_the_byte_is_kept_where_only_like_bytes_come_back():
    world = proven(2, 2, 1).store(1).recipe(1, 1).proof(1, 1, "equivalent")
    assert (world.rule(1), world.rule(2)) == ("needed", "proven")
    wanted = World().store(1).recipe(1, 1).proof(1, 1, "equivalent")
    wanted.facts.inputs.add(digest(1))  # of a recipe without a take
    assert wanted.rule(1) == "needed"


def test_also_where_it_is_needed_only_for_what_would_be_made_on_the_way():
    world = World().store(1).recipe(1, 1, standing=DEAD).proof(1, 1, "content")
    world.recipe(2, 2, 1, standing=DEAD).proof(2, 2)  # not in the store
    assert world.rule(1) == "proven"
    assert world.recipe(3, 3, 2).rule(1) == "needed"


def test_two_made_from_each_other_do_not_both_go():
    world = proven(1, 1, 2).store(2).recipe(2, 2, 1).proof(2, 2)
    assert (world.rule(1), world.rule(2)) == ("inputs", "proven")
    assert "each other" in world.entry(1).finding.detail


def test_needed_is_what_roots_need_also_of_what_they_would_be_made_from():
    world = proven(3, 3, 2).recipe(2, 2, 1, standing=DEAD).proof(2, 2).store(1, 2, 5).recipe(5, 5, standing=DEAD)
    assert world.survey().needed == {digest(3), digest(2), digest(1)}  # 2 may go, and is made from 1


# ------------------------------------------------------------------------------------------- random stores

NUMBERS = list(range(1, 8))
RECIPES = st.lists(
    st.tuples(
        st.sampled_from(NUMBERS),  # key
        st.sampled_from(NUMBERS),  # take
        st.sampled_from(list(Standing)),
        st.sampled_from(["none", "bytes", "bytes", "bytes", "content", "different", "lapsed", "varies", "corrected"]),
    ),
    max_size=10,
    unique_by=lambda r: r[:2],
)
INPUTS = st.fixed_dictionaries({k: st.frozensets(st.sampled_from(NUMBERS), max_size=2) for k in NUMBERS})
SOME = st.frozensets(st.sampled_from(NUMBERS))
FEW = st.frozensets(st.sampled_from(NUMBERS), max_size=1)


@settings(max_examples=examples(800), deadline=None)
@given(RECIPES, INPUTS, SOME, FEW, FEW, FEW, FEW)
def test_everything_evictable_gone_at_once_still_comes_back(recipes, inputs, present, photos, pinned, held, mentioned):
    world = World().store(*present)
    for k, take, standing, state in recipes:
        world.recipe(k, take, *sorted(inputs[k]), standing=standing)
        tier = {"varies": "bytes", "lapsed": "bytes", "corrected": "different"}.get(state, state)
        if state != "none":
            world.proof(k, take, tier, 100 + 8 * k + take, THERE if state == "lapsed" else HERE)
        if state == "varies":
            world.ran(k, 80 + take)
        if state == "corrected":
            world.corrections.add(digest(100 + 8 * k + take))
    for n in photos:
        world.imported(n)
    world.facts.pins = {key(n).hex for n in pinned}
    world.facts.held = {digest(n) for n in held}
    world.facts.mentioned = {digest(n) for n in mentioned}
    survey = world.survey()
    gone = {n for n in present if survey.entries[digest(n)].evictable}

    # What really happens: a corrected or a byte-exact recipe gives its take, others give who knows what.
    sure = [(k, take) for k, take, _, state in recipes if state in ("bytes", "corrected")]
    like = [(k, take) for k, take, _, state in recipes if state == "content"]

    def obtainable(have: frozenset[int]) -> frozenset[int]:
        while more := {take for k, take in sure if inputs[k] <= have} - have:
            have = have | more
        return have

    before, after = obtainable(present), obtainable(present - gone)
    live = [(k, take) for k, take, standing, _ in recipes if standing]
    for k, take in live:
        if take in gone:  # whoever asks for it runs this very recipe
            assert ((k, take) in sure or (k, take) in like) and inputs[k] <= after
        for need in inputs[k] & present:
            assert need in after
    lost = (before - after) & ({take for _, take in live} | {need for k, _ in live for need in inputs[k]})
    assert lost <= {take for _, take in like} - {need for k, _ in live for need in inputs[k]}
    for n in gone:
        assert n not in photos | held | mentioned
        assert not any(take == n and k in pinned for k, take, _, _ in recipes)
        assert survey.entries[digest(n)].closure is not None
        assert any(take == n for _, take in sure + like)
    assert {digest(take) for _, take in live} | {digest(n) for k, _ in live for n in inputs[k]} <= survey.needed
    # What is needed is enough: without anything else in the store, the same things come back.
    kept = frozenset(n for n in present if digest(n) in survey.needed) - gone
    for k, take in live:
        if take in gone:
            assert inputs[k] <= obtainable(kept)
