"""One entry of the catalogue in plain words, Chinese or English: what it is, what it leads to, what it rests on.

For support, auditors and whoever writes a catalogue. It speaks of the declaration and of no person.
"""

from __future__ import annotations

from collections.abc import Iterable

from include.catalogue.coverage import standing
from include.catalogue.plain import AT_END, OWNERSHIP, REASON, STANDING, Language, Words, former, limit, pick
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.estate import Bound, Dataset, Link
from include.model.interval import Bounded, waits_for
from include.model.policy import Category, Clause, Period, Recipient, RetentionRule


def explain(catalogue: Catalogue, name: str, language: Language = "zh") -> str:
    """A dataset, a category (PI-nnn), a rule (RS-nn), a clause (its number) or a recipient, in plain words.

    Raises Refused for a name that the catalogue does not have, with what is near it.
    """
    say = _Say(catalogue, language)
    code = name.upper()
    lines = [
        *(line for x in catalogue.datasets if x.id == name for line in say.dataset(x)),
        *(line for x in catalogue.categories if x.id == code for line in say.category(x)),
        *(line for x in catalogue.rules if x.id == code for line in say.rule(x)),
        *(line for x in catalogue.clauses if str(x.no) == name for line in say.clause(x)),
        *(line for x in catalogue.recipients if x.id == name for line in say.recipient(x)),
    ]
    if lines:
        return "\n".join(lines)
    near = [d.id for d in catalogue.datasets if name.lower() in d.id][:5]
    raise Refused(
        "the catalogue has no such entry", about=name,
        next_step=f"did you mean {', '.join(near)}?" if near
        else "name a dataset, PI-nnn, RS-nn, a clause's number or a recipient",
    )  # fmt: skip


