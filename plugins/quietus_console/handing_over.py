"""Tasks of a shutdown after T0: what a law hands over goes to the successor, and our copy of it goes when it has signed.

Bags lie in one declared directory (connection ``handover_bags``), the same on every worker; between tasks pass counts and a
fingerprint alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, task_group
from quietus_console import forms, shutting_down
from quietus_console.asking import Ask
from quietus_console.questions import person
from quietus_console.work import DONE, desk, now, plainly, step, today

from include.cases.shutdown import permitting
from include.handover import books, proving
from include.handover.stages import CERTIFICATE, RECEIPT_KEY, Handover
from include.model.errors import NotProved

PAGE = "[/quietus/shutdown/{n}](/quietus/shutdown/{n})"
ORDER = "{{ ti.xcom_pull(task_ids='take_up') }}"
SHOWN = "{{ ti.xcom_pull(task_ids='source.consigned_as') }}"
NOTHING = "nothing of what the order is about is handed over"
FIRST_LOOK, SELDOMEST = timedelta(seconds=15), timedelta(minutes=15)  # at the inbox, for receipts


def to_the_successor(number: Any) -> Any:
    """Keys compared by people, then packed, sent, signed for, and believed: each bag by itself."""

    @task_group(group_id="handover")
    def handover() -> None:
        consigned = consign(number, _ask_keys().output)
        consigned >> pack(number) >> send(number) >> Receipts(task_id="receipts") >> verify(number)

    return handover()


def our_copy(number: Any) -> Any:
    """A person says that it may begin; then what the successor has signed for goes here, bag by bag, and is proved gone."""

    @task_group(group_id="source")
    def source() -> None:
        shown, asked = consigned_as(number), _ask_source()
        shown >> asked
        delete_source(number, asked.output, shown)

    return source()


@step
def consign(number: str, answer: dict[str, Any]) -> str:
    """What goes, sealed to the certificate that the order names; receipts are believed by the key that was compared."""
    if "known" in answer:
        return str(answer["known"])
    given = answer["params_input"]
    made = Handover.of(desk(), number).consign(
        str(given.get("digest") or "").lower(), document=str(given.get("document") or ""), as_of=today(),
        actor=person(answer, "ops"),
    )  # fmt: skip
    return f"{len(made.datasets)} datasets are consigned to {made.successor.name}"


@step(pool="proofs")
def pack(number: str) -> str:
    """Packed, sealed and signed, what is not yet. What cannot go is named; the books do not balance before it did."""
    way = Handover.of(desk(), number)
    if not way.to_go():
        return NOTHING
    done = way.pack()
    left = "".join(f"; LEFT {dataset}: {why}" for dataset, why in sorted(done.left.items()))
    return f"{len(done.made)} bags are packed now{left}"


@step
def send(number: str) -> str:
    """Into the successor's bucket, part by part; a run that was killed goes on at the part where it was."""
    way = Handover.of(desk(), number)
    return f"{len(way.send())} bags are sent now" if way.to_go() else NOTHING


class Receipts(BaseSensorOperator):
    """Waits until the successor has signed for every bag, for weeks if need be. Between two looks it holds no slot."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            mode="reschedule", poke_interval=FIRST_LOOK, exponential_backoff=True, max_wait=SELDOMEST,
            timeout=timedelta(days=366), doc_md=type(self).__doc__, **more,
        )  # fmt: skip

    def poke(self, context: Any) -> bool:
        number = context["ti"].xcom_pull(task_ids="take_up")
        with plainly(number):
            waiting = Handover.of(desk(), number).waiting()
        if waiting:
            self.log.info("%s: no receipt of %d bags yet, %s the first", number, len(waiting), waiting[0])
        return not waiting


@step
def verify(number: str) -> str:
    """Every receipt, by the key that was compared. Red while one is forged, or names a difference: the bag stays ours alone."""
    way = Handover.of(desk(), number)
    if not way.to_go():
        return NOTHING
    if wrong := way.verify(actor=now()["actor"]):
        raise NotProved(
            "; ".join(f"{bag}: {why}" for bag, why in sorted(wrong.items())), about=number,
            next_step="have the successor receive again; once its new receipts lie in the inbox, clear this task",
        )  # fmt: skip
    return "every bag is received, and both sides computed the same root"


@step
def consigned_as(number: str) -> str:
    """The fingerprint of what was consigned: it stands in the question, and the answer is about no other."""
    with desk().book() as conn:
        return permitting.shown(conn, number)


@step(pool="disposals")
def delete_source(number: str, answer: dict[str, Any], shown: str) -> str:
    """Who answered says by a document that it may begin, of the consignment that the question showed. Then case after case, until
    no bag may go any more; each proved by the prover. What may not is named by the books."""
    if "known" not in answer:
        permitting.permit(
            desk(), number, paper=shutting_down.paper(answer["params_input"]), as_of=today(), actor=person(answer, "ops"),
            consignment=shown,
        )  # fmt: skip
    gone = Handover.of(desk(), number).delete_source(as_of=today(), actor=now()["actor"])
    bags = sum(len(g.bags) for g in gone)
    return (
        f"{bags} bags are gone here, by {', '.join(g.case_no for g in gone)}" if gone else "no bag may go now"
    )


@step(pool="proofs", retries=0)
def balance(number: str) -> str:
    """The books of the whole shutdown, and a suite that judges them. Red while an item is not in exactly one place."""
    found = books.balance(desk(), number, **now())
    proof = proving.ours(desk(), found, **now())
    return f"{books.balanced(found)}; {proving.proved(proof)}"


# --- the questions ----------------------------------------------------------------------------------


def _ask_keys() -> Ask:
    """The one thing of a handover that no machine may decide: whose key is believed."""
    return Ask(
        task_id="ask",
        case_of="take_up",
        answered=_consigned,
        subject=f"{ORDER}: 请与承接方核对密钥 · compare the successor's keys",
        body=f"Put its certificate as `{CERTIFICATE}` and its public key for receipts as `{RECEIPT_KEY}` into the directory of "
        f"the order's bags (`<handover_bags>/{ORDER}/`). Compare both by phone, then give the SHA-256 of `{RECEIPT_KEY}` and "
        "the number of the document that says so. "
        "将承接方证书与回执公钥放入移交目录,电话核对后填写回执公钥文件的SHA-256与文书编号。 "
        f"{PAGE.format(n=ORDER)}",
        options=[DONE],
        params=forms.paper(),
    )


def _ask_source() -> Ask:
    """Nothing brings back what goes from here on."""
    return Ask(
        task_id="ask",
        case_of="take_up",
        answered=_begun,
        subject=f"{ORDER}: 请确认开始删除已移交的数据 · our copy of what was handed over is to go",
        body="Only what the successor signed for goes, bag by bag; nothing brings it back. Give the number and SHA-256 "
        f"of the document that lets it go, of the consignment `{SHOWN}`. 仅删除承接方已签收的数据,删除后不可恢复;"
        f"请填写批准文书的编号与SHA-256,仅就移交单 `{SHOWN}` 作答。 "
        f"`quietus shutdown books {ORDER}` · {PAGE.format(n=ORDER)}",
        options=[DONE],
        params=forms.paper(),
    )


def _consigned(number: str) -> str | None:
    way = Handover.of(desk(), number)
    if not way.to_go():
        return NOTHING
    there = way.consignment() if way.stands() else None
    return None if there is None else f"consigned to {there.successor.name}"


def _begun(number: str) -> str | None:
    if not Handover.of(desk(), number).to_go():
        return NOTHING
    with desk().book() as conn:
        return permitting.permitted(conn, number)
