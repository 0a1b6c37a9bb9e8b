"""Who has what the law hands on, as a person's certificate says it: her file may be with the successor when her case ends."""

from __future__ import annotations

from include.cases.book import Conn
from include.cases.shutdown import orders

WHAT = "依法须移交的认证信息（《电子签名法》第二十三条、第二十四条）"
ON_ITS_WAY = WHAT + "正移交给{who}（联系方式：{contact}）；经其签收后由其按原有期限保存。"
THERE = WHAT + "已由{who}（联系方式：{contact}）签收，由其按原有期限保存；如有请求，请向其提出。"


def sentence(conn: Conn) -> str:
    """What to add to a certificate while an order is in force whose collection is closed, or once it has ended; else nothing.
    That all bags are signed for is what makes it *there*: of one person's items alone nobody keeps a list."""
    of = next((o for o in orders.orders(conn) if o.withdrawn_on is None), None)
    if of is None or of.closed_on is None or of.successor is None:
        return ""
    row = conn.execute(
        "SELECT count(*) AS bags, count(*) FILTER (WHERE state = 'received') AS there FROM casebook.handover_bag"
        " WHERE order_no = %s",
        (of.number,),
    ).fetchone()
    there = bool(row and row["bags"] and row["bags"] == row["there"])
    return (THERE if there else ON_ITS_WAY).format(who=of.successor, contact=of.successor_contact)
