"""Tasks that tell a successor what became of items after their bag was packed, and hear that it followed. Counts alone pass."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowSkipException
from quietus_console.work import desk, now, step

from include.cases.shutdown import orders
from include.handover import register
from include.handover.stages import Handover
from include.model.errors import NotProved

LIST = "see `quietus handover notices list {n}` (docs/handover.md)"


@step
def under_way() -> str:
    """The order in force, if it has handed something over. The book says so: before there is a bag no connection of a handover
    need be declared."""
    with desk().book() as conn:
        order = orders.in_force(conn)
        bags = register.bags(conn, order.number) if order is not None and not order.waits_for else []
    if order is None or not bags or Handover.of(desk(), order.number).consignment() is None:
        raise AirflowSkipException(
            "no order in force has handed something over from the directory of its bags"
        )
    return order.number


@step(pool="proofs")
def tell(number: str) -> str:
    """Every bag's range read again; what became another by cases of ours is told, but for bags of which our copy goes, or went.
    Red if something else became another."""
    told, sent = Handover.of(desk(), number).tell(**now())
    if told.left:
        raise NotProved(
            "; ".join(f"{bag}: {why}" for bag, why in sorted(told.left.items())), about=number, next_step=LIST.format(n=number)
        )  # fmt: skip
    going = f"; {len(told.going)} bags went here, or go, by {', '.join(told.cases)}" if told.going else ""
    return f"{number}: {len(told.made)} notices made, {len(sent)} sent now{going}"


@step
def hear(number: str) -> str:
    """What was answered is believed by the key that was compared; red while an answer is forged, or names a difference."""
    heard = Handover.of(desk(), number).hear(actor=now()["actor"])
    if heard.wrong:
        raise NotProved(
            "; ".join(f"{n}: {why}" for n, why in sorted(heard.wrong.items())), about=number, next_step=LIST.format(n=number)
        )  # fmt: skip
    return f"{number}: {len(heard.believed)} followed now, {len(heard.waiting)} are waited for"
