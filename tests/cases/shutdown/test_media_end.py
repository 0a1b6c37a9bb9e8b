"""No service is certified while nobody says what became of the media that carried its data (clause 79): a record since T0, or the
word of both approvers, and the certificate and its verifiers name each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.shutdown import media, orders
from include.cases.shutdown.told import Custodian, Paper
from include.cases.yearly import sanitising
from include.cases.yearly.unsanitised import carriers
from include.commands import _common as common
from include.commands import shutdown as command
from include.handover import clearing, service_certificate, service_page
from include.ledger import verify, verify_ledger, verify_service, verify_service_end, verify_service_said
from include.model.errors import NotProved, Refused
from include.model.estate import BackupSet, Keys
from include.model.media import Becomes
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, forged, handed, house, refused
from tests.cases.shutdown.test_orders import TOLD
from tests.cases.small import procedures
from tests.cases.yearly.test_sanitising import DISK
from tests.stores.postgres.conftest import new_company

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures
STORE = "store:company"
WORD = Paper("BR-90", "9" * 64)
OPEN = (
    "media store:company: no record says that it was sanitised since the last case that took from it, and nobody said"
    " what becomes of it"
)
Forge = Callable[[dict[str, Any]], object]


def say(
    ended: Ended, who: str, becomes: Becomes = Becomes.STAYS, paper: Paper = WORD, **more: Any
) -> tuple[str, ...]:
    on = {"as_of": T0, **more}
    return media.say(
        ended.desk, ended.number, on.pop("names", [STORE]), becomes, paper=paper, actor=who, **on
    )


def both_say(ended: Ended, becomes: Becomes = Becomes.STAYS, **more: Any) -> None:
    assert say(ended, TOLD.approvers[0], becomes, **more) and not say(
        ended, TOLD.approvers[1], becomes, **more
    )


def there(ended: Ended, as_of: date = T0) -> dict[str, media.Standing]:
    with ended.desk.book() as conn:
        of = orders.order(conn, ended.number)
        return {s.carrier.name: s for s in media.standing(ended.desk.catalogue, conn, of, as_of)}


def but_for_media(ended: Ended) -> Ended:
    ended.hand_over()
    ended.delete_source()
    ended.tell_everybody(media=False)
    return ended


def sanitised(ended: Ended, on: date = T0, **more: Any) -> int:
    assert isinstance(ended.house.company.catalogue.media, tuple)
    told = ended.house.company.catalogue.model_copy(update={"media": procedures()})
    ended.house.company = replace(ended.house.company, catalogue=told)
    record = replace(DISK, **{"datasets": (), "store": "company", "on": on, **more})
    return sanitising.record(ended.desk, record, as_of=on, actor="ops/wu")


def carrier(p: dict[str, Any], **more: Any) -> None:
    p["carriers"][0].update(more)


SPOKEN: list[tuple[Forge, str]] = [
    (lambda p: p["carriers"].clear(), "store:company: nothing says what became of its media"),
    (lambda p: p["carriers"].append(dict(p["carriers"][0])), "store:company is told 2 times"),
    (lambda p: p["carriers"].append({**p["carriers"][0], "medium": "keys:x"}), "it was on other media"),
    (lambda p: carrier(p, entries=p["carriers"][0]["entries"][:1]), "not both approvers of the order say what becomes of it"),
    (lambda p: carrier(p, entries=p["carriers"][0]["entries"][:1] * 2), "not both approvers of the order say what becomes of it"),
    (lambda p: carrier(p, entries=[p["proofs"]["closed"]] * 2), "does not say 'media answered for'"),
    (lambda p: carrier(p, document="BR-91"), "what becomes of it is another by the ledger"),
    (lambda p: carrier(p, digest="0" * 64), "what becomes of it is another by the ledger"),
    (lambda p: carrier(p, answered_on="2026-01-01"), "what becomes of it is another by the ledger"),
    (lambda p: carrier(p, becomes="rented"), "what becomes of it is another by the ledger"),
    (lambda p: carrier(p, becomes="gone"), "nothing says what becomes of it"),
    (lambda p: carrier(p, who="Attic Co"), "it stays in service with somebody else than the custodian"),
    (lambda p: carrier(p, until="2030-01-01"), "nothing says what becomes of it"),
    (lambda p: carrier(p, record=1, entry=p["proofs"]["closed"]), "record 1, which says that it was sanitised, is not among"),
    (lambda p: p.pop("carriers"), "does not have exactly the fields"),
    (lambda p: p.update(format=verify_service_said.FORMER), "does not have exactly the fields"),
]  # fmt: skip


def test_nobody_certifies_while_a_medium_is_passed_over_in_silence(ended: Ended) -> None:
    but_for_media(ended)
    assert OPEN in refused(ended)
    one, two = TOLD.approvers
    with pytest.raises(Refused, match="not one of the two who approved"):
        say(ended, "ops/wu")
    assert say(ended, one) == (two.partition("/")[0],)
    assert OPEN in refused(ended), "one alone does not"
    assert say(ended, two, paper=Paper("BR-91", "1" * 64)) and OPEN in refused(ended), (
        "nor two by different documents"
    )
    assert say(ended, two, Becomes.LATER, until=T0) and OPEN in refused(ended), (
        "nor two who say different things"
    )
    assert say(ended, two) == ()
    made = ended.certificate()
    (told,) = made.payload["carriers"]
    assert {k: v for k, v in told.items() if k != "entries"} == {
        "medium": STORE, "record": None, "entry": None, "becomes": "stays", "who": "Archive Co", "until": None,
        "document": "BR-90", "digest": "9" * 64, "answered_on": T0.isoformat(),
    }  # fmt: skip
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert report.problems == []
    assert report.said["not sanitised"].startswith(
        "store:company stays in service with Archive Co (answered for by BR-90, ledger entries "
    )
    text = service_page.page(made)
    assert (
        "存储介质 · What carried the data" in text and "this certificate does not say that they were" in text
    )
    assert "stays in service with Archive Co" in text
    forged(ended, made.payload, SPOKEN)
    handed(ended)


def test_a_former_certificate_is_not_signed_any_more(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that says nothing of media, though the log has its facts, and its verifier would read it."""
    ended.everything()
    facts = service_certificate.facts

    def former(*of: Any) -> dict[str, Any]:
        said = {k: v for k, v in facts(*of).items() if k not in ("carriers", "gates")}
        return said | {"format": verify_service_said.FORMER, "media": []}

    monkeypatch.setattr(service_certificate, "facts", former)
    with pytest.raises(
        NotProved, match="it is in a former format, which tells nothing of 'media answered for'"
    ):
        ended.certificate()


