"""People with unmistakable values go through every end that a case can have; then every place that Airflow and we
ourselves write is searched for them. And each place is shown to be searched, by a leak that is planted there."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from stdnum.cn import ric

from include.cases import book
from include.cases.notices import outbox
from include.model.errors import Refused
from include.model.words import CaseState, Role
from include.sandbox.answering import Answer
from include.sandbox.company import environment
from tests.e2e.conftest import DAG, House, Run
from tests.e2e.searching import Sought

RARE = "鹮龘靐齉爩灪麤龗"
LARGEST = 200 * 2**20  # bytes of a file that is read at once
WORK = "quietus-work"


@dataclass(frozen=True)
class Person:
    """Somebody whose values occur nowhere else, and the run that her case goes through."""

    account: str
    values: Mapping[str, str]


def somebody_unmistakable() -> dict[str, str]:
    """Values of nobody, and of no other run of these tests."""
    token = secrets.token_hex(5)
    digits = f"{secrets.randbelow(10**8):08d}"
    number = (
        f"110105{1930 + secrets.randbelow(60)}0{1 + secrets.randbelow(9)}1{secrets.randbelow(10)}{digits[:3]}"
    )
    name = "欧阳" + "".join(secrets.choice(RARE) for _ in range(3))
    return {
        "full_name": name,
        "document_no": number + ric.calc_check_digit(number),
        "mobile": "139" + digits,
        "email": f"{token}@canary.example",
        "user_name": f"canary_{token}",
        "address": f"北京市朝阳区{name[2:]}路{digits[:4]}号",
    }


def planted(house: House) -> Person:
    """The values, in the company's own tables, instead of those that somebody had."""
    account, values = house.somebody(), somebody_unmistakable()
    said = values | {"id": account}
    with house.company() as conn:
        conn.execute(
            "UPDATE account.person SET full_name = %(full_name)s, document_no = %(document_no)s, mobile = %(mobile)s,"
            " email = %(email)s WHERE account_id = %(id)s", said,
        )  # fmt: skip
        conn.execute("UPDATE account.account SET user_name = %(user_name)s WHERE account_id = %(id)s", said)
        conn.execute(
            "UPDATE ra.id_card c SET address = %(address)s, citizen_id = %(document_no)s FROM ra.application a"
            " WHERE a.application_id = c.application_id AND a.account_id = %(id)s", said,
        )  # fmt: skip
    return Person(account, {**values, "account_id": account})


# --- what is searched -------------------------------------------------------------------------------


def dumped(house: House, database: str) -> Iterator[tuple[str, bytes]]:
    """Every table, as text; a ``bytea`` in it as hex."""
    cluster = house.stack.records
    yield database, subprocess.run(
        [str(cluster.binaries / "pg_dump"), "--dbname", cluster.superuser_conninfo(database)],
        capture_output=True, check=True, timeout=300, env={**os.environ, "PGCLIENTENCODING": "UTF8"},
    ).stdout  # fmt: skip


def files(house: House) -> Iterator[tuple[str, bytes]]:
    """Every file that any process of the house wrote: logs, certificates, keys, temporary files, and the records
    cluster's data and write-ahead log. Only the company's own database is left out, and the memory of the bodies that
    the company gave data to: there people's data belongs."""
    places = house.stack.places
    mine = house.stack.company
    theirs = {mine.data, house.stack.backups, house.stack.outside}
    for top in (places.home, places.servers):
        for folder, below, names in os.walk(top):
            here = Path(folder)
            below[:] = [name for name in below if here / name not in theirs]
            for file in (here / name for name in names):
                if file.is_file() and not file.is_symlink():
                    assert file.stat().st_size < LARGEST, f"{file} is too large to be searched"
                    try:
                        yield str(file.relative_to(top)), file.read_bytes()
                    except FileNotFoundError:
                        continue  # a server removed it meanwhile


