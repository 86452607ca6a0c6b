"""``regenstore gc``"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from regenstore import config
from regenstore.cli.announce import happened
from regenstore.cli.console import ask, say, visible
from regenstore.cli.context import emit_json, json_option, open_repository, size_text
from regenstore.cli.durations import Age
from regenstore.cli.presentation import Heading, age_text, counted, show_table, time_text
from regenstore.cli.progress_lines import progress_for
from regenstore.errors import Conflict, InvalidInput, NotFound, StorageError, TrustRequired
from regenstore.events.event import EventManifest
from regenstore.gc import auto
from regenstore.gc.collect import GcReport
from regenstore.gc.plan import Eviction, EvictionPlan, GcWish
from regenstore.gc.policy import bytes_to_free
from regenstore.gc.usage import content_bytes
from regenstore.objects import evicted
from regenstore.objects.hashing import hash_file
from regenstore.proof.rules import RULES
from regenstore.refs import store_repositories
from regenstore.refs.settle import settle
from regenstore.repository import Repository

_SHOWN = 20
_COLUMNS = (
    *(Heading("what"), Heading("size", right=True), Heading("needed by"), Heading("rule")),
    *(Heading("to make", right=True), Heading("path")),
)


class _Size(click.ParamType[int]):
    name = "SIZE"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return config.parse_size(str(value))
        except ValueError as error:
            self.fail(f"expected {error}, found {value!r}", param, ctx)


@contextmanager
def _needing_room() -> Iterator[None]:
    """Advise on a full disk, which is when gc is run: "free some space" would be no help."""
    try:
        yield
    except StorageError as error:
        if error.kind == "disk-full":
            error.hint = (
                "gc needs about 100 kB, more for many media, to record what it evicts: move one file elsewhere first."
            )
        raise


@click.command()
@click.option("--dry-run", "-n", is_flag=True, help="Show what would be evicted, why, and its cost; change nothing.")
@click.option("--free", type=_Size(), help="Free this much at once, such as 2g: the least needed first.")
@click.option("--max-size", type=_Size(), help="Reduce the store to this size.")
@click.option("--older-than", type=Age(), help="Only contents unused for this long, such as 30d.")
@click.option("--select", metavar="GLOB", help="Only media at matching paths, such as 'shots/*.mp4'.")
@click.option("--unreachable", is_flag=True, help="Also contents that no root needs and nothing can bring back.")
@click.option("--purge", is_flag=True, help="Delete at once, and empty the trash.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@click.option("--auto", "by_itself", is_flag=True, help="Keep the store within regenstore.maxSize; for scripts.")
@click.option("--forget-repository", metavar="PATH", help="Stop keeping media for a repository that no longer exists.")
@json_option
@_needing_room()
def command(
    dry_run: bool,
    free: int | None,
    max_size: int | None,
    older_than: float | None,
    select: str | None,
    unreachable: bool,
    purge: bool,
    yes: bool,
    by_itself: bool,
    forget_repository: str | None,
    as_json: bool,
) -> None:
    """Free space in the store. Evicts only what a second run proved, here and now, to come back; keeps everything else.

    Without --free and --max-size, proven contents that no tip and no worktree needs go to the trash, and contents
    that have been there longer than regenstore.grace (1 day) are deleted. With them, the requested amount is deleted at
    once, past the trash, starting with contents that are cheap to make again for their size, seldom used, and far from
    current work. 'regenstore undo' restores what is not deleted yet; 'regenstore get' makes deleted contents again.
    Exits with code 1 if less can be freed than requested, also with --dry-run.

    Before anything is evicted by the proofs of a generator that is not built in, one take of it is made once more
    and compared, within regenstore.gcBudget (60 s); if the result differs, the generator's proofs lapse.

    \b
    Examples:
      regenstore gc --dry-run
      regenstore gc --free 2g
      regenstore gc --max-size 50g --older-than 7d --yes
      regenstore gc --unreachable
      regenstore gc --forget-repository /mnt/old/film
    """
    if free is not None and max_size is not None:
        raise InvalidInput("bad-parameter", "--free and --max-size cannot be used together", hint="Use one of them.")
    repository = open_repository(bare=True)
    if forget_repository is not None:
        _forget(repository, forget_repository)
        return
    settings = repository.settings
    if by_itself:
        _by_itself(repository)
        return
    if free is None and max_size is None and settings.max_size is not None:
        free = bytes_to_free(content_bytes(repository.store), settings.max_size) or None
    wish = GcWish(free, max_size, older_than, select, unreachable, purge, settings.grace)
    if not dry_run:
        settle(repository.git, repository.roots.files)
    plan = repository.collector.plan(wish)
    if not as_json:
        _show(plan)
    if dry_run:
        if as_json:
            emit_json("gc-plan", plan.fields())
        sys.exit(1 if plan.short else 0)
    if not yes and not plan.empty:
        _ask(plan, as_json)
    with progress_for(as_json, len(plan.probes)) as progress:
        report = repository.collector.execute(plan, progress if plan.probes else None)
    _announce(repository, report)
    if as_json:
        emit_json("gc", {"plan": plan.fields(), "done": report.fields()})
    else:
        _tell(plan, report)
    sys.exit(1 if report.freed < plan.asked else 0)


def _ask(plan: EvictionPlan, as_json: bool) -> None:
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise TrustRequired("not-confirmed", "nothing was removed: cannot ask for confirmation here")
    if not ask("Do this?", default=False):
        raise TrustRequired("not-confirmed", "nothing was removed", hint="")


def _forget(repository: Repository, given: str) -> None:
    gone = store_repositories.forget(repository.store.root, given)
    if not gone:
        raise NotFound("not-a-repository", f"no repository is registered as {given!r}", hint="")
    for one in gone:
        say(f"forgotten: {one.path or one.name}; contents that only it needs are no longer kept")


def _by_itself(repository: Repository) -> None:
    cap = repository.settings.max_size
    if cap is None:
        raise InvalidInput("bad-config", "regenstore.maxSize is not set", hint="Set it with 'git config'.")
    try:
        os.nice(10)
    except OSError:
        pass
    try:
        settle(repository.git, repository.roots.files)
        auto.collect(repository.collector, cap, repository.settings.grace)
    except Conflict:
        return  # another gc is running, which will do


def _announce(repository: Repository, report: GcReport) -> None:
    taken = bool(report.evicted or report.discarded)
    if not (taken or report.restored or report.purged):
        return
    manifest = None
    if taken:
        path = evicted.manifest_path(repository.store.root, report.run)
        manifest = EventManifest(path, *hash_file(path))
    happened(repository, "gc", report.fields(), manifest)


# ------------------------------------------------------------------------------------------- for people


def _show(plan: EvictionPlan) -> None:
    _list("evict", plan.evict, f"; {time_text(plan.seconds)} to bring back")
    _list("unreachable", plan.discard, "; once deleted, nothing can bring them back")
    for copies, what in (
        (plan.restore, "to be restored, as kept now"),
        (plan.purge, "to be deleted"),
        (plan.waiting, "to stay for now"),
    ):
        if copies:
            say(f"trash: {_count(len(copies))}, {size_text(sum(c.size for c in copies))}, {what}")
    for probe in plan.probes:
        label, generator = probe.label, " ".join(probe.definition)
        say(f"probe: {label} is made once more first, with {generator}; {time_text(probe.seconds)}")
    if plan.probes:
        spent = sum(probe.seconds for probe in plan.probes)
        say(f"probes: {time_text(spent)} estimated, of {time_text(plan.probe_budget)} (regenstore.gcBudget)")
    for (young, size_of_young), what in ((plan.young, "evictable, but used"), (plan.fresh, "unreachable, but made")):
        if young:
            age = age_text(plan.wish.age)
            say(f"{what} within {age}: {_count(young)}, {size_text(size_of_young)} (--older-than)")
    others, size_of_others = (mine - young for mine, young in zip(plan.evictable, plan.young))
    if others:
        say(f"also evictable: {_count(others)}, {size_text(size_of_others)} (--free SIZE)")
    for rule, (count, kept) in plan.kept.items():
        say(f"kept: {_count(count)}, {size_text(kept)}: {RULES[rule]}")
    for problem in plan.problems:
        say(f"incomplete: {problem}", err=True)
    if plan.short:
        say(f"{size_text(plan.short)} less than requested can be freed now", err=True)
    if plan.evict and plan.wish.now:
        say("this is deleted at once: 'regenstore undo' cannot restore it, 'regenstore get' makes it again")
    if plan.empty:
        say("nothing to do")


def _list(what: str, items: Sequence[Eviction], more: str) -> None:
    if not items:
        return
    rows = []
    for item in items[:_SHOWN]:
        entry = item.entry
        name = visible(item.names[0]) if item.names else f"{item.digest.short} (no path)"
        also = f" and {len(item.names) - 1} more" if len(item.names) > 1 else ""
        cost = "" if entry.closure is None or what != "evict" else time_text(entry.closure)
        rows.append((what, size_text(item.size), entry.standing.name.lower(), entry.finding.rule, cost, name + also))
    show_table(_COLUMNS, rows)
    if len(items) > _SHOWN:
        say(f"and {len(items) - _SHOWN} more; --json lists them")
    say(f"{what}: {_count(len(items))}, {size_text(sum(item.size for item in items))}{more}")


def _tell(plan: EvictionPlan, report: GcReport) -> None:
    for probe in report.probes:
        generator = " ".join(probe.definition)
        if probe.passed:
            say(f"{generator}: {probe.label} came back as it was")
        elif probe.differs:
            say(f"{generator}: its proofs lapsed: {probe.reason}; 'regenstore verify' makes new ones", err=True)
        else:
            say(f"{generator}: nothing is evicted by its proofs: {probe.reason}", err=True)
    if report.restored:
        say(f"{_count(len(report.restored))} restored from the trash")
    gone = len(report.evicted) + len(report.discarded)
    if gone and not plan.wish.now:
        say(f"{_count(gone)} moved to the trash as {report.run}; 'regenstore undo' restores what is there")
    less = plan.asked - report.freed
    say(f"{size_text(report.freed)} freed" + (f", {size_text(less)} less than requested" if less > 0 else ""))
    for reason, count in report.skipped.items():
        say(f"{_count(count)} stayed: {reason}")


def _count(number: int) -> str:
    return counted(number, "content")
