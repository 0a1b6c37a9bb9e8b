"""The fields that people fill in, with their words in Chinese and English: a trigger's, and a question's.

A form's JSON schema is its first screen: closed lists, numbers of documents, case numbers. There is no field of free
text, for a name has no form by which it could be refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeVar

from airflow.sdk import Param
from quietus_console.words import CHANNELS, GROUNDS, METHODS, REFUSALS, REQUESTERS, Code, Pair, choices

from include.cases.decisions import Method, askable
from include.cases.yearly.unsanitised import carriers
from include.catalogue import load
from include.model.errors import Refused
from include.model.words import Channel, Ground, Requester

Fields = dict[str, Any]
_Asked = TypeVar("_Asked", Ground, Channel, Requester)
MAYBE_TEXT = ["null", "string"]


def one_of(words: Mapping[Code, Pair], chosen: Code, *, title: str, description: str = "") -> Param:
    """A list to choose from, in words, with what is chosen at first."""
    shown = choices(words)
    return Param(
        chosen.value, enum=list(shown), values_display=shown, title=title, description=description or None
    )  # fmt: skip


def requestable(words: Mapping[_Asked, Pair]) -> dict[_Asked, Pair]:
    """Those that somebody may ask for: our own initiative, and what is not built yet, is on no form."""
    return {code: said for code, said in words.items() if code.requestable}


# --- what a trigger asks for ----------------------------------------------------------------------

ACCOUNT_ID = Param(
    None,
    type=MAYBE_TEXT,
    pattern="^acct_[0-9a-hjkmnp-tv-z]{12}$",
    title="账户编号 Opaque account id",
    description="acct_ 加 12 位字符,取自客服系统;不是手机号、邮箱或证件号。"
    " acct_ and twelve characters, from the support system; never a phone number, e-mail or ID number.",
)
CASE = Param(
    None,
    type=MAYBE_TEXT,
    pattern=r"^CASE-\d{6,}$",
    title="案件编号 Case number",
    description="仅用于继续已有案件,通常留空。 Only to go on with a case that exists; usually left empty.",
)
CHANNEL = one_of(
    requestable(CHANNELS), Channel.APP, title="渠道 Channel",
    description="请求从哪里来(政策 12.2)。 How the request came in (policy 12.2).",
)  # fmt: skip
REQUESTER = one_of(
    requestable(REQUESTERS), Requester.SELF, title="请求人 Requester", description="谁提出请求。 Who asks."
)


def request_of(ground: Ground) -> Fields:
    """The form of a promise to one person: whom it is about, why, how it came in and who asks."""
    why = one_of(
        requestable(GROUNDS), ground, title="事由 Ground",
        description="为何删除(政策 1.4、8.3、11.2)。 Why (policy 1.4, 8.3, 11.2).",
    )  # fmt: skip
    return {
        "account_id": ACCOUNT_ID,
        "ground": why,
        "channel": CHANNEL,
        "requester": REQUESTER,
        "case": CASE,
    }


# --- what a question asks for ---------------------------------------------------------------------


def identity_check() -> Fields:
    """How somebody was checked, and which of the fields that registration collects were compared."""
    fields = registration_fields()
    return {
        "method": one_of(METHODS, Method.SIGNED_IN_SESSION, title="方式 Method"),
        "fields": Param(
            [], type="array", title="核对项目 Fields compared", items={"type": "string", "enum": list(fields)},
            examples=list(fields), values_display=fields,
        ),
    }  # fmt: skip


def registration_fields() -> dict[str, str]:
    """What registration collects, and so may be compared: category -> its name, in Chinese and English."""
    catalogue = load()
    allowed = askable(catalogue)
    return {c.id: f"{c.id} {c.zh} {c.en}" for c in catalogue.categories if c.id in allowed}


def refusal() -> Fields:
    """What a refusal cannot do without: ground, scope, and the document with its reasons."""
    grounds = {code: f"{code} {said}" for code, said in choices(REFUSALS).items()}
    return {
        "refusal_ground": Param(
            None, type=MAYBE_TEXT, enum=[None, *grounds], values_display=grounds,
            title="拒绝依据 Ground of a refusal (policy 11.4)",
            description="技术困难不是拒绝理由。 Technical difficulty is no ground.",
        ),
        "refusal_scope": Param(
            [], type="array", title="拒绝范围 Scope of a refusal",
            items={"type": "string", "pattern": "^(everything|PI-[0-9]{3})$"},
            description="everything, 或类别编号如 PI-028。 everything, or categories such as PI-028.",
        ),
        "reasons_document": Param(
            None, type=MAYBE_TEXT, pattern="^[A-Z]{1,8}-[0-9]{1,8}(-[0-9]{1,8})?$",
            title="理由文书编号 Number of the document with the reasons",
            description="理由写在文书里,这里只填编号。 Reasons are written there; only its number here.",
        ),
    }  # fmt: skip


def night() -> Fields:
    """How much of a night that is out of line may go at one time."""
    return {
        "at_most": Param(
            None, type=["null", "integer"], minimum=1, title="今晚至多处理的条数 At most so many items tonight",
            description="留空表示全部。 Empty: all of it.",
        )
    }  # fmt: skip


# --- a shutdown -----------------------------------------------------------------------------------

ORDER = Param(
    None,
    type="string",
    pattern=r"^SO-\d{6,}$",
    title="停止运营令编号 Shutdown order",
    description="由 quietus shutdown open 立项后取得。 The number that `quietus shutdown open` printed.",
)


def paper() -> Fields:
    """A document that a person answers by."""
    return {
        "document": Param(
            None, type=MAYBE_TEXT, pattern="^[A-Z]{1,8}-[0-9]{1,8}(-[0-9]{1,8})?$", title="文书编号 Document number"
        ),
        "digest": Param(
            None, type=MAYBE_TEXT, pattern="^[0-9a-f]{64}$", title="文件的SHA-256 SHA-256 of the file",
            description="sha256sum FILE",
        ),
    }  # fmt: skip


def gate() -> Fields:
    """What a gate cannot do without: the document that proves it, and the day on which it was done."""
    return {
        **paper(),
        "done_on": Param(
            None, type=MAYBE_TEXT, pattern="^20[0-9]{2}-[01][0-9]-[0-3][0-9]$", title="办理日期 Done on",
            description="年-月-日;留空为今天。 Year-month-day; empty: today.",
        ),
    }  # fmt: skip


EVERYTHING = "everything"


def media() -> Fields:
    """What becomes of media, by one document. The names are the catalogue's, and the question lists those that are open."""
    shown = {
        EVERYTHING: "上列全部 everything listed above",
        **{c.name: f"{c.name} {c.title}" for c in carriers(load())},
    }

    def some(title: str) -> Param:
        return Param(
            [], type="array", title=title, items={"type": "string", "enum": list(shown)},
            examples=list(shown), values_display=shown,
        )  # fmt: skip

    return {
        **paper(),
        "stays": some("继续使用,由保管方(或本机构)留存 Stays in service, with the custodian or the company"),
        "later": some("日后清除 Sanitised later"),
        "until": Param(
            None, type=MAYBE_TEXT, pattern="^20[0-9]{2}-[01][0-9]-[0-3][0-9]$", title="清除期限 Sanitised by",
            description="年-月-日 year-month-day",
        ),
    }  # fmt: skip


def day(given: str | None) -> date | None:
    """The day of such a field. Raises Refused."""
    try:
        return date.fromisoformat(given) if given else None
    except ValueError:
        raise Refused(
            "there is no such day", about="shutdown", next_step="clear the question, and give the day again"
        ) from None
