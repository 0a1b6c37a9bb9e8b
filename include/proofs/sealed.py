"""Sealed objects: before a disposal that their keys open them and stay where they must; after it that nothing does.

keys           no key goes that opens an object which must stay                                   R0   baseline
opens          each version was seen to open with its key, which goes; one a key is kept           R9   baseline
key_destroyed  no key that can be found opens what is kept of what went                           R9   gone
noise          nor of what a lock keeps: it is there, and says nothing                            R9   gone

R9 is claimed only of keys whose own row is gone far enough as well: who certifies sees to that. What no person leads to, as at
night, is looked at by :mod:`include.proofs.limits_sealed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from psycopg import sql

from include.model import sealed
from include.model.abreast import abreast
from include.model.errors import Refused, Unopened
from include.model.estate import Dataset
from include.model.flow import OBJECT_LOCK, Check, Plan
from include.model.keks import Keks
from include.model.words import CopyKind, DatasetKind, Rung, Verdict
from include.proofs.bucket import Bucket, Thing
from include.proofs.ciphertexts import MOST, Ciphertexts, Sample, Tally
from include.proofs.keyhunt import MOST_TRIES, Found, Wrapped, hunt, key_rows
from include.proofs.objects import STAYS, Looking
from include.proofs.server import Reader, meaning

GOES, LOCKED, MUST_STAY = "goes", "locked", "must stay"


def sealed_datasets(looking: Looking) -> tuple[Dataset, ...]:
    return tuple(
        d
        for d in looking.catalogue.of_store(looking.store.id, DatasetKind.OBJECTS)
        if d.sealed_by is not None
    )


# --- before the disposal ----------------------------------------------------------------------------


def collect(looking: Looking, kept: Ciphertexts) -> None:
    """Keep of each key that is to go a ciphertext that it opens; and say what of each copy cannot be claimed.

    Adds to ``kept``, and the checks to the look. To be called before anything of the step is disposed of: then what was
    seen before is replaced.
    """
    for dataset in sealed_datasets(looking):
        try:
            _collect(looking, dataset, kept)
        except Refused as error:
            looking.unverified(f"keys.{dataset.id}", dataset.id, Rung.R0, error.what)


def _collect(looking: Looking, dataset: Dataset, kept: Ciphertexts) -> None:
    weighed = {(r["key"], r["version"]): r for r in looking.manifests.rows("weighed", dataset.id)}
    things = [t for t in looking.things(dataset) if t.id in weighed]
    there, going = _rows(looking, dataset)
    keks, blind = keks_of(looking)
    opening = Opening(Bucket(looking.client, dataset.address), data_keys(keks, going.values()))
    tallies: dict[tuple[CopyKind, str], Tally] = {}
    beside: Counter[CopyKind] = Counter()
    lost = named = opened = 0
    for thing, (key_id, sample) in zip(things, abreast(opening, things), strict=True):
        row = weighed[thing.id]
        copy = CopyKind.LIVE if row.get("current") else CopyKind.OBJECT_VERSION
        fate = _fate(row)
        if fate == MUST_STAY:
            beside[copy] += 1
            lost += key_id in going
            continue
        tally = tallies.setdefault(
            (copy, fate),
            Tally(step=looking.step.id, dataset=dataset.id, copy_kind=copy, locked=fate == LOCKED),
        )
        tally.uploads += thing.kind == "upload"
        if thing.kind != "version" or not thing.size:
            continue
        if key_id is None:
            tally.plain += 1
        elif key_id in there and key_id not in going:
            tally.kept_keys += 1
        else:
            if sample is not None:
                kept.keep(sample)
            # Of a key that went in an earlier step it was seen then.
            open_ = sample is not None or (key_id not in there and kept.sample(key_id) is not None)
            tally.keys.add(key_id)
            tally.unopened += not open_
            named, opened = named + 1, opened + open_
    for (copy, _), tally in tallies.items():
        tally.beside = beside[copy]
    kept.replace(looking.step.id, [dataset.id], tallies.values())
    say_keys(looking, dataset, lost)
    if named:
        say_opens(looking, dataset, named, opened, blind)


@dataclass(frozen=True)
class Opening:
    """Called with a version: by which key it is sealed; and its start, if one of these data keys opens it."""

    bucket: Bucket
    keys: Mapping[UUID, bytes] = field(repr=False)

    def __call__(self, thing: Thing) -> tuple[UUID | None, Sample | None]:
        if thing.kind != "version" or not thing.size:
            return None, None
        start, last = self.bucket.start(thing, sealed.START), thing.size <= sealed.START
        key_id = sealed.key_of(start)
        key = None if key_id is None else self.keys.get(key_id)
        if key_id is None or key is None or not sealed.opens(key, thing.key, start, last=last):
            return key_id, None
        return key_id, Sample(key_id=key_id, path=thing.key, start=start, last=last)


def _fate(row: dict[str, object]) -> str:
    """What becomes of a version. That a server will not let it go is no reason for its key to stay; a legal hold is."""
    if row.get("disposition") not in STAYS:
        return GOES
    return LOCKED if row.get("law") == OBJECT_LOCK and row.get("until") else MUST_STAY


def _rows(looking: Looking, dataset: Dataset) -> tuple[dict[UUID, Wrapped], dict[UUID, Wrapped]]:
    """The rows of the cohort's keys that are there, and those of them that are to go."""
    assert dataset.sealed_by is not None  # noqa: S101 (one of the sealed)
    keys = looking.catalogue.dataset(dataset.sealed_by.dataset)
    assert keys.keys is not None  # noqa: S101 (lint)
    number = sql.Identifier(keys.keys.id)
    items = sql.Identifier(f"q_{looking.step.id}", keys.id)
    located = sql.SQL("EXISTS (SELECT FROM {} AS k WHERE k.{} = t.{})").format(items, number, number)
    goes = sql.SQL("EXISTS (SELECT FROM {} AS k WHERE k.{} = t.{} AND k.disposition = 'erase')").format(
        items, number, number
    )
    store = looking.catalogue.store(keys.store)
    reader = Reader.of(looking.connections, store.id, store.connection)
    with reader.connect() as connection:
        try:
            there, going = (
                {row.key_id: row for row in key_rows(connection, keys, of)} for of in (located, goes)
            )
        except psycopg.Error as error:
            raise Refused(meaning(error, reader.about).what, about=keys.id) from None
    return there, going


