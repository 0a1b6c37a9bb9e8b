"""What is provided for each dataset, the plan, its words, and where two plans differ."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases.became import told
from include.cases.explain import sentence, whole
from include.cases.planner import beyond, compare, grave, missing, plan, provide
from include.cases.scopes import HoldBasis, HoldOrder, Scope, narrowed
from include.model.errors import BooksDoNotBalance, Refused
from include.model.estate import Bound, Link, Measure
from include.model.flow import LAST_OWNER, Line, Located, Plan, Step, Survey, others_rows
from include.model.times import observed_now
from include.model.words import CopyKind, Disposition, Ground, LegalRank, Ownership
from tests.cases.small import TODAY, catalogue, rule, table

D = Disposition
STEP = Step(id="s1", case_no="CASE-000001", as_of=TODAY, restricting=True, subjects=("a",))


def provided(cat=None, **more):
    more = {"case_no": "CASE-000001", "tokens": ("t0", "t1")} | more
    return provide(cat or catalogue(), Ground.CANCELLATION, TODAY, **more)


def line(dataset: str, disposition: D, items: int, **more) -> Line:
    return Line(dataset=dataset, disposition=disposition, items=items, rule="RS-01", law="PIPL 47", **more)


def located(dataset: str, items: int, copy_kind: CopyKind = CopyKind.LIVE) -> Located:
    return Located(dataset=dataset, items=items, digest="x", copy_kind=copy_kind)


def a_plan(*lines: Line, code: str = "1") -> Plan:
    sums: dict[tuple[str, CopyKind], int] = {}
    for x in lines:
        sums[x.dataset, x.copy_kind] = sums.get((x.dataset, x.copy_kind), 0) + x.items
    return plan(STEP, [located(d, n, c) for (d, c), n in sums.items()], lines, "d", code)


def test_every_dataset_is_provided_for_with_its_rule_its_law_and_the_article_of_the_policy() -> None:
    found = {p.dataset: p for p in provided().provisions}
    assert set(found) == {d.id for d in catalogue().datasets}
    assert found["account.account"].law == "PIPL 47; policy 1.4, 11.3"
    assert found["ca.certificate"].disposition is D.DEIDENTIFY and found["ca.certificate"].cut is not None
    (floor,) = found["ra.application"].floors
    assert (floor.duration, floor.law, floor.start is not None) == ("P5Y", "ESL 24", True)


def test_a_ceiling_and_a_company_wish_never_restrain_deletion() -> None:
    assert {p.dataset for p in provided().provisions if p.floors} == {
        "ra.application",
        "ca.certificate",
        "web.log",
    }
    wish = catalogue(
        rules=(*[r for r in catalogue().rules if r.id != "RS-12"],
               rule("RS-12", "P6M", "floor", LegalRank.DEPARTMENTAL_RULE, "Order 31"))
    )  # fmt: skip
    assert not {p.dataset: p for p in provided(wish).provisions}["web.log"].floors


@pytest.mark.parametrize(
    ("dataset", "code"),
    [
        (table("x.a", "x", (Bound(rule="RS-99"),), ()), "no_rule"),
        (table("x.a", "x", (Bound(rule="RS-01", period="other"),), ()), "no_rule"),
        (table("x.a", "x", (), ()), "no_rule"),
        (table("x.a", "x", (Bound(rule="RS-04"),), (), action="deidentify"), "no_cut"),
        (table("x.a", "x", (Bound(rule="RS-01"),), (),
               links=(Link(column="account_id", ownership=Ownership.ACCESS_ONLY),)), "not_theirs"),
        (table("x.a", "x", (Bound(rule="RS-01"), Bound(rule="RS-03")), ()), "empty_interval"),
    ],
)  # fmt: skip
def test_a_contradiction_is_a_finding_and_never_guessed(dataset, code) -> None:
    found = provided(catalogue(datasets=(dataset,)))
    assert [f.code for f in found.findings] == [code]
    assert found.provisions == ()


def test_a_floor_and_a_ceiling_with_different_starts_do_not_contradict() -> None:
    from include.model.estate import Start

    dataset = table("x.a", "x", (Bound(rule="RS-01"), Bound(rule="RS-03", start=Start(column="at"))), ())
    assert provided(catalogue(datasets=(dataset,))).findings == ()


@pytest.mark.parametrize(
    "waits", [Bound(rule="RS-25"), Bound(rule="RS-01", gives_way=("RS-03",))], ids=["ours", "told"]
)
def test_a_ceiling_of_ours_or_one_that_gives_way_waits_for_the_law_and_contradicts_nothing(
    waits: Bound,
) -> None:
    dataset = table("x.a", "x", (waits, Bound(rule="RS-03")), ())
    found = provided(catalogue(datasets=(dataset,)))
    assert found.findings == ()
    assert [f.rule for f in found.provisions[0].floors] == ["RS-03"]


def order(**scope) -> HoldOrder:
    return HoldOrder(
        "HOLD-000001", HoldBasis.COURT, "policy 5.2(2)", Scope(**{k: frozenset(v) for k, v in scope.items()})
    )


@pytest.mark.parametrize(
    ("scope", "datasets", "nos"),
    [
        ({"cases": ["CASE-000001"]}, 6, (0, 1)),
        ({"cases": ["CASE-000002"]}, 0, ()),
        ({"subjects": ["t1"]}, 6, (1,)),
        ({"subjects": ["t1"], "datasets": ["web.log"]}, 1, (1,)),
        ({"subjects": ["t0"], "categories": ["PI-004"]}, 2, (0,)),
        ({"subjects": ["other"]}, 0, ()),
    ],
)
def test_a_hold_reaches_exactly_its_people_and_its_items(scope, datasets, nos) -> None:
    held = [h for p in provided(holds=[order(**scope)]).provisions for h in p.holds]
    assert len(held) == datasets
    assert {h.subject_nos for h in held} <= {nos}


SCOPES = st.builds(
    Scope,
    cases=st.frozensets(st.sampled_from(["CASE-000001", "CASE-000002"])),
    subjects=st.frozensets(st.sampled_from(["t0", "t1"])),
    categories=st.frozensets(st.sampled_from(["PI-004", "PI-060"])),
    datasets=st.frozensets(st.sampled_from(["web.log", "account.account"])),
)


@given(SCOPES, SCOPES)
def test_a_narrowed_hold_never_covers_anything_new(scope, to) -> None:
    cat = catalogue()

    def items(s: Scope) -> set[tuple[str, str, int]]:
        return {
            (d.id, case_no, no)
            for d in cat.datasets if s.covers(d)
            for case_no in ("CASE-000001", "CASE-000002") for no in s.subject_nos(case_no, ("t0", "t1"))
        }  # fmt: skip

    hold = HoldOrder("HOLD-000001", HoldBasis.COURT, "l", scope)
    try:
        smaller = narrowed(hold, to)
    except Refused:
        return
    assert items(smaller) <= items(scope)


# --- the plan ---------------------------------------------------------------------------------


def test_equal_plans_have_equal_fingerprints_whatever_the_order() -> None:
    lines = [
        line("a", D.ERASE, 2),
        line("a", D.RETAIN, 1, until=date(2030, 1, 1)),
        line("b", D.HOLD, 1, hold="HOLD-000001"),
    ]
    assert a_plan(*lines).fingerprint() == a_plan(*reversed(lines)).fingerprint()
    assert a_plan(*lines).fingerprint() != a_plan(*lines, code="2").fingerprint()


@given(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_a_plan_accounts_for_exactly_what_was_located(found, erased, kept) -> None:
    lines = [line("a", D.ERASE, erased), line("a", D.RETAIN, kept, until=date(2030, 1, 1))]
    if found == erased + kept:
        assert sum(x.items for x in plan(STEP, [located("a", found)], lines, "d", "c").lines) == found
    else:
        with pytest.raises(
            BooksDoNotBalance, match=rf"CASE-000001 a: {found} located .* accounts for {erased + kept}"
        ):
            plan(STEP, [located("a", found)], lines, "d", "c")


def test_copies_are_balanced_apart_and_an_unlocated_line_is_refused() -> None:
    with pytest.raises(BooksDoNotBalance, match=r"1 located \(live\) .* accounts for 2"):
        plan(
            STEP,
            [located("a", 1), located("a", 1, CopyKind.OBJECT_VERSION)],
            [line("a", D.ERASE, 2)],
            "d",
            "c",
        )
    with pytest.raises(BooksDoNotBalance, match="0 items were located"):
        plan(STEP, [], [line("a", D.ERASE, 2)], "d", "c")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (line("a", D.RETAIN, 1, until=date(2026, 11, 23)), "past 2026-11-23"),
        (line("a", D.RETAIN, 1), "without a date or a reason"),
        (line("a", D.HOLD, 1), "without naming a hold"),
    ],
)
def test_nothing_is_kept_past_its_date_or_without_a_reason(wrong, says) -> None:
    with pytest.raises(Refused, match=says):
        a_plan(wrong)


def test_a_dataset_nobody_surveyed_is_not_taken_for_empty() -> None:
    cat = catalogue()
    survey = Survey(step="s1", store="main", located=(located("web.log", 0),), observed_at=observed_now())
    assert "web.log" not in {f.dataset for f in missing(provided(cat).provisions, [survey])}
    assert "account.account" in {f.dataset for f in missing(provided(cat).provisions, [survey])}


def test_a_plan_is_compared_with_its_rehearsal_save_for_declared_effects() -> None:
    before = a_plan(line("a", D.ERASE, 2), line("b", D.RETAIN, 1, until=date(2030, 1, 1)))
    after = a_plan(line("a", D.ERASE, 3), line("b", D.ERASE, 1), line("c", D.ERASE, 1))
    found = compare(before, after)
    assert [(f.dataset, f.items) for f in found] == [("a", 1), ("b", 1), ("b", 1), ("c", 1)]
    assert "2 when approved, 3 now" in found[0].what
    measure = Measure(id="m", store="main", title="t", law="l", touches=("b", "c"))
    assert [f.dataset for f in compare(before, after, [measure])] == ["a"]
    assert compare(before, before) == ()


def test_growth_of_a_kind_is_no_news_but_what_was_to_stay_must_not_go() -> None:
    before = a_plan(line("a", D.ERASE, 2), line("b", D.RETAIN, 1, until=date(2030, 1, 1)))
    grown = a_plan(line("a", D.ERASE, 22), line("b", D.RETAIN, 3, until=date(2030, 1, 1)))
    assert grave(before, grown, compare(before, grown)) == ()
    flood = a_plan(line("a", D.ERASE, 23), line("b", D.RETAIN, 1, until=date(2030, 1, 1)))
    assert [f.dataset for f in grave(before, flood, compare(before, flood))] == ["a"]
    turned = a_plan(line("a", D.ERASE, 2), line("b", D.ERASE, 1))
    assert {f.dataset for f in grave(before, turned, compare(before, turned))} == {"b"}


def test_another_catalogue_or_code_is_always_grave() -> None:
    before, after = a_plan(line("a", D.ERASE, 1)), a_plan(line("a", D.ERASE, 1), code="2")
    assert [f.code for f in grave(before, after, compare(before, after))] == ["other_catalogue"]


# --- in words ---------------------------------------------------------------------------------


def test_why_does_this_row_stay_is_answered_with_law_and_date_in_both_languages() -> None:
    stays = line("ra.application", D.RETAIN, 1, until=date(2031, 3, 1))
    assert "依法保存至 2031-03-01" in sentence(stays) and "2031-03-02 删除" in sentence(stays)
    assert "until 2031-03-01" in sentence(stays, "en") and "2031-03-02" in sentence(stays, "en")
    waits = line("ra.application", D.RETAIN, 2, waits_for="the certificate's end")
    assert "the certificate's end" in sentence(waits, "en") and "等待" in sentence(waits)
    held = line("web.log", D.HOLD, 1, hold="HOLD-000007")
    assert "HOLD-000007" in sentence(held) and "HOLD-000007" in sentence(held, "en")


def test_every_disposition_has_words_in_both_languages_with_number_and_law() -> None:
    for disposition in D:
        said = line("a", disposition, 7, hold="HOLD-000001", until=date(2031, 1, 1))
        for language in ("zh", "en"):
            assert "7" in sentence(said, language) and "PIPL 47" in sentence(said, language)


def test_a_dataset_is_explained_by_its_title_and_an_unknown_one_is_refused() -> None:
    cat = catalogue()
    made = plan(
        STEP,
        [located("web.log", 0), located("account.account", 1)],
        [line("account.account", D.ERASE, 1)],
        "d",
        "c",
    )

    def explain(dataset: str) -> str:
        return "".join(told(made, (), cat, dataset=dataset, own=True, language="zh"))

    assert explain("account.account").startswith("账户 (account.account)\n  1 项将被删除")
    assert "未发现" in explain("web.log")
    assert "Will go (1)" in whole(made, cat, "en")
    with pytest.raises(Refused, match="does not speak of this dataset"):
        explain("ra.application")


def test_what_stayed_for_another_owner_only_goes_as_approved_once_that_one_left() -> None:
    waiting = {"waits_for": LAST_OWNER}
    before = a_plan(line("sign.contract", D.RETAIN, 30, **waiting), line("sign.contract", D.ERASE, 1))
    for waits in (LAST_OWNER, others_rows("sign.contract_party")):
        before = a_plan(
            line("sign.contract", D.RETAIN, 30, waits_for=waits), line("sign.contract", D.ERASE, 1)
        )
        after = a_plan(line("sign.contract", D.ERASE, 31))
        assert not grave(before, after, compare(before, after))
    more = a_plan(line("sign.contract", D.ERASE, 60))
    assert grave(before, more, compare(before, more))
    kept = a_plan(line("sign.contract", D.RETAIN, 1, until=date(2030, 1, 1)))
    gone = a_plan(line("sign.contract", D.ERASE, 1))
    assert grave(kept, gone, compare(kept, gone)), "a date is not somebody else"
    both = a_plan(
        line("sign.contract", D.RETAIN, 1, **waiting), line("sign.contract", D.HOLD, 1, hold="HOLD-000001")
    )
    assert grave(
        both,
        a_plan(line("sign.contract", D.ERASE, 2)),
        compare(both, a_plan(line("sign.contract", D.ERASE, 2))),
    )


def test_a_later_step_may_take_what_is_over_and_no_more() -> None:
    left = a_plan(
        line("web.log", D.RETAIN, 100, until=TODAY), line("web.log", D.RETAIN, 5, until=date(2030, 1, 1)),
        line("sign.contract", D.HOLD, 3, hold="HOLD-000001"), line("ra.application", D.RETAIN, 2, waits_for="x"),
        line("account.account", D.ERASE, 50), line("ca.certificate", D.DEIDENTIFY, 40), code="1",
    )  # fmt: skip
    stays = line("web.log", D.RETAIN, 5, until=date(2030, 1, 1))
    tomorrow = {"as_of": TODAY + timedelta(days=1)}

    def places(*lines: Line) -> list[str]:
        return [f.place for f in beyond(left, a_plan(*lines, code="2").model_copy(update=tomorrow))]

    assert places(line("web.log", D.ERASE, 100), stays, line("sign.contract", D.ERASE, 3),
                  line("ra.application", D.ERASE, 2)) == []  # fmt: skip
    assert places(line("web.log", D.ERASE, 120), stays) == [], "some more of what goes anyway"
    assert places(line("ca.certificate", D.DEIDENTIFY, 40), stays) == [], (
        "de-identified rows are located again"
    )
    assert places(line("web.log", D.ERASE, 121), stays) == ["web.log (live)"]
    assert places(line("web.log", D.ERASE, 105)) == ["web.log (live)"], "what was to stay"
    assert places(line("account.account", D.ERASE, 21)) == ["account.account (live)"], "gone already"


@pytest.mark.parametrize("ground", [g for g in Ground if not g.whole_person])
def test_a_ground_that_reaches_a_part_stops_unless_the_part_is_named(ground: Ground) -> None:
    everything = provide(catalogue(), ground, TODAY, case_no="CASE-000001", tokens=("a",))
    assert everything.provisions == () and [f.code for f in everything.findings] == ["no_scope"]
    part = provide(
        catalogue(), ground, TODAY, case_no="CASE-000001", tokens=("a",), datasets={"account.session"}
    )
    assert [p.dataset for p in part.provisions] == ["account.session"] and not part.findings
