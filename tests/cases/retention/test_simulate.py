"""A simulation tells what nights would do: a law's longer period reaches everybody, a company's whoever accepted it."""

from __future__ import annotations

from datetime import date

import pytest

from include.cases.retention.due import Seen, judge
from include.cases.retention.forecast import due_on
from include.cases.retention.limits import binds
from include.cases.retention.simulate import Change, Moved, apart, moved, telling_apart
from include.catalogue import load
from include.model.catalogue import Catalogue
from include.model.estate import Bound, Start
from include.model.retention import Clock, Group
from include.model.versions import PolicyVersion

CATALOGUE = load()
LOGS = CATALOGUE.dataset("usage.access_log")  # a floor of six months, a cap of twelve, by the same column
AS_OF, END = date(2026, 11, 24), date(2027, 12, 31)
STARTED = date(2025, 12, 1)
NEXT = PolicyVersion(id="2026-10", says={**CATALOGUE.versions[-1].says, "RS-12/cap": "P24M"})


def changed(*, floor: str = "P6M", cap: str = "P12M", versions: tuple[PolicyVersion, ...] = ()) -> Catalogue:
    """The first policy with other periods for logs, and further versions of it."""
    to = {"main": floor, "cap": cap}
    rules = [
        r.model_copy(update={"periods": tuple(p.model_copy(update={"duration": to[p.name]}) for p in r.periods)})
        if r.id == "RS-12" else r
        for r in CATALOGUE.rules
    ]  # fmt: skip
    return CATALOGUE.model_copy(update={"rules": tuple(rules), "versions": (*CATALOGUE.versions, *versions)})


def logs(catalogue: Catalogue, day: date = STARTED, items: int = 10, *, accepted: bool = False) -> Group:
    """Logs of people who accepted the next version, or did not, as a store says of them what the catalogue asks."""
    clocks = (
        Clock(applies=True, day=None if accepted and "2026-10" in b.unless else day)
        for b in binds(catalogue, LOGS)
    )
    return Group(clocks=tuple(clocks), held=False, items=items)


def simulated(then: Catalogue, now: Catalogue = CATALOGUE, *, accepted: bool = False) -> list[Moved]:
    asked = telling_apart(now, then)
    seen = Seen(END, list(judge(asked, LOGS, END, [logs(asked, accepted=accepted)], everything=True)))
    found = list(moved(asked, then, seen, AS_OF, END))
    # What it says of each is what a night under the other catalogue would do.
    (judged,) = judge(then, LOGS, END, [logs(then, accepted=accepted)], everything=True)
    for it in found:
        assert it.after == max(due_on(judged.interval) or date.max, AS_OF)
    if not found:
        assert due_on(judged.interval) == due_on(seen.judged[0].interval)
    return found


def row(
    change: Change, after: date, *, before: date = date(2026, 12, 2), rule: str = "RS-12/cap"
) -> list[Moved]:
    return [Moved(LOGS.id, rule, change, 10, before, after)]


def test_a_law_that_keeps_longer_reaches_everybody() -> None:
    for accepted in (True, False):
        found = simulated(changed(floor="P18M"), accepted=accepted)
        assert found == row(Change.LATER_BY_LAW, date(2027, 6, 2))


def test_a_longer_period_that_no_version_says_reaches_nobody() -> None:
    for accepted in (True, False):
        assert simulated(changed(cap="P24M"), accepted=accepted) == row(Change.NOT_LATER, date(2026, 12, 2))


def test_a_longer_period_of_the_company_reaches_whoever_accepted_it() -> None:
    then = changed(cap="P24M", versions=(NEXT,))
    assert simulated(then, accepted=False) == row(Change.NOT_LATER, date(2026, 12, 2))
    assert simulated(then, accepted=True) == row(Change.ACCEPTED, date(2027, 12, 2))


def test_by_law_until_its_end_and_no_later_where_it_was_not_accepted() -> None:
    """Law and company lengthen at once: 6 months to 18, 12 months to 24."""
    then = changed(floor="P18M", cap="P24M", versions=(NEXT,))
    assert simulated(then, accepted=False) == row(Change.BY_LAW_ALONE, date(2027, 6, 2))
    assert simulated(then, accepted=True) == row(Change.ACCEPTED, date(2027, 12, 2))


def test_a_shorter_period_reaches_whoever_accepted_whatever() -> None:
    for accepted in (True, False):
        found = simulated(changed(cap="P9M", versions=(NEXT,)), accepted=accepted)
        assert found == row(Change.EARLIER, AS_OF)  # it was over before the first night


def test_what_was_longer_before_moves_nobody_again() -> None:
    longer = changed(cap="P24M", versions=(NEXT,))
    for accepted in (True, False):
        assert simulated(longer, longer, accepted=accepted) == []


