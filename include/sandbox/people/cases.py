"""The hard cases: people whom a careless deletion would get wrong. Their positions are the sandbox's first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from include.sandbox.people import values
from include.sandbox.people.person import Chain, Person, account_id, draw, like, source

LIVE = (Chain(1, 300),)
_SHARED_LINES = 50_000_000  # orders of phone numbers that nobody's position leads to

Case = Callable[[Person, int, date], Person]


def _plain(p: Person, **more: object) -> Person:
    """A natural person, of age, with a live certificate and nothing special."""
    ordinary: dict[str, object] = {
        "kind": "person", "chains": LIVE, "refused": None, "left": None, "guarded": None, "in_arbitration": False,
        "signs_with": None, "old_mobile": None, "old_email": None,
    }  # fmt: skip
    return like(p, **(ordinary | more))


def _grown(p: Person, seed: int, today: date, **more: object) -> Person:
    """As ``_plain``, also where chance drew a minor."""
    return _aged(_plain(p, **more), p.age(today) if p.age(today) >= 18 else 40, seed, today)


def _aged(p: Person, years: int, seed: int, today: date) -> Person:
    """Of that age, with an ID number that says so."""
    born = p.born if p.age(today) == years else today - timedelta(days=years * 365 + years // 4 + 40)
    return like(p, born=born, document_no=values.resident_id(source(seed, p.number, "age"), born, p.female))


def _case(**more: object) -> Case:
    return lambda p, seed, today: _grown(p, seed, today, **more)


def _minor(years: int, **more: object) -> Case:
    return lambda p, seed, today: _aged(_plain(p, chains=(), **more), years, seed, today)


def _with_line(line: int, column: str) -> Case:
    return lambda p, seed, today: _grown(
        p, seed, today, **{column: values.mobile(seed, _SHARED_LINES + line)}
    )


ORDER = (
    "ordinary", "neighbour", "cosigner", "minor_with_consent", "minor_without_consent", "chain",
    "expired_last_month", "expired_six_years", "arbitration", "same_phone_a", "same_phone_b", "recycled_phone_old",
    "recycled_phone_new", "enterprise", "representative", "namesake_a", "namesake_b", "cancelled", "sole_trader",
    "no_certificate", "bare", "minor_of_16",
)  # fmt: skip


def number(case: str) -> int:
    """The position of a hard case."""
    return ORDER.index(case)


CASES: dict[str, Case] = {
    # Everything that somebody can have, a chain of three, a contract with the cosigner, contact data that changed.
    "ordinary": lambda p, seed, today: _grown(
        p, seed, today, full=True, chains=(Chain(3, 250),), refused=90, signs_with=number("cosigner"),
        old_mobile=values.mobile(seed, 2 * p.number + 1), old_email=f"old.{p.email}",
    ),
    "neighbour": _case(full=True),
    "cosigner": _case(),
    "minor_with_consent": _minor(13, guarded=True),
    "minor_without_consent": _minor(12, guarded=False),
    "chain": _case(chains=(Chain(4, 300),)),
    "expired_last_month": _case(chains=(Chain(2, -30),)),
    "expired_six_years": _case(chains=(Chain(2, -6 * 366),)),
    # About a loan whose contract was signed here.
    "arbitration": _case(in_arbitration=True, signs_with=number("cosigner")),
    # Two people with one phone; and a number that the carrier gave to somebody else.
    "same_phone_a": _with_line(1, "mobile"),
    "same_phone_b": _with_line(1, "mobile"),
    "recycled_phone_old": _with_line(2, "old_mobile"),
    "recycled_phone_new": _with_line(2, "mobile"),
    "enterprise": _case(kind="enterprise", full=True, represented_by=number("representative")),
    # A customer in her own right, and the legal representative and handler of another firm.
    "representative": _case(),
    "namesake_a": _case(name="王伟", female=False),
    "namesake_b": _case(name="王伟", female=False),
    "cancelled": _case(left=40, chains=(Chain(1, 200, revoked=-40),)),
    "sole_trader": _case(kind="sole_trader"),
    "no_certificate": _case(chains=(), refused=200),
    "bare": _case(chains=(), bare=True),
    # Of the age for which the policy wants a guardian's consent (8.1) and the law no rules of its own (PIPL 31).
    "minor_of_16": _minor(16, guarded=False),
}  # fmt: skip


def hard_cases(seed: int) -> dict[str, str]:
    """Name of each hard case -> its opaque account id."""
    return {name: account_id(seed, n) for n, name in enumerate(ORDER)}


def person(seed: int, n: int, today: date) -> Person:
    """Who is at a position: a hard case, or somebody drawn."""
    drawn = draw(seed, n, today)
    return CASES[ORDER[n]](drawn, seed, today) if n < len(ORDER) else drawn


def grown_up(seed: int, n: int, today: date) -> Person:
    """Somebody drawn, of age, with a live certificate and nothing special."""
    return _grown(draw(seed, n, today), seed, today)