def pages(house: House, runs: Mapping[str, Run]) -> Iterator[tuple[str, bytes]]:
    """What an auditor's and a support person's browser is sent, and the certificates that they can fetch."""
    paths = [
        f"/quietus/{page}{lang}"
        for page in ("cases", "errands", "recipients", "retention")
        for lang in ("", "?lang=en")
    ]
    for run in runs.values():
        base = f"/quietus/cases/{run.case_no}"
        paths += [base, f"{base}?lang=en", f"{base}/proofs"]
        paths += [f"{base}/certificate/1/{edition}.json" for edition in ("person", "auditor")]
    for who in ("auditor", "support"):
        for path in paths:
            yield f"{who} {path}", house.user(who).page(path).content


def notices(house: House) -> Iterator[tuple[str, bytes]]:
    """What lies in the outbox, opened, but for what a recipient knows the person by: of that, which kinds it is."""
    desk = house.desk
    with desk.book() as conn:
        for case in book.cases(conn, (), limit=10_000):
            for row in outbox.listing(conn, case.case_no):
                recipient = next(r for r in desk.catalogue.recipients if r.id == row["recipient"])
                said = outbox.payload(conn, case, desk.seal(case), recipient)
                assert {i.category for i in said.identities} <= set(recipient.categories), recipient.id
                yield (
                    f"outbox {case.case_no} {row['recipient']}",
                    said.model_dump_json(exclude={"identities"}).encode(),
                )


def work_bucket(house: House, cases: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    """What steps laid down in the company's S3, keys and bodies. Of a case that still works there, it is needed."""
    s3 = environment(house.stack).s3("objects", Role.ERASER)
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=WORK):
        for version in page.get("Versions", []):
            key = version["Key"]
            if not any(f"case_{number.removeprefix('CASE-')}_" in key for number in cases):
                body = s3.get_object(Bucket=WORK, Key=key, VersionId=version["VersionId"])["Body"].read()
                yield f"{WORK}/{key}", key.encode() + b"\n" + body


# --- what happened to them ----------------------------------------------------------------------------

REFUSAL = {"refusal_ground": "11.4(1)", "refusal_scope": ["everything"], "reasons_document": "LEGAL-2026-17"}


@dataclass(frozen=True)
class Lived:
    """Who they were, and the run that each went through."""

    people: Mapping[str, Person]
    runs: Mapping[str, Run]

    @property
    def sought(self) -> Sought:
        return Sought({name: person.values for name, person in self.people.items()})

    @property
    def at_work(self) -> frozenset[str]:
        return frozenset({self.runs["found elsewhere"].case_no})


def answered(answers: Mapping[Run, tuple[str, str, str, Mapping[str, Any]]]) -> None:
    """Several people's questions, all of them asked before the first is answered."""
    for run, (task, who, chosen, given) in answers.items():
        run.answers[task] = Answer(run.house.user(who), chosen, given)
        run.until(lambda t, task=task: t[task] == "awaiting_input", seconds=300)
    for run, (task, who, chosen, given) in answers.items():
        run.answer(task, who, chosen, given)


@pytest.fixture(scope="module")
def lived(house: House) -> Iterator[Lived]:
    """Cancelled; not identified; refused; and one whom a table nobody declared names. And what was mistyped."""
    ends = ("cancelled", "not identified", "refused", "found elsewhere")
    people = {end: planted(house) for end in ends}
    for value in people["cancelled"].values.values():
        if not value.startswith("acct_"):
            with pytest.raises(Refused):
                house.user("support").trigger(DAG, {"account_id": value})
    with house.company() as conn:
        conn.execute("CREATE TABLE usage.raffle_2025 (note text)")
        hers = people["found elsewhere"].values
        conn.execute("INSERT INTO usage.raffle_2025 VALUES (%s)", [f"{hers['full_name']} {hers['mobile']}"])
        conn.execute("GRANT SELECT ON usage.raffle_2025 TO prover")
    try:
        runs = {end: house.trigger(person.account) for end, person in people.items()}
        match = ("verify_identity.ask", "ops", "Matched 相符", {"fields": ["PI-001", "PI-005"]})
        answered({
            runs["not identified"]: ("verify_identity.ask", "ops", "Not matched 不相符", {"fields": ["PI-004"]}),
            **{runs[end]: match for end in ("cancelled", "refused", "found elsewhere")},
        })  # fmt: skip
        answered({
            runs["refused"]: ("decide.ask", "reviewer", "Refuse 拒绝", REFUSAL),
            **{runs[end]: ("decide.ask", "reviewer", "Approve 批准", {}) for end in ("cancelled", "found elsewhere")},
        })  # fmt: skip
        answered({runs["refused"]: ("decide.ask_second_reviewer", "ops", "Confirm refusal 确认拒绝", {})})
        runs["found elsewhere"].until(
            lambda t: t["dispose.prove_undeclared"] in ("failed", "up_for_retry"), seconds=400
        )
        assert runs["cancelled"].ended(400) == "success", runs["cancelled"].why()
        runs["refused"].ended(400)
        yield Lived(people, runs)
    finally:
        with house.company() as conn:
            conn.execute("DROP TABLE usage.raffle_2025")


