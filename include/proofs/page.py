"""A case's proofs as one page that stands by itself: no script, no link outside, nothing to load.

For an auditor: do the books balance, what was looked at, at which rung, what could not be, and what stays until
when on which law. It is made of the same counts as the ledger's evidence, and holds no personal data. (Great
Expectations' own Data Docs load styles from elsewhere, which would tell others who reads them, and may quote rows.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from include.model.catalogue import Catalogue
from include.model.flow import Check, Evidence, Line, Plan
from include.model.times import PRC
from include.model.words import CopyKind, Disposition, Rung, Verdict

WORST_FIRST = (Verdict.FAILED, Verdict.UNVERIFIED, Verdict.PASSED)
RUNGS = {
    Rung.R0: ("冻结", "frozen"),
    Rung.R1: ("隐藏", "hidden"),
    Rung.R2: ("行与对象已除", "rows and objects gone"),
    Rung.R3: ("无快照可见", "MVCC-dead"),
    Rung.R4: ("在线字节已除", "live bytes gone"),
    Rung.R5: ("日志已除", "WAL gone"),
    Rung.R6: ("备份已过期", "backups expired"),
    Rung.R7: ("锁定至期满", "lock-bound"),
    Rung.R8: ("第三方", "third party"),
    Rung.R9: ("密钥已毁", "key destroyed"),
    Rung.R10: ("已匿名", "anonymous"),
    Rung.R11: ("不可推断", "no inference"),
    Rung.R12: ("介质", "media"),
}
FATES = {
    Disposition.ERASE: ("删除", "erased"),
    Disposition.DEIDENTIFY: ("去标识化", "de-identified"),
    Disposition.ANONYMISE: ("匿名化", "anonymised"),
    Disposition.TRANSFER: ("移交", "transferred"),
    Disposition.UNLINK: ("切断关联", "unlinked"),
    Disposition.RETAIN: ("依法保存", "retained"),
    Disposition.HOLD: ("冻结待决", "held"),
}
KINDS = {
    "restricted": ("限制处理后", "after the restriction"),
    "baseline": ("处置前的盲测", "before the disposal: is the prover blind?"),
    "gone": ("处置后", "after the disposal"),
    "dragnet": ("全库搜寻本人数据", "the person's values, sought everywhere"),
    "bystanders": ("他人数据未触及", "nobody else's rows were written"),
    "pictures": ("他人数据前后一致", "everybody else, before and after"),
    "balance": ("账目平衡", "the books balance"),
    "residue": ("残留扫描", "scan for residue"),
    "own_log": ("数据库自身日志", "the server's own log"),
}
VERDICTS = {
    Verdict.PASSED: ("通过", "passed", "✓"),
    Verdict.FAILED: ("未通过", "failed", "✕"),
    Verdict.UNVERIFIED: ("未能核验", "unverified", "?"),
}


@dataclass(frozen=True)
class CertificateSummary:
    """What the page says of the certificate, if there is one."""

    serial: int
    kind: str  # "interim" or "final"
    observed_at: datetime
    ledger_entry: int
    ledger_size: int
    pending: tuple[str, ...] = ()  # what is not over, in words


@dataclass(frozen=True)
class _Account:
    dataset: str
    title: str
    copy: CopyKind
    located: int
    fates: tuple[tuple[Disposition, int], ...]

    @property
    def balances(self) -> bool:
        return self.located == sum(n for _, n in self.fates)


@dataclass(frozen=True)
class _Standing:
    """How far one dataset and copy has been proved."""

    dataset: str
    title: str
    copy: CopyKind
    cells: dict[Rung, Verdict]


def page(
    case_no: str,
    evidences: Sequence[Evidence],
    plan: Plan,
    certificate: CertificateSummary | None = None,
    *,
    catalogue: Catalogue | None = None,
) -> str:
    """The page, as HTML. ``catalogue`` gives the datasets their titles; evidence of other cases is left out."""
    latest = _latest(e for e in evidences if e.case_no == case_no)
    titles = {d.id: d.title for d in catalogue.datasets} if catalogue else {}
    checks = [c for e in latest for c in e.checks]
    accounts = tuple(_accounts(plan, titles))
    rungs = sorted({c.rung for c in checks if c.dataset})
    template = _environment().from_string((files(__package__) / "page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        case_no=case_no,
        plan=plan,
        fingerprint=plan.fingerprint(),
        evidences=latest,
        verdict=_worst(checks),
        totals={v: sum(c.verdict is v for c in checks) for v in Verdict},
        accounts=accounts,
        located=sum(a.located for a in accounts),
        balanced=all(a.balances for a in accounts),
        fates={f: sum(n for a in accounts for g, n in a.fates if g is f) for f in Disposition},
        staying=_staying(plan),
        standings=tuple(_standings(checks, titles)),
        rungs=rungs,
        problems=[(e, c) for e in latest for c in _sorted(e.checks) if c.verdict is not Verdict.PASSED],
        sorted_checks=_sorted,
        worst=_worst,
        titles=titles,
        certificate=certificate,
        RUNGS=RUNGS,
        FATES=FATES,
        KINDS=KINDS,
        VERDICTS=VERDICTS,
    )


def _environment() -> Environment:
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters["moment"] = lambda t: t.astimezone(PRC).strftime("%Y-%m-%d %H:%M:%S +08:00")
    made.filters["number"] = lambda n: f"{n:,}".replace(",", "\u202f")
    return made


def _latest(evidences: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Of each kind and store the last look; in the order in which they were first taken."""
    found: dict[tuple[str, str | None], Evidence] = {}
    for e in sorted(evidences, key=lambda e: e.observed_at):
        found[e.kind, e.store] = e
    order = list(KINDS)
    return tuple(
        sorted(
            found.values(),
            key=lambda e: (order.index(e.kind) if e.kind in order else len(order), e.store or ""),
        )
    )


