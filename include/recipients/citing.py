"""What law an answer cites, and whether that lets its sender keep anything (law.md F16, PIPL 47 para. 2).

The laws are declared (``laws.yaml`` of the catalogue). A citation is free text, Chinese or English: names are found
in it, and the article that follows each. What is not recognised is never guessed at: a person reads it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from include.model.policy import Keeps, Law
from include.model.times import Counting
from include.recipients.letters import law_in_chinese

LONGEST = 1000  # characters of a citation

_HAN = "\u4e00-\u9fff"
# A name stands by itself: not inside a longer one, and not before what makes it another rule's name.
_BEFORE = rf"(?:(?<![{_HAN}a-z0-9])|(?<=[据照及和与依按由]))"
_AFTER = r"(?![a-z0-9])(?!(?:的)?(?:实施|解释|条例|细则|办法|规定|暂行))"
_NOT_A_TIME = r"(?!\s*(?:个?月|年|日|天|months?\b|years?\b|days?\b|m\b|y\b|d\b))"
_ARTICLE = re.compile(
    r"[\s,:;]*(?:(?P<annex>annex|附表|附件)|(?P<mark>第|§+|articles?|arts?\.?|sections?|item))?\s*"
    rf"(?P<number>(?<!\d)\d{{1,4}}(?!\d)){_NOT_A_TIME}\s*条?\s*(?:第\d+款)?\s*(?:para\.?\s*\d+)?"
    r"\s*(?:,?\s*(?:item|第)?\s*\(?(?P<item>(?<=\()\d+(?=\))|(?<=第)\d+(?=项)|(?<=item )\d+)\s*(?:\)|项)?)?"
)
_HANZI = re.compile(f"[{_HAN}]")
_MORE = re.compile(r"\s*(?:,|、|;|和|及|与|and\b|&)\s*(?=(?:第|§|art|annex|附)?\s*\d)")
_CHINESE = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?.*")


@dataclass(frozen=True)
class Finding:
    """What a citation comes to. ``why`` is for the operator, ``told`` for who cited. ``until``: the last day that the cited
    articles can reach, if they name a number."""

    verdict: Literal["counts", "too_weak", "no_article", "person"]
    why: str = ""
    told: str = ""
    until: date | None = None


def read(text: str, laws: Sequence[Law], recipient: str, as_of: date) -> Finding:
    """Whether any article cited lets this recipient keep data."""
    if len(text) > LONGEST:
        return Finding(
            "person",
            "the citation is longer than one, and somebody reads it",
            "所引依据篇幅过长：我方正在人工核对",
        )
    said = _plain(text)
    cited = tuple(_cited(said, laws)) or tuple(_in_passing(said, laws))
    reaches = [
        _reach(keeps, as_of)
        for law, article in cited
        for keeps in law.keeps
        if law.rank.restrains_deletion
        and _covers(article, keeps)
        and recipient in (keeps.binds or (recipient,))
    ]
    if reaches:
        known = [day for day in reaches if day is not None]
        return Finding("counts", until=max(known) if len(known) == len(reaches) else None)
    strong = [(law, article) for law, article in cited if law.rank.restrains_deletion]
    if any(article is not None for _, article in strong):
        return Finding(
            "person",
            "we do not know the cited article as one that keeps such data here; somebody reads it",
            "我方未能确认所引条款适用于该等数据的保存：正在人工核对",
        )
    if strong:
        return Finding(
            "no_article",
            "name the article of the law that makes you keep it",
            "请写明据以保存的法律的具体条款",
        )
    if cited:
        above = sorted({law.under for law, _ in cited if law.under})
        return Finding(
            "too_weak",
            "only a period in a law or an administrative regulation lets data stay (PIPL 47 para. 2), and a rule below "
            "them, a standard or a contract does not"
            + (f"; if you rest on {' or '.join(above)}, name it" if above else ""),
            "仅法律、行政法规规定的保存期限可使数据留存（《个人信息保护法》第四十七条第二款），部门规章、标准、合同不足为据"
            + (f";如依据{'或'.join(law_in_chinese(a) for a in above)},请写明" if above else ""),
        )
    return Finding(
        "person",
        "we do not know the law that is cited; somebody reads it",
        "我方未能识别所引法律：正在人工核对",
    )


def _plain(text: str) -> str:
    """Full-width and Chinese figures as digits, no quotation marks, lower case."""
    said = unicodedata.normalize("NFKC", text).casefold().replace("中华人民共和国", " ")
    said = re.sub(r"[《》〈〉“”「」\"']", " ", said)
    figures = "〇零一二三四五六七八九十百两"
    return re.sub(
        rf"(?<=第)[{figures}]+|(?<=\()[{figures}]+(?=\))|(?<=附表)[{figures}]+",
        lambda m: str(_number(m[0])),
        said,
    )


def _number(chinese: str) -> int:
    total, digit = 0, 0
    for sign in chinese:
        if sign in "十百":
            total += (digit or 1) * (10 if sign == "十" else 100)
            digit = 0
        else:
            digit = digit * 10 + _CHINESE[sign]
    return total + digit


def _cited(text: str, laws: Sequence[Law]) -> Iterator[tuple[Law, str | None]]:
    """Each law that is named, with each article named right after it; None where no article follows."""
    by_name = {name.casefold(): law for law in laws for name in law.names}
    if not by_name:
        return
    longest_first = sorted(by_name, key=len, reverse=True)
    names = re.compile(_BEFORE + "(" + "|".join(re.escape(n) for n in longest_first) + ")" + _AFTER)
    for found in names.finditer(text):
        articles = tuple(_articles(text, found.end()))
        for article in articles or (None,):
            yield by_name[found[1]], article


def _in_passing(text: str, laws: Sequence[Law]) -> Iterator[tuple[Law, None]]:
    """What is too weak anyway is recognised inside longer words, too: "under our company's contract"."""
    for law in laws:
        if not law.rank.restrains_deletion and any(_HANZI.match(n) and n in text for n in law.names):
            yield law, None


def _articles(text: str, at: int) -> Iterator[str]:
    bracket = re.compile(r"\s*\([^()]{0,40}(?:修|年|rev|am\.)[^()]{0,20}\)").match(text, at)  # "(2025年修正)"
    found = _ARTICLE.match(text, bracket.end() if bracket else at)
    while found:
        item = f"({found['item']})" if found["item"] else ""
        yield f"annex {found['number']}" if found["annex"] else found["number"] + item
        more = _MORE.match(text, found.end())
        found = _ARTICLE.match(text, more.end()) if more else None


def _covers(article: str | None, keeps: Keeps) -> bool:
    """An article cited whole covers its items; an item covers only itself."""
    return article is not None and article in (keeps.article, keeps.article.partition("(")[0])


def _reach(keeps: Keeps, as_of: date) -> date | None:
    """The last day that data which is there today can be kept until, generously counted."""
    parts = _DURATION.fullmatch(keeps.duration or "")
    if parts is None:
        return None
    years, months, weeks, days = (int(n or 0) for n in parts.groups())
    rest_of_the_year = 366 if keeps.counting is Counting.FISCAL_YEARS else 0
    return as_of + timedelta(days=years * 366 + months * 31 + weeks * 7 + days + rest_of_the_year)