SANITISED: list[tuple[Forge, str]] = [
    (lambda p: carrier(p, record=9), "record 9, which says that it was sanitised, is not among the entries given"),
    (lambda p: carrier(p, entry=p["proofs"]["closed"]), "is not among the entries given"),
    (lambda p: carrier(p, medium="backup_set:company"), "record 3, which says that it was sanitised, is not among"),
    (lambda p: carrier(p, becomes="rented"), "what becomes of it is another by the ledger"),
    (lambda p: carrier(p, becomes=None, who=None, document=None, digest=None, answered_on=None, entries=[]),
     "stays, and of media beside that of record 3 nobody says what becomes"),
    (lambda p: p.update(media=[{"record": 9, "entry": p["proofs"]["closed"]}]), "the record 9 of a medium is not among"),
]  # fmt: skip


def test_a_record_is_of_one_medium_and_what_stays_on_others_is_said_beside_it(ended: Ended) -> None:
    ended.hand_over()
    assert sanitised(ended, T0 - timedelta(days=1)) == 1
    swapped = sanitised(ended)  # on T0: a disk, with all the rows on the others, and our copy still to go
    later = T0 + timedelta(days=2)
    clearing.run(ended.desk, ended.number, as_of=later, actor="ops/wu")
    ended.tell_everybody(media=False)
    assert swapped == 2 and OPEN in refused(ended, later), "our copy went later: it had data on it since"
    number = sanitised(ended, later)
    assert f"media {STORE}: record {number} is of one medium, a.account, " in refused(ended, later)
    assert there(ended, later)[STORE].open, "what a law keeps stays on the others"
    both_say(ended, as_of=later)
    made = ended.certificate(later)
    assert "media" not in made.payload
    (told,) = made.payload["carriers"]
    assert (told["record"], told["becomes"], len(told["entries"])) == (number, "stays", 2)
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert report.problems == []
    assert report.said["sanitised"] == f"{STORE}: record {number} of one medium"
    assert report.said["not sanitised"].startswith(
        f"{STORE}, but for one medium, stays in service with Archive Co"
    )
    text = service_page.page(made)
    assert f"record {number} of one medium" in text and "stays in service with Archive Co" in text
    forged(ended, made.payload, SANITISED)
    p = made.payload
    entries = verify.check_log(p, verify.load_key(ended.pem), [])
    assert [*verify_service_end.check_carriers(p, entries)] == []
    entries[told["entry"]]["body"]["sanitised_on"] = (later - timedelta(days=1)).isoformat()
    assert [*verify_service_end.check_carriers(p, entries)] == [
        f"{STORE}: record {number} is of before the last case that took from it, and it had data on it since"
    ]


