"""What a recipient is told in a letter or on the telephone, in Chinese (law.md section C, "Notice content").

Case, recipient, its own numbers, the kinds of data, ground, law, date, the form of the answer, and the duty to pass it
on; nothing personal beyond what the notice has. Who works for us is instructed, who decides by its own duties is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from include.model.declared import CategoryId
from include.model.notices import AnswerCode, Instruction, Notice
from include.model.policy import Recipient, RecipientRole
from include.model.words import Ground

GROUNDS = {
    Ground.CANCELLATION: "个人已注销账号",
    Ground.WITHDRAWN_CONSENT: "个人已撤回同意",
    Ground.UNLAWFUL_PROCESSING: "处理违反法律、行政法规",
    Ground.NO_CONSENT: "未取得个人同意",
    Ground.BREACH_OF_AGREEMENT: "处理违反约定",
    Ground.SERVICE_ENDED: "服务已终止",
    Ground.OBJECTION: "信息主体提出异议",
    Ground.MINOR: "涉及未成年人个人信息",
    Ground.LIMIT_REACHED: "保存期限已届满",
    Ground.PURPOSE_ACHIEVED: "处理目的已实现",
    Ground.SHUTDOWN: "产品或服务停止运营",
    Ground.ENTRUSTMENT_ENDED: "委托方要求返还或者删除",
    Ground.DORMANT: "账号长期未使用，经通知后仍未使用，已予注销",
}
LAWS = {
    "PIPL": "《个人信息保护法》",
    "NDSMR": "《网络数据安全管理条例》",
    "CSL": "《网络安全法》",
    "ESL": "《电子签名法》",
    "ECL": "《电子商务法》",
    "policy": "《隐私政策》",
}
"""How the planner cites, and how a letter does."""

SUBJECTS = {
    Instruction.ERASE: "关于删除个人信息的通知",
    Instruction.PRESERVE: "关于暂缓删除个人信息的通知",
    Instruction.INFORM: "关于个人信息删除请求的告知函",
    Instruction.STOP_ANCHORING: "关于停止上链存证的通知",
}
EVERYBODY = "关于停止运营后个人信息处理的通知"
ANSWERS = {
    AnswerCode.DELETED: "已删除：请写明记录条数、完成时间（含时区）、删除方式及贵方流水号",
    AnswerCode.NOTHING_HELD: "未持有相关数据",
    AnswerCode.RETAINED_BY_LAW: "依法保存：请写明法律或行政法规的名称、条款及保存的最后一日；部门规章、标准、合同不足为据",
    AnswerCode.RETAINED_INDEPENDENT: "依自身职责保存：请写明授权或职责依据",
    AnswerCode.HELD_DISPUTE: "因争议暂存：请写明案号",
    AnswerCode.CANNOT_ERASE_IMMUTABLE: "链上数据无法删除：请写明已停止上链并已删除链下索引",
    AnswerCode.PARTIAL: "部分删除：请写明尚存哪些数据及原因；此答复不终结本通知",
    AnswerCode.INCOMPLETE: "尚有受让方未答复：请列明其名称；此答复不终结本通知",
    AnswerCode.REJECTED_IDENTITY: "无法识别该个人",
}


def subject(notice: Notice) -> str:
    """What the letter is about, in one line."""
    reminder = "【催办】" if notice.reminder else ""
    about = EVERYBODY if notice.everybody else SUBJECTS[notice.instruction]
    return f"{reminder}{about}（{notice.case_no}）"


def letter(recipient: Recipient, notice: Notice, *, names: Mapping[CategoryId, str] | None = None) -> str:
    """The whole letter. ``names``: what the kinds of data are called; without them their codes stand alone."""
    return _template().render(
        recipient=recipient, notice=notice, names=names or {}, subject=subject(notice),
        ground=GROUNDS[notice.ground], law=law_in_chinese(notice.law), instruction=notice.instruction.value,
        answers=[(code.value, ANSWERS[code]) for code in answers_of(recipient)],
    )  # fmt: skip


def answers_of(recipient: Recipient) -> tuple[AnswerCode, ...]:
    """The codes that this recipient can give: the judge accepts no other of it."""
    role = recipient.role
    cannot = set()
    if role is not RecipientRole.LEDGER:
        cannot.add(AnswerCode.CANNOT_ERASE_IMMUTABLE)
    if role not in (RecipientRole.INDEPENDENT, RecipientRole.MIXED):
        cannot.add(AnswerCode.RETAINED_INDEPENDENT)
    return tuple(code for code in ANSWERS if code not in cannot)


def law_in_chinese(cited: str) -> str:
    """A citation as the planner writes it, with the laws' names as a letter writes them."""
    return re.sub(
        rf"\b({'|'.join(LAWS)})\b\s*", lambda m: LAWS[m[1]], cited.replace("; ", "；").replace(", ", "、")
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    # Plain text: nothing is markup, so nothing is escaped. A line is a line: no value begins a new one.
    made = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
    made.filters["line"] = lambda value: " ".join(str(value).split())
    return made.from_string(files("include.recipients").joinpath("letter.zh.txt.j2").read_text("utf-8"))
