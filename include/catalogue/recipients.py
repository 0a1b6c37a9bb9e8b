"""What lint says of recipients, and of the laws that they may cite."""

from __future__ import annotations

from collections.abc import Iterable

from include.catalogue.problems import Report
from include.model.policy import Recipient, RecipientRole


def check(report: Report) -> None:
    """Every name leads somewhere, and nobody is told, or sent, what does not fit what it is."""
    categories = {c.id for c in report.catalogue.categories}
    for index, recipient in enumerate(report.catalogue.recipients):
        for n, name in enumerate(recipient.categories):
            if name not in categories:
                report.unknown("recipients", index, ("categories", n), "categories", name)
        for key, what, next_step in _channel(recipient):
            report.add("recipients", index, (key,), what, next_step)
        _used(report, index, recipient)
        _known(report, index, recipient)
    _laws(report)


def _channel(recipient: Recipient) -> Iterable[tuple[str, str, str]]:
    if (recipient.role is RecipientRole.LEDGER) != (recipient.channel == "ledger"):
        yield (
            "channel", "a ledger is told by the ledger's channel, and nobody else is",
            "correct the role or the channel",
        )  # fmt: skip
    if recipient.role is RecipientRole.INDEPENDENT and recipient.channel != "information":
        yield (
            "channel", "an independent handler is informed, not instructed",
            "use the channel `information`, or correct the role",
        )  # fmt: skip
    if recipient.channel == "opendsr" and not recipient.domain:
        yield (
            "channel", "nothing says whose certificate signs its answers",
            "give its `domain`, as it stands in that certificate",
        )  # fmt: skip
    if not recipient.expected:
        yield "expected", "no answer is expected of it", "name at least one code"


def _used(report: Report, index: int, recipient: Recipient) -> None:
    """Which rows show that its service was used. Without any, what predates the register is nobody's, so each body
    of table 4.4 has some; whoever came with the register (an affiliate, an authority, a successor) needs none."""
    datasets = {d.id: d for d in report.catalogue.datasets}
    if not recipient.used_when and recipient.row[:1].isdigit():
        report.add(
            "recipients", index, ("used_when",), "nothing shows that its service was used before the register",
            "name the datasets that do",
        )  # fmt: skip
    for n, name in enumerate(recipient.used_when):
        if name not in datasets:
            report.unknown("recipients", index, ("used_when", n), "datasets", name)
    for key, columns in (("named_in", recipient.named_in), ("dated_by", recipient.dated_by)):
        for name, column in columns.items():
            if name not in recipient.used_when:
                report.add(
                    "recipients", index, (key, name), "it is not among the datasets of `used_when`",
                    "add it there, or drop it here",
                )  # fmt: skip
            elif name in datasets and column not in datasets[name].columns:
                _no_column(report, index, (key, name), name, column)
    if any(d.transfers is not None for d in report.catalogue.datasets) and recipient.registered is None:
        report.add(
            "recipients", index, ("registered",),
            "nothing says since when the register of transfers has what it is given",
            "give the day; whose service was used before it is told without an entry",
        )  # fmt: skip


def _known(report: Report, index: int, recipient: Recipient) -> None:
    """What a notice may name a person by: only what table 4.4 lists for this recipient, and where we have it."""
    datasets = {d.id: d for d in report.catalogue.datasets}
    for n, known in enumerate(recipient.known_by):
        if known.category not in recipient.categories:
            report.add(
                "recipients", index, ("known_by", n, "category"),
                f"{known.category} is not among what it is given (table 4.4)",
                "name the person by something it already has",
            )  # fmt: skip
        if known.dataset not in datasets:
            report.unknown("recipients", index, ("known_by", n, "dataset"), "datasets", known.dataset)
            continue
        columns = datasets[known.dataset].columns
        if known.column not in columns:
            _no_column(report, index, ("known_by", n, "column"), known.dataset, known.column)
        elif known.category not in columns[known.column].all_categories:
            report.add(
                "recipients", index, ("known_by", n, "column"),
                f"{known.dataset}.{known.column} holds no {known.category}",
                "correct the column or the category",
            )  # fmt: skip


def _no_column(report: Report, index: int, key: tuple[str | int, ...], dataset: str, column: str) -> None:
    report.add(
        "recipients", index, key, f"'{column}' is not among the columns of {dataset}", "correct the name"
    )


def _laws(report: Report) -> None:
    """A name means one law, and what is too weak by itself keeps nothing."""
    recipients = {r.id for r in report.catalogue.recipients}
    seen: dict[str, str] = {}
    for index, law in enumerate(report.catalogue.laws):
        for n, name in enumerate(law.names):
            other = seen.setdefault(name.casefold(), law.id)
            if other != law.id:
                report.add(
                    "laws", index, ("names", n), f"'{name}' is {other} too", "a name means one law: drop one"
                )
        if law.keeps and not law.rank.restrains_deletion:
            report.add(
                "laws", index, ("keeps",), "what is weaker than a regulation restrains nothing (PIPL 47 para. 2)",
                "name the provision above it in `under`, and its article there",
            )  # fmt: skip
        for n, keeps in enumerate(law.keeps):
            for m, name in enumerate(keeps.binds):
                if name not in recipients:
                    report.unknown("laws", index, ("keeps", n, "binds", m), "recipients", name)
