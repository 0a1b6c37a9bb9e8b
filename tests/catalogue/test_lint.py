"""Break one thing in the first policy, and lint names it: its file, its line and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.catalogue.lint import check, days, lint
from include.catalogue.loader import ITRUS, LISTS, files_of, line_of, load
from include.catalogue.problems import Problem
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError

Path_ = tuple[str | int, ...]
FIRST = load()
SAID = FIRST.model_dump(mode="json")


def test_the_first_policy_has_no_problem() -> None:
    assert lint() == ()


def references() -> Iterator[tuple[str, int, Path_, str]]:
    """Every name in the first policy that must be declared elsewhere, and a name that is not."""

    def column(i: int, *key: str | int) -> tuple[str, int, Path_, str]:
        return "datasets", i, key, "no_such_column"

    for i, d in enumerate(SAID["datasets"]):
        yield "datasets", i, ("store",), "nowhere"
        for n, link in enumerate(d["links"]):
            if link["via"]:
                yield "datasets", i, ("links", n, "via"), "no.such_dataset"
            else:
                yield column(i, "links", n, "column")
            yield from (column(i, "links", n, "on", mine) for mine in link["on"])
        for n, bound in enumerate(d["binds"]):
            yield "datasets", i, ("binds", n, "rule"), "RS-99"
            if bound["period"] != "main":
                yield "datasets", i, ("binds", n, "period"), "no_such_period"
            if bound["start"] and bound["start"]["column"]:
                yield column(i, "binds", n, "start", "column")
            if bound["start"] and bound["start"]["query"]:
                yield "datasets", i, ("binds", n, "start", "query"), "no_such_query"
        yield from (column(i, "key", n) for n in range(len(d["key"])))
        for name, c in d["columns"].items():
            if c["category"]:
                yield "datasets", i, ("columns", name), "PI-999"
            if c["derived_from"]:
                yield "datasets", i, ("columns", name, "derived_from"), "no.such:column"
        yield from (("datasets", i, ("effects", n, "table"), "no.such") for n in range(len(d["effects"])))
    lists = (("clauses", "controls", "no_such_control"), ("categories", "rules", "RS-99"),
             ("recipients", "categories", "PI-999"), ("derived", "of", "no.such_dataset"),
             ("recipients", "used_when", "no.such_dataset"),
             ("measures", "touches", "no.such_dataset"), ("not_personal", "categories", "PI-999"))  # fmt: skip
    for of, key, wrong in lists:
        for i, entry in enumerate(SAID[of]):
            yield from ((of, i, (key, n), wrong) for n in range(len(entry[key])))
    for of in ("not_personal", "derived", "backups", "measures"):
        yield from ((of, i, ("store",), "nowhere") for i in range(len(SAID[of])))
    for i, r in enumerate(SAID["recipients"]):
        for n in range(len(r["known_by"])):
            yield "recipients", i, ("known_by", n, "dataset"), "no.such_dataset"
            yield "recipients", i, ("known_by", n, "column"), "no_such_column"
            yield "recipients", i, ("known_by", n, "category"), "PI-999"
        yield from (("recipients", i, ("named_in", name), "no_such_column") for name in r["named_in"])
    for i, law in enumerate(SAID["laws"]):
        for n, keeps in enumerate(law["keeps"]):
            for m in range(len(keeps["binds"])):
                yield "laws", i, ("keeps", n, "binds", m), "no_such_body"
    yield from (("backups", i, ("rule",), "RS-99") for i in range(len(SAID["backups"])))
    for i in range(len(SAID["exceptions"])):
        yield "exceptions", i, ("dataset",), "no.such_dataset"
        yield "exceptions", i, ("category",), "PI-999"
        yield "exceptions", i, ("rule",), "RS-99"


def broken(of: str, index: int, key: Path_, wrong: str) -> Catalogue:
    """The first policy with one of its references pointing nowhere."""
    entry = getattr(FIRST, of)[index].model_dump(mode="json")
    place: Any = entry
    for part in key[:-1]:
        place = place[part]
    if len(key) > 1 and key[-2] == "columns":
        place[key[-1]]["category"] = wrong
    else:
        place[key[-1]] = [wrong] if key[-1] == "derived_from" else wrong
    things = list(getattr(FIRST, of))
    things[index] = LISTS[of][1].model_validate(entry)
    return FIRST.model_copy(update={of: tuple(things)})


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(references())))
def test_a_name_that_is_declared_nowhere_is_named_with_its_line(ref: tuple[str, int, Path_, str]) -> None:
    of, index, key, wrong = ref
    found = check(ITRUS, broken(of, index, key, wrong))
    at = line_in(of, index, key)
    here = [p for p in found if (p.file, p.line) == at]
    assert any(wrong in p.what for p in here), [str(p) for p in found]


def line_in(of: str, index: int, key: Path_) -> tuple[str, int]:
    for file in files_of(ITRUS, of):
        entries = file.read_text("utf-8").count("\n- ") + file.read_text("utf-8").startswith("- ")
        if index < entries:
            return file.relative_to(ITRUS).as_posix(), line_of(file, (index, *key))
        index -= entries
    raise AssertionError("no such entry")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A copy of the first policy to break."""
    return Path(shutil.copytree(ITRUS, tmp_path / "policy"))


