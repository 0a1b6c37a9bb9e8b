"""The steps of what is done once a year. Each is red for itself, and keeps no other from its work."""

from __future__ import annotations

from quietus_console.work import desk, now, step, today

from include.cases.yearly import destruction_list, ledger_keys, retesting


@step(pool="proofs")
def try_anonymised_sets_again() -> str:
    """Measure and attack every set that is called anonymous; red if somebody is found, or if it could not be tried."""
    return retesting.nobody_is_found(retesting.retest_all(desk(), as_of=today()))


@step
def destroy_keys_whose_time_has_come() -> str:
    """Of closed cases past both periods of RS-24, and versions that no tombstone needs; red while one of them is left."""
    return ledger_keys.nothing_is_left(ledger_keys.destroy_due(desk(), **now()))


@step
def list_what_was_destroyed() -> str:
    """The permanent list of the last year, and of each that was missed; red if the book gives another than was said before."""
    return "; ".join(map(str, destruction_list.say(desk(), as_of=today())))