def test_they_went_through_what_they_were_to_go_through(lived: Lived) -> None:
    assert {end: run.case().state for end, run in lived.runs.items()} == {
        "cancelled": CaseState.WAITING, "not identified": CaseState.ID_FAILED,
        "refused": CaseState.REFUSED, "found elsewhere": CaseState.ACTING,
    }  # fmt: skip
    assert any("raffle_2025" in f"{f['place']} {f['what']}" for f in lived.runs["found elsewhere"].findings())
    assert lived.runs["cancelled"].certificates()


@pytest.mark.parametrize("database", ["airflow", "quietus"])
def test_nothing_is_in_airflows_metadata_the_case_book_or_the_ledger(
    house: House, lived: Lived, database: str
) -> None:
    assert lived.sought.in_all(dumped(house, database)) == set()


def test_nothing_is_in_any_file_that_the_house_wrote(house: House, lived: Lived) -> None:
    seen: set[str] = set()

    def each() -> Iterator[tuple[str, bytes]]:
        for place, content in files(house):
            seen.add(place)
            yield place, content

    assert lived.sought.in_all(each()) == set()
    for known in ("task_id=dispose", "logs/airflow-scheduler", "logs/postgres-company", "certificates/CASE",
                  "ledger/state.json", "keys/", "records/data/pg_wal/", "records/data/base/"):  # fmt: skip
        assert any(known in place for place in seen), f"{known} was not searched"


def test_nothing_is_on_a_page_or_in_a_certificate(house: House, lived: Lived) -> None:
    found = dict(pages(house, lived.runs))
    assert any(b"dsse" in c.lower() or b"payloadType" in c for p, c in found.items() if p.endswith(".json"))
    assert lived.sought.in_all(found.items()) == set()


def test_a_notice_tells_a_recipient_only_what_is_its_own(house: House, lived: Lived) -> None:
    found = dict(notices(house))
    assert any(lived.runs["cancelled"].case_no in place for place in found)
    assert lived.sought.in_all(found.items()) == set()


def test_nothing_is_left_in_the_work_bucket(house: House, lived: Lived) -> None:
    assert lived.sought.in_all(work_bucket(house, lived.at_work)) == set()


# --- and each place is searched indeed -----------------------------------------------------------------


@contextmanager
def in_a_table(house: House, database: str, column: str, value: Any) -> Iterator[None]:
    table = f"public.leak_{secrets.token_hex(4)}"
    with psycopg.connect(house.stack.records.superuser_conninfo(database), autocommit=True) as conn:
        conn.execute(f"CREATE TABLE {table} (v {column})")
        conn.execute(f"INSERT INTO {table} VALUES (%s)", [value])
        try:
            yield
        finally:
            conn.execute(f"DROP TABLE {table}")


@contextmanager
def in_a_file(path: Path, value: bytes) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value)
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def on_a_page(house: House, run: Run, value: str) -> Iterator[None]:
    with house.records() as conn:
        conn.execute(
            "INSERT INTO casebook.finding (case_no, code, place, what, next_step, found_at)"
            " VALUES (%s, 'leak', 'leak', %s, 'x', now())", [run.case_no, value],
        )  # fmt: skip
        try:
            yield
        finally:
            conn.execute("DELETE FROM casebook.finding WHERE code = 'leak'")


