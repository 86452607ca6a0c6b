"""Assign samples to splits. Samples that could leak into each other form a group, which is never divided. A split is a
function of the group and the salt, and pinned once assigned, so that a growing dataset moves nothing.

A group is a connected set of samples over *tokens*: what samples share (a scene, a content, an input …). The ledger
keeps the split of each token.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from regenstore.errors import InvalidInput
from regenstore.export.dataset.row import Row, sample_key

SPLITS = ("train", "validation", "test")
DEFAULT = "train=80,validation=10,test=10"
GROUP_BY = ("lineage", "scene", "prompt+seed")
"""The default criteria by which samples are grouped."""
_KNOWN = (*GROUP_BY, "scene_type", "character", "prompt", "seed", "tag", "model", "source-folder", "none")


@dataclass(frozen=True)
class Member:
    """A sample as splitting sees it."""

    key: str
    tokens: tuple[str, ...]
    stratum: str = ""
    anchor: tuple[int, str] | None = None
    """What its group is best called by, where lower numbers come first; see :func:`anchor_of`."""


@dataclass
class Division:
    """The split of each sample, and notes for the user."""

    split: dict[str, str] = field(default_factory=dict)
    group: dict[str, str] = field(default_factory=dict)
    ledger: dict[str, str] = field(default_factory=dict)
    """Token -> split, including those of removed samples."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Samples in no split -> reason."""
    notes: list[str] = field(default_factory=list)

    def of(self, keys: Collection[str]) -> Division:
        """The same for some of the samples, with the whole ledger."""
        split, group, left = (
            {key: value for key, value in each.items() if key in keys}
            for each in (self.split, self.group, self.left_out)
        )
        return Division(split, group, self.ledger, left, list(self.notes))


@dataclass(frozen=True)
class Rules:
    """How samples are divided."""

    shares: Mapping[str, float]
    group_by: tuple[str, ...] = GROUP_BY
    method: str = "hash"
    """``hash`` (by the group and the salt alone) or ``balanced`` (exact shares; depends on what else is new)."""
    salt: str = "regenstore"
    on_leak: str = "exclude"
    """For samples that connect groups in different splits: ``exclude``, ``train`` or ``error``."""
    stratify: str = "scene_type"


def parse_shares(text: str) -> dict[str, float]:
    """Parse ``train=80,validation=10,test=10`` (or ``80/10/10``) to fractions of 1. Raises InvalidInput
    (``bad-export``)."""
    parts = text.split("/") if "/" in text else text.split(",")
    named = [part.partition("=") for part in parts]
    if not any(separator for _, separator, _ in named):
        named = [(name, "=", value) for name, (value, _, _) in zip(SPLITS, named)] if len(parts) <= 3 else []
    try:
        found = {name.strip(): float(value.strip().removesuffix("%")) for name, _, value in named}
    except ValueError:
        found = {}
    total = sum(found.values())
    if not found or not total > 0 or min(found.values()) < 0 or not {*found} <= {*SPLITS} or len(found) < len(named):
        raise InvalidInput("bad-export", f"--split {text}: expected something like {DEFAULT}")
    return {name: found.get(name, 0.0) / total for name in SPLITS}


