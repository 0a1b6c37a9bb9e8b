"""What a person types into an errand's forms: read, and screened for people.

The proof is sealed and may hold what it holds. What is typed is read by others: the reason is told to the recipient, an
article stands in the book as it is, and a case is talked about. So nobody's number, address or document is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from include.model.errors import Refused
from include.model.notices import Part
from include.model.screening import kind_of_identifier
from include.model.times import PRC

PARTS = 3  # answers in one form: a recipient may have deleted one thing and keep another
WORDS: Mapping[str, tuple[str, str]] = {
    "why": ("理由", "why"),
    "method": ("删除方式", "deleted: how"),
    "transactions": ("对方流水号", "their numbers"),
    "article": ("法律条款", "kept: law and article"),
    "authorisation": ("自身职责依据", "kept: their own mandate"),
    "dispute": ("争议案号", "dispute: its number"),
    "remains": ("仍留存的内容及原因", "what remains, and why"),
    "sub_recipients": ("已转告的机构", "whom they passed it on to"),
}
"""The fields into which a person writes words, as the form calls them."""
NUMBERS = frozenset({"transactions"})
BY_CHANCE = frozenset({"a bank card number", "a credit code"})
"""What a long number of the recipient's own may look like, and is not."""
KINDS_ZH: Mapping[str, str] = {
    "an e-mail address": "电子邮箱地址",
    "a resident ID number": "身份证号码",
    "a mobile number": "手机号码",
    "a credit code": "统一社会信用代码",
    "a bank card number": "银行卡号",
    "an account id": "账户编号",
}


def names_nobody(field: str, text: str, *, part: int | None = None) -> None:
    """Raises Refused for a text that holds a person's own number or address, saying in which field and of which kind."""
    kind = kind_of_identifier(text, account_ids=True)
    if kind is None or (field in NUMBERS and kind in BY_CHANCE):
        return
    zh, en = WORDS[field]
    where, wo = (f"of answer {part} ", f"答复 {part} 的") if part is not None else ("", "")
    raise Refused(
        f"the field '{en}' {where}holds {kind} ({wo}“{zh}”含{KINDS_ZH.get(kind, '个人信息')})", about="errand",
        next_step="leave it out, keep people out of what you write, and attach the proof again, which may hold it and is "
        "sealed; nothing was recorded 请删去后重新填写并重新上传凭证(凭证会密封保存);本次未作任何记录",
    )  # fmt: skip


def reason_of(fields: Mapping[str, str]) -> str:
    """Why a person accepts an answer or not. It is kept and told to the recipient, so nobody may be named in it."""
    why = fields.get("why", "").strip()
    names_nobody("why", why)
    return why


def answer_of(fields: Mapping[str, str]) -> tuple[Part, ...]:
    """The parts of an answer as the form has them. Raises Refused, naming the field and quoting nothing, for what is no
    answer and for what names somebody."""
    parts = []
    for n in range(PARTS):
        said = {
            k.removeprefix(f"{n}."): v.strip()
            for k, v in fields.items()
            if k.startswith(f"{n}.") and v.strip()
        }
        if "code" not in said:
            continue
        for field in WORDS.keys() & said.keys():
            names_nobody(field, said[field], part=n + 1)
        values: dict[str, Any] = dict(said)
        for several in ("categories", "transactions", "sub_recipients"):
            if several in values:
                values[several] = tuple(values[several].replace(",", " ").split())
        if "at" in values:
            values["at"] = _moment(values["at"])
        values["complete"] = "incomplete" not in values
        values.pop("incomplete", None)
        try:
            part = Part.model_validate(values)
        except ValidationError as wrong:
            where = ", ".join(sorted({str(e["loc"][0]) for e in wrong.errors() if e["loc"]}))
            raise Refused(
                f"part {n + 1} of the answer is not readable: {where}", about="errand",
                next_step="correct it, and attach the proof again",
            ) from None  # fmt: skip
        if not part.code.from_outside:
            raise Refused("no recipient can answer that", about="errand", next_step="choose one of the nine")
        parts.append(part)
    if not parts:
        raise Refused("no answer was chosen", about="errand", next_step="choose one of the nine")
    return tuple(parts)


def _moment(text: str) -> datetime | str:
    """What a browser's field gives has no zone; it is this country's time."""
    try:
        said = datetime.fromisoformat(text)
    except ValueError:
        return text
    return said if said.tzinfo else said.replace(tzinfo=PRC)
