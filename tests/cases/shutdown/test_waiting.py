"""What waits when a service ends: by whose rows clocks start of something that is not gone here."""

from __future__ import annotations

from collections import Counter

from include.cases.shutdown.waiting import waiting
from include.catalogue import load
from include.model.words import Disposition

ITRUS = load()
EVERY = {d.id for d in ITRUS.datasets}


def here(**more: Counter[Disposition]) -> dict[str, Counter[Disposition]]:
    """Everything goes, but for these."""
    return {d: Counter({Disposition.ERASE: 1}) for d in EVERY} | more


def test_nothing_waits_where_nothing_stays() -> None:
    assert waiting(ITRUS, EVERY, here()) == {}


def test_a_contracts_party_waits_for_the_anchor_that_counts_by_it() -> None:
    anchor = here() | {"sign.chain_anchor": Counter({Disposition.TRANSFER: 1})}
    waits = waiting(ITRUS, EVERY, anchor)
    assert waits.keys() == {"sign.chain_anchor", "sign.contract_party", "sign.signature", "cert.certificate"}
    assert waits["sign.chain_anchor"] == "1 of it go to the successor first"
    assert (
        waits["sign.contract_party"]
        == "clocks of sign.chain_anchor start by its rows, and that is not gone here"
    )


def test_what_stays_by_law_or_hold_keeps_the_rows_that_start_its_clock() -> None:
    for stays in (Disposition.RETAIN, Disposition.HOLD):
        crl = here() | {"cert.crl_entry": Counter({stays: 1})}
        assert waiting(ITRUS, EVERY, crl).keys() == {"cert.certificate"}


def test_what_could_not_be_asked_waits_and_so_does_what_it_may_hang_on() -> None:
    unasked = here()
    del unasked["cert.crl_entry"]
    assert waiting(ITRUS, EVERY, unasked).keys() == {"cert.crl_entry", "cert.certificate"}


def test_an_order_about_a_service_spares_the_clocks_of_others() -> None:
    ours = {"cert.certificate"}
    assert waiting(ITRUS, ours, {"cert.certificate": Counter({Disposition.ERASE: 1})}).keys() == ours


def test_what_stays_as_a_whole_waits_for_nothing_that_hangs_on_its_rows() -> None:
    """Vouchers of purchases that stay, too: whatever they need would wait with them, and be cut by nobody."""
    stay = {d: Counter({Disposition.RETAIN: 1}) for d in ("billing.purchase", "billing.voucher")}
    assert waiting(ITRUS, EVERY, here() | stay) == {}
    some = {"billing.voucher": Counter({Disposition.RETAIN: 1, Disposition.ERASE: 1})}
    assert waiting(ITRUS, EVERY, here() | stay | some).keys() == {"billing.voucher"}
