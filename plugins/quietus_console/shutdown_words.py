"""Sentences about a shutdown that the rooms say in English, in Chinese: why something waits, differs, or a person has to decide.

A sentence is known by its form; what varies in it (a count, a day, a name) is carried over. One that is not known is shown as it
is.
"""

from __future__ import annotations

import re

from quietus_console.words import FATES, word

_SENTENCES: tuple[tuple[str, str], ...] = (
    # the books (include/handover/conservation.py, books.py)
    (r"was written since T0: find out by whom", "T0之后被写入:须查明由谁写入"),
    (r"is kept by a law by which it was not kept on T0: its clock shows another day",
     "现依某法留存,而T0时并非依该法留存:期限起算日已变"),
    (r"is to be deleted or anonymised, and is still here", "应予删除或匿名化,尚未处理"),
    (r"stays, and nobody is named who keeps it", "依法留存,尚未确定保管方"),
    (r"was only cut, and is personal still \(PIPL 73\): nothing of that may stay", "仅去标识化,仍属个人信息(个保法73),不得留存"),
    (r"is gone here, and no receipt says how", "此处已不存在,且无回执说明去向"),
    (r"is here, or was disposed of, beyond what was located", "多于清点数量"),
    (r"is to go to the successor, and is not wholly packed", "应移交承接方,尚未全部打包"),
    (r"differs: (?P<a>\d+) were to go, and (?P<b>\d+) are in bags", "不符:应移交{a},包内{b}"),
    (r"the receipt names differences: (?P<a>\d+) missing, (?P<b>\d+) changed, (?P<c>\d+) too many",
     "回执列出差异:缺{a}、改{b}、多{c}"),
    (r"a notice about it is not answered by the successor", "有更正通知尚未获承接方答复"),
    (r"the successor computed another root", "承接方计算的根值不同"),
    (r"is in both places: received, and not deleted here yet", "两处并存:承接方已签收,此处尚未删除"),
    (r"is received, and what is here was changed or is gone in part", "已签收,但此处的数据已变更或部分缺失"),
    (r"is received, and its deletion here was not finished", "已签收,此处的删除尚未完成"),
    (r"is in neither place: gone here, and not received", "两处皆无:此处已不存在,承接方未签收"),
    (r"is in neither place: deleted here by (?P<a>\S+) before the successor said so",
     "两处皆无:承接方提出差异之前,此处已由{a}删除"),
    (r"(?P<a>\d+) of its items were deleted here by (?P<b>\S+) before the successor said so, and the rest stays",
     "承接方提出差异之前,其中{a}条已由{b}删除,其余留存"),
    (r"was changed or is gone in part since it was packed, and is not received", "打包后已变更或部分缺失,且未签收"),
    (r"is packed and not sent", "已打包,尚未发送"),
    (r"is sent, and no receipt without difference came", "已发送,尚无无差异的回执"),
    (r"(?P<a>\S+) can still write it", "{a}仍可写入"),
    (r"it was not counted", "未清点"),
    (r"(?P<a>\d+) notices about it are not answered by the successor", "承接方尚未答复{a}份变更通知"),
    # a successor that takes over no more (include/handover/addressed.py)
    (r"(?P<why>.*); nothing goes on its receipt", "{why};不依其回执删除任何内容"),
    (r"(?P<why>.*); what is gone here went on its receipt, and nobody else has it", "{why};此处已依其回执删除的,仅其持有"),
    (r"(?P<a>.+) takes over no more: it withdrew", "{a}已退出承接"),
    (r"it is for (?P<a>.+), and (?P<b>.+) takes over, or by another certificate", "系为{a}打包,而承接方为{b},或证书不同"),
    # the look at collection (include/stores/s3/collection.py)
    (r"this server does not enforce bucket policies, so a put is not refused; it is found by its date",
     "该存储服务器不执行桶策略,写入不会被拒绝,只能凭日期发现"),
    (r"this server ignores whom a policy is about, so a deny would hit us too; a put is not refused, it is found by its date",
     "该存储服务器不区分策略所针对的主体,无法只拒绝业务账号的写入,只能凭日期发现"),
    (r"the catalogue names no business role of this store, so nobody can be refused",
     "目录未列明该存储的业务账号,无从拒绝其写入"),
    # the preview (include/cases/shutdown/fates.py, preview.py)
    (r"raw biometrics that a statute keeps: they do not go to a successor; counsel decides \(law\.md G\)",
     "法律要求留存的原始生物识别信息:不移交承接方,由法务决定"),
    (r"it goes to the successor, and (?P<a>.+) keeps it here as well: decide who keeps what",
     "移交承接方,但{a}亦要求在此留存:请决定由谁保管"),
    (r"nobody is named who takes it over", "尚未确定承接方"),
    (r"nobody is named who keeps it", "尚未确定保管方"),
    # gates and days (include/cases/shutdown/orders.py, dates.py)
    (r"(?P<a>SO-\d+): (?P<gate>[a-z_]+) was due on (?P<b>\S+)", "{a}:{gate}应于{b}前办理"),
    (r"(?P<a>SO-\d+): (?P<gate>[a-z_]+) was due on (?P<b>\S+), and (?P<c>.+) did not approve the order",
     "{a}:{gate}应于{b}前办理,而{c}尚未批准停止运营令"),
    (r"(?P<a>SO-\d+): nobody takes over: name a successor, or ask the ministry to arrange one",
     "{a}:无承接方:请确定承接方,或请主管部门安排"),
    (r"the decision takes effect on (?P<a>\S+), and only a later decision can put it off", "决定自{a}起生效,仅可由后续决定推迟"),
)  # fmt: skip
_KNOWN = tuple((re.compile(form), zh) for form, zh in _SENTENCES)
_FILED = re.compile(r"(?P<gate>[a-z_]+) (?:on (?P<on>\S+)|not done by (?P<by>\S+)), (?P<days>\d+) days")
_PAST = {d.past: pair for d, pair in FATES.items()}


def sentence(text: str, lang: str) -> str:
    """The sentence in that language."""
    if lang != "zh":
        return text
    for form, zh in _KNOWN:
        if found := form.fullmatch(text):
            given = found.groupdict()
            if "gate" in given:
                given["gate"] = word("gate", given["gate"], lang)
            if "why" in given:
                given["why"] = sentence(given["why"], lang)
            return zh.format(**given)
    filed, _, earliest = text.rpartition(": not before ")
    parts = [_FILED.fullmatch(part) for part in filed.split("; ")]
    if not all(parts):
        return text
    said = [
        f"{word('gate', p['gate'], lang)}"
        f"{'于' + p['on'] + '办理' if p['on'] else '截至' + p['by'] + '未办理'},须{p['days']}日"
        for p in parts
        if p is not None
    ]
    return f"{';'.join(said)};不早于{earliest}"


def past(code: str, lang: str) -> str:
    """What became of items, as totals say it."""
    return _PAST[code][0] if lang == "zh" and code in _PAST else code
