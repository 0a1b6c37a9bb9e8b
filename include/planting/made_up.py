"""Values that look like a person's, and names of tables and columns: by dice, so that no proof can know them."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping

_AREAS = ("110101", "310104", "440305", "510107", "330106")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_OPAQUE = "0123456789abcdefghjkmnpqrstvwxyz"  # of account ids, as in include/model/screening.py


def dice_of(*words: str) -> random.Random:
    """The dice of a seed and of what it is for: the same words, the same throws."""
    return random.Random(" ".join(words))  # noqa: S311  nobody guesses a seed of 128 bits


def word(dice: random.Random, length: int = 12) -> str:
    """A name for a table, column, schema or bucket. Long enough that no two nights share one."""
    return "".join(dice.choices(string.ascii_lowercase, k=length))


def account(dice: random.Random) -> str:
    """An opaque account id, of nobody."""
    return "acct_" + "".join(dice.choices(_OPAQUE, k=12))


def mobile(dice: random.Random) -> str:
    return f"1{dice.choice('35789')}{dice.randrange(10**9):09}"


def email(dice: random.Random) -> str:
    return f"{word(dice, 10)}@{word(dice, 8)}.example"


def passport(dice: random.Random) -> str:
    return f"E{dice.randrange(10**8):08}"


def document_no(dice: random.Random) -> str:
    """A resident ID number with a right check digit (GB 11643)."""
    born = f"{dice.randint(1960, 2005)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
    body = f"{dice.choice(_AREAS)}{born}{dice.randrange(1000):03}"
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, _WEIGHTS, strict=True)) % 11]


FORMS: Mapping[str, Callable[[random.Random], str]] = {
    "mobile": mobile, "email": email, "passport": passport, "document_no": document_no,
}  # fmt: skip


def value(dice: random.Random) -> str:
    """An identifier of some form."""
    return FORMS[dice.choice(sorted(FORMS))](dice)


def neighbours(dice: random.Random, of: str, n: int) -> list[str]:
    """Other people's values, some of them nearly the same: another character, or a number that is longer by one digit.
    (A longer word is no neighbour: the bytes of a page show no borders of words.)"""
    close = [f"{of[:-2]}{(int(of[-2], 36) + 1) % 10}{of[-1]}"]
    if of[-1].isdigit():
        close.append(f"{of}{dice.randrange(10)}")
    if of[0].isdigit():
        close.append(f"7{of}")
    return [close[i] if i < len(close) else value(dice) for i in range(n)]


def prose(dice: random.Random, words: int, holding: str) -> str:
    """Text that compresses, with a value in it of which all parts stood before, so that a compressor refers to them and
    no byte of the file shows it whole."""
    stems = [word(dice, 5) for _ in range(60)]
    said = [dice.choice(stems) for _ in range(words)]
    for n in range(0, len(holding), 4):
        said.insert(words // 4 + n, holding[n : n + 4])
    said.insert(3 * words // 4, holding)
    return " ".join(said)