def edited(root: Path, file: str, old: str, new: str) -> tuple[str, int]:
    """Replace the only such text, and say where."""
    text = (root / file).read_text("utf-8")
    assert text.count(old) == 1, f"{text.count(old)} places in {file}"
    (root / file).write_text(text.replace(old, new), "utf-8")
    return file, text[: text.index(old)].count("\n") + 1


def said(problems: tuple[Problem, ...]) -> str:
    return "\n".join(map(str, problems))


def test_all_problems_are_collected_and_each_names_its_line(policy: Path) -> None:
    one = edited(policy, "datasets/account.yaml", "{category: PI-007}", "{category: PI-777}")
    two = edited(policy, "datasets/cert.yaml", "- {rule: RS-05}", "- {rule: RS-05, period: other}")
    places = {(p.file, p.line) for p in lint(policy)}
    assert {one, two} <= places, said(lint(policy))


def test_a_category_that_lost_its_home_is_named(policy: Path) -> None:
    edited(policy, "datasets/cert.yaml", "key_serial: {category: PI-052}", "key_serial: {}")
    found = lint(policy)
    assert [(p.file, p.key) for p in found if "no dataset holds it" in p.what] == [
        ("categories.yaml", "PI-052.id")
    ]


def test_a_notice_never_names_a_person_by_what_the_recipient_was_not_given(policy: Path) -> None:
    text = (policy / "recipients.yaml").read_text("utf-8")
    old = "{category: PI-005, dataset: account.person, column: mobile}"
    where = text.index(old, text.index("- id: weilai"))
    new = "{category: PI-006, dataset: account.person, column: mobile}"
    (policy / "recipients.yaml").write_text(text[:where] + new + text[where + len(old) :], "utf-8")
    found = said(lint(policy))
    assert "weilai.known_by.0.category: PI-006 is not among what it is given (table 4.4)" in found
    assert "weilai.known_by.0.column: account.person.mobile holds no PI-006" in found


def test_a_recipient_beyond_the_table_is_registered_in_the_catalogue_alone(policy: Path) -> None:
    with (policy / "recipients.yaml").open("a", encoding="utf-8") as file:
        file.write(
            "- {id: affiliate_shanghai, row: affiliate, name: 上海天威诚信, phone: null, service: 关联方,"
            " region: CN, fields: 姓名, categories: [PI-001], purpose: 客户服务, role: P, channel: manual,"
            " notice: instruction, expected: [DELETED], registered: 2024-01-01}\n"
        )
    assert lint(policy) == ()


def test_a_row_counts_for_its_recipient_only_where_the_recipient_looks(policy: Path) -> None:
    text = (policy / "recipients.yaml").read_text("utf-8")
    where = text.index("named_in: {sign.chain_anchor")
    (policy / "recipients.yaml").write_text(
        text[:where] + text[where:].replace("sign.chain_anchor: chain", "sign.seal: legend", 1), "utf-8"
    )
    assert "named_in.sign.seal: it is not among the datasets of `used_when`" in said(lint(policy))


@pytest.mark.parametrize("of", ["stores", "backups", "recipients"])
def test_what_is_abroad_is_named(of: str, policy: Path) -> None:
    (file,) = files_of(policy, of)
    text = file.read_text("utf-8")
    at = text.rindex("  region: CN\n")
    file.write_text(text[:at] + text[at:].replace("CN", "SG", 1), "utf-8")
    last = getattr(FIRST, of)[-1].id
    found = [p for p in lint(policy) if "outside China" in p.what]
    assert [(p.file, p.key, p.line) for p in found] == [
        (file.name, f"{last}.region", text[:at].count("\n") + 1)
    ]


