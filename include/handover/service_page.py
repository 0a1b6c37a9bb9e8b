"""The certificate of a service as a page that stands by itself, in Chinese and English: no script, nothing to load.

It says what the certificate says, and is no proof by itself: that is the signed file, which its verifier checks.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from include.handover.service_certificate import Service
from include.stores.s3.collection import BLUNT, NOBODY, UNENFORCED

ENDS = (
    ("transferred", "移交", "transferred"), ("deleted", "删除", "deleted"), ("anonymised", "匿名化", "anonymised"),
    ("retained", "依法留存", "retained"),
)  # fmt: skip
OUTCOMES = {
    "gone": ("已删除或未持有", "deleted, or holds nothing"), "retained": ("依法继续保存", "keeps something"),
    "unlinked": ("已切断关联", "unlinked"), "escalated": ("未答复，已升级处理", "silent, escalated"),
    "caught": ("声称删除而仍留存", "said deleted, and was not"),
}  # fmt: skip
WHY = {
    UNENFORCED: "该存储服务器不执行桶策略，写入不会被拒绝，只能凭日期发现",
    BLUNT: "该存储服务器不区分策略所针对的主体，无法只拒绝业务账号的写入，只能凭日期发现",
    NOBODY: "目录未列明该存储的业务账号，无从拒绝其写入",
}
"""What a look at collection says of a bucket's server, in Chinese."""


BECOMES = {
    "stays": ("继续在用，由{who}保管", "stays in service with {who}"),
    "rented": ("租用，归{who}所有，凭其文书", "is rented from {who}, by its paper"),
    "later": ("应于{until}前清除", "is to be sanitised by {until}"),
}  # fmt: skip
"""What both approvers say of media that are not sanitised yet."""


GATES = {
    "notified": "通知有关各方 parties notified", "reported": "向主管部门报告 reported to the ministry",
    "reported_e_government": "向电子政务认证主管机构报告 reported to the regulator of e-government certificates",
    "announced": "公告 announced", "successor_told": "告知承接方 told of the successor",
}  # fmt: skip
"""What is filed before a service stops."""


def becomes(line: dict[str, Any]) -> str:
    """In Chinese and English."""
    zh, en = BECOMES[line["becomes"]]
    who = line["who"]
    return f"{zh.format(who=who or '本机构', until=line['until'])} {en.format(who=who or 'the company', until=line['until'])}"


def page(of: Service) -> str:
    """The page, as HTML."""
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["number"] = lambda n: f"{n:,}".replace(",", "\u202f")
    text = files(__package__).joinpath("service.html.j2").read_text("utf-8")
    said = of.payload
    totals = {w: sum(x[w] for x in said["books"]) for w in ("located", *(w for w, _, _ in ENDS))}
    books = [x for x in said["books"] if x["located"]]
    return made.from_string(text).render(
        of=of,
        p=said,
        totals=totals,
        books=books,
        becomes=becomes,
        GATES=GATES,
        ENDS=ENDS,
        OUTCOMES=OUTCOMES,
        WHY=WHY,
    )
