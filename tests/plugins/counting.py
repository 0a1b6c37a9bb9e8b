"""Allowances counted here, for tests of an endpoint without a case book."""

from __future__ import annotations

from quietus_recipients.limits import Allowance, Allowances
from quietus_recipients.saying import Said


def counted(per_second: float = 1e6, burst: float = 1e6) -> Allowances:
    kept: dict[str, Allowance] = {}

    def spend(sender: str, rate: float, at_once: float) -> int:
        try:
            kept.setdefault(sender, Allowance(rate, at_once)).take()
        except Said as said:
            return int(said.headers["Retry-After"])
        return 0

    return Allowances(spend, per_second, burst)
