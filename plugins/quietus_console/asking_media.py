"""Tasks and questions about the media of what stops: each is recorded as sanitised, or both approvers of the order say what
becomes of it, one after the other, each as themselves (policy 5.6(3), clause 79).

The first names media; the second reads what the first said and says the same by the same document. What the book has already is
not asked again: what was recorded, and what one of the two has said on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import task_group
from quietus_console import forms
from quietus_console.asking import Ask
from quietus_console.questions import chose, person
from quietus_console.shutting_down import ORDER, PAGE, paper
from quietus_console.waits import Waits
from quietus_console.work import DONE, desk, step, today

from include.cases.shutdown import half_said, media, orders
from include.cases.shutdown.half_said import Half
from include.cases.shutdown.media import Standing
from include.model.errors import NotProved
from include.model.media import Becomes

SAME, NOT_SAME = "I say the same 同意", "Not so 不同意"
FIELDS = {Becomes.STAYS: "stays", Becomes.LATER: "later"}
"""Of the form, by what becomes of the media named in it. Whose a rented one is no list knows: the command line says it."""


def what_becomes_of_them(number: Any) -> Any:
    """Both approvers are asked while something is open; then a record of each of the others is waited for."""

    @task_group(group_id="media")
    def of_media() -> None:
        shown, first = still_open(number), _ask_first()
        shown >> first
        told = say(number, first.output, shown)
        half, second = said(number), _ask_second()
        told >> half >> second
        agreed = agree(number, second.output, half)
        agreed >> Waits(
            task_id="settled",
            waiting=settled,
            doc_md="Waits until each medium has a record, or the word of both approvers.",
        )

    return of_media()


@step(task_id="open")
def still_open(number: str) -> dict[str, Any]:
    """Media that nobody recorded and nobody spoke of, as the question shows them: name, what the catalogue says, and why."""
    asked = _silent(number)
    return {"media": [s.carrier.name for s in asked], "told": "\n".join(map(_line, asked))}


@step
def say(number: str, answer: dict[str, Any], shown: Mapping[str, Any]) -> str:
    """What the first approver says, for what was shown. Of media that are named nowhere a record is waited for."""
    if "known" in answer:
        return str(answer["known"])
    given = answer["params_input"]
    each = {b: _named(given.get(field), shown["media"]) for b, field in FIELDS.items()}
    each = {b: names for b, names in each.items() if names}
    others = sorted({*shown["media"]} - {name for names in each.values() for name in names})
    left: tuple[str, ...] = ()
    if each:
        left = media.say_each(
            desk(), number, each, paper=paper(given), as_of=today(), actor=person(answer, "legal"),
            until=forms.day(given.get("until")),
        )  # fmt: skip
    parts = [f"{len(shown['media']) - len(others)} are answered for"]
    parts += [f"{', '.join(left)} is asked next"] * bool(left)
    parts += [f"a record is waited for of {', '.join(others)}"] * bool(others)
    return "; ".join(parts)


@step
def said(number: str) -> dict[str, Any]:
    """What one of the two said alone, as the other is shown it. The second answer is for this, and for nothing after."""
    halves = _halves(number)
    asked = half_said.together(halves)
    rest = sorted({m for h in halves if h not in asked for m in h.media})
    more = [
        f"Of {', '.join(rest)} by `quietus shutdown media`: by another document, or the other is waited for."
    ]
    return {"events": [h.event for h in asked], "told": "\n".join([*map(_word, asked), *more * bool(rest)])}


@step
def agree(number: str, answer: dict[str, Any], shown: Mapping[str, Any]) -> str:
    """The other approver says the same, by the same document; or the run ends here, and something else is said."""
    if "known" in answer:
        return str(answer["known"])
    if not chose(answer, SAME):
        raise NotProved(
            "the other approver does not say the same of the media", about=number,
            next_step="say what becomes of them with `quietus shutdown media`, then clear `end.media.said`, which asks the other",
        )  # fmt: skip
    found = half_said.agree(
        desk(), number, shown["events"], paper=paper(answer["params_input"]), as_of=today(), actor=person(answer, "legal")
    )  # fmt: skip
    return f"both approvers say what becomes of {', '.join(sorted({m for h in found for m in h.media}))}"


def settled(number: str) -> list[str]:
    """Media that are open still."""
    return [s.carrier.name for s in _standing(number)[0] if s.open]


# --- the questions ----------------------------------------------------------------------------------


def _ask_first() -> Ask:
    return Ask(
        task_id="ask_first",
        case_of="take_up",
        answered=lambda number: None if _silent(number) else "nothing is open that nobody spoke of",
        subject=f"{ORDER}: 存储介质去向(批准人1/2) · what becomes of the media (an approver of the order)",
        body="{{ ti.xcom_pull(task_ids='end.media.open')['told'] }}\n\n"
        "Record each medium that was sanitised (`quietus yearly sanitised`, docs/yearly.md). Of the others, and of each on which "
        "something stays, say what becomes of them by one document; the other approver is asked the same. What is rented is said "
        f"with its provider by `quietus shutdown media {ORDER} --becomes rented`. Of what is named nowhere a record is waited "
        f"for. {PAGE.format(n=ORDER)}\n\n"
        "已清除的介质请登记清除记录;其余介质及仍有数据留存的,请依一份文书填写去向,另一位批准人随后确认;"
        "租用的请以命令行载明服务商。未填写的,等待清除记录。",
        options=[DONE],
        params=forms.media(),
    )


def _ask_second() -> Ask:
    return Ask(
        task_id="ask_second",
        case_of="take_up",
        answered=lambda number: None if _halves(number) else "nothing waits for the other approver",
        subject=f"{ORDER}: 请确认存储介质去向(批准人2/2) · do you say the same of the media (the other approver)",
        body="{{ ti.xcom_pull(task_ids='end.media.said')['told'] }}\n\n"
        "Read that document yourself, and give its number and SHA-256: it must be the same. "
        f"{PAGE.format(n=ORDER)}\n\n请另一位批准人本人阅读该文书,填写其编号与SHA-256,须与前一位一致。",
        options=[SAME, NOT_SAME],
        params=forms.paper(),
    )


def _standing(number: str) -> tuple[tuple[Standing, ...], tuple[Half, ...]]:
    it = desk()
    with it.book() as conn:
        of = orders.order(conn, number)
        found = media.standing(it.catalogue, conn, of, today())
        return found, half_said.halves(conn, of, found, today())


def _halves(number: str) -> tuple[Half, ...]:
    return _standing(number)[1]


def _silent(number: str) -> tuple[Standing, ...]:
    """Open, and none of the two has said anything of it."""
    found, halves = _standing(number)
    spoken = {name for h in halves for name in h.media}
    return tuple(s for s in found if s.open and s.carrier.name not in spoken)


def _named(given: Any, shown: list[str]) -> list[str]:
    """What a field names; ``everything``: all that was shown."""
    names = list(given or ())
    return [*shown] if forms.EVERYTHING in names else names


def _line(s: Standing) -> str:
    why = (
        f"record {s.record.record_no} is of one medium, and something stays on the others"
        if s.record
        else "no record"
    )
    return f"- `{s.carrier.name}`, {s.carrier.title}: {why}"


def _word(h: Half) -> str:
    how = {
        Becomes.STAYS: f"in service with {h.who or 'the company'}",
        Becomes.RENTED: f"rented from {h.who}",
        Becomes.LATER: f"sanitised by {h.until}",
    }[Becomes(h.becomes)]
    return f"- {', '.join(f'`{m}`' for m in h.media)}: {how} ({h.document}); asked: {h.waits_for.partition('/')[0]}"