def keks_of(looking: Looking) -> tuple[Keks | None, str]:
    try:
        return Keks.of(looking.connections), ""
    except Refused as error:
        return None, f"the prover was given no key-encryption keys: {error.what}"


def data_keys(keks: Keks | None, rows: Iterable[Wrapped]) -> dict[UUID, bytes]:
    """Those that open."""
    found: dict[UUID, bytes] = {}
    if keks is None:
        return found
    for row in rows:
        with suppress(Unopened):
            found[row.key_id] = keks.unwrap(row.kek, row.key_id, row.wrapped)
    return found


def say_keys(looking: Looking, dataset: Dataset, lost: int) -> None:
    looking.blind.append(
        Check(
            name=f"keys.{dataset.id}", dataset=dataset.id, rung=Rung.R0, expected=0, observed=lost,
            verdict=Verdict.FAILED if lost else Verdict.PASSED,
            why="versions that must stay would lose their key: let what keeps them keep it, too" if lost else "",
        )
    )  # fmt: skip


def say_opens(looking: Looking, dataset: Dataset, named: int, opened: int, blind: str) -> None:
    short = named - opened
    why = blind or (
        f"{short} of {named} versions do not open with the key that they name: that nothing opens them afterwards will"
        " prove nothing"
    )
    looking.blind.append(
        Check(
            name=f"opens.{dataset.id}", dataset=dataset.id, rung=Rung.R9, expected=named, observed=opened,
            verdict=Verdict.UNVERIFIED if short else Verdict.PASSED, why=why if short else "",
        )
    )  # fmt: skip