def test_a_record_alone_is_enough_where_nothing_stays(ended: Ended) -> None:
    """By the last books; what they are about is another test's."""
    number = sanitised(ended)
    assert there(ended)[STORE].open, "there are no books yet"

    def books(**lines: int) -> None:
        told = [
            {"dataset": d.id, "retained": 0, "pending": 0, **lines} for d in ended.desk.catalogue.datasets
        ]
        with orders.deed(ended.desk, ended.number) as (conn, _):
            orders.say(ended.desk, conn, ended.number, media.BOOKS, T0, "ops/wu", {"lines": told})

    books(retained=1)
    assert there(ended)[STORE].open
    books(pending=1)
    assert there(ended)[STORE].open
    books()
    found = there(ended)[STORE]
    assert not found.open and (found.record and found.record.record_no, found.stays) == (number, ())


@pytest.mark.parametrize(
    ("becomes", "more", "why"),
    [
        (Becomes.STAYS, {"names": []}, "name some of: store:company"),
        (Becomes.STAYS, {"names": ["store:attic"]}, "nothing of the order's is on store:attic"),
        (Becomes.STAYS, {"provider": "Rent-a-disk Co"}, "what is rented has a provider, and nothing else has"),
        (Becomes.STAYS, {"until": T0}, "what is sanitised later has a day by which, and nothing else has"),
        (Becomes.RENTED, {}, "what is rented has a provider, and nothing else has"),
        (Becomes.RENTED, {"provider": " "}, "the provider is missing"),
        (Becomes.RENTED, {"provider": "13812345678"}, "the provider holds a mobile number"),
        (Becomes.LATER, {}, "what is sanitised later has a day by which, and nothing else has"),
        (Becomes.LATER, {"until": T0 - timedelta(days=1)}, "that day is over"),
        (Becomes.STAYS, {"paper": Paper("", "9" * 64)}, "the document number is missing"),
    ],
)  # fmt: skip
def test_a_word_that_cannot_be_is_refused(
    ended: Ended, becomes: Becomes, more: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refused, match=why):
        say(ended, TOLD.approvers[0], becomes, **more)
    assert there(ended)[STORE].open


def test_before_collection_is_closed_nobody_says_what_becomes_of_it(house: Any) -> None:
    from tests.cases.shutdown.test_closing import ready

    number = ready(house)
    with pytest.raises(Refused, match="collection is not closed"):
        media.say(house.desk, number, [STORE], Becomes.STAYS, paper=WORD, as_of=T0, actor=TOLD.approvers[0])


def test_a_word_counts_while_its_day_and_its_custodian_do(ended: Ended) -> None:
    both_say(ended)
    standing = there(ended)[STORE]
    assert standing.word and (standing.word.becomes, standing.word.who) == ("stays", "Archive Co")
    attic = Custodian("Attic Co", "attic@example.com")
    orders.name_custodian(ended.desk, ended.number, attic, paper=PAPER, as_of=T0, actor="legal/zhao")
    assert there(ended)[STORE].open, "it does not stay with whom they said"
    both_say(ended, Becomes.LATER, until=T0 + timedelta(days=3))
    assert not there(ended, T0 + timedelta(days=3))[STORE].open
    assert there(ended, T0 + timedelta(days=4))[STORE].open, "its day is over, and no record says so"
    both_say(ended, Becomes.RENTED, provider="Rent-a-disk Co")
    assert (newest := there(ended)[STORE].word) and (newest.becomes, newest.who) == (
        "rented",
        "Rent-a-disk Co",
    )