def test_a_law_moves_what_was_accepted_no_less() -> None:
    longer = changed(cap="P24M", versions=(NEXT,))
    then = changed(floor="P18M", cap="P24M", versions=(NEXT,))
    assert simulated(then, longer, accepted=True) == []
    assert simulated(then, longer, accepted=False) == row(Change.BY_LAW_ALONE, date(2027, 6, 2))


def test_a_last_day_of_a_statute_that_is_put_off_is_later_by_law() -> None:
    """A ceiling that a statute sets: nobody is asked."""

    def of(duration: str) -> Catalogue:
        rules = [
            r.model_copy(update={"periods": tuple(
                p.model_copy(update={"duration": duration, "proposal": None}) if p.name == "cap" else p for p in r.periods
            )}) if r.id == "RS-12" else r
            for r in CATALOGUE.rules
        ]  # fmt: skip
        return CATALOGUE.model_copy(update={"rules": tuple(rules)})

    assert of("P24M").rule("RS-12").periods[1].statutory_end
    assert simulated(of("P24M"), of("P12M")) == row(Change.LATER_BY_LAW, date(2027, 12, 2))


def test_a_period_that_ends_no_more_is_no_ones_consent() -> None:
    then = changed()
    (floor, _) = LOGS.binds
    logs_ = LOGS.model_copy(update={"binds": (floor, Bound(rule="RS-15", start=Start(column="occurred_at")))})
    rules = tuple(
        r.model_copy(update={"periods": tuple(p.model_copy(update={"duration": "P20M"}) for p in r.periods)})
        if r.id == "RS-15" else r
        for r in then.rules
    )  # fmt: skip
    says = {k: v for k, v in then.versions[-1].says.items() if k != "RS-15/main"}
    then = then.model_copy(
        update={
            "datasets": tuple(logs_ if d.id == LOGS.id else d for d in then.datasets), "rules": rules,
            "versions": (PolicyVersion(id="2025-03", says=says),),
        }
    )  # fmt: skip
    seen = Seen(END, list(judge(CATALOGUE, LOGS, END, [logs(CATALOGUE)], everything=True)))
    (found,) = moved(CATALOGUE, then, seen, AS_OF, END)
    assert (found.change, found.after) == (Change.LATER, date(2027, 8, 2))


def test_what_cannot_be_compared_is_named_and_the_rest_is_told() -> None:
    started = LOGS.model_copy(
        update={
            "binds": tuple(b.model_copy(update={"start": Start(column="written_at")}) for b in LOGS.binds)
        }
    )
    elsewhere = CATALOGUE.dataset("usage.cookie").model_copy(update={"address": "usage.biscuit"})
    newly = CATALOGUE.dataset("usage.device").model_copy(update={"id": "usage.gadget"})
    changes = {started.id: started, elsewhere.id: elsewhere}
    datasets = (*(changes.get(d.id, d) for d in CATALOGUE.datasets if d.id != "usage.location"), newly)
    then = changed(cap="P9M").model_copy(update={"datasets": datasets})
    found = apart(CATALOGUE, then)
    assert set(found) == {"usage.access_log", "usage.cookie", "usage.gadget", "usage.location"}
    assert found["usage.access_log"] == "RS-12/main starts by what the present catalogue does not ask for"
    assert "only the other catalogue has it" in found["usage.gadget"]
    assert found["usage.location"] == "the other catalogue does not have it"
    partner = CATALOGUE.dataset("usage.partner_log")
    both = [
        *judge(CATALOGUE, LOGS, END, [logs(CATALOGUE)], everything=True),
        *judge(CATALOGUE, partner, END, [logs(CATALOGUE)], everything=True),
    ]
    assert {m.dataset for m in moved(CATALOGUE, then, Seen(END, both), AS_OF, END)} == {partner.id}
    longer = changed(cap="P24M", versions=(NEXT,))
    assert LOGS.id in apart(CATALOGUE, longer), "who accepted what was not asked"
    assert apart(telling_apart(CATALOGUE, longer), longer) == {}


@pytest.mark.parametrize("accepted", [True, False])
def test_a_night_judges_by_what_was_accepted(accepted: bool) -> None:
    """The same logs under the same catalogue: due for whoever stayed with the year that was promised."""
    then = changed(cap="P24M", versions=(NEXT,))
    (it,) = judge(then, LOGS, AS_OF, [logs(then, date(2025, 11, 1), accepted=accepted)], everything=True)
    assert it.interval.latest == (date(2027, 11, 1) if accepted else date(2026, 11, 1))
    assert it.interval.ended_by is not None and it.interval.ended_by.company
