"""Putting a record file over itself without the due records, against concurrent writers and crashes."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from typing import IO, cast
from urllib.parse import quote, urlencode

from include.model.errors import BooksDoNotBalance, Drifted
from include.model.estate import Cut
from include.model.words import Disposition
from include.stores.s3.area import Area
from include.stores.s3.files import IN_MEMORY, File, Files
from include.stores.s3.formats import Changes
from include.stores.s3.items import Item
from include.stores.s3.restriction import TAG, VALUE
from include.stores.s3.server import Superseded, put_over
from include.stores.s3.site import Owners

ATTEMPTS = 8


def rewrite_current(
    files: Files, key: str, weighed: list[Item], link: tuple[str, Owners], area: Area
) -> list[str]:  # fmt: skip
    """Make the current version clean; return the older versions that may now go.

    ``link``: the field that leads to the subject, and the cohort's values of it.
    ``weighed``: the rows of this key, ``file`` rows and records of all its versions. Works from what is
    there, so it may be called again after a crash. Raises Drifted if the cohort's records are no longer
    those planned or the file has younger records than were weighed, BooksDoNotBalance if the copy is not
    exactly the file without the due records.
    """
    planned = [i for i in weighed if i.kind == "record"]
    youngest = next((i.youngest for i in weighed if i.kind == "file" and i.current), {})
    live = [i for i in planned if i.current]
    due = Counter(i.content for i in live if _changes(i))
    may_go = {i.version for i in planned if not i.current and i.disposition is Disposition.ERASE}
    superseded = {i.version for i in live if _changes(i)}
    source: Item | None = None  # a version that somebody wrote between our reading and our writing
    for _ in range(ATTEMPTS):
        there = files.versions(key)
        now = next((v for v in there if v.current), None)
        if now is None:
            if live:
                raise _drifted(files)
            return _old(files, there, None, may_go, planned, link=link)
        if not due:
            return _old(files, there, now, may_go, planned, link=link)
        file = files.fetch(source or now)
        if file is None:
            continue
        try:
            changes, stay = _due_rows(files, file, live, due, link, youngest)
            if source is None and not changes:  # an earlier run got this far
                superseded -= {now.version}
                return _old(files, there, now, may_go | superseded, planned, link=link)
            try:
                version, _, how = replace(files, file, now, changes, stay, area)
            except Superseded:
                superseded |= {now.version}
                continue
        finally:
            file.close()
        superseded |= {(source or now).version, now.version}
        after = files.versions(key)
        # Without a precondition somebody may have written in between: theirs now lies right below ours.
        if how == "compared" and version != "null":
            newer = _between(after, version, now.version)
            if newer is not None:
                source, may_go = newer, may_go | {version}
                superseded |= {newer.version, version}
                continue
        newest = next((v for v in after if v.current), None)
        if newest is None or newest.version != version:
            raise _drifted(files)
        may_go = (may_go | superseded) - {version}
        return _old(files, after, newest, may_go, planned, link=link, read=(source or now).version)
    raise Drifted(
        "a record file is written faster than it can be rewritten",
        about=files.dataset.id,
        next_step="stop its writer, then run the step again",
    )


def _changes(item: Item) -> bool:
    return item.disposition is not None and item.disposition.changes_data


def _drifted(files: Files) -> Drifted:
    return Drifted(
        "a record file no longer holds the records that were weighed",
        about=files.dataset.id,
        next_step="survey and plan again",
    )


def _between(after: list[Item], ours: str, read: str) -> Item | None:
    """The newest version right below ours, if it is not the one that we read."""
    order = [v for v in after if v.kind == "version"]
    at = next((i for i, v in enumerate(order) if v.version == ours), None)
    if at is None or at + 1 >= len(order) or order[at + 1].version == read:
        return None
    return order[at + 1]


def _due_rows(
    files: Files,
    file: File,
    live: list[Item],
    due: Counter[str],
    link: tuple[str, Owners],
    youngest: Mapping[str, str],
) -> tuple[dict[int, Cut | None], frozenset[int]]:
    """Which rows of this version to change, and which of the cohort's own stay as they are. The version that
    was surveyed tells by row; another one is scanned, and each record of the cohort must be one that was weighed.
    """
    cut = files.dataset.cut
    if live and file.entry.version == live[0].version and file.entry.etag == live[0].etag:
        rows = {i.row: cut if i.disposition is not Disposition.ERASE else None for i in live if _changes(i)}
        return rows, _own(live) - rows.keys()
    found, unreadable = files.records(file, link[0], frozenset(v[0] for v in link[1]), link[1])
    weighed = Counter(i.content for i in live)
    stay = weighed - due
    there = Counter(i.content for i in found)
    if unreadable or there - weighed or stay - there:
        raise _drifted(files)
    fate = {i.content: i for i in live if _changes(i)}
    rows = {}
    left = Counter(due)
    for item in found:
        if left[item.content] > 0:
            left[item.content] -= 1
            erase = fate[item.content].disposition is Disposition.ERASE
            rows[item.row] = None if erase else cut
    if rows:
        _check_age(files, file, youngest)
    return rows, _own(found) - rows.keys()


def _own(records: list[Item]) -> frozenset[int]:
    return frozenset(i.row for i in records if not i.link_only)


def _check_age(files: Files, file: File, weighed: Mapping[str, str]) -> None:
    """A log that is rewritten must not have become younger since its floor was weighed. Raises Drifted."""
    for name, day in files.youngest(file).items():
        if day > weighed.get(name, ""):
            raise Drifted(
                "a record file has got younger records since it was weighed",
                about=files.dataset.id,
                next_step="survey and plan again; the file was not rewritten",
            )


def replace(
    files: Files, file: File, now: Item, changes: Changes, stay: frozenset[int], area: Area
) -> tuple[str, str, str]:  # fmt: skip
    """Write the copy to local disk, read it back against the source, put it over ``now``. That it is ours is said in ``area``
    before, by its content: whatever instant it is killed at, no copy of ours is there without that. Its version and ETag, and how
    the precondition was kept (:func:`put_over`)."""
    with cast("IO[bytes]", tempfile.SpooledTemporaryFile(IN_MEMORY)) as copy:
        done = files.format.rewrite(file.body, copy, changes)
        copy.seek(0)
        if done.dropped + done.cut != len(changes) or not files.format.verify(file.body, copy, changes):
            raise BooksDoNotBalance(
                f"a rewritten file would differ by more than its {len(changes)} due records; not written",
                about=files.dataset.id,
                next_step="report this with the file's format",
            )
        tags = files.tagging(file.entry)
        # Denied is only what holds nothing but records of restricted people.
        if not stay or files.format.others(file.body, stay | _dropped(changes)):
            tags = [tag for tag in tags if tag != (TAG, VALUE)]
        content = File.digest(copy)
        area.rewrote(files.bucket, now.key, content)
        extra = {
            **file.headers_of(content),
            **({"Tagging": urlencode(tags, quote_via=quote)} if tags else {}),
        }
        return put_over(
            files.client, files.bucket, now.key, copy, now.etag, about=files.dataset.id, extra=extra
        )


def _dropped(changes: Changes) -> frozenset[int]:
    """A record that was cut is nobody's any more, so it counts among the others."""
    return frozenset(row for row, cut in changes.items() if cut is None)