def test_a_company_that_names_nobody_keeps_nothing_in_service(
    house: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    from tests.cases.shutdown import ended as shops

    told = replace(TOLD, custodian=None)
    monkeypatch.setattr("tests.cases.shutdown.test_closing.TOLD", told)
    stopped = shops.stop(house, tmp_path)
    with pytest.raises(Refused, match="nobody is named with whom it stays"):
        say(stopped, TOLD.approvers[0])


def test_of_a_service_only_what_carries_its_data_is_asked(ended: Ended) -> None:
    of = ended.desk.catalogue
    sets = (
        BackupSet(
            id="nightly", store="company", tool="dump", region="CN", location="x", keep="P7D", description="n"
        ),
        BackupSet(
            id="elsewhere", store="other", tool="dump", region="CN", location="y", keep="P7D", description="o"
        ),
    )
    keyed = tuple(
        d.model_copy(update={"keys": Keys(id="id", wrapped="b", kek="c")}) if d.id == "u.click" else d
        for d in of.datasets
    )
    more = of.model_copy(update={"backups": sets, "datasets": keyed})
    assert [c.name for c in carriers(more)] == ["backup_set:nightly", "keys:u.click", STORE]
    with ended.desk.book() as conn:
        order = orders.order(conn, ended.number)
    assert [c.name for c in media.of_order(more, order)] == ["backup_set:nightly", "keys:u.click", STORE]
    service = order.model_copy(update={"scope": "service", "services": ["cert"]}) if hasattr(order, "model_copy") else replace(
        order, scope="service", services=["cert"]
    )  # fmt: skip
    assert [c.name for c in media.of_order(more, service)] == ["backup_set:nightly", STORE], "no key of it"


def test_the_whole_log_knows_a_record_that_was_put_right_and_a_newer_word() -> None:
    word = {"what": "media answered for", "media": [STORE], "becomes": "stays", "who": "Archive Co", "until": None,
            "document": "BR-90", "digest": "9" * 64}  # fmt: skip
    newer = {**word, "becomes": "rented", "who": "Rent-a-disk Co"}
    p = {"entry": 50, "carriers": [{"medium": STORE, "record": None, "entries": [10, 11]}]}
    events = {10: {**word, "approver": 1}, 11: {**word, "approver": 2}, 12: {**newer, "approver": 1}}
    assert [*verify_ledger._newer_of_media(p, events, {})] == []
    events[13] = {**newer, "approver": 2}
    assert [*verify_ledger._newer_of_media(p, events, {})] == [
        "store:company: by ledger entry 13 both approvers say something newer of it"
    ]
    p = {"entry": 50, "carriers": [{"medium": STORE, "record": 3, "entries": []}]}
    assert [*verify_ledger._newer_of_media(p, {}, {60: {"corrects": 3}, 40: {"corrects": 2}})] == []
    assert [*verify_ledger._newer_of_media(p, {}, {40: {"corrects": 3}})] == [
        "store:company: ledger entry 40 took the place of record 3"
    ]


def test_on_the_command_line(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = ended.home / "scan.pdf"
    scan.write_bytes(b"they stay where they are")
    who = [TOLD.approvers[0]]
    monkeypatch.setattr(common, "desk", lambda: ended.desk)
    monkeypatch.setattr(common, "today", lambda: T0)
    monkeypatch.setattr(common, "me", lambda role: who[0])

    def run(*words: str) -> tuple[int, str]:
        ran = CliRunner().invoke(command.app, ["media", ended.number, *words], catch_exceptions=False)
        return ran.exit_code, ran.output

    code, text = run()
    assert code == 1 and STORE in text and "open: no record" in " ".join(text.split())
    words = ("--becomes", "rented", "--medium", STORE, "--provider", "Rent-a-disk Co", "--document", "BR-90")
    with pytest.raises(Refused, match="nothing shows it"):
        run(*words)
    code, text = run(*words, "--file", str(scan))
    assert code == 1 and f"waits for {TOLD.approvers[1].partition('/')[0]}" in text
    who[0] = TOLD.approvers[1]
    assert run(*words, "--file", str(scan))[0] == 0
    code, text = run()
    assert code == 0 and "rented Rent-a-disk Co (BR-90)" in " ".join(text.split())
