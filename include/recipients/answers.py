"""Whether an answer is accepted: the nine codes, each with its evidence, for each category (law.md section C).

What is believed depends on the code, the category and who says it, never on how the answer is cut into parts: it is
judged for each category by itself, and put together again only to be told. Nothing is accepted without its evidence;
what the machine cannot tell is for a person. The sender is told why in Chinese, the operator reads it in English; neither
quotes anything of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from include.model.declared import CategoryId
from include.model.notices import Answer, AnswerCode, Judgement, Part
from include.model.policy import Law, Recipient, RecipientRole
from include.model.times import prc_date
from include.recipients import citing

CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True)
class _Verdict:
    accepted: bool
    why: str = ""
    told: str = ""
    for_a_person: bool = False


_YES = _Verdict(True)


def _no(why: str, told: str) -> _Verdict:
    return _Verdict(False, why, told)


def _for_a_person(why: str, told: str) -> _Verdict:
    return _Verdict(False, why, told, for_a_person=True)


@dataclass(frozen=True)
class _Asked:
    """Who answers to what. ``said``: all codes that the answer has for each category."""

    recipient: Recipient
    erase: frozenset[CategoryId]
    preserve: frozenset[CategoryId]
    told_at: datetime | None
    as_of: date
    laws: Sequence[Law]
    said: Mapping[CategoryId, frozenset[AnswerCode]]


def judge(
    recipient: Recipient, notice_categories: Sequence[CategoryId], answer: Answer, *,
    as_of: date, laws: Sequence[Law], preserve: Sequence[CategoryId] = (), told_at: datetime | None = None,
) -> tuple[Judgement, ...]:  # fmt: skip
    """Every part of an answer, judged. A part that fares differently for different categories comes back in pieces.

    ``notice_categories``: what the recipient was told to erase, ``preserve`` what it was told to keep; ``told_at``:
    since when it can know, by the wall clock: when the notice was written, or first tried, not when its receipt came,
    for an attempt that was cut off may have been acted on. Categories of which nothing is said come back as a part
    ``NO_REPLY`` that is not accepted.
    """
    erase, kept = frozenset(notice_categories) - set(preserve), frozenset(preserve)
    said: dict[CategoryId, set[AnswerCode]] = {}
    for part in answer.parts:
        for category in part.categories or sorted(erase | kept):
            said.setdefault(category, set()).add(part.code)
    asked = _Asked(
        recipient, erase, kept, told_at, as_of, laws, {c: frozenset(codes) for c, codes in said.items()}
    )
    judged = [piece for part in answer.parts for piece in _pieces(part, asked)]
    if silent := sorted((erase or kept) - said.keys()):
        judged.append(
            Judgement(
                part=Part(code=AnswerCode.NO_REPLY, categories=tuple(silent)), accepted=False,
                why=f"nothing is said of {', '.join(silent)}: answer for each category of the notice",
                told=f"未就{'、'.join(silent)}作出说明：请对通知所列每一信息种类作答",
            )
        )  # fmt: skip
    return tuple(judged)


def _pieces(part: Part, asked: _Asked) -> Iterable[Judgement]:
    """A part, in as many pieces as it has fates."""
    fates: dict[_Verdict, list[CategoryId]] = {}
    for category in dict.fromkeys(part.categories or sorted(asked.erase | asked.preserve)):
        fates.setdefault(_of_category(part, category, asked), []).append(category)
    for verdict, categories in fates.items():
        yield Judgement(
            part=part.model_copy(update={"categories": tuple(categories)}),
            accepted=verdict.accepted, why=verdict.why, told=verdict.told, for_a_person=verdict.for_a_person,
        )  # fmt: skip


def _of_category(part: Part, category: CategoryId, asked: _Asked) -> _Verdict:
    if category not in asked.erase | asked.preserve:
        return _no(
            "the notice names no such category: answer for those that it names",
            "通知未列该信息种类：请就通知所列种类作答",
        )
    if category in asked.preserve and part.code is AnswerCode.DELETED:
        return _for_a_person(
            f"{category} was to be preserved, and is said to be deleted: tell us at once what is left of it",
            f"{category}依法须予保全，而答复称已删除：请立即告知尚存哪些数据",
        )
    if part.code is AnswerCode.NOTHING_HELD and len(asked.said[category]) > 1:
        return _no(
            "it says that nothing is held, and something else of the same category: say which is so",
            "对同一信息种类既称未持有，又作其他答复：请说明以何者为准",
        )
    if part.code in _STAYS_OPEN:
        return _STAYS_OPEN[part.code]
    return _EVIDENCE[part.code](part, category, asked)


_NOT_THEIRS = _no("that is no answer that a recipient can give", "该答复代码不能由接收方使用")
_STAYS_OPEN: Mapping[AnswerCode, _Verdict] = {
    AnswerCode.PARTIAL: _no(
        "part of it is still there: delete the rest and answer again, or name what keeps it",
        "尚有部分数据留存：请删除其余部分后再次答复，或说明保存的法律依据",
    ),
    AnswerCode.INCOMPLETE: _no(
        "name everybody that it was passed on to, and answer again when they have answered",
        "请列明全部受让方的名称，并待其答复后再次答复",
    ),
    AnswerCode.REJECTED_IDENTITY: _for_a_person(
        "you do not find the person by what we sent; we look again at what you know them by",
        "贵方凭我方所提供的信息未能识别该个人：我方将核对后另行告知",
    ),
    AnswerCode.NO_REPLY: _NOT_THEIRS,
    AnswerCode.UNLINKED: _NOT_THEIRS,
}


def _deleted(part: Part, category: CategoryId, asked: _Asked) -> _Verdict:
    on_chain = asked.recipient.role is RecipientRole.LEDGER
    if on_chain and AnswerCode.CANNOT_ERASE_IMMUTABLE not in asked.said[category]:
        return _no(
            "what is on a chain stays there: say CANNOT_ERASE_IMMUTABLE, and what was deleted beside it",
            "链上数据无法删除：请以CANNOT_ERASE_IMMUTABLE作答，并另行说明已删除的链下数据",
        )
    missing = [
        what
        for what, there in (
            (("how many records", "记录条数"), part.count is not None),
            (("when", "完成时间"), part.at is not None),
            (("by which method", "删除方式"), _given(part.method)),
        )
        if not there
    ]
    if missing:
        return _no(
            f"say {', '.join(en for en, _ in missing)}: a deletion is accepted with count, time and method",
            f"请补充说明{'、'.join(zh for _, zh in missing)}：已删除的答复须载明条数、时间和方式",
        )
    if part.count is not None and part.count < 1:
        return _no(
            "nothing was deleted: say NOTHING_HELD if nothing is there, else what keeps it",
            "删除条数为零：未持有数据的请以NOTHING_HELD作答，仍保存的请说明法律依据",
        )
    if part.at is not None and (untimely := _untimely(part.at, asked)):
        return untimely
    return _passed_on(part, category, asked)


def _untimely(at: datetime, asked: _Asked) -> _Verdict | None:
    """What is wrong with the time of a deletion; nothing if nothing is."""
    try:
        day = prc_date(at)
    except (ValueError, OverflowError):
        return _no("give the time of the deletion with its time zone", "删除时间须注明时区")
    if day > asked.as_of:
        return _no(
            "the time of the deletion is still to come: answer when it is done",
            "所称删除时间尚未到来：请于删除完成后答复",
        )
    if asked.told_at is not None and at < asked.told_at - CLOCKS_DIFFER:
        return _no(
            "the time of the deletion is before our notice: say NOTHING_HELD if it was gone, else delete it now",
            "所称删除时间早于本通知：收到通知时已不持有的请以NOTHING_HELD作答，仍持有的请立即删除",
        )
    return None


def _passed_on(part: Part, category: CategoryId, asked: _Asked) -> _Verdict:
    """Of a body that passes data on, the end is believed only with everybody named who got it."""
    if not asked.recipient.names_partners or (any(map(_given, part.sub_recipients)) and part.complete):
        return _YES
    return _no(
        "name every partner that it was passed on to, and say that these are all",
        "请列明数据的全部受让方（合作机构），并说明名单是否完整",
    )


def _by_law(part: Part, category: CategoryId, asked: _Asked) -> _Verdict:
    if not _given(part.article) or part.until is None:
        return _no(
            "name the article of the law that keeps it, and the last day",
            "请写明据以保存的法律条款和保存的最后一日",
        )
    if part.until <= asked.as_of:
        return _no("the last day is over: delete it now", "所称保存期限已届满：请立即删除")
    found = citing.read(part.article or "", asked.laws, asked.recipient.id, asked.as_of)
    if found.verdict == "counts" and found.until is not None and part.until > found.until:
        return _for_a_person(
            "the last day is later than the cited article reaches; somebody reads it",
            "所称最后一日晚于所引条款可达的期限：我方正在人工核对",
        )
    if found.verdict == "counts":
        return _YES
    return _Verdict(False, found.why, found.told, for_a_person=found.verdict == "person")


def _independent(part: Part, category: CategoryId, asked: _Asked) -> _Verdict:
    if asked.recipient.role not in (RecipientRole.INDEPENDENT, RecipientRole.MIXED):
        return _no(
            "you have it on our behalf, and no mandate of your own: delete it, or name the law that keeps it",
            "贵方系受我方委托处理，并无自身的保存职责：请予删除，或写明据以保存的法律条款",
        )
    if not _given(part.authorisation):
        return _no(
            "name the mandate, or the duty of your own, that keeps it", "请写明据以保存的授权或自身职责依据"
        )
    return _YES


def _dispute(part: Part, category: CategoryId, asked: _Asked) -> _Verdict:
    if _given(part.dispute):
        return _YES
    return _no("give the number of the proceedings that hold it", "请写明据以暂存的争议案号")


def _immutable(part: Part, category: CategoryId, asked: _Asked) -> _Verdict:
    if asked.recipient.role is RecipientRole.LEDGER:
        return _YES
    return _no(
        "only a ledger cannot erase: delete it, or name what keeps it",
        "仅区块链存证方可称链上无法删除：请予删除，或写明据以保存的法律条款",
    )


_EVIDENCE: Mapping[AnswerCode, Callable[[Part, CategoryId, _Asked], _Verdict]] = {
    AnswerCode.DELETED: _deleted,
    AnswerCode.NOTHING_HELD: _passed_on,
    AnswerCode.RETAINED_BY_LAW: _by_law,
    AnswerCode.RETAINED_INDEPENDENT: _independent,
    AnswerCode.HELD_DISPUTE: _dispute,
    AnswerCode.CANNOT_ERASE_IMMUTABLE: _immutable,
}
"""What a code that ends the matter must come with to be believed."""


def _given(text: str | None) -> bool:
    return bool(text and text.strip())