def parse_group_by(text: str) -> tuple[str, ...]:
    """Parse ``lineage,scene`` to a tuple; raises InvalidInput (``bad-export``)."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in found:
        if name not in _KNOWN:
            raise InvalidInput("bad-export", f"--group-by {name}: expected one of {', '.join(_KNOWN)}")
    return () if "none" in found else found


def tokens_of(row: Row, edited_from: str | None, group_by: Sequence[str]) -> tuple[str, ...]:
    """What a sample shares with others. Equal bytes are always one group, as is a sample with its earlier self."""
    found = [f"sample {row['key']}", f"content {row['digest']}"]
    if "lineage" in group_by:
        found += [f"recipe {key}" for key in (row["recipe_key"], edited_from) if key]
        found += [f"content {given['digest']}" for given in row["inputs"]]
        found += [_own(given["path"]) for given in row["inputs"] if given["path"]]
    if "prompt+seed" in group_by and row["prompt"]:
        found.append(f"prompt {row['prompt']}\0{row['seed']}")
    for name, column in (("scene", "scene"), ("scene_type", "scene_type"), ("prompt", "prompt"), ("seed", "seed"),
                         ("model", "model")):  # fmt: skip
        if name in group_by and row[column]:
            found.append(f"{name} {row[column]}")
    for name, column in (("character", "characters"), ("tag", "tags")):
        if name in group_by:
            found += [f"{name} {each}" for each in row[column]]
    if "source-folder" in group_by:
        found.append(f"folder {row['source'].rpartition('/')[0]}")
    return tuple(dict.fromkeys(_short(token) for token in found))


def anchor_of(row: Row, group_by: Sequence[str]) -> tuple[int, str]:
    """The token that a sample's group is called by, so that the name depends as little as possible on which of its
    samples are there: its scene; else the path of its source, or its own path, which a new take does not change."""
    for name in ("scene", "scene_type", "model"):
        if name in group_by and row[name]:
            return 0, _short(f"{name} {row[name]}")
    if "source-folder" in group_by:
        return 0, _short(f"folder {row['source'].rpartition('/')[0]}")
    sources = [given["path"] for given in row["inputs"] if given["path"]] if "lineage" in group_by else []
    return 1, _short(_own(sources[0]) if sources else f"sample {row['key']}")


def _own(path: str) -> str:
    """The token of the sample at a path."""
    return f"sample {sample_key(path)}"


def _short(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()[:20]


class _Union:
    """Disjoint sets of tokens."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def root(self, token: str) -> str:
        above = self._above
        at = token
        while (up := above.setdefault(at, at)) != at:
            above[at] = at = above[up]
        return at

    def join(self, one: str, other: str) -> None:
        first, second = self.root(one), self.root(other)
        if first != second:
            # The smaller name stays, so that a group's name does not depend on the order.
            self._above[max(first, second)] = min(first, second)


def divide(
    members: Sequence[Member],
    rules: Rules,
    ledger: Mapping[str, str] | None = None,
    explicit: Mapping[str, str] | None = None,
    paths: Mapping[str, str] | None = None,
) -> Division:
    """Assign every member: explicit assignments first, then those pinned in the ledger, then new groups by the method
    of ``rules``. The result does not depend on the order of members. ``paths``: key -> what to call it in messages.

    Raises InvalidInput (``bad-export``) if explicit assignments, or with ``on_leak`` ``error`` the ledger, put one
    group into two splits.
    """
    done = Division(ledger=dict(ledger or {}))
    groups = _groups(members, done)
    waiting: list[tuple[str, list[Member]]] = []
    for name, group in groups:
        for member in group:
            done.group[member.key] = "g" + name[:15]
        wanted = {split for member in group if (split := (explicit or {}).get(member.key))}
        if len(wanted) > 1:
            where = _named(group, paths)
            raise InvalidInput("bad-export", f"--assign puts one group into {' and '.join(sorted(wanted))}: {where}")
        pinned = {split for member in group for token in member.tokens if (split := done.ledger.get(token))}
        if wanted:
            _put(done, group, wanted.pop())
        elif len(pinned) == 1:
            _put(done, group, pinned.pop())
        elif pinned:
            _leak(done, group, pinned, rules, paths)
        else:
            waiting.append((name, group))
    if rules.method == "balanced":
        _balance(done, waiting, rules, members)
    else:
        _by_hash(done, waiting, rules)
        without = [name for name in SPLITS if rules.shares.get(name) and name not in done.split.values()]
        if without and members:
            done.notes.append(f"no sample is in {' and '.join(without)} (--split-method balanced gives exact shares)")
    largest = max((len(group) for _, group in groups), default=0)
    smallest = min((share for name, share in rules.shares.items() if share and name != "train"), default=0.0)
    if smallest and largest > max(1, smallest * len(members)):
        done.notes.append(
            f"the largest group has {largest} of {len(members)} samples: the requested shares cannot be met well "
            "(--group-by selects how samples are grouped)"
        )
    return done


def _groups(members: Sequence[Member], done: Division) -> list[tuple[str, list[Member]]]:
    union = _Union()
    for member in members:
        for token in member.tokens[1:]:
            union.join(member.tokens[0], token)
    found: dict[str, list[Member]] = defaultdict(list)
    for member in sorted(members, key=lambda each: each.key):
        found[union.root(member.tokens[0])].append(member)
    return sorted(found.items())