def _worst(checks: Iterable[Check]) -> Verdict:
    """FAILED before UNVERIFIED before PASSED; no check at all is UNVERIFIED."""
    there = {c.verdict for c in checks}
    return next((v for v in WORST_FIRST if v in there), Verdict.UNVERIFIED)


def _sorted(checks: Iterable[Check]) -> list[Check]:
    return sorted(checks, key=lambda c: (WORST_FIRST.index(c.verdict), c.rung, c.name, c.copy_kind))


def _accounts(plan: Plan, titles: dict[str, str]) -> Iterable[_Account]:
    """The books as planned: what was located, and what each item's fate is. Empty datasets are not told."""
    for x in plan.located:
        mine = [line for line in plan.lines_of(x.dataset) if line.copy_kind is x.copy_kind]
        if x.items or mine:
            fates = tuple(
                (d, n) for d in Disposition if (n := sum(i.items for i in mine if i.disposition is d))
            )
            yield _Account(x.dataset, titles.get(x.dataset, x.dataset), x.copy_kind, x.items, fates)


def _staying(plan: Plan) -> tuple[Line, ...]:
    """What stays, and what is left of cut rows, which is personal still. Longest first: what has no date yet, then by date."""
    cut = Disposition.DEIDENTIFY
    stay = [x for x in plan.lines if x.items and (not x.disposition.changes_data or x.disposition is cut)]
    return tuple(sorted(stay, key=lambda x: (x.until is None, x.until or date.max, x.dataset), reverse=True))


def _standings(checks: Sequence[Check], titles: dict[str, str]) -> Iterable[_Standing]:
    # A baseline says how we know; where an item stands now is said by what was seen afterwards.
    places = sorted({(c.dataset, c.copy_kind) for c in checks if c.dataset})
    for dataset, copy in places:
        mine = [c for c in checks if (c.dataset, c.copy_kind) == (dataset, copy)]
        cells = {rung: _worst(c for c in mine if c.rung is rung) for rung in {c.rung for c in mine}}
        yield _Standing(dataset or "", titles.get(dataset or "", dataset or ""), copy, cells)
