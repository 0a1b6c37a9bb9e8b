"""A plan in plain words, Chinese and English: what goes, what stays, on which law, until when, and why.

For support staff and for the letter. Numbers, names of datasets and laws only.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal

from include.cases.planner import GIVEN_AGAIN
from include.model.catalogue import Catalogue
from include.model.flow import Line, Plan
from include.model.words import CopyKind, Disposition

Language = Literal["zh", "en"]

_COPY = {
    CopyKind.LIVE: ("", ""),
    CopyKind.REPLICA: ("副本中的", " in replicas"),
    CopyKind.OBJECT_VERSION: ("历史版本中的", " in object versions"),
    CopyKind.BACKUP_SET: ("备份中的", " in backups"),
    CopyKind.WAL_ARCHIVE: ("日志归档中的", " in the WAL archive"),
    CopyKind.RECIPIENT: ("接收方处的", " at recipients"),
}


def sentence(line: Line, language: Language = "zh", *, gone: date | None = None) -> str:
    """One line of a plan as one sentence. ``gone``: the day on which it was done; None: it is still to be."""
    return _zh(line, gone) if language == "zh" else _en(line, gone)


def whole(plan: Plan, catalogue: Catalogue, language: Language = "zh") -> str:
    """The whole plan, what goes first, then what stays."""
    going = [x for x in plan.lines if x.disposition.changes_data]
    staying = [x for x in plan.lines if not x.disposition.changes_data]
    heads = ("将被处理", "将予保留") if language == "zh" else ("Will go", "Will stay")
    parts = []
    for head, lines in zip(heads, (going, staying), strict=True):
        parts.append(f"{head} ({sum(x.items for x in lines)})")
        parts += [f"  {catalogue.dataset(x.dataset).title}: {sentence(x, language)}" for x in lines]
    return "\n".join(parts)


def _goes_on(until: date) -> date:
    return until + timedelta(days=1)


_GOING_ZH = {
    Disposition.ERASE: "将被删除",
    Disposition.DEIDENTIFY: "将被去标识化,余下部分仍属个人信息",
    Disposition.ANONYMISE: "将被匿名化",
    Disposition.UNLINK: "属于他人或须保存,仅切断与本人的关联",
    Disposition.TRANSFER: "将移交承接机构",
}
_GONE_ZH = {
    Disposition.ERASE: "已删除",
    Disposition.DEIDENTIFY: "已去标识化,余下部分仍属个人信息",
    Disposition.ANONYMISE: "已匿名化",
    Disposition.UNLINK: "属于他人或须保存,已切断与本人的关联",
    Disposition.TRANSFER: "已移交承接机构",
}
_GONE_EN = {
    Disposition.ERASE: "erased",
    Disposition.DEIDENTIFY: "de-identified, and what is left is personal data still",
    Disposition.ANONYMISE: "anonymised",
    Disposition.UNLINK: "unlinked: others' or to stay, only the link to this person was cut",
    Disposition.TRANSFER: "transferred to the successor",
}
_GOING_EN = {
    Disposition.ERASE: "will be erased",
    Disposition.DEIDENTIFY: "will be de-identified; what is left is personal data still",
    Disposition.ANONYMISE: "will be anonymised",
    Disposition.UNLINK: "belong to others or must stay: only the link to this person is cut",
    Disposition.TRANSFER: "will be transferred to the successor",
}


def waited_for(line: Line) -> str:
    """What a clock that has not started waits for; the name of a starting point is read as its words."""
    return (line.waits_for or "").replace("_", " ")


def _zh(line: Line, gone: date | None) -> str:
    what = f"{_COPY[line.copy_kind][0]}{line.items} 项"
    why = f"(规则 {line.rule};{line.law})"
    if line.disposition in _GOING_ZH:
        rest = f",{_rest_zh(line)}" if line.disposition is Disposition.DEIDENTIFY else ""
        went = (
            _GOING_ZH[line.disposition]
            if gone is None
            else f"于 {gone.isoformat()} {_GONE_ZH[line.disposition]}"
        )
        return f"{what}{went}{rest}{why}。"
    if line.disposition is Disposition.HOLD:
        return f"{what}因保全令 {line.hold} 暂不处理({line.law});解除后按原规则处理。"
    if line.not_reached and line.law == GIVEN_AGAIN:
        return f"{what}未删除:您已重新同意,我们据此继续处理({line.law})。"
    if line.not_reached:
        return f"{what}不在本次请求范围内,由我们依与您的合同或依其他来源继续处理({line.law})。"
    if line.until is not None:
        last, goes = line.until.isoformat(), _goes_on(line.until).isoformat()
        return f"{what}停止使用,仅作存储,依法保存至 {last}{why},{goes} 删除。"
    return f"{what}停止使用,仅作存储;保存期尚未起算,等待:{waited_for(line)}{why}。"


def _rest_zh(line: Line) -> str:
    """Until when what is left of cut rows stays."""
    if line.until is None:
        return f"待{waited_for(line)}" if line.waits_for else "待仍需其存在的记录删除时一并删除"
    return f"保存至 {line.until.isoformat()},{_goes_on(line.until).isoformat()} 删除"


def _rest_en(line: Line) -> str:
    if line.until is None:
        return (
            f"waiting for {waited_for(line)}" if line.waits_for else "and goes with the records that need it"
        )
    return f"kept until {line.until.isoformat()} and gone on {_goes_on(line.until).isoformat()}"


def _en(line: Line, gone: date | None) -> str:
    what = f"{line.items} {'item' if line.items == 1 else 'items'}{_COPY[line.copy_kind][1]}"
    why = f"(rule {line.rule}; {line.law})"
    if line.disposition in _GOING_EN:
        rest = f", {_rest_en(line)}" if line.disposition is Disposition.DEIDENTIFY else ""
        was = "was" if line.items == 1 else "were"
        went = _GOING_EN[line.disposition] if gone is None else f"{was} {_GONE_EN[line.disposition]}"
        on = "" if gone is None else f", on {gone.isoformat()}"
        return f"{what} {went}{rest}{on} {why}."
    if line.disposition is Disposition.HOLD:
        return f"{what} wait for the release of {line.hold} ({line.law}), then follow their rule."
    if line.not_reached and line.law == GIVEN_AGAIN:
        return f"{what} stay: the consent was given again, and we go on by it ({line.law})."
    if line.not_reached:
        return (
            f"{what} are none that the request reaches: we go on with them by our own contract, or have them from "
            f"elsewhere ({line.law})."
        )
    if line.until is not None:
        last, goes = line.until.isoformat(), _goes_on(line.until).isoformat()
        return (
            f"{what} are no longer used, only stored, until {last} as the law demands {why}; gone on {goes}."
        )
    return (
        f"{what} are no longer used, only stored: their period has not started and waits for "
        f"{waited_for(line)} {why}."
    )
