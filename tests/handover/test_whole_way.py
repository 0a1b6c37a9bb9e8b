"""Rows go to a successor on another PostgreSQL, and both sides compute the same root."""

from __future__ import annotations

from tests.handover.both import Both


def test_every_row_that_the_law_binds_arrives_and_is_signed_for(both: Both) -> None:
    out = both.pack()
    assert not out.left, out.left
    assert sorted(both.send()) == sorted(out.made)
    got = both.receive()
    assert not got.refused, got.refused
    print([(b.name, b.statement.items, b.stays) for b in both.bags()])
    assert not both.reconciled()
    for name in out.made:
        both.verify(name)
    assert both.reconciled()
