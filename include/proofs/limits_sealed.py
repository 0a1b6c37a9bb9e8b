"""Sealed objects of a night: before the deed that their keys open them, after it that nothing does.

As in a person's case (``sealed``), by the same checks; but a night may take more objects than anybody can look into. So at most
``MOST`` versions of a dataset are: of the copy of which there are fewest first, then by chance. Of what nobody looked into R9 is
not claimed, nor of what was passed over since, or whose key was: a backlog in stages may take an object tonight and its key
tomorrow. What went is what the step area names once it is settled, manifests and key tables alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import SystemRandom
from uuid import UUID

import psycopg
from psycopg import sql

from include.model import sealed as envelope
from include.model.abreast import abreast
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.flow import Check
from include.model.keks import Keks
from include.model.words import CopyKind, Rung, Verdict
from include.proofs import sealed
from include.proofs.bucket import Bucket, Pattern, Thing, exactly
from include.proofs.ciphertexts import MOST, Ciphertexts, Sample, Seen, Tally
from include.proofs.keyhunt import Found, Wrapped, hunt, key_rows
from include.proofs.objects import COPIES, Looking
from include.proofs.server import Reader, meaning

Id = tuple[str, str, str]
CHANCE = SystemRandom()


# --- before the deed --------------------------------------------------------------------------------


def collect(looking: Looking, dataset: Dataset, now: Mapping[Id, Thing], kept: Ciphertexts) -> None:
    """Look into some of the located versions, and keep of each of their keys a ciphertext that it opens. ``now``: what lies under
    the dataset's paths. Adds to ``kept``, and the checks to the look."""
    located = {
        id_: CopyKind.LIVE if row.get("current") else CopyKind.OBJECT_VERSION
        for id_, row in _versions(looking, "weighed", dataset)
    }
    chosen = _some({id_: copy for id_, copy in located.items() if id_ in now and now[id_].size})
    if not chosen:  # markers and uploads alone
        return
    try:
        found = _opened(looking, dataset, [now[id_] for id_ in chosen])
        lost = _would_lose(looking, dataset, found, [t for id_, t in now.items() if id_ not in located])
    except Refused as error:
        looking.unverified(f"opens.{dataset.id}", dataset.id, Rung.R9, error.what)
        return
    tallies: dict[CopyKind, Tally] = {}
    for id_, seen in zip(chosen, found.seen, strict=True):
        copy = located[id_]
        of = tallies.setdefault(copy, Tally(step=looking.step.id, dataset=dataset.id, copy_kind=copy))
        of.seen.append(seen)
    kept.samples += found.samples
    kept.replace(looking.step.id, [dataset.id], tallies.values())
    sealed.say_keys(looking, dataset, lost)
    if named := [s for s in found.seen if s.key_id in found.going or (s.key_id is not None and not s.row)]:
        sealed.say_opens(looking, dataset, len(named), sum(s.opened for s in named), found.blind)


def _some(versions: Mapping[Id, CopyKind]) -> list[Id]:
    """Those that are looked into."""
    by_copy = {c: [id_ for id_, of in versions.items() if of is c] for c in COPIES}
    chosen: list[Id] = []
    for ids in sorted(by_copy.values(), key=len):
        chosen += CHANCE.sample(ids, min(len(ids), MOST - len(chosen)))
    return chosen


@dataclass(frozen=True)
class _Opened:
    """What was seen of some versions, in their order. ``going``: the keys that are to go."""

    seen: list[Seen]
    samples: list[Sample]
    going: frozenset[UUID]
    blind: str


def _opened(looking: Looking, dataset: Dataset, things: Sequence[Thing]) -> _Opened:
    bucket = Bucket(looking.client, dataset.address)
    starts = list(abreast(lambda thing: bucket.start(thing, envelope.START), things))
    named = {key_id for start in starts if (key_id := envelope.key_of(start)) is not None}
    rows, going = _keys(looking, dataset, named)
    keks, blind = sealed.keks_of(looking)
    data_keys = sealed.data_keys(keks, (row for id_, row in rows.items() if id_ in going))
    seen: list[Seen] = []
    samples: dict[UUID, Sample] = {}
    for thing, start in zip(things, starts, strict=True):
        key_id, last = envelope.key_of(start), thing.size <= envelope.START
        key = None if key_id is None else data_keys.get(key_id)
        opened = key is not None and envelope.opens(key, thing.key, start, last=last)
        if opened and key_id is not None:
            samples.setdefault(key_id, Sample(key_id=key_id, path=thing.key, start=start, last=last))
        seen.append(
            Seen(
                path=thing.key,
                version=thing.version,
                etag=thing.exact[2],
                key_id=key_id,
                opened=opened,
                row=key_id in rows,
            )
        )
    return _Opened(seen, list(samples.values()), going, blind)