# --- after it ---------------------------------------------------------------------------------------


def destroyed(looking: Looking, plan: Plan, kept: Ciphertexts) -> None:
    """Try everything that may be a key on every ciphertext that was kept. Adds the checks to the look.

    Raises NotReachable if a database does not answer.
    """
    found: Found | None = None
    for dataset in sealed_datasets(looking):
        tallies = [t for t in kept.of(looking.step.id, dataset.id) if said_of(t)]
        if not tallies and any(x.disposition.value == "erase" and x.items for x in plan.lines_of(dataset.id)):
            if not kept.tallies or not kept.of(looking.step.id, dataset.id):
                _unseen(looking, plan, dataset)
            continue
        if tallies and found is None:
            try:
                found = hunt(looking.catalogue, looking.connections)
            except Refused as error:
                found = Found(Keks({}), blind=[error.what])
        for tally in tallies:
            assert found is not None  # noqa: S101 (there is a tally)
            looking.blind.append(check(tally, kept, found))


def said_of(tally: Tally) -> bool:
    """Whether there is anything to say: of delete markers alone there is not."""
    return bool(tally.keys or tally.kept_keys or tally.plain or tally.uploads)


def _unseen(looking: Looking, plan: Plan, dataset: Dataset) -> None:
    copies = {x.copy_kind for x in plan.lines_of(dataset.id) if x.disposition.value == "erase" and x.items}
    for copy in sorted(copies):
        looking.blind.append(
            Check(
                name=f"key_destroyed.{dataset.id}", dataset=dataset.id, copy_kind=copy, rung=Rung.R9,
                verdict=Verdict.UNVERIFIED, why="nobody looked before the disposal which key opens what",
            )
        )  # fmt: skip


def check(tally: Tally, kept: Ciphertexts, found: Found) -> Check:
    samples = [s for k in sorted(tally.keys) if (s := kept.sample(k)) is not None]
    why = list(_unclaimed(tally, len(samples), found))
    opened = 0
    if found.tries(len(samples)) > MOST_TRIES:
        why.append(f"{found.tries(len(samples)):,} tries are more than are made in one look")
    else:
        opened = sum(found.opens(s) for s in samples)
    return Check(
        name=f"{'noise' if tally.locked else 'key_destroyed'}.{tally.dataset}", dataset=tally.dataset,
        copy_kind=tally.copy_kind, rung=Rung.R9, expected=0, observed=opened,
        verdict=Verdict.FAILED if opened else Verdict.UNVERIFIED if why else Verdict.PASSED,
        why="a key that can still be found opens what was kept of them" if opened else "; ".join(why),
    )  # fmt: skip


def _unclaimed(tally: Tally, samples: int, found: Found) -> Iterator[str]:
    """Why it cannot be said of all of them that nobody can read them any more."""
    if tally.plain:
        yield f"{tally.plain} versions were not sealed: the end of a key does nothing to their copies"
    if tally.kept_keys:
        yield f"of {tally.kept_keys} versions the key is not to go"
    if tally.uploads:
        yield f"{tally.uploads} uploads were open, and nobody can read whether they are sealed"
    if tally.locked and tally.beside:
        yield f"{tally.beside} others of the same copy must stay, with their keys"
    if tally.unread:
        yield f"into {tally.unread} versions nobody looked for which key opens them (at most {MOST} of a dataset)"
    if tally.unopened:
        yield f"{tally.unopened} versions were not seen to open with their key before"
    if missing := len(tally.keys) - samples:
        yield f"of {missing} keys no ciphertext was kept (at most {MOST} are)"
    yield from found.blind


__all__ = [
    "Ciphertexts",
    "Opening",
    "check",
    "collect",
    "data_keys",
    "destroyed",
    "keks_of",
    "said_of",
    "say_keys",
    "say_opens",
    "sealed_datasets",
]