@pytest.mark.parametrize("of", ["stores", "backups", "recipients"])
def test_nothing_is_taken_to_be_in_the_country_without_a_word(of: str, policy: Path) -> None:
    (file,) = files_of(policy, of)
    file.write_text(file.read_text("utf-8").replace("  region: CN\n", "", 1), "utf-8")
    with pytest.raises(CatalogueError, match="region: Field required"):
        load(policy)


def test_a_backup_is_at_a_place_and_not_in_a_sentence(policy: Path) -> None:
    file, line = edited(policy, "backups.yaml", "location: company-backups", "location: the second site")
    with pytest.raises(CatalogueError, match=f"{file}:{line}: company_base: location"):
        load(policy)


CASES: dict[str, tuple[str, str, str, str]] = {
    "statistics that nothing tests again": (
        "not_personal.yaml",
        "  at_least: {accounts: 20}\n",
        "",
        "nothing tests every year that nobody is found in it",
    ),
    "statistics counted by no column of theirs": (
        "not_personal.yaml",
        "at_least: {accounts: 20}",
        "at_least: {people: 20}",
        "'people' is no column of it",
    ),
    "a procedure that does less for sensitive data": (
        "media.yaml",
        'methods: {crypto_erase: 10, physical: 100}\n  basis:\n    - {cite: NIST SP 800-88r2, rank: standard, text: "Clear, Purge'
        ' and Destroy; which of them, by how confidential the data is"}\n  proposal',
        'methods: {crypto_erase: 4, physical: 100}\n  basis:\n    - {cite: NIST SP 800-88r2, rank: standard, text: "Clear, Purge'
        ' and Destroy; which of them, by how confidential the data is"}\n  proposal',
        "less is read back of it (4 %) than of other data (5 %)",
    ),
    "a procedure by a method for sensitive data alone": (
        "media.yaml",
        "id: key\n  medium: key\n  sensitive: false\n  methods: {erase: 100, physical: 100}",
        "id: key\n  medium: key\n  sensitive: false\n  methods: {erase: 100}",
        "physical suffices for sensitive data, and not for other",
    ),
    "a procedure by what nobody can do": (
        "media.yaml",
        "id: bucket\n  medium: bucket\n  sensitive: false\n  methods: {erase: 100,",
        "id: bucket\n  medium: bucket\n  sensitive: false\n  methods: {physical: 100, erase: 100,",
        "a bucket is never sanitised by physical",
    ),
    "a procedure with an owner and no day": (
        "media.yaml",
        "id: tape\n  medium: tape\n  sensitive: false\n  methods: {erase: 5, crypto_erase: 5, physical: 100}\n  basis:\n"
        '    - {cite: NIST SP 800-88r2, rank: standard, text: "Clear, Purge and Destroy; which of them, by how confidential the'
        ' data is"}\n  proposal: {until_then: sandbox only}',
        "id: tape\n  medium: tape\n  sensitive: false\n  methods: {erase: 5, crypto_erase: 5, physical: 100}\n  basis:\n"
        '    - {cite: NIST SP 800-88r2, rank: standard, text: "Clear, Purge and Destroy; which of them, by how confidential the'
        ' data is"}\n  proposal: {owner: security}',
        "a company procedure has an owner and a day of approval, or neither yet",
    ),
    "a procedure by what is no standard": (
        "media.yaml",
        "id: key_sensitive\n  medium: key\n  sensitive: true\n  methods: {erase: 100, physical: 100}\n  basis:\n    - {cite: NIST"
        " SP 800-88r2, rank: standard",
        "id: key_sensitive\n  medium: key\n  sensitive: true\n  methods: {erase: 100, physical: 100}\n  basis:\n    - {cite: NIST"
        " SP 800-88r2, rank: company",
        "is no standard, and a record says which it followed",
    ),
    "a medium with two procedures": (
        "media.yaml",
        "id: key_sensitive\n  medium: key\n  sensitive: true",
        "id: key_sensitive\n  medium: key\n  sensitive: false",
        "has two procedures",
    ),
    "a medium with none": (
        "media.yaml",
        "id: disk_sensitive\n  medium: disk\n",
        "id: disk_sensitive\n  medium: backup_volume\n",
        "a disk with sensitive data has no procedure",
    ),
    "a period after a rule that is not there": (
        "own_records.yaml",
        "after: RS-03",
        "after: RS-99",
        "'RS-99' is declared nowhere",
    ),
    "a company period that is made longer unsaid": (
        "retention.yaml",
        "- name: cap\n      duration: P12M",
        "- name: cap\n      duration: P24M",
        "promised P12M: nobody accepted P24M, so that it reaches nobody",
    ),
    "a company period that could be made longer unsaid": (
        "versions.yaml",
        "    RS-12/cap: P12M\n",
        "",
        "RS-12.periods.1.duration: version 2025-03 of the policy, the newest, does not say it",
    ),
    "a promise about what a statute sets": (
        "versions.yaml",
        "    RS-12/cap: P12M\n",
        "    RS-12/cap: P12M\n    RS-12/main: P6M\n",
        "2025-03.says.RS-12/main: no rule has such a period that no statute sets",
    ),
    "a version that nobody can have accepted": (
        "datasets/account.yaml",
        "accepted: policy_version,",
        "",
        "nothing says which version the holder of an account accepted",
    ),
    "a version in a column that is not there": (
        "datasets/account.yaml",
        "accepted: policy_version,",
        "accepted: no_such_column,",
        "no_such_column",
    ),
    "a version with consents that nothing reads": (
        "datasets/account.yaml",
        ", version: policy_version}",
        "}",
        "account.consent.columns.policy_version: it looks like the version that somebody accepted, and nothing judges by it",
    ),
    "our own records for longer than was promised": (
        "retention.yaml",
        "last RS-03 date\n      duration: P3Y",
        "last RS-03 date\n      duration: P4Y",
        "no account leads to these records",
    ),
    # what is wrong: file, what is there, what is put there, what lint says
    "a circle": (
        "datasets/ent.yaml",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {column: account_id}",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {via: ent.contact, on: {account_id: contact_id}}",
        "leads back to",
    ),
    "nobody": (
        "datasets/ent.yaml",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {column: account_id}",
        "address: ent.enterprise\n  key: [account_id]\n  links:\n    - {via: ent.enterprise, on: {account_id: account_id}}",
        "it leads to nobody",
    ),
    "no way": (
        "datasets/usage.yaml",
        "- {via: usage.device, on: {device_id: device_id}}",
        "- {via: usage.device}",
        "nothing says which columns join",
    ),
    "column and via": (
        "datasets/usage.yaml",
        "- {via: usage.device, on: {device_id: device_id}}",
        "- {via: usage.device, column: device_id, on: {device_id: device_id}}",
        "give exactly one",
    ),
    "joining objects": (
        "datasets/usage.yaml",
        "- {via: usage.device, on: {device_id: device_id}}",
        "- {via: objects.seals, on: {device_id: account_id}}",
        "is no table",
    ),
    "a key that is cut": (
        "datasets/account.yaml",
        "user_name: null,",
        "account_id: null,",
        "a key is not cut",
    ),
    "a cut that cannot happen": (
        "datasets/usage.yaml",
        "title: Places\n",
        "title: Places\n  cut: {set: {map_tile: null}}\n",
        "nothing can make one stay",
    ),
    "no cut": (
        "datasets/cert.yaml",
        """  cut:
    set: {subject_dn: null}
    ends: {rule: RS-04, period: register, start: {column: at}}
""",
        "",
        "nothing says how to deidentify it",
    ),
    "what is left has no end": (
        "datasets/cert.yaml",
        "    ends: {rule: RS-04, period: register, start: {column: revoked_at}}\n",
        "",
        "nothing says when what is left of it goes",
    ),
    "what is left ends by nothing": (
        "datasets/cert.yaml",
        "period: register, start: {column: at}",
        "period: main, start: {column: at}",
        "RS-04/main is no ceiling",
    ),
    "what is cut by the minute": (
        "retention.yaml",
        """CRL, OCSP and issuance log
  starts: as RS-03
  periods:
    - duration: P5Y
""",
        """CRL, OCSP and issuance log
  starts: as RS-03
  periods:
    - duration: PT24H
""",
        "is for runs by the minute",
    ),
    "what is left starts with the account": (
        "datasets/cert.yaml",
        "period: register, start: {column: at}",
        "period: register",
        "does not start from a column of the row",
    ),
    "what is left starts by what is cut": (
        "datasets/cert.yaml",
        "set: {reason: unspecified}",
        "set: {reason: unspecified, revoked_at: null}",
        "'revoked_at' is cut, so that nothing says when it began",
    ),
    "what is left of what is erased": (
        "datasets/account.yaml",
        "cut: {set: {user_name: null, country: null, last_login_at: null}}",
        "cut: {set: {user_name: null, country: null}, ends: {rule: RS-01, start: {column: last_login_at}}}",
        "a cut row of it goes with the last that needs it",
    ),
    "less than the rule": (
        "datasets/usage.yaml",
        "title: Devices\n",
        "title: Devices\n  action: deidentify\n  cut: {set: {os_version: null}}\n",
        "RS-13 ends in: erase",
    ),
    "another's link uncut": (
        "datasets/ent.yaml",
        "cut: {set: {account_id: null}}",
        "cut: {set: {mobile: null}}",
        "nothing cuts it",
    ),
    "shared and sole": (
        "datasets/sign.yaml",
        "- {via: sign.contract_party, on: {contract_id: contract_id}, ownership: shared, role: a party}",
        "- {via: sign.contract_party, on: {contract_id: contract_id}, ownership: shared}\n"
        "    - {via: sign.signature, on: {contract_id: contract_id}}",
        "goes with one person by another",
    ),
    "one place twice": (
        "datasets/billing.yaml",
        "address: billing.voucher\n",
        "address: billing.invoice\n",
        "is at the same place",
    ),
    "overlapping paths": (
        "datasets/objects.yaml",
        'prefix: "handwriting/{account_id}/"',
        'prefix: "seal/{account_id}/x/"',
        "is at the same place",
    ),
    "a path to nobody": (
        "datasets/objects.yaml",
        'prefix: "handwriting/{account_id}/"',
        'prefix: "handwriting/"',
        "nothing in the path leads to a person",
    ),
    "a variable unmapped": (
        "datasets/objects.yaml",
        'prefix: "handwriting/{account_id}/"',
        'prefix: "handwriting/{account_id}/{seal_id}/"',
        "'seal_id' is not among the columns",
    ),
    "personal and not": (
        "not_personal.yaml",
        "address: ops.incident\n",
        "address: ops.incident_person\n",
        "it is dataset ops.incident_person too",
    ),
    "a rule that waits for one that does not bind": (
        "datasets/sign.yaml",
        "gives_way: [RS-10]",
        "gives_way: [RS-11]",
        "RS-11 does not bind it",
    ),
    "a proposal that somebody owns and nobody approved": (
        "retention.yaml",
        "proposal: {until_then: counsel says",
        "proposal: {owner: cfo, until_then: counsel says",
        "an owner and a day of approval",
    ),
    "a rule for nothing": (
        "datasets/usage.yaml",
        "- {rule: RS-14}\n    - {rule: RS-14, start: {column: taken_at}}",
        "- {rule: RS-13}",
        "nothing is bound to it",
    ),
    "a rule that says it is unbound": (
        "retention.yaml",
        "- id: RS-14\n",
        "- id: RS-14\n  unbound: because\n",
        "it is bound, and says why it is not",
    ),
    "a clause without an answer": (
        "clauses.yaml",
        "  controls: [all_in_the_country, abroad_is_an_alarm]\n- no: 84",
        "- no: 84",
        "nothing honours this sentence",
    ),
    "both a control and none": (
        "clauses.yaml",
        '  no_control: never_expected\n  reason: "The company reports no news"',
        "  controls: [sealed_at_rest]\n  no_control: never_expected\n  reason: x",
        "keep either the reason",
    ),
    "a reason without words": (
        "clauses.yaml",
        '\n  reason: "The company reports no news"',
        "",
        "belong together",
    ),
    "a clause is missing": ("clauses.yaml", "- no: 131\n", "- no: 132\n", "clause 131 is missing"),
    "a control for nothing": (
        "controls.yaml",
        "- id: sealed_at_rest\n",
        "- id: sealed_twice\n",
        "it honours no clause",
    ),
    "a floor without a statute": (
        "retention.yaml",
        "[{cite: Invoice Measures 28, rank: administrative_regulation,",
        "[{cite: Invoice Measures 28, rank: departmental_rule,",
        "restrains nothing",
    ),
    "no time at all": ("retention.yaml", "- duration: P7D", "- duration: P", "names no time"),
    "years of working days": (
        "retention.yaml",
        "duration: P3D\n",
        "duration: P3M\n",
        "cannot be counted in working days",
    ),
    "a floor in working days": (
        "retention.yaml",
        "- duration: P15D\n      counting: prc_working_days\n      kind: ceiling\n      basis:\n"
        "        - {cite: App Method 6, rank: departmental_rule, text: manual",
        "- duration: P15D\n      counting: prc_working_days\n      kind: both\n      basis:\n"
        "        - {cite: App Method 6, rank: law, text: manual",
        "forbids deleting for a number of working days",
    ),
    "a long archive of everything": (
        "backups.yaml",
        "keep: P30D",
        "keep: P5Y\n  rule: RS-03",
        "it is kept for as long as data of RS-03, and holds",
    ),
    "a replica that is no bucket": (
        "backups.yaml",
        "keep: P30D",
        "keep: P30D\n  replica: true",
        "is no replica of a bucket",
    ),
    "versions of a bucket that is not the store's": (
        "backups.yaml",
        "tool: basebackup",
        "tool: object_versions",
        "is no bucket of the store",
    ),
    "a log of something else": (
        "backups.yaml",
        "location: company\n",
        "location: records\n",
        "company_log.location: records is not the connection of store company",
    ),
    "a log of what has none": (
        "backups.yaml",
        "store: company\n  tool: own_log",
        "store: objects\n  tool: own_log",
        "objects is no database, and has no log of its own",
    ),
    "a log that somebody orders to stay": (
        "backups.yaml",
        "location: company\n",
        "location: company\n  hold: court order 7\n",
        "a server's own log goes with its checkpoints",
    ),
    "a backup kept too long": ("backups.yaml", "keep: P30D", "keep: P60D", "longer than RS-25/main allows"),
    "a backup under a period that is none": (
        "backups.yaml",
        "keep: P30D",
        "keep: P30D\n  period: for_ever",
        "RS-25 has no period 'for_ever'",
    ),
    "a period that reaches nothing": (
        "retention.yaml",
        "      unbound: it says for how long a claim may be brought; no ticket is kept for it\n",
        "",
        "nothing is bound to RS-16/claim",
    ),
    "a period that says it reaches nothing": (
        "datasets/usage.yaml",
        "- {rule: RS-15, start: {column: seen_at}}",
        "- {rule: RS-15, start: {column: seen_at}}\n    - {rule: RS-16, period: claim}",
        "RS-16.periods.1.unbound: it is bound, and says why it is not",
    ),
    "code of a control that is not there": (
        "controls.yaml",
        '"include.cases.periods:last_day"',
        '"include.cases.periods:nope"',
        "there is no include.cases.periods:nope",
    ),
    "a control that the product does not reach": (
        "controls.yaml",
        '"include.cases.clocks:reply_due"',
        '"include.cases.clocks:reminders"',
        "no run, page or command reaches it, and clause 118 misses nothing",
    ),
    "no accounts": (
        "datasets/account.yaml",
        "  accounts: {ended: cancelled_at, began: registered_at, accepted: policy_version,\n"
        "             dormancy: {period: dormant, last_use: account_last_used, noticed: dormancy_noticed_at, notice: P30D},\n"
        "             reached: [{dataset: account.person, column: email}, {dataset: ent.enterprise, column: contact_email}],\n"
        "             # The policy (8.1) collects a guardian's consent, name and document, and no address: guardians are told by"
        " the announcement.\n"
        "             guarded: {dataset: account.guardian_consent}}\n",
        "",
        "which table holds the accounts",
    ),
    "guardians in no table": (
        "datasets/account.yaml",
        "guarded: {dataset: account.guardian_consent}",
        "guarded: {dataset: account.nobody}",
        "it is no table with a column that holds the account id",
    ),
    "accounts of another key": (
        "datasets/account.yaml",
        "  address: account.login_code\n",
        "  address: account.login_code\n  accounts: {}\n",
        "account.login_code.accounts: its key is not the account id alone",
    ),
    "accounts twice": (
        "datasets/account.yaml",
        "  address: account.person\n",
        "  address: account.person\n  accounts: {}\n",
        "account.account is declared to be that",
    ),
    "a withdrawal that stands nowhere": (
        "datasets/account.yaml",
        "consents: {given: given_at, purpose: purpose, withdrawn: withdrawn_at, version: policy_version}",
        "consents: {given: given_at}",
        "nothing says when the consent is withdrawn",
    ),
    "a withdrawal by no column": (
        "datasets/account.yaml",
        "withdrawn: withdrawn_at,",
        "withdrawn: gone_at,",
        "consents.withdrawn",
    ),
    "what is several people's rests on nobody's consent": (
        "datasets/sign.yaml",
        "  address: sign.contract\n",
        "  address: sign.contract\n  rests_on: location\n",
        "sign.contract.rests_on: it is not one person's alone",
    ),
    "objects alone rest on a consent": (
        "datasets/objects.yaml",
        "  address: ca-face-video\n  rests_on: face recognition\n",
        "  address: ca-face-video\n  rests_on: faces\n",
        "objects.face_video.rests_on: no table rests on it",
    ),
    "accounts that end by no column": (
        "datasets/account.yaml",
        "accounts: {ended: cancelled_at, began: registered_at,",
        "accounts: {ended: gone_at,",
        "'gone_at' is not among the columns",
    ),
    "accounts that sleep by no period": (
        "datasets/account.yaml",
        "dormancy: {period: dormant,",
        "dormancy: {period: asleep,",
        "accounts.dormancy.period: the table's own rule has no period 'asleep'",
    ),
    "accounts of which nobody knows when they were used": (
        "datasets/account.yaml",
        "last_use: account_last_used,",
        "last_use: last_seen,",
        "there is no starting_points/last_seen.sql",
    ),
    "accounts of which nobody knows who was told": (
        "datasets/account.yaml",
        "noticed: dormancy_noticed_at,",
        "noticed: told_at,",
        "'told_at' is not among the columns",
    ),
    "a register without its column": (
        "datasets/partner.yaml",
        "transfers: {recipient: recipient_id,",
        "transfers: {recipient: to_whom,",
        "'to_whom' is not among the columns",
    ),
    "a register of nobody": (
        "datasets/usage.yaml",
        "  address: usage.page_visit\n",
        "  address: usage.page_visit\n  transfers: {recipient: page}\n",
        "no column of it holds the account id",
    ),
    "a hash on a chain whose salt stays": (
        "datasets/sign.yaml",
        "cut: {set: {salt: null, contract_id: null}}",
        "cut: {set: {contract_id: null}}",
        "the salt is not cut",
    ),
    "a hash on a chain of an unknown original": (
        "datasets/sign.yaml",
        "{dataset: sign.signature, column: digest}",
        "{dataset: sign.signature, column: the_digest}",
        "'the_digest' is not among the columns",
    ),
    "a table passed over whose columns nobody names": (
        "not_personal.yaml",
        "  columns: [service, uses]\n",
        "",
        "nobody said what its columns are",
    ),
    "a category without a rule": (
        "categories.yaml",
        '  en: "name"\n  sensitive: false\n  rules: [RS-01]\n',
        '  en: "name"\n  sensitive: false\n  rules: []\n',
        "PI-001.rules: no rule says how long it may be kept",
    ),
    "a category under the wrong rule": (
        "datasets/usage.yaml",
        "- {rule: RS-15, start: {column: seen_at}}",
        "- {rule: RS-14}",
        "no dataset that holds it",
    ),
    "one home of several that lost a statutory floor": (
        "datasets/objects.yaml",
        "- {rule: RS-10, start: {query: certificate_ended, on: {serial: serial}}}",
        "- {rule: RS-09}",
        "it holds PI-049 and is bound to none of its rules (RS-10), of which RS-10 forbids deleting it too early",
    ),
    "a kind that moved in": (
        "datasets/usage.yaml",
        "    grant_no: {}",
        "    grant_no: {category: PI-004}",
        "it holds PI-004 and is bound to none of its rules (RS-01, RS-03)",
    ),
    "a signer without a name": (
        "recipients.yaml",
        "  domain: emay.example\n",
        "",
        "emay.channel: nothing says whose certificate signs its answers",
    ),
    "a service that nobody can have used": (
        "recipients.yaml",
        "  used_when: [billing.invoice]\n",
        "",
        "baiwang.used_when: nothing shows that its service was used",
    ),
    "a recipient that the register has since nobody knows when": (
        "recipients.yaml",
        "  registered: 2021-11-01\n  used_when: [billing.invoice]\n",
        "  used_when: [billing.invoice]\n",
        "baiwang.registered: nothing says since when the register of transfers has what it is given",
    ),
    "a day that no row has": (
        "recipients.yaml",
        "dated_by: {billing.invoice: issued_at}",
        "dated_by: {billing.invoice: paid_at}",
        "dated_by.billing.invoice: 'paid_at' is not among the columns",
    ),
    "a law of two names": (
        "laws.yaml",
        '"Civil Code"]',
        '"Civil Code", "CSL"]',
        "civil_code.names.2: 'CSL' is csl too",
    ),
    "a rule that keeps more than it may": (
        "laws.yaml",
        '  rank: departmental_rule\n  under: "ESL 24"\n',
        '  rank: departmental_rule\n  keeps: [{article: "23", text: files}]\n',
        "ca_measures.keeps: what is weaker than a regulation restrains nothing",
    ),
    "an exception for what is not there": (
        "exceptions.yaml",
        "- dataset: billing.invoice\n  category: PI-001",
        "- dataset: billing.invoice\n  category: PI-002",
        "billing.invoice holds no PI-002",
    ),
    "an exception for nothing": (
        "exceptions.yaml",
        "- dataset: billing.voucher\n  category: PI-001\n  rule: RS-17",
        "- dataset: account.person\n  category: PI-001\n  rule: RS-01",
        "account.person is bound to one of its rules",
    ),
    "an exception by a rule that does not bind": (
        "exceptions.yaml",
        "category: PI-059\n  rule: RS-17",
        "category: PI-059\n  rule: RS-13",
        "RS-13 does not bind billing.purchase",
    ),
    "an exception twice": (
        "exceptions.yaml",
        "- dataset: billing.voucher\n",
        "- dataset: billing.invoice\n",
        "it is excepted twice",
    ),
    "an exception that forgets the law": (
        "exceptions.yaml",
        "  law: ESL 24 keeps the signature record, and sign.signature has the digest that was signed\n",
        "",
        "say in `law` why that does not reach this copy",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_contradiction_is_named(name: str, policy: Path) -> None:
    file, old, new, what = CASES[name]
    edited(policy, file, old, new)
    found = lint(policy)
    assert what in said(found), said(found) or "nothing was found"
    assert all((policy / p.file).is_file() and p.line >= 1 and p.next_step for p in found)


def test_a_company_period_is_made_longer_by_the_version_of_the_policy_that_says_it(policy: Path) -> None:
    edited(policy, "retention.yaml", "- name: cap\n      duration: P12M", "- name: cap\n      duration: P24M")
    assert "nobody accepted P24M" in said(lint(policy))
    file = policy / "versions.yaml"
    promised = file.read_text("utf-8").split("  says:\n")[1].replace("RS-12/cap: P12M", "RS-12/cap: P24M")
    file.write_text(file.read_text("utf-8") + f'\n- id: "2026-10"\n  says:\n{promised}', "utf-8")
    assert lint(policy) == ()


Breaking = Callable[[Path], None]
FILES: dict[str, tuple[Breaking, str]] = {
    "accounts that accepted what is no version": (
        lambda r: (r / "versions.yaml").unlink(),
        "no version of the policy is declared that its holder could have accepted",
    ),
    "a measure without its proof": (
        lambda r: (r / "measures/revoke_tokens.proof.sql").unlink(),
        "it has no proof",
    ),
    "a measure without its statement": (
        lambda r: (r / "measures/revoke_tokens.sql").unlink(),
        "nothing says how to do it",
    ),
    "a measure for everybody": (
        lambda r: void((r / "measures/revoke_tokens.sql").write_text("SELECT 1")),
        "reaches everybody",
    ),
    "a statement without a measure": (
        lambda r: void((r / "measures/other.sql").write_text("SELECT 1")),
        "nothing asks for it",
    ),
    "a starting point that is gone": (
        lambda r: (r / "starting_points/certificate_ended.sql").unlink(),
        "there is no starting_points/certificate_ended.sql",
    ),
    "a starting point nobody asks for": (
        lambda r: void((r / "starting_points/other.sql").write_text("SELECT 1")),
        "starting_points/other.sql:1: other: nothing asks for it",
    ),
    "a starting point without its column": (
        lambda r: void((r / "starting_points/certificate_ended.sql").write_text("SELECT serial FROM cohort")),
        "has no 'started_at'",
    ),
}


def void(_: object) -> None:
    return None


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_sql_that_does_not_fit_is_named(name: str, policy: Path) -> None:
    breaking, what = FILES[name]
    breaking(policy)
    assert what in said(lint(policy))


@pytest.mark.parametrize(
    "of",
    [
        "clauses",
        "categories",
        "rules",
        "recipients",
        "laws",
        "controls",
        "stores",
        "datasets",
        "backups",
        "measures",
        "versions",
    ],
)
def test_what_is_declared_twice_is_named(of: str, policy: Path) -> None:
    file = files_of(policy, of)[0]
    text = file.read_text("utf-8")
    first = (
        "- " + text.split("\n- ", 1)[-1].split("\n- ")[0].strip("\n")
        if not text.startswith("- ")
        else (text.split("\n- ")[0])
    )
    file.write_text(text.rstrip("\n") + "\n" + first.rstrip("\n") + "\n", "utf-8")
    assert any(
        "is declared twice" in p.what and p.file == file.relative_to(policy).as_posix() for p in lint(policy)
    )


@pytest.mark.parametrize(
    ("duration", "most"), [("P5Y", 1830), ("P6M", 186), ("P2W", 14), ("PT24H", 1), ("P1DT12H", 1.5)]
)
def test_a_duration_lasts_at_most(duration: str, most: float) -> None:
    assert days(duration) == most
