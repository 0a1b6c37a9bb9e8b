"""What a person who decides is shown: a plan in a few lines of Markdown, Chinese and English, without a name."""

from __future__ import annotations

from collections import defaultdict

from include.cases.discretion import Discretion
from include.model.catalogue import Catalogue
from include.model.flow import Line, Plan
from include.model.words import Disposition

_ZH = {
    Disposition.ERASE: "删除",
    Disposition.DEIDENTIFY: "去标识化（仍属个人信息）",
    Disposition.ANONYMISE: "匿名化",
    Disposition.TRANSFER: "移交",
    Disposition.UNLINK: "切断关联",
    Disposition.RETAIN: "依法保留",
    Disposition.HOLD: "保全",
}


def briefing(plan: Plan, catalogue: Catalogue, discretion: Discretion) -> str:
    """One table: what becomes of how many items, until when, on which law, in which datasets.

    Airflow stores it and shows it to whoever logs in: so it is told with discretion.
    """
    fates: dict[tuple[Disposition, str, str], list[Line]] = defaultdict(list)
    for line in discretion.plan(plan).lines:
        if line.items:
            until = line.until.isoformat() if line.until else line.hold or line.waits_for or ""
            fates[line.disposition, until, line.law].append(line)
    located = sum(x.items for x in plan.located)
    rows = [
        f"**{plan.case_no}** · {located} items located in "
        f"{len({x.dataset for x in plan.located if x.items})} datasets · 共找到 {located} 项 · "
        f"judged by {plan.as_of}",
        "",
        "| fate 处理 | items 项 | until 至 | law 依据 | datasets 数据集 |",
        "|---|---:|---|---|---|",
    ]
    order = list(Disposition)
    for (disposition, until, law), lines in sorted(
        fates.items(), key=lambda f: (order.index(f[0][0]), f[0][1], f[0][2])
    ):
        titles = sorted({catalogue.dataset(x.dataset).title for x in lines})
        shown = ", ".join(titles[:6]) + (f" and {len(titles) - 6} more" if len(titles) > 6 else "")
        items = sum(x.items for x in lines)
        rows.append(f"| {disposition} {_ZH[disposition]} | {items} | {until} | {law} | {shown} |")
    return "\n".join([*rows, "", f"plan `{plan.fingerprint()[:16]}`"])
