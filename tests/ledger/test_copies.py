"""What a certificate says of backups: what still reaches back, until when, and what shows that nothing does."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from include.ledger import verify
from include.ledger.certificate import Copy, Draft, Edition, Horizon
from include.ledger.horizon import of_sources
from include.model.backups import written
from tests.ledger.making import KEY, D, Log, draft, gone, look, nothing_stays, payload, pem, sign, waits


def problems(made: dict[str, Any]) -> list[str]:
    return verify.verify(sign(made), pem(KEY)).problems


def with_looks(*copies: Copy, of: Draft | None = None, **more: Any) -> dict[str, Any]:
    """A certificate of these sets, of which those that are gone were looked at once in this way."""
    book = Log.of()
    told = [
        c if c.gone_on is None else c.model_copy(
            update={"evidence": (book.add("copies", look(c.backup_set, **more), None),)}
        )
        for c in copies
    ]  # fmt: skip
    return payload(of=(of or nothing_stays()).model_copy(update={"copies": tuple(told)}), book=book)


def test_one_date_and_what_sets_it() -> None:
    made = payload(Edition.PERSON)
    assert made["horizon"]["until"] is None
    assert made["horizon"]["because"] == (
        "agency keeps something without a last day; silent is silent; sms-gateway has not answered;"
        " not before 2027-04-01 (matcher keeps something)"
    )
    alone = draft().model_copy(update={"recipients": ()})
    alone = alone.model_copy(update={"pending": tuple(p for p in alone.pending if p.track != "recipients")})
    made = payload(of=alone)
    assert made["horizon"] == {
        "until": "2027-02-01",
        "because": "backup set weekly: full-1 until 2027-02-01",
    }
    report = verify.verify(sign(made), pem(KEY))
    assert report.ok, report.problems
    assert report.said["horizon"] == "2027-02-01: backup set weekly: full-1 until 2027-02-01"


def test_what_is_gone_is_shown_and_a_final_certificate_names_no_horizon() -> None:
    quiet = nothing_stays().model_copy(update={"recipients": ()})
    made = with_looks(gone("weekly"), gone("dumps"), of=quiet)
    assert made["horizon"] is None
    assert problems(made) == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"oldest_start": D}, "a copy that is left begins before it"),
        ({"oldest_start": "0/1000000"}, "a copy that is left begins before it"),
        ({"archive_from": "0/3A000000"}, "archived log that is left begins before it"),
        ({"oldest_made": "2026-10-20T02:00:00+00:00"}, "a copy that is left was made before it"),
        ({"oldest_start": None}, "nobody knows what they hold"),
        ({"position": "0/39000000"}, "was looked at for an earlier night"),
        ({"position": None}, "a copy that is left begins before it"),
        ({"set": "monthly"}, "is of another set"),
        ({"store": "other"}, "is of another set"),
        ({"oldest_start": "here"}, "is no position in a log"),
        (
            {"found_in": ["full-3"], "names": ["full-3", "full-4"]},
            "full-3, in which a drill found somebody, is left",
        ),
        ({"found_log": "0/3C000000"}, "archived log is left in which a drill found somebody"),
    ],
    ids=lambda value: next(iter(value)) + str(next(iter(value.values()))) if isinstance(value, dict) else "",
)
def test_a_look_that_shows_less_is_named(more: dict[str, Any], why: str) -> None:
    assert any(why in said for said in problems(with_looks(gone("weekly"), **more))), why


def test_a_copy_is_not_said_to_be_gone_on_nobodys_word() -> None:
    of = nothing_stays().model_copy(update={"copies": (gone("weekly"),)})
    assert problems(payload(of=of)) == [
        "backup set weekly is said to be gone, and nothing in the ledger shows it"
    ]
    other = of.model_copy(update={"copies": (gone("weekly", 0),)})
    assert any("is not a look at a backup set" in said for said in problems(payload(of=other)))
    of = nothing_stays().model_copy(update={"copies": (waits("weekly", date(2027, 1, 1)),)})
    assert "the backup sets that still reach back are not those that the pending tracks name" in problems(
        payload(of=of)
    )


def test_a_horizon_cannot_be_made_earlier() -> None:
    def earlier(made: dict[str, Any]) -> None:
        made["horizon"] = {"until": "2026-12-31", "because": "soon"}

    def none(made: dict[str, Any]) -> None:
        made["horizon"] = None

    assert "the horizon is before the end of backup set weekly" in problems(payload(lie=earlier))
    assert "backups still reach back, and the certificate names no horizon" in problems(payload(lie=none))


positions = st.integers(1, 40).map(lambda n: n << 24)


@given(
    night=positions, starts=st.lists(positions, max_size=4), archive=st.none() | positions,
    shown=st.sets(st.sampled_from(["c0", "c1", "c2", "of old"])), log=st.none() | positions,
)  # fmt: skip
def test_the_verifier_and_the_horizon_agree_on_what_reaches_back(
    night: int, starts: list[int], archive: int | None, shown: set[str], log: int | None
) -> None:
    """Whoever looked and whoever verifies reckon apart; neither may be more lenient."""
    from datetime import UTC, datetime

    from include.backups.horizon import Deed, Shown, reach
    from include.model.backups import BackupCopy, Copies, CopyOf, WalArchive

    at = datetime(2026, 10, 20, tzinfo=UTC)
    copies = Copies(
        tuple(BackupCopy(f"c{n}", CopyOf.FULL, s, None, 1, None, None, "x") for n, s in enumerate(starts)),
        None if archive is None else WalArchive(archive, archive + (1 << 24), 1),
    )
    beyond = reach(Deed(night, at, shown=Shown(frozenset(shown), log)), copies, {}, date(2027, 1, 1)).beyond
    event(f"beyond: {beyond}")
    seen = look(
        "weekly", position=written(night), copies=len(starts), oldest_start=written(min(starts)) if starts else None,
        archive_from=None if archive is None else written(archive),
        found_in=sorted(shown), found_log=None if log is None else written(log), names=[c.name for c in copies.copies],
    )  # fmt: skip
    assert beyond == (not list(verify.reaching_back(seen, "weekly")))


days = st.none() | st.dates(date(2027, 1, 1), date(2027, 3, 1))


@given(st.lists(st.tuples(days, st.sampled_from(["a", "b", "c"])), max_size=5))
def test_the_horizon_is_the_last_day_and_open_while_one_is(sources: list[tuple[date | None, str]]) -> None:
    found = of_sources(sources)
    if not sources:
        assert found is None
        return
    assert isinstance(found, Horizon)
    open_ = [why for day, why in sources if day is None]
    known = [day for day, _ in sources if day is not None]
    event(f"open: {bool(open_)}")
    assert found.until == (None if open_ else max(known))
    assert all(why in found.because for why in open_)
    assert not open_ or not known or str(max(known)) in found.because