def _put(done: Division, group: Iterable[Member], split: str) -> None:
    for member in group:
        done.split[member.key] = split
        for token in member.tokens:
            done.ledger[token] = split


def _named(group: Sequence[Member], paths: Mapping[str, str] | None) -> str:
    more = f" and {len(group) - 5} more" if len(group) > 5 else ""
    return ", ".join((paths or {}).get(member.key, member.key) for member in group[:5]) + more


def _leak(
    done: Division, group: Sequence[Member], pinned: set[str], rules: Rules, paths: Mapping[str, str] | None
) -> None:
    """Handle new samples that connect groups of different splits: assigned samples stay, and no new one may leak a
    split's samples."""
    splits, named = " and ".join(sorted(pinned)), _named(group, paths)
    if rules.on_leak == "error":
        raise InvalidInput(
            "bad-export", f"these belong to groups in {splits}: {named}",
            hint="Assign them with --assign, or give --on-leak exclude.",
        )  # fmt: skip
    out = 0
    for member in group:
        own = done.ledger.get(member.tokens[0])
        if own is not None:
            done.split[member.key] = own
            continue
        near = {split for token in member.tokens if (split := done.ledger.get(token))}
        if len(near) == 1:
            done.split[member.key] = near.pop()
        elif rules.on_leak == "train" and "train" in pinned:
            done.split[member.key] = "train"
        else:
            done.left_out[member.key] = f"{_named([member], paths)} connects groups in {splits}"
            out += 1
            continue
        for token in member.tokens:
            done.ledger.setdefault(token, done.split[member.key])
    excluded = f", of which {out} new ones were excluded" if out else ""
    done.notes.append(f"a group spans {splits}{excluded}: {named}")


def _balance(
    done: Division, waiting: Sequence[tuple[str, list[Member]]], rules: Rules, members: Sequence[Member]
) -> None:
    """Assign new groups, largest first, each to the split where the squared error of the shares grows least."""
    total = len(members)
    splits = [name for name in SPLITS if rules.shares.get(name)]
    strata = Counter(member.stratum for member in members)
    have: Counter[tuple[str, str | None]] = Counter()
    for member in members:
        if member.key in done.split:
            have[done.split[member.key], None] += 1
            have[done.split[member.key], member.stratum] += 1

    def cost(split: str, parts: Iterable[tuple[str | None, int, int]]) -> float:
        """The growth of the error, (have + n - goal)² - (have - goal)², relative to the total."""
        share = rules.shares[split]
        grown = 0.0
        for stratum, n, size in parts:
            grown += n * (n + 2 * (have[split, stratum] - share * size)) / size**2
        return grown

    order = sorted(waiting, key=lambda item: (-len(item[1]), _short(f"{rules.salt}\0{item[0]}")))
    for _, group in order:
        counted = Counter(each.stratum for each in group) if len(group) > 1 else {group[0].stratum: 1}
        parts = [(None, len(group), total), *((s, n, strata[s]) for s, n in sorted(counted.items()))]
        chosen = min(splits, key=lambda split: cost(split, parts))  # the first of equal ones
        _put(done, group, chosen)
        for stratum, n, _ in parts:
            have[chosen, stratum] += n


def _called(group: Sequence[Member]) -> str:
    """The most telling anchor in a group, then the most frequent one."""
    counted = Counter(member.anchor or (2, member.tokens[0]) for member in group)
    return min(counted, key=lambda anchor: (anchor[0], -counted[anchor], anchor[1]))[1]


def _by_hash(done: Division, waiting: Sequence[tuple[str, list[Member]]], rules: Rules) -> None:
    """Assign groups by their names alone: the same on every machine, without a ledger."""
    for _, group in waiting:
        raw = hashlib.sha256(f"{rules.salt}\0{_called(group)}".encode()).digest()
        at, chosen = int.from_bytes(raw[:8]) / 2**64, "train"
        for split in SPLITS:
            if rules.shares.get(split):
                chosen = split
                if at < rules.shares[split]:
                    break
                at -= rules.shares[split]
        _put(done, group, chosen)
