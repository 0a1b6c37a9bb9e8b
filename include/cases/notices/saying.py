"""What the person is told of those who were given the data: who deleted, who keeps it and until when, who is silent."""

from __future__ import annotations

from collections.abc import Collection

from include.cases.book import Conn
from include.cases.notices import outbox, preserving
from include.cases.scopes import HoldOrder
from include.model.catalogue import Catalogue
from include.model.words import UnitState

_ZH = {
    UnitState.TP_ACKED: "已答复:数据已删除或未持有",
    UnitState.TP_RETAINED: "已答复:依法或依自身职责继续保存{until}",
    UnitState.TP_UNLINKED: "链上摘要无法删除;与之对应的原文和盐值已销毁,不能再关联到您",
    UnitState.TP_ESCALATED: "经催办逾期未作有效答复;我们已停止向其提供任何数据,并依合同追究",
    UnitState.TP_NOTIFIED: "已通知,尚未作有效答复;期限 {target}",
}
_EN = {
    UnitState.TP_ACKED: "answered: deleted, or nothing was held",
    UnitState.TP_RETAINED: "answered: goes on keeping it, by law or by a duty of its own{until}",
    UnitState.TP_UNLINKED: "what is on a chain cannot be erased; its original and salt are destroyed, so it leads to you no more",
    UnitState.TP_ESCALATED: "was reminded and gave no answer that counts; we give it nothing more, and hold it to its contract",
    UnitState.TP_NOTIFIED: "was told, and has given no answer that counts yet; it is due on {target}",
}


def sentences(conn: Conn, catalogue: Catalogue, case_no: str, lang: str) -> tuple[str, ...]:
    """A sentence for each recipient, on the latest of its notices."""
    names = {r.id: r.name for r in catalogue.recipients}
    latest = {r["recipient"]: r for r in outbox.listing(conn, case_no)}
    zh = lang == "zh"
    found = []
    for name, row in latest.items():
        until = row["retained_until"]
        dated = "" if until is None else f",至 {until}" if zh else f", until {until}"
        if row["state"] == UnitState.TP_NOTIFIED.value and row["sent_at"] is None:
            said = "通知已拟,即将发出" if zh else "its notice is written, and goes out now"
        else:
            said = (_ZH if zh else _EN)[UnitState(row["state"])].format(until=dated, target=row["target_on"])
        found.append(f"{names.get(name, name)}{':' if zh else ': '}{said}")
    return tuple(found)


def beyond_holds(
    conn: Conn, catalogue: Catalogue, orders: Collection[HoldOrder], case_no: str, lang: str
) -> tuple[str, ...]:
    """What these holds cover of the case, and its recipients say is gone there."""
    names = {r.id: r.name for r in catalogue.recipients}
    zh = lang == "zh"
    return tuple(
        f"{names.get(there.recipient, there.recipient)}{':' if zh else ': '}"
        + (f"其处的{'、'.join(there.gone)}已不存在,{there.hold} 无从保全" if zh
           else f"has no {', '.join(there.gone)} any more: nothing of that is left there for {there.hold}")
        for there in preserving.gone_in(conn, catalogue, orders, case_no)
    )  # fmt: skip
