"""The first policy's own SQL, on a real server: when clocks start, and what restricting brings about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.catalogue.loader import load
from include.model.times import PRC, prc_date

if TYPE_CHECKING:
    from tests.conftest import PgServer

POLICY = load()
TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=PRC)
LI, WANG = "acct_000000000001", "acct_000000000002"


@pytest.fixture
def conn(company: tuple[PgServer, str]) -> Iterator[psycopg.Connection[Any]]:
    """One transaction in the company's database, with two accounts; Li is the cohort."""
    server, name = company
    with psycopg.connect(server.conninfo(name)) as conn:
        for account in (LI, WANG):
            conn.execute(
                "INSERT INTO account.account (account_id, kind, policy_version, registered_at)"
                " VALUES (%s, 'person', '1', '2019-01-01')", [account])  # fmt: skip
        conn.execute("CREATE TEMP TABLE cohort AS SELECT 1 AS subject_no, %s::text AS subject_id", [LI])
        yield conn


@dataclass(frozen=True)
class Certificate:
    """``renews``: the number of an earlier one, or None. Days count from today; ``revoked`` may be None."""

    renews: int | None
    expires: int
    revoked: int | None
    account: str = LI


def issue(conn: psycopg.Connection[Any], certificates: list[Certificate]) -> list[int]:
    """Issue them as serials "0", "1" …; returns the application of each."""
    applications = []
    for n, c in enumerate(certificates):
        row = conn.execute(
            "INSERT INTO ra.application (account_id, kind, applicant_name, document_no, mobile, submitted_at)"
            " VALUES (%s, 'issue', 'x', 'x', 'x', '2019-01-01') RETURNING application_id", [c.account],
        ).fetchone()  # fmt: skip
        assert row is not None
        applications.append(row[0])
        renews = None if c.renews is None else str(c.renews)
        revoked = None if c.revoked is None else NOON + timedelta(days=c.revoked)
        conn.execute(
            "INSERT INTO cert.certificate (serial, account_id, application_id, renews_serial, der_sha256, status,"
            " not_before, not_after, revoked_at) VALUES (%s, %s, %s, %s, 'x', %s, '2019-01-01', %s, %s)",
            [str(n), c.account, row[0], renews, "valid" if revoked is None else "revoked",
             NOON + timedelta(days=c.expires), revoked],
        )  # fmt: skip
    return applications


def started(conn: psycopg.Connection[Any], query: str, *, restricting: bool = True) -> dict[Any, date | None]:
    sql = POLICY.starting_points[query].encode()
    return dict(conn.execute(sql, {"as_of": TODAY, "restricting": restricting}).fetchall())


def ended(certificates: list[Certificate], n: int, *, restricting: bool) -> date | None:
    """The law in Python (ESL 24, 31): over the whole chain the latest of expiry or revocation, whichever is first."""

    def root(i: int) -> int:
        renews = certificates[i].renews
        return i if renews is None else root(renews)

    days = [
        min(c.expires, c.expires if c.revoked is None else c.revoked)
        for i, c in enumerate(certificates) if root(i) == root(n)
    ]  # fmt: skip
    last = prc_date(NOON + timedelta(days=max(days)))
    return last if last <= TODAY else TODAY if restricting else None


@st.composite
def chains(draw: st.DrawFn) -> list[Certificate]:
    made: list[Certificate] = []
    for n in range(draw(st.integers(1, 6))):
        renews = draw(st.none() | st.integers(0, n - 1)) if n else None
        revoked = draw(st.none() | st.integers(-2500, 0))
        made.append(Certificate(renews, draw(st.integers(-2500, 900)), revoked))
    return made


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chains(), st.booleans())
def test_the_clock_of_a_certificate_starts_when_its_whole_chain_has_ended(
    conn: psycopg.Connection[Any], certificates: list[Certificate], restricting: bool
) -> None:
    with conn.transaction(force_rollback=True):
        applications = issue(conn, certificates)
        wanted = [ended(certificates, n, restricting=restricting) for n in range(len(certificates))]
        assert started(conn, "certificate_ended", restricting=restricting) == {
            str(n): day for n, day in enumerate(wanted)
        }
        found = started(conn, "application_certificate_ended", restricting=restricting)
        assert found == dict(zip(applications, wanted, strict=True))


def test_certificates_of_others_are_not_looked_at(conn: psycopg.Connection[Any]) -> None:
    issue(conn, [Certificate(None, -10, None, WANG)])
    assert started(conn, "certificate_ended") == {}
    assert started(conn, "application_certificate_ended") == {}