def _would_lose(looking: Looking, dataset: Dataset, found: _Opened, others: Sequence[Thing]) -> int:
    """How many versions beside those that were located would lose a key that is to go: looked for under the paths of the keys
    that were seen, and no more of them than are looked into."""
    assert dataset.sealed_by is not None  # noqa: S101 (one of the sealed)
    pattern, on = Pattern(dataset.prefix), sorted(dataset.sealed_by.on)

    def whose(path: str) -> tuple[str, ...]:
        said = pattern.variables(path) or {}
        return tuple(said.get(name, "") for name in on)

    paths = {whose(s.path) for s in found.seen if s.key_id in found.going}
    beside = [t for t in others if t.kind == "version" and t.size and whose(t.key) in paths][:MOST]
    bucket = Bucket(looking.client, dataset.address)
    starts = abreast(lambda thing: bucket.start(thing, envelope.MARK), beside)
    return sum(envelope.key_of(start) in found.going for start in starts)


def _keys(
    looking: Looking, dataset: Dataset, named: set[UUID]
) -> tuple[dict[UUID, Wrapped], frozenset[UUID]]:
    """The rows of these keys that are there, and which of the keys the night takes."""
    assert dataset.sealed_by is not None  # noqa: S101 (one of the sealed)
    keys = looking.catalogue.dataset(dataset.sealed_by.dataset)
    assert keys.keys is not None  # noqa: S101 (lint)
    number = sql.Identifier(keys.keys.id)
    among = sql.SQL("{}::text = ANY({})").format(number, sql.Literal(sorted(map(str, named))))
    store = looking.catalogue.store(keys.store)
    reader = Reader.of(looking.connections, store.id, store.connection)
    with reader.connect() as connection:
        try:
            rows = {row.key_id: row for row in key_rows(connection, keys, sql.SQL("t.{}").format(among))}
            went = connection.execute(
                sql.SQL("SELECT {}::text FROM {} WHERE disposition = 'erase' AND {}").format(
                    number, sql.Identifier(f"q_{looking.step.id}", keys.id), among
                )
            ).fetchall()
        except psycopg.Error as error:
            raise Refused(meaning(error, reader.about).what, about=keys.id) from None
    return rows, frozenset(UUID(id_) for (id_,) in went)


# --- after it ---------------------------------------------------------------------------------------


class Hunting:
    """All that may be a key, looked for once a look, when somebody asks. ``everywhere``: see :func:`hunt`."""

    def __init__(self, catalogue: Catalogue, connections: Connections, *, everywhere: bool) -> None:
        self._of, self._everywhere = (catalogue, connections), everywhere
        self._found: Found | None = None

    def __call__(self) -> Found:
        """Raises NotReachable if a database does not answer."""
        if self._found is None:
            try:
                self._found = hunt(*self._of, everywhere=self._everywhere)
            except Refused as error:
                self._found = Found(Keks({}), blind=[error.what])
        return self._found


def destroyed(looking: Looking, dataset: Dataset, kept: Ciphertexts, hunting: Hunting) -> None:
    """Try everything that may be a key on what was kept of what went. Adds the checks to the look. Raises NotReachable."""
    seen = {
        exactly(s.path, s.version, s.etag): s for t in kept.of(looking.step.id, dataset.id) for s in t.seen
    }
    went = {id_: row for id_, row in _versions(looking, "settled", dataset) if row.get("size")}
    uploads = sum(row["kind"] == "upload" for row in looking.manifests.rows("settled", dataset.id))
    try:
        _, gone = _keys(looking, dataset, {s.key_id for id_, s in seen.items() if id_ in went and s.key_id})
    except Refused as error:
        seen, gone, why = {}, frozenset(), error.what
    else:
        why = "" if seen or not went else "nobody looked before the disposal which key opens what"
    for copy in COPIES:
        mine = [id_ for id_, row in went.items() if bool(row.get("current")) is (copy is CopyKind.LIVE)]
        open_ = uploads if copy is CopyKind.OBJECT_VERSION else 0
        if not mine and not open_:
            continue
        if why:
            _not_tried(looking, dataset, copy, why)
            continue
        found = [seen[id_] for id_ in mine if id_ in seen]
        tally = Tally(
            step=looking.step.id, dataset=dataset.id, copy_kind=copy, uploads=open_, unread=len(mine) - len(found),
            keys={s.key_id for s in found if s.key_id is not None and s.key_id in gone},
            kept_keys=sum(s.opens_still(gone) for s in found),
            unopened=sum(s.key_id is not None and not s.opened and not s.opens_still(gone) for s in found),
            plain=sum(s.key_id is None for s in found),
        )  # fmt: skip
        looking.blind.append(sealed.check(tally, kept, hunting()))


def _not_tried(looking: Looking, dataset: Dataset, copy: CopyKind, why: str) -> None:
    looking.blind.append(
        Check(
            name=f"key_destroyed.{dataset.id}", dataset=dataset.id, copy_kind=copy, rung=Rung.R9,
            verdict=Verdict.UNVERIFIED, why=why,
        )
    )  # fmt: skip


def _versions(looking: Looking, kind: str, dataset: Dataset) -> Iterator[tuple[Id, Mapping[str, object]]]:
    """The versions that a manifest names, with what it says of them."""
    for row in looking.manifests.rows(kind, dataset.id):
        if row["kind"] == "version":
            yield exactly(row["key"], row["version"], row.get("etag", "")), row


__all__ = ["Hunting", "collect", "destroyed"]