def _old(
    files: Files, there: list[Item], now: Item | None, may_go: set[str], planned: list[Item],
    *, link: tuple[str, Owners], read: str = "",
) -> list[str]:  # fmt: skip
    """Of the old versions that may go, those that are there and whose other records are all current.

    ``read``: the version that the current one was just made from and verified against; it needs no
    second look. Raises Drifted for one that alone holds somebody else's record (the survey had seen none)."""
    doomed = [v for v in there if v.version in may_go and v.kind == "version" and not v.current]
    if all(v.version == read for v in doomed):
        return [v.version for v in doomed]
    wanted = frozenset(v[0] for v in link[1])
    prints = files.nothing()
    stays: Counter[str] = Counter()
    if now is not None and (file := files.fetch(now)) is not None:
        with file.body:
            rows, _ = files.records(file, link[0], wanted, link[1])
            prints, stays = files.prints(file, rows), Counter(r.content for r in rows)
    due = {i.content for i in planned if _changes(i)}
    for version in doomed:
        file = files.fetch(version) if version.version != read else None
        if file is None:
            continue
        with file.body:
            rows, _ = files.records(file, link[0], wanted, link[1])
            kept = Counter(r.content for r in rows if r.content not in due)
            if files.lost(files.prints(file, rows), prints) or kept - stays:
                raise Drifted(
                    "an old version of a record file holds records that the current file lacks",
                    about=files.dataset.id,
                    next_step="survey and plan again; the version was not deleted",
                )
    return [v.version for v in reversed(doomed)]
