"""Who the bodies are, and the ways in which one can behave."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from ruamel.yaml import YAML

from include.model.errors import Refused

BODIES = Path(__file__).with_name("recipients.yaml")


class Door(StrEnum):
    """How a body is told."""

    OPENDSR = "opendsr"
    MAIL = "mail"
    PERSON = "person"  # nothing of it listens


class Manner(StrEnum):
    """How a body talks, whatever it says."""

    PROMPT = "prompt"
    SLOW = "slow"  # takes its time; says that it is at work from half of it on
    FLAKY = "flaky"  # every other time: 503, 429 with Retry-After, or hung up after it had understood
    SILENT = "silent"  # takes everything and never ends
    WRONGLY_SIGNED = "wrongly_signed"  # with a key that is not the one of its certificate
    UNSIGNED = "unsigned"
    CLOSING = "closing"  # understands, and hangs up in the middle of its answer
    REDIRECTING = "redirecting"  # sends whoever asks to another place
    HTML = "html"  # a page for people, with status 200


class Stance(StrEnum):
    """What a body does with a notice, and answers."""

    ERASING = "erasing"  # deletes what it was given, and says how much
    RETAINING = "retaining"  # keeps some by a law until a date, deletes the rest
    INDEPENDENT = "independent"  # keeps by its own mandate
    PARTIAL = "partial"  # deletes some, cannot yet delete the rest
    INCOMPLETE = "incomplete"  # deletes, but does not know to whom it all passed the data on
    LYING = "lying"  # says DELETED, and deletes nothing
    CHAIN = "chain"  # cannot erase
    DISPUTING = "disputing"  # needs it in proceedings
    STRANGER = "stranger"  # says that it cannot tell who is meant
    BARE = "bare"  # deletes, and says neither how much nor when nor how
    LAWLESS = "lawless"  # keeps by law, and names neither article nor date
    WORDLESS = "wordless"  # completes, without an answer


@dataclass(frozen=True)
class Keeps:
    """What a body keeps by law: ``categories`` (none: all) for so many months after they were sent to it."""

    article: str
    months: int
    categories: tuple[str, ...] = ()


LOGS = Keeps("网络安全法 23(3)", 6)
"""What one cites that keeps nothing by default and is made to."""


@dataclass(frozen=True)
class Body:
    """One of the other companies, as it is when nobody told it to behave otherwise."""

    id: str
    name: str
    role: str
    door: Door
    signs: str = "ec"
    manner: Manner = Manner.PROMPT
    stance: Stance = Stance.ERASING
    keeps: Keeps = LOGS
    mandate: str = "本单位依其职责独立保存"
    partners: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """Of nobody: ``.example`` is kept free for that. A name in it has no underscore."""
        return f"{self.id.replace('_', '-')}.example"

    @property
    def address(self) -> str:
        return f"privacy@{self.domain}"


def way(name: str) -> Door | Manner | Stance:
    """A way to behave by its name. Raises Refused for one that there is not."""
    for kind in (Door, Manner, Stance):
        if name in list(kind):
            return kind(name)
    known = [*Manner, *Stance, *Door]
    raise Refused("there is no such way to behave", about=name, next_step=f"choose of {', '.join(known)}")


@cache
def bodies() -> dict[str, Body]:
    """All of them by id, in the order of the file."""
    found = {}
    for entry in YAML(typ="safe").load(BODIES.read_text("utf-8")):
        said = dict(entry)
        for name, kind in (("door", Door), ("manner", Manner), ("stance", Stance)):
            if name in said:
                said[name] = kind(said[name])
        if "keeps" in said:
            keeps = said["keeps"]
            said["keeps"] = Keeps(keeps["article"], keeps["months"], tuple(keeps.get("categories", ())))
        said["partners"] = tuple(said.get("partners", ()))
        found[said["id"]] = Body(**said)
    return found


def by_domain(domain: str) -> Body | None:
    return next((b for b in bodies().values() if b.domain == domain.lower()), None)
