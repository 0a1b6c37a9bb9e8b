"""The sandbox's PostgreSQL and S3 servers, as every other test gets them."""

from __future__ import annotations

import resource
from pathlib import Path

import psycopg
import pytest

from include.sandbox.stack import objects
from include.sandbox.stack.places import Places
from include.sandbox.stack.ports import free_port
from include.sandbox.stack.process import Process
from tests.conftest import PgServer, S3Server


def test_a_fresh_database_is_utf8_and_empty(pg_server: PgServer) -> None:
    name = pg_server.fresh_database()
    with psycopg.connect(pg_server.conninfo(name)) as conn:
        row = conn.execute(
            "SELECT current_setting('server_encoding'), current_setting('server_version_num')::int / 10000,"
            " (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')"
        ).fetchone()
    assert row == ("UTF8", pg_server.version, 0)


def test_a_database_from_a_template_has_what_was_built_once(pg_server: PgServer) -> None:
    built: list[str] = []

    def build(conninfo: str) -> None:
        built.append(conninfo)
        with psycopg.connect(conninfo) as conn:
            conn.execute("CREATE TABLE thing AS SELECT 42 AS n")

    for _ in range(2):
        name = pg_server.fresh_database("stack_things", build)
        with psycopg.connect(pg_server.conninfo(name)) as conn:
            assert conn.execute("SELECT n FROM thing").fetchone() == (42,)
    assert len(built) == 1


def test_a_role_without_its_secret_is_turned_away(pg_server: PgServer) -> None:
    name = pg_server.fresh_database()
    right = pg_server.conninfo(name, "eraser")
    with psycopg.connect(right) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("eraser",)
    wrong = psycopg.conninfo.make_conninfo(right, password="guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_the_prover_sees_past_row_security_and_may_not_write(pg_server: PgServer) -> None:
    name = pg_server.fresh_database()
    pg_server.add_role("clerk")
    with psycopg.connect(pg_server.conninfo(name)) as conn:
        conn.execute("CREATE TABLE hidden AS SELECT 1 AS n")
        conn.execute("ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
        conn.execute("GRANT SELECT, INSERT ON hidden TO clerk, prover")
    with psycopg.connect(pg_server.conninfo(name, "clerk")) as conn:
        assert conn.execute("SELECT count(*) FROM hidden").fetchone() == (0,)
    with psycopg.connect(pg_server.conninfo(name, "prover")) as conn:
        assert conn.execute("SELECT count(*) FROM hidden").fetchone() == (1,)
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            conn.execute("INSERT INTO hidden VALUES (2)")


def test_a_value_in_a_failing_statement_is_not_in_the_server_log(pg_server: PgServer) -> None:
    name = pg_server.fresh_database()
    canary = "canary-7f1d3"
    with psycopg.connect(pg_server.conninfo(name), autocommit=True) as conn:
        conn.execute("CREATE TABLE once (word text PRIMARY KEY)")
        conn.execute("INSERT INTO once VALUES (%s)", (canary,))
        with pytest.raises(psycopg.errors.UniqueViolation, match=canary):
            conn.execute("INSERT INTO once VALUES (%s)", (canary,))
        with pytest.raises(psycopg.errors.InvalidTextRepresentation, match=canary):
            conn.execute(f"SELECT '{canary}'::int")
    log = pg_server.cluster.process.log.read_text("utf-8")
    assert "ready to accept connections" in log
    assert canary not in log


def test_the_server_listens_on_loopback_only(pg_server: PgServer) -> None:
    with psycopg.connect(pg_server.superuser_conninfo) as conn:
        row = conn.execute(
            "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories'),"
            " (SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256')"
        ).fetchone()
    assert row == ("127.0.0.1", "", 0)


def test_versions_and_object_lock_are_there(s3_server: S3Server) -> None:
    s3 = s3_server.client()
    bucket = s3_server.fresh_bucket(ObjectLockEnabledForBucket=True)
    for body in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key="a", Body=body)
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2
    lock = s3.get_object_lock_configuration(Bucket=bucket)
    assert lock["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"


def test_the_log_of_the_embedded_server_names_no_object(moto: S3Server, session_places: Places) -> None:
    bucket = moto.fresh_bucket()
    moto.client().put_object(Bucket=bucket, Key="canary-91be/photo", Body=b"x")
    assert "canary-91be" not in (session_places.logs / "objects.log").read_text("utf-8")


def test_a_listing_by_versions_copies_no_content_and_every_version_reads_as_it_was(tmp_path: Path) -> None:
    places = Places.of(tmp_path / "home")
    places.make()
    port = free_port()
    server = objects.process(places, port)
    server.start()
    try:
        server.wait(lambda: objects.answers(port), 60)
        s3 = S3Server("moto", objects.endpoint(port), "tester", "tester-secret").client()
        s3.create_bucket(Bucket="bucket")
        s3.put_bucket_versioning(Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        bodies = [bytes([n]) * (1 << 20) for n in range(16)]
        for n, body in enumerate(bodies):
            s3.put_object(Bucket="bucket", Key=f"k{n // 2}", Body=body)
        s3.delete_object(Bucket="bucket", Key="k7")
        before = _resident(server)
        for _ in range(10):  # a copy of each object for each would be 160 MiB
            said = s3.list_object_versions(Bucket="bucket")
        assert _resident(server) - before < 32 << 20
        latest = {(v["Key"], v["IsLatest"]) for v in said["Versions"]}
        assert latest == {(f"k{n}", now) for n in range(7) for now in (True, False)} | {("k7", False)}
        assert [m["IsLatest"] for m in said["DeleteMarkers"]] == [True]
        found = [s3.get_object(Bucket="bucket", Key=v["Key"], VersionId=v["VersionId"])["Body"].read()
                 for v in said["Versions"]]  # fmt: skip
        assert sorted(found) == bodies
    finally:
        server.stop()
        places.purge()


def _resident(server: Process) -> int:
    """Bytes of memory that a server has."""
    assert server.identity is not None
    pages = Path(f"/proc/{server.identity.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()