class _Say:
    """Sentences about one catalogue in one language."""

    def __init__(self, catalogue: Catalogue, language: Language) -> None:
        self.catalogue, self.language = catalogue, language

    def _(self, zh: str, en: str) -> str:
        return pick((zh, en), self.language)

    def _of(self, words: Words) -> str:
        return pick(words, self.language)

    def _list(self, zh: str, en: str, lines: Iterable[str]) -> Iterable[str]:
        """A head and what is under it; nothing if there is nothing."""
        found = list(lines)
        if found:
            yield self._(zh, en)
            yield from (f"  {line}" for line in found)

    def _category_name(self, id: str) -> str:
        try:
            category = self.catalogue.category(id)
        except KeyError:
            return id
        mark = self._("(敏感)", " (sensitive)") if category.sensitive else ""
        return f"{id} {self._(category.zh, category.en)}{mark}"

    # --- a dataset ---

    def dataset(self, dataset: Dataset) -> Iterable[str]:
        place = f"{dataset.address}/{dataset.prefix}" if dataset.prefix else dataset.address
        yield f"{dataset.title} ({dataset.id})"
        yield self._(f"位置:{dataset.store} 的 {place}", f"Where: {place} in store {dataset.store}")
        yield from self._list("归属", "Whose it is", (self._link(dataset, link) for link in dataset.links))
        yield from self._list("内容", "What it holds", self._held(dataset))
        yield from self._list("规则", "Rules", (self._bound(dataset, b) for b in dataset.binds))
        yield self._("届时:", "Then: ") + self._of(AT_END[dataset.action])
        if dataset.cut:
            yield self._("须保留的行置为:", "In a row that must stay: ") + ", ".join(
                f"{name} = {'null' if value is None else value}" for name, value in dataset.cut.set.items()
            )
            if dataset.cut.ends is not None:
                yield self._(
                    "余下部分仍属个人信息,直至:", "What is left is personal still, until: "
                ) + self._bound(dataset, dataset.cut.ends)
        yield from self._sealing(dataset)
        effects = (f"{e.operation} {e.table}: {e.reason}" for e in dataset.effects)
        yield from self._list("附带影响", "It also changes", effects)
        copies = [d.address for d in self.catalogue.derived if dataset.id in d.of]
        copies += [f"{b.id} ({b.tool}, {b.keep})" for b in self.catalogue.backups if b.store == dataset.store]
        yield from self._list("副本", "Copies of it", copies)

    def _sealing(self, dataset: Dataset) -> Iterable[str]:
        if dataset.sealed_by is not None:
            keys = dataset.sealed_by.dataset
            yield self._(
                f"密封:密钥在 {keys};该行删除后,任何副本(旧版本、备份、锁定期内的对象)均不可读",
                f"Sealed with a key of {keys}: once its row is gone no copy can be read, nor one in a backup or under a lock",
            )
        opens = (d.id for d in self.catalogue.opened_by(dataset.id))
        yield from self._list("密钥可开启(随其最后一项删除)", "Its keys open, and go with the last of", opens)

    def _link(self, dataset: Dataset, link: Link) -> str:
        way, seen = [dataset.id], {dataset.id}
        step: Link | None = link
        while step is not None and step.via is not None and step.via not in seen:
            way.append(step.via)
            seen.add(step.via)
            target = next((d for d in self.catalogue.datasets if d.id == step.via), None)
            step = target.links[0] if target and target.links else None
        if step is not None and step.column is not None:
            way.append(step.column)
        role = f"{link.role}: " if link.role else ""
        return f"{' → '.join(way)}: {role}{self._of(OWNERSHIP[link.ownership])}"

    def _held(self, dataset: Dataset) -> Iterable[str]:
        yield from (self._category_name(c) for c in dataset.categories)
        for name, column in dataset.columns.items():
            if column.all_categories:
                source = self._(",源自 ", ", derived from ") if column.derived_from else ""
                kinds = ", ".join(self._category_name(c) for c in column.all_categories)
                yield f"{name}: {kinds}{source}{', '.join(column.derived_from)}"

    def _bound(self, dataset: Dataset, bound: Bound) -> str:
        rule = self.catalogue.rule(bound.rule)
        start = bound.start
        begins = (
            self._("自案件受理起", "from the case itself") if start is None
            else self._(f"自 {start.column} 起", f"from {start.column}") if start.column
            else self._(f"自 {start.query} 起", f"from {start.query}, as a query finds it")
        )  # fmt: skip
        periods = [self._limit(rule, p) for p in rule.periods if p.name == bound.period]
        return f"{rule.id} {rule.title}, {begins}: {' '.join(periods)}{self._beside_floors(dataset, bound)}"

    def _limit(self, rule: RetentionRule, period: Period) -> str:
        shorter = former(self.catalogue.formers(rule.id, period), period.counting, self.language)
        return f"{limit(period, self.language)}{shorter}"

    def _beside_floors(self, dataset: Dataset, bound: Bound) -> str:
        """What a ceiling does where a floor of another rule runs on the same rows: it waits, or the two collide."""
        ours = self._bounded(bound)
        if ours is None or not ours.ceiling or ours.floor:
            return ""
        floors = [f for b in dataset.binds if (f := self._bounded(b)) and f.floor and f.rule != ours.rule]
        waits = ", ".join(dict.fromkeys(f.rule for f in floors if waits_for(ours, f)))
        collides = ", ".join(dict.fromkeys(f.rule for f in floors if not waits_for(ours, f)))
        said = ""
        if waits and ours.statutory:
            said += self._(f"; 已决定先待 {waits} 届满", f"; waits for {waits}, as was decided")
        elif waits:
            said += self._(
                f"; 先待 {waits} 届满: 法律先于政策", f"; waits for {waits}: law goes before policy"
            )
        if collides:
            said += self._(f"; {collides} 更长时由人决定", f"; where {collides} runs longer a person decides")
        return said

    def _bounded(self, bound: Bound) -> Bounded | None:
        periods = self.catalogue.rule(bound.rule).periods
        return next((Bounded.of(bound, p, None) for p in periods if p.name == bound.period), None)

    # --- the others ---

    def category(self, category: Category) -> Iterable[str]:
        yield f"{category.id} {category.zh} / {category.en}"
        if category.sensitive or category.sensitivity_note:
            kind = self._("敏感个人信息", "Sensitive") if category.sensitive else self._("一般", "Ordinary")
            yield f"{kind}: {category.sensitivity_note}".rstrip(": ")
        yield self._("删除须达到 ", "How gone it must be: ") + category.rung.name
        rules = (f"{r.id} {r.title}" for r in self.catalogue.rules if r.id in category.rules)
        yield from self._list("规则", "Rules", rules)
        yield from self._list("所在", "Where it is", self._homes(category))
        given = (f"{r.id} {r.name}" for r in self.catalogue.recipients if category.id in r.categories)
        yield from self._list("提供给", "Who is given it", given)

    def _homes(self, category: Category) -> Iterable[str]:
        for dataset in self.catalogue.datasets:
            columns = [n for n, c in dataset.columns.items() if category.id in c.all_categories]
            if columns or category.id in dataset.categories:
                yield f"{dataset.id}: {', '.join(columns)}" if columns else dataset.id
        for place in self.catalogue.not_personal:
            if category.id in place.categories:
                yield f"{place.address}: {place.reason}"

    def rule(self, rule: RetentionRule) -> Iterable[str]:
        yield f"{rule.id} {rule.title}"
        yield self._("起算:", "The clock starts: ") + rule.starts
        periods = (f"{p.name}: {self._limit(rule, p)}" for p in rule.periods)
        yield from self._list("期限", "Periods", periods)
        yield self._("届满:", "Then: ") + self._of(AT_END[rule.at_end])
        yield self._("可保留:", "What may stay: ") + rule.stays
        basis = (f"{b.cite}: {b.text}".rstrip(": ") for b in rule.basis)
        yield from self._list("依据", "It rests on", basis)
        binds = (
            f"{d.id} ({b.period})" for d in self.catalogue.datasets for b in d.every_bind if b.rule == rule.id
        )
        yield from self._list("适用于", "It binds", binds)
        sets = (b.id for b in self.catalogue.backups if b.rule == rule.id)
        yield from self._list("备份", "Backup sets", sets)
        if rule.unbound:
            yield self._("不约束任何数据集:", "It binds no dataset: ") + rule.unbound

    def clause(self, clause: Clause) -> Iterable[str]:
        yield f"{clause.no} ({clause.art}) {clause.zh}"
        yield clause.en
        yield self._of(STANDING[standing(clause)])
        controls = {c.id: c for c in self.catalogue.controls}
        named = (controls[c] for c in clause.controls if c in controls)
        yield from self._list("控制", "Controls", (f"{c.what} [{c.kind}: {c.code}; {c.test}]" for c in named))
        if clause.no_control:
            yield f"{self._of(REASON[clause.no_control])}: {clause.reason}"
        if clause.open:
            yield self._("尚缺:", "Missing: ") + clause.open
        yield self._("证据:", "Evidence: ") + clause.evidence

    def recipient(self, recipient: Recipient) -> Iterable[str]:
        yield f"{recipient.name} ({recipient.id}, 4.4 / {recipient.row})"
        yield f"{recipient.service}: {recipient.fields}"
        phone = recipient.phone or self._("政策未列联系方式", "the policy gives no contact")
        yield self._("渠道:", "Told by: ") + f"{recipient.channel}; {phone}"
        yield self._("通知的含义:", "What a notice can mean: ") + recipient.notice
        if recipient.used_when:
            yield self._("使用其服务的依据:", "Its service was used if there are rows in: ") + ", ".join(
                f"{d} ({recipient.named_in[d]})" if d in recipient.named_in else d
                for d in recipient.used_when
            )
        if recipient.known_by:
            yield self._("可据以识别个人:", "Knows a person by: ") + ", ".join(
                f"{k.category} ({k.dataset}.{k.column})" for k in recipient.known_by
            )
        yield self._("预期答复:", "Expected answers: ") + ", ".join(recipient.expected)
