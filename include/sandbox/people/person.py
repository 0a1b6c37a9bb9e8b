"""Who somebody is, and what befell them: drawn from a seed and a position."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from include.sandbox.people import values

TERM = 365  # days that a certificate is valid


@dataclass(frozen=True)
class Chain:
    """A certificate and its renewals. Days are counted from today; what is past is negative."""

    length: int
    ends: int  # notAfter of the last certificate
    revoked: int | None = None  # when the last one was revoked


@dataclass(frozen=True)
class Person:
    """Somebody. Of an enterprise: who handles its account, and the firm itself."""

    number: int  # the position in the sandbox
    account_id: str
    kind: str  # person, enterprise, sole_trader
    name: str
    female: bool
    born: date
    document_no: str
    mobile: str
    email: str
    user_name: str
    address: str
    ethnicity: str
    firm: str  # its name, if it is one
    credit_code: str
    since: int  # days since the registration, at least
    chains: tuple[Chain, ...] = ()
    refused: int | None = None  # days since an application that came to nothing
    full: bool = False  # has rows wherever somebody can have them
    bare: bool = False  # an account and nothing else
    left: int | None = None  # days since the cancellation
    guarded: bool | None = None  # of a minor: whether a guardian consented
    in_arbitration: bool = False
    represented_by: int | None = (
        None  # of a firm: the customer who is its legal representative and its handler
    )
    signs_with: int | None = None  # the other party of a contract that this one began
    old_mobile: str | None = None
    old_email: str | None = None

    @property
    def is_firm(self) -> bool:
        return self.kind != "person"

    def age(self, today: date) -> int:
        """In whole years."""
        return today.year - self.born.year - ((today.month, today.day) < (self.born.month, self.born.day))


def source(seed: int, number: int, what: str) -> Random:
    """Chance for one purpose of one person: another purpose or person moves nobody else's values."""
    return Random(f"{seed}/{number}/{what}")


def account_id(seed: int, number: int) -> str:
    return values.account_id(source(seed, number, "account id"))


def draw(seed: int, number: int, today: date) -> Person:
    """Somebody at random: nine of ten are natural persons, the others firms."""
    r = source(seed, number, "who")
    kind = r.choices(("person", "enterprise", "sole_trader"), (90, 8, 2))[0]
    minor = kind == "person" and r.random() < 0.01
    born = today - timedelta(
        days=r.randrange(10 * 365, 17 * 365) if minor else r.randrange(19 * 366, 76 * 365)
    )
    female = r.random() < 0.5
    user = f"{r.choice(('u', 'ca', 'sign', 'hi'))}{values.hexed(r, 3)}{number}"
    home = values.address(r)
    left = r.randrange(20, 900) if not minor and r.random() < 0.03 else None
    chains = () if minor else _chains(r)
    if left is not None:  # the last certificate was revoked with the account
        chains = (Chain(1, r.randrange(10, 300) - left, revoked=-left),)
    return Person(
        number=number,
        account_id=account_id(seed, number),
        kind=kind,
        name=values.full_name(r, female),
        female=female,
        born=born,
        document_no=values.resident_id(r, born, female),
        mobile=values.mobile(seed, 2 * number),
        email=f"{user}@{r.choice(('mail', 'post', 'inbox'))}.example",
        user_name=user,
        address=home,
        ethnicity=r.choice(values.ETHNICITIES),
        firm=values.company_name(r, values.region(home)[:-1]),
        credit_code=values.credit_code(r),
        since=r.randrange(30, 2200),
        chains=chains,
        refused=r.randrange(5, 700) if left is None and r.random() < 0.05 else None,
        left=left,
        guarded=r.random() < 0.7 if minor else None,
        in_arbitration=r.random() < 0.003,
        signs_with=number + 1 if r.random() < 0.3 else None,
        old_mobile=values.mobile(seed, 2 * number + 1) if r.random() < 0.1 else None,
        old_email=f"old.{user}@mail.example" if r.random() < 0.05 else None,
    )


def _chains(r: Random) -> tuple[Chain, ...]:
    """Half live, some ended within five years, some before, some revoked, some never had any."""
    how, length = r.random(), r.choice((1, 1, 2, 3))
    if how < 0.5:
        live = Chain(length, r.randrange(10, 360))
        # A second certificate, of another kind, that ended long ago.
        return (live, Chain(1, -r.randrange(400, 2500))) if r.random() < 0.1 else (live,)
    if how < 0.72:
        return (Chain(length, -r.randrange(1, 5 * 365 - 5)),)
    if how < 0.84:
        return (Chain(length, -r.randrange(5 * 366 + 5, 9 * 365)),)
    if how < 0.9:
        return (Chain(length, r.randrange(10, 200), revoked=-r.randrange(1, 100)),)
    return ()


def like(person: Person, **changes: object) -> Person:
    """The same person but for these."""
    return replace(person, **changes)  # type: ignore[arg-type]