def test_an_application_that_led_to_no_certificate_is_not_kept(conn: psycopg.Connection[Any]) -> None:
    conn.execute(
        "INSERT INTO ra.application (account_id, kind, applicant_name, document_no, mobile, submitted_at)"
        " VALUES (%s, 'issue', 'x', 'x', 'x', now())", [LI])  # fmt: skip
    assert started(conn, "application_certificate_ended") == {}


def hour(n: int) -> datetime:
    return NOON + timedelta(hours=n)


def face(conn: psycopg.Connection[Any], taken: datetime) -> int:
    row = conn.execute(
        "INSERT INTO ra.biometric (account_id, captured_at) VALUES (%s, %s) RETURNING biometric_id",
        [LI, taken],
    ).fetchone()
    assert row is not None
    return int(row[0])


def application(
    conn: psycopg.Connection[Any], result: datetime | None, decided: datetime | None = None
) -> None:
    """One of Li's, with the result of its check."""
    row = conn.execute(
        "INSERT INTO ra.application (account_id, kind, applicant_name, document_no, mobile, submitted_at, decided_at)"
        " VALUES (%s, 'issue', 'x', 'x', 'x', '2019-01-01', %s) RETURNING application_id", [LI, decided],
    ).fetchone()  # fmt: skip
    assert row is not None
    if result is not None:
        conn.execute(
            "INSERT INTO ra.match_result (application_id, vendor, vendor_txn_id, matched, matched_at)"
            " VALUES (%s, 'v', 't', true, %s)", [row[0], result])  # fmt: skip


