"""Who has what the law hands on, as a person's certificate says it: her file may be with the successor when her case ends."""

from __future__ import annotations

from include.cases.book import Conn
from include.cases.shutdown import leaving, orders
from include.cases.shutdown.orders import Order

WHAT = "依法须移交的认证信息（《电子签名法》第二十三条、第二十四条）"
ON_ITS_WAY = WHAT + "正移交给{who}（联系方式：{contact}）；经其签收后由其按原有期限保存。"
THERE = WHAT + "已由{who}（联系方式：{contact}）签收，由其按原有期限保存；"
PASSED_ON = "您的请求，我们将转告该公司，由其删除，或在法律要求保存期间仅作存储；您也可以直接向其提出。"
FORMER = (
    "其中一部分此前已移交{who}（联系方式：{contact}），由其继续按原有期限保存；涉及该部分的请求，请向其提出。"
)
TURN_TO = "如有请求，请向其提出。"
HANDED = "ledger handed over"
"""Of the event with which we can sign nothing any more, so that no request is passed on (``include.handover.asking``)."""
LAST_DAY = "passing on ended"
"""Of the event with which it ends though the ledger is here still: its last day is over (``include.handover.passing_ends``)."""
OVER = (HANDED, LAST_DAY)


def sentence(conn: Conn) -> str:
    """What to add to a certificate of every order whose collection is closed, and that was not withdrawn, the oldest first, an
    ended one too: a later one, to whomever, takes nothing back from its successor. What two of them say alike is said once. That
    all bags are signed for is what makes it *there*: of one person's items alone nobody keeps a list."""
    said = (_of(conn, o) for o in reversed(orders.orders(conn)) if o.withdrawn_on is None)
    return "".join(dict.fromkeys(said))


def _of(conn: Conn, of: Order) -> str:
    if of.closed_on is None or of.successor is None:
        return ""
    row = conn.execute(
        "SELECT count(*) AS bags, count(*) FILTER (WHERE state = 'received') AS there FROM casebook.handover_bag"
        " WHERE order_no = %s AND left_items IS NULL",
        (of.number,),
    ).fetchone()
    former = "".join(
        FORMER.format(who=who, contact=contact) for who, contact in leaving.custodians(conn, of.number)
    )
    there = bool(row and row["bags"] and row["bags"] == row["there"])
    if not there:
        return ON_ITS_WAY.format(who=of.successor, contact=of.successor_contact) + former
    over = any(e["what"] in OVER for e in orders.history(conn, of.number))
    return (THERE + (TURN_TO if over else PASSED_ON)).format(
        who=of.successor, contact=of.successor_contact
    ) + former
