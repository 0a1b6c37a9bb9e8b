"""What the endpoints' desks count, and where: with several workers of an API server as with one."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
from quietus_recipients import house
from quietus_recipients.limits import IN_ALL, Allowance, Allowances
from quietus_recipients.saying import Said

from include.cases import book


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_what_all_may_send_together_is_divided_by_a_servers_workers(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__WORKERS", str(workers))
    taken = sum(at_once(house._share_of_all()) for _ in range(workers))
    assert IN_ALL[1] <= taken <= IN_ALL[1] * 1.1, "what fills again while it is counted is a few"


def at_once(allowance: Allowance) -> int:
    for n in range(1000):
        try:
            allowance.take()
        except Said:
            return n
    raise AssertionError("it has no end")


@pytest.mark.postgres
def test_what_one_sender_may_send_is_one_allowance_for_all_workers(
    writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "desk", lambda: SimpleNamespace(book=lambda: book.connect(writer)))
    workers = [Allowances(partial(house._spend, "recipient"), 0.01, 5.0) for _ in range(2)]
    for n in range(5):
        workers[n % 2].take("sms")
    for worker in workers:
        with pytest.raises(Said) as refused:
            worker.take("sms")
        assert refused.value.status == 429 and int(refused.value.headers["Retry-After"]) > 60
    workers[0].take("other")