def asked(conn: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    sql = POLICY.starting_points[query].encode()
    return conn.execute(sql, {"as_of": TODAY, "restricting": False}).fetchall()


def faces(conn: psycopg.Connection[Any]) -> dict[int, datetime | None]:
    return {b: at for _, b, at in asked(conn, "face_verified")}


def test_a_face_goes_by_its_own_result_and_a_second_try_that_was_given_up_keeps_only_what_it_took(
    conn: psycopg.Connection[Any],
) -> None:
    first, second = face(conn, hour(0)), face(conn, hour(8))
    application(conn, hour(1))
    application(conn, None)
    assert faces(conn) == {first: hour(1), second: None}
    binds = [b for b in POLICY.dataset("ra.biometric").binds if b.period == "captured"]
    assert [b.start and b.start.column for b in binds] == ["captured_at"], "which has a last day all the same"
    assert asked(conn, "face_captured") == [(LI, hour(8))], (
        "as has the folder with its key, by the last of them"
    )


def test_a_late_result_of_what_was_decided_before_starts_no_clock_of_a_face(
    conn: psycopg.Connection[Any],
) -> None:
    one = face(conn, hour(8))
    application(conn, hour(9), decided=hour(7))
    assert faces(conn) == {one: None}
    application(conn, hour(20), decided=hour(21))
    application(conn, hour(12))
    assert faces(conn) == {one: hour(12)}, "the first, not the last"


def test_a_circle_of_renewals_is_no_licence_to_delete(conn: psycopg.Connection[Any]) -> None:
    issue(conn, [Certificate(None, -3000, None), Certificate(0, -3000, None)])
    conn.execute("UPDATE cert.certificate SET renews_serial = '1' WHERE serial = '0'")
    assert started(conn, "certificate_ended") == {"0": None, "1": None}


def signed(conn: psycopg.Connection[Any], contract: int, by: dict[str, str]) -> None:
    """A contract whose parties signed: account -> serial."""
    conn.execute(
        "INSERT INTO sign.contract (contract_id, digest, created_at) VALUES (%s, 'x', now())", [contract]
    )
    for account, serial in by.items():
        conn.execute("INSERT INTO sign.contract_party VALUES (%s, %s, 'x', now())", [contract, account])
        conn.execute(
            "INSERT INTO sign.signature (contract_id, account_id, serial, digest, signature_value, signed_at)"
            " VALUES (%s, %s, %s, 'x', 'x', now())", [contract, account, serial])  # fmt: skip


def test_a_hash_on_a_chain_must_be_provable_until_the_last_signer_s_certificates_ended(
    conn: psycopg.Connection[Any],
) -> None:
    issue(conn, [Certificate(None, -100, None), Certificate(None, 50, None), Certificate(None, -10, None, WANG),
                 Certificate(None, 50, None, WANG)])  # fmt: skip
    signed(conn, 1, {LI: "0"})
    signed(conn, 2, {LI: "0", WANG: "2"})
    signed(conn, 3, {LI: "0", WANG: "3"})  # Wang goes on
    signed(conn, 4, {LI: "1", WANG: "2"})  # Li's certificate ends when we restrict it
    signed(conn, 5, {WANG: "2"})
    ago = {n: TODAY - timedelta(days=n) for n in (10, 100)}
    assert started(conn, "contract_signatures_ended") == {1: ago[100], 2: ago[10], 3: None, 4: TODAY}
    quiet = started(conn, "contract_signatures_ended", restricting=False)
    assert quiet == {1: ago[100], 2: ago[10], 3: None, 4: None}


def belongings(conn: psycopg.Connection[Any], account: str, serial: str) -> None:
    """A session, a token, a live certificate and a hosted key."""
    conn.execute(
        "INSERT INTO account.session (session_id, account_id, token_hash, created_at)"
        " VALUES (gen_random_uuid(), %s, 'x', '2026-01-01')", [account])  # fmt: skip
    conn.execute(
        "INSERT INTO account.api_token (account_id, token_hash, created_at) VALUES (%s, 'x', '2026-01-01')",
        [account],
    )
    conn.execute(
        "INSERT INTO cert.certificate (serial, account_id, der_sha256, status, not_before, not_after)"
        " VALUES (%s, %s, 'x', 'valid', '2026-01-01', '2029-01-01')", [serial, account])  # fmt: skip
    conn.execute(
        "INSERT INTO cert.hosted_key (key_id, account_id, serial, wrapped_key, hsm, created_at)"
        " VALUES (gen_random_uuid(), %s, %s, 'k', 'hsm-1', '2026-01-01')", [account, serial])  # fmt: skip


def restrict(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """Run every measure in order; the rows that each changed."""
    given_ = {"as_of": TODAY, "case_no": "CASE-000001"}
    return {m.id: conn.execute(POLICY.measure_sql[m.id].encode(), given_).rowcount for m in POLICY.measures}


def violations(conn: psycopg.Connection[Any]) -> dict[str, int]:
    given_ = {"as_of": TODAY, "case_no": "CASE-000001"}
    return {
        m.id: len(conn.execute(POLICY.measure_sql[f"{m.id}.proof"].encode(), given_).fetchall())
        for m in POLICY.measures
    }


def others(conn: psycopg.Connection[Any]) -> list[Any]:
    tables = (
        "account.account",
        "account.session",
        "account.api_token",
        "cert.certificate",
        "cert.hosted_key",
    )
    return [
        conn.execute(f"SELECT t::text FROM {t} AS t WHERE account_id = %s", [WANG]).fetchall() for t in tables
    ]


def test_the_measures_end_sessions_tokens_certificates_and_keys_of_the_cohort_alone(
    conn: psycopg.Connection[Any],
) -> None:
    belongings(conn, LI, "L")
    belongings(conn, WANG, "W")
    before = others(conn)
    assert all(n for measure, n in violations(conn).items() if measure != "list_on_crl")
    assert all(restrict(conn).values())
    assert not any(violations(conn).values())
    assert others(conn) == before


def test_running_the_measures_again_changes_nothing_more(conn: psycopg.Connection[Any]) -> None:
    belongings(conn, LI, "L")
    restrict(conn)
    assert not any(restrict(conn).values())


@pytest.mark.parametrize(
    ("undone", "measure"),
    [("UPDATE account.session SET revoked_at = NULL", "revoke_sessions"),
     ("UPDATE account.api_token SET revoked_at = NULL", "revoke_tokens"),
     ("UPDATE cert.certificate SET revoked_at = NULL, status = 'valid'", "revoke_certificates"),
     ("DELETE FROM cert.crl_entry", "list_on_crl"),
     ("DELETE FROM cert.key_destruction", "destroy_hosted_keys"),
     ("UPDATE cert.hosted_key SET wrapped_key = 'k'", "destroy_hosted_keys"),
     ("UPDATE account.account SET cancelled_at = NULL", "close_account")],
)  # fmt: skip
def test_what_is_undone_is_a_violation_of_its_measure(
    conn: psycopg.Connection[Any], undone: str, measure: str
) -> None:
    belongings(conn, LI, "L")
    restrict(conn)
    conn.execute(undone.encode())
    assert violations(conn)[measure] == 1


def test_an_expired_certificate_is_not_revoked_for_that_would_move_its_end(
    conn: psycopg.Connection[Any],
) -> None:
    issue(conn, [Certificate(None, -400, None)])
    restrict(conn)
    row = conn.execute("SELECT revoked_at FROM cert.certificate").fetchone()
    assert row == (None,)
    assert not violations(conn)["revoke_certificates"]
