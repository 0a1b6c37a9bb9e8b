"""The catalogue's fixed words in Chinese and English, for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from include.catalogue.coverage import Standing
from include.model.policy import NoControl, Period
from include.model.times import Counting
from include.model.versions import Former
from include.model.words import LegalRank, Ownership

Language = Literal["zh", "en"]
Words = tuple[str, str]  # Chinese, English

_UNITS: tuple[tuple[str, str, str, str], ...] = (
    ("Y", "年", "year", ""), ("M", "个月", "month", ""), ("W", "周", "week", ""), ("D", "日", "day", ""),
    ("H", "小时", "hour", "T"), ("M", "分钟", "minute", "T"),
)  # fmt: skip

COUNTING: dict[Counting, Words] = {
    Counting.CALENDAR: ("", ""),
    Counting.PRC_WORKING_DAYS: ("(中国工作日)", " (PRC working days)"),
    Counting.FISCAL_YEARS: ("(自会计年度终了起算)", " (from the end of the fiscal year)"),
}

RANK: dict[LegalRank, Words] = {
    LegalRank.LAW: ("法律", "law"),
    LegalRank.ADMINISTRATIVE_REGULATION: ("行政法规", "administrative regulation"),
    LegalRank.DELEGATED: ("授权制定的规则", "rule under a statute's delegation"),
    LegalRank.DEPARTMENTAL_RULE: ("部门规章等", "departmental rule"),
    LegalRank.STANDARD: ("标准", "standard"),
    LegalRank.CONTRACT: ("合同", "contract"),
    LegalRank.POLICY: ("本政策", "policy"),
    LegalRank.COMPANY: ("公司规定", "company"),
}

OWNERSHIP: dict[Ownership, Words] = {
    Ownership.SOLE: ("属于本人,随本人删除", "theirs alone: goes with them"),
    Ownership.SHARED: ("共有,随最后一名所有人删除", "shared: goes with its last owner"),
    Ownership.ACCESS_ONLY: ("属于他人,仅切断关联", "somebody else's: only the link is cut"),
}

AT_END: dict[str, Words] = {
    "erase": ("删除", "erased"),
    "deidentify": ("去标识化（仍属个人信息）", "de-identified, and personal still"),
    "unlink": ("切断关联", "unlinked"),
    "transfer": ("移交承接机构,然后删除", "transferred to the successor, then erased"),
    "expire": ("到期失效", "left to expire"),
}

STANDING: dict[Standing, Words] = {
    Standing.KEPT: ("已由系统控制履行", "kept by controls"),
    Standing.PARTLY: ("部分履行", "kept in part"),
    Standing.OPEN: ("尚未履行", "not kept yet"),
    Standing.OUTSIDE: ("不由系统控制履行", "no system control applies"),
}

REASON: dict[NoControl, Words] = {
    NoControl.DEFINITION: ("仅为定义或说明", "it defines or informs, and promises nothing"),
    NoControl.HUMAN_PROCEDURE: ("由人工程序履行", "people keep it"),
    NoControl.OTHER_SYSTEM: ("由公司其他系统履行", "another system of the company keeps it"),
    NoControl.NEVER_EXPECTED: ("公司不使用的许可", "a permission that the company does not use"),
}


def pick(words: Words, language: Language) -> str:
    return words[0] if language == "zh" else words[1]


def length(duration: str, language: Language) -> str:
    """``P5Y`` is "5 年" or "5 years"; ``P0D`` is "at once"."""
    day, _, time = duration.removeprefix("P").partition("T")
    parts = []
    for unit, zh, en, where in _UNITS:
        found = re.search(rf"(\d+){unit}", time if where else day)
        n = int(found.group(1)) if found else 0
        if n:
            parts.append(f"{n} {zh}" if language == "zh" else f"{n} {en}{'s' if n > 1 else ''}")
    return " ".join(parts) or pick(("立即", "at once"), language)


def limit(period: Period, language: Language) -> str:
    """What a period demands, with the law it rests on and whether it keeps data from being deleted."""
    long = length(period.duration, language) + pick(COUNTING[period.counting], language)
    laws = ", ".join(f"{b.cite} ({pick(RANK[b.rank], language)})" for b in period.basis)
    if period.duration == "P0D":
        kind = ("{}", "{}")
    else:
        kind = {
            "floor": ("至少保存 {}", "kept at least {}"),
            "ceiling": ("最长 {}", "at most {}"),
            "both": (
                "恰好 {}:法定最短期限,亦为本政策最长期限",
                "exactly {}: the law's least, and the policy's most",
            ),
        }[period.kind]
    said = [pick(kind, language).format(long), laws]
    if period.restrains_deletion:
        said.append(pick(("期内不得删除", "forbids deletion before its end"), language))
    if period.proposal:
        owner = period.proposal.owner or pick(("尚无负责人", "nobody owns it yet"), language)
        said.append(
            pick(("公司建议值", "a proposal of ours"), language) + f": {owner}; {period.proposal.until_then}"
        )
    return "; ".join(said)


def former(of: Sequence[Former], counting: Counting, language: Language) -> str:
    """For whom a period is shorter still, since they have not accepted the version of the policy that made it longer."""
    said = []
    for one in of:
        long = length(one.duration, language) + pick(COUNTING[counting], language)
        versions = ("、" if language == "zh" else " or ").join(one.unless)
        words = (
            (f"未接受政策版本 {versions} 的仍为 {long}", f"{long} still for whoever has not accepted version {versions}")
            if one.unless else
            (f"对所有人仍为 {long}:尚无政策版本载明更长期限", f"{long} still for everybody: no version of the policy says more")
        )  # fmt: skip
        said.append(f"; {pick(words, language)}")
    return "".join(said)
