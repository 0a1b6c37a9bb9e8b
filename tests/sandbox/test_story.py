"""What ``make demo`` tells of a plan: one sample of it, whole, from a fixed plan."""

from __future__ import annotations

import io
from datetime import date

from rich.console import Console

from include.catalogue import load
from include.model.flow import Line, Located, Plan
from include.model.words import Disposition
from include.sandbox import story

CATALOGUE = load()
ESL = "ESL 24"


def line(dataset: str, rule: str, items: int, disposition: Disposition, law: str, **more: object) -> Line:
    return Line(dataset=dataset, rule=rule, items=items, disposition=disposition, law=law, **more)  # type: ignore[arg-type]


def plan(*lines: Line) -> Plan:
    return Plan(
        step="s1", case_no="CASE-000001", as_of=date(2026, 11, 24), catalogue="c", code="test", lines=lines,
        located=tuple(Located(dataset=x.dataset, items=x.items, digest="d") for x in lines),
    )  # fmt: skip


PLAN = plan(
    line("account.account", "RS-01", 1, Disposition.DEIDENTIFY, "PIPL 56; NDSMR 12; needed by account.consent"),
    line("account.person", "RS-01", 1, Disposition.ERASE, "PIPL 47(1)(1), (3); NDSMR 24; ECL 24; policy 1.4, 11.3"),
    line("account.session", "RS-02", 3, Disposition.ERASE, "PIPL 19; PIPL 47; policy 1.4, 11.3"),
    line("usage.access_log", "RS-12", 7, Disposition.ERASE, "Cybersecurity Law 23(3); policy 1.4, 11.3"),
    line("usage.access_log", "RS-12", 1, Disposition.RETAIN, "Cybersecurity Law 23(3)", until=date(2027, 2, 3)),
    line("usage.access_log", "RS-12", 4, Disposition.RETAIN, "Cybersecurity Law 23(3)", until=date(2027, 5, 1)),
    line("ra.application", "RS-03", 3, Disposition.RETAIN, ESL, until=date(2031, 11, 24)),
    line("cert.certificate", "RS-04", 3, Disposition.RETAIN, ESL, until=date(2031, 11, 24)),
    line("billing.voucher", "RS-17", 2, Disposition.RETAIN,
         "Accounting Law 23; Accounting Archives Measures annex 1", until=date(2055, 12, 31)),
    line("billing.purchase", "RS-17", 2, Disposition.RETAIN,
         "Accounting Law 23; Accounting Archives Measures annex 1; needed by billing.voucher", until=date(2055, 12, 31)),
    line("support.arbitration", "RS-19", 1, Disposition.HOLD, "Arbitration Law 58; policy 10", hold="HOLD-000001"),
)  # fmt: skip


def told(plan: Plan) -> str:
    console = Console(file=io.StringIO(), width=story.WIDTH, highlight=False)
    for part in (story.summary(plan), story.went(plan, CATALOGUE), story.stays(plan, CATALOGUE)):
        console.print(part)
    file = console.file
    assert isinstance(file, io.StringIO)
    return "\n".join(x.rstrip() for x in file.getvalue().splitlines())


SAMPLE = """\
28 items were found: 11 erased, 1 deidentified, 15 retained, 1 held.
What went 已处理
items what it was                                        how          why
    1 Account profile (registration data)                erased       deleted unasked when the purpose is achieved
                                                                      or consent withdrawn (PIPL 47(1)(1), (3))
    3 Password hashes, one-time codes, sessions, tokens  erased       the shortest time that is necessary (PIPL 19)
    7 Network logs: time, pages, IP, logs of partners    erased       no law keeps it any longer (Cybersecurity Law
                                                                      23(3))
    1 Account profile (registration data)                deidentified what names the person; a record that must stay
                                                                      still needs the rest (PIPL 56; NDSMR 12)
What stays, restricted 保留
items until                    on which law                             what it is
    5 2027-02-03 to 2027-05-01 Cybersecurity Law 23(3): network logs    5 Network logs, by month
                               are kept at least six months
    6 2031-11-24               ESL 24: kept at least five years after   3 Certificate applications; 3 Certificates
                               the certificate ceases to be valid
    4 2055-12-31               Accounting Law 23; Accounting Archives   2 Accounting vouchers; 2 Purchases
                               Measures annex 1: vouchers and ledgers
                               30 years
    1 HOLD-000001 is lifted    Arbitration Law 58; policy 10            Arbitration: our copy"""


def test_a_plan_reads_like_this() -> None:
    assert told(PLAN) == SAMPLE


def test_every_item_is_told_once_and_every_line_fits() -> None:
    rows = [x for x in told(PLAN).splitlines()[1:] if x[:5].strip().isdigit()]
    assert sum(int(x[:5]) for x in rows) == sum(x.items for x in PLAN.lines)
    assert max(len(x) for x in told(PLAN).splitlines()) <= story.WIDTH


def test_what_has_no_date_yet_says_what_it_waits_for() -> None:
    waits = line("cert.certificate", "RS-04", 1, Disposition.RETAIN, ESL, waits_for="the certificate's end")
    assert "the certificate's end" in told(plan(waits))


def test_each_of_the_26_recipients_is_told_of_once_and_fits() -> None:
    """The latest round of each, who was given nothing, and what a person has to do."""
    base = {"codes": None, "objection": None, "retained_until": None, "target_on": date(2026, 12, 16)}
    notices = [
        base | {"recipient": "juhe", "state": "tp_acked", "delivery": "delivered", "codes": ["DELETED"]},
        base | {"recipient": "juhe", "state": "tp_notified", "delivery": "waiting"},
        base | {"recipient": "kinggrid", "state": "tp_notified", "delivery": "errand"},
        base | {"recipient": "emay", "state": "tp_retained", "delivery": "delivered", "codes": ["RETAINED_BY_LAW"],
                "retained_until": date(2027, 4, 1)},
    ]  # fmt: skip
    console = Console(file=io.StringIO(), width=story.WIDTH, highlight=False)
    console.print(story.recipients(notices, CATALOGUE, {"sensetime": 0, "emay": 2}))
    file = console.file
    assert isinstance(file, io.StringIO)
    said = file.getvalue()
    assert all(r.name[:20] in said for r in CATALOGUE.recipients)
    assert said.count("was given nothing") == len(CATALOGUE.recipients) - 3 == 23
    assert "to be told" in said and "a person tells it" in said and "keeps some, by law" in said
    (emay,) = [x for x in said.splitlines() if "RETAINED_BY_LAW" in x]
    assert emay.split()[-2:] == ["2027-04-01", "2"], "what it really has, whatever it said"
    assert max(len(x) for x in said.splitlines()) <= story.WIDTH
