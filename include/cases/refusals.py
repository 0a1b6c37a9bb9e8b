"""The only eight ways to say no (policy 11.4), and what a no must carry.

A refusal is a legal act: one of eight grounds, the article it rests on, reasons for the person, the smallest
scope that the ground covers, and a second reviewer (PIPL 50; law.md E row 7, F7, F8). That something is
technically hard is no ground: then processing stops but for storage and protection (PIPL 47 para. 2, F4).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from include.model.errors import Refused


class RefusalGround(StrEnum):
    """Policy 11.4 (1) to (8)."""

    LEGAL_DUTY = "11.4(1)"
    NATIONAL_SECURITY = "11.4(2)"
    PUBLIC_INTEREST = "11.4(3)"
    CRIMINAL_PROCESS = "11.4(4)"
    BAD_FAITH = "11.4(5)"
    VITAL_INTERESTS = "11.4(6)"
    HARM_TO_OTHERS = "11.4(7)"
    TRADE_SECRETS = "11.4(8)"

    @property
    def must_be_partial(self) -> bool:
        """Grounds that may not cover everything: they have no footing of their own in PIPL (F8)."""
        return self in (RefusalGround.TRADE_SECRETS, RefusalGround.HARM_TO_OTHERS)


TECHNICAL_DIFFICULTY = "technical_difficulty"
EVERYTHING = "everything"

REMEDIES_ZH = (
    "您可以向消费者权益保护部门或个人信息保护主管部门投诉、举报,也可以依法向有管辖权的人民法院提起诉讼。"
)
REMEDIES_EN = (
    "You may complain to the consumer protection or personal information protection authority, "
    "or sue in the competent people's court."
)


@dataclass(frozen=True)
class Refusal:
    """A complete refusal. ``scope``: ``everything``, or categories and datasets."""

    ground: RefusalGround
    article: str
    reasons: str
    scope: tuple[str, ...]
    reviewer: str
    second_reviewer: str


def refusal(
    *,
    ground: str,
    article: str,
    reasons: str,
    scope: tuple[str, ...],
    reviewer: str,
    second_reviewer: str,
    requester: str,
) -> Refusal:
    """Check an intended refusal and return it. Raises Refused naming what is missing."""
    if ground == TECHNICAL_DIFFICULTY:
        raise Refused(
            "technical difficulty is no ground to refuse",
            about="refusal",
            next_step="approve: what cannot be deleted yet is restricted (PIPL 47 para. 2)",
        )
    try:
        code = RefusalGround(ground)
    except ValueError:
        raise Refused(
            "a refusal needs one of the eight grounds of policy 11.4",
            about="refusal",
            next_step="give " + ", ".join(g.value for g in RefusalGround),
        ) from None
    for name, given in (("article", article), ("reasons", reasons), ("second reviewer", second_reviewer)):
        if not given.strip():
            raise Refused(
                f"a refusal without {name} is not valid (PIPL 50)",
                about="refusal",
                next_step=f"give the {name}",
            )
    if not scope:
        raise Refused(
            "a refusal must name its scope", about="refusal", next_step="name categories or datasets"
        )
    if code.must_be_partial and EVERYTHING in scope:
        raise Refused(
            f"{code.value} can never cover everything",
            about="refusal",
            next_step="name the categories or datasets concerned and approve the rest",
        )
    if len({reviewer, second_reviewer, requester}) < 3:
        raise Refused(
            "reviewer, second reviewer and requester must be three different people",
            about="refusal",
            next_step="have another person review it",
        )
    return Refusal(code, article.strip(), reasons.strip(), scope, reviewer, second_reviewer)