@contextmanager
def in_a_notice(house: House, run: Run, value: str) -> Iterator[None]:
    case, seal = run.case(), house.desk.seal(run.case())
    with house.records() as conn:
        recipient, before = conn.execute(
            "SELECT recipient, sealed_payload FROM casebook.outbox WHERE case_no = %s LIMIT 1", [case.case_no]
        ).fetchone()  # type: ignore[misc]
        field = f"outbox.sealed_payload.{recipient}"
        said = json.loads(seal.open(field, bytes(before))) | {"text": value}
        sealed = seal.seal(field, json.dumps(said))
        change = "UPDATE casebook.outbox SET sealed_payload = %s WHERE case_no = %s AND recipient = %s"
        conn.execute(change, [sealed, case.case_no, recipient])
        try:
            yield
        finally:
            conn.execute(change, [before, case.case_no, recipient])


@contextmanager
def in_the_work_bucket(house: House, value: str) -> Iterator[None]:
    s3 = environment(house.stack).s3("objects", Role.ERASER)
    put = s3.put_object(Bucket=WORK, Key="leak/x", Body=value.encode())
    try:
        yield
    finally:
        version = {"VersionId": put["VersionId"]} if "VersionId" in put else {}
        s3.delete_object(Bucket=WORK, Key="leak/x", **version)


Search = Callable[[House, Lived], Iterator[tuple[str, bytes]]]
Plant = Callable[[House, Lived, str, str], Any]
"""Into a place, a phone number and a name that are nowhere else; and out of it again."""

SEARCHES: Mapping[str, tuple[Search, Mapping[str, Plant]]] = {
    "Airflow's metadata": (lambda h, x: dumped(h, "airflow"), {
        "a text": lambda h, x, phone, name: in_a_table(h, "airflow", "text", f"call {phone}"),
        "escaped JSON": lambda h, x, phone, name: in_a_table(h, "airflow", "json", json.dumps({"note": name})),
    }),
    "case book and ledger": (lambda h, x: dumped(h, "quietus"), {
        "a ledger's leaf": lambda h, x, phone, name: in_a_table(h, "quietus", "bytea", f'{{"a":"{phone}"}}'.encode()),
        "a name in bytes": lambda h, x, phone, name: in_a_table(h, "quietus", "bytea", name.encode()),
    }),
    "files": (lambda h, x: files(h), {
        "the records' data or log on disk": lambda h, x, phone, name: in_a_table(h, "quietus", "text", phone),
        "a task's log": lambda h, x, phone, name: in_a_file(
            h.stack.airflow.home / "logs/dag_id=leak/attempt=1.log", f"said {phone}".encode()),
        "the company's server log": lambda h, x, phone, name: in_a_file(
            h.stack.places.logs / "postgres-company.leak", name.encode()),
        "a certificate": lambda h, x, phone, name: in_a_file(
            h.stack.certificates / "leak.json", base64.b64encode(f"x{phone}".encode())),
        "a temporary file": lambda h, x, phone, name: in_a_file(
            h.stack.places.home / "tmp/leak", name.encode("utf-16-le")),
    }),
    "pages": (lambda h, x: pages(h, x.runs), {
        "a finding": lambda h, x, phone, name: on_a_page(h, x.runs["cancelled"], f"{name}"),
    }),
    "notices": (lambda h, x: notices(h), {
        "a payload": lambda h, x, phone, name: in_a_notice(h, x.runs["cancelled"], phone),
    }),
    "the work bucket": (lambda h, x: work_bucket(h, x.at_work), {
        "a body": lambda h, x, phone, name: in_the_work_bucket(h, name),
    }),
}  # fmt: skip


@pytest.mark.parametrize("place", SEARCHES)
def test_a_leak_that_is_planted_is_named(house: House, lived: Lived, place: str) -> None:
    """One of each kind at once, each of somebody else: every one is named, and by what was planted."""
    search, plants = SEARCHES[place]
    leaks = {leak: somebody_unmistakable() for leak in plants}
    with ExitStack() as planted:
        for leak, plant in plants.items():
            planted.enter_context(plant(house, lived, leaks[leak]["mobile"], leaks[leak]["full_name"]))
        with house.records() as conn:
            conn.execute("CHECKPOINT")  # so that it is on the disk, too
        hits = Sought(leaks).in_all(search(house, lived))
    assert {hit.person for hit in hits} == leaks.keys()
    assert {hit.what for hit in hits} <= {"mobile", "full_name"}
