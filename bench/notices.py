"""What telling the recipients costs: notices through the outbox, against a bare ``requests.Session`` loop.

    python -m bench.notices [--cases 10000] [--recipients 10] [--waiting 1000000]

Both post the same bodies over TLS to one compiled server (nginx), which answers each with the receipt that its recipient
would have signed; these are made beforehand. The bare loop reads the status and forgets the rest: it is the floor. Ours
opens each sealed notice, posts it, checks the receipt's signature against the very bytes, and records the delivery. CPU is
this process's own; the database's and nginx's is not in it. Prints Markdown.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import requests

from bench.ledger import server as postgres
from include.cases import book
from include.cases.guards import Facts
from include.cases.keys import FileKeyStore, Purpose
from include.cases.migrate import migrate
from include.cases.notices import outbox, telling
from include.cases.notices.composing import Given
from include.cases.notices.whom import ToTell
from include.cases.rooms import Desk
from include.catalogue import load
from include.model.doors import Endpoint
from include.model.policy import Recipient
from include.model.times import observed_now, prc_date
from include.model.words import Channel, Ground, Requester, Role
from include.recipients import forms
from include.recipients.opendsr import OpenDSR
from include.sandbox.recipients.authority import Authority
from include.sandbox.recipients.bodies import bodies

BODY = bodies()[
    "sensetime"
]  # it signs with RSA, as most certificates do; ECDSA on P-256 takes 0.2 ms more to verify
ACTOR = "system/bench"
TODAY = prc_date(observed_now())

NGINX = """
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
    uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5;
    client_body_buffer_size 64k;
    keepalive_requests 1000000;
    map_hash_max_size 2097152;
    map_hash_bucket_size 128;
    map $request_body $rid {{ "~\\"subject_request_id\\":\\"(?<id>[0-9a-f-]+)\\"" $id; default none; }}
    map $http_x_which $receipt {{ include {home}/receipts; default ""; }}
    map $http_x_which $signature {{ include {home}/signatures; default ""; }}
    upstream inside {{ server unix:{home}/inside; keepalive 4; }}
    server {{
        listen unix:{home}/inside;
        default_type application/json;
        location / {{
            add_header X-OpenDSR-Processor-Domain {domain};
            add_header X-OpenDSR-Signature $signature;
            return 201 $receipt;
        }}
    }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {home}/authority/server.pem;
        ssl_certificate_key {home}/authority/server.pem;
        default_type application/json;
        location /v2/discovery {{ return 200 '{discovery}'; }}
        location /cert.pem {{ alias {home}/signer.pem; }}
        location /v2/requests {{
            proxy_pass http://inside/;
            proxy_method GET;
            proxy_set_header X-Which $rid;  # read when the body is there, as the URL would not be
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""


@dataclass
class Places:
    """Connections to the case book alone."""

    conninfo: str

    def postgres(self, connection: str, role: Role) -> str:
        return self.conninfo

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@dataclass(frozen=True)
class Cost:
    notices: int
    seconds: float
    cpu: float

    @property
    def each(self) -> float:
        """Milliseconds of CPU for one notice."""
        return self.cpu * 1000 / self.notices


def recipients(count: int) -> tuple[Recipient, ...]:
    like = next(r for r in load().recipients if r.id == BODY.id)
    changes = {"domain": BODY.domain, "per_minute": 10**9}
    return tuple(like.model_copy(update={"id": f"body_{n}", **changes}) for n in range(count))


def desk(conninfo: str, home: Path, told: tuple[Recipient, ...], endpoint: Endpoint) -> Desk:
    catalogue = load().model_copy(update={"recipients": told})
    return Desk(
        catalogue=catalogue,
        connections=Places(conninfo),  # type: ignore[arg-type]
        keys=FileKeyStore(home / "keys", os.urandom(32)),
        stores=lambda: (),
        accounts=None,  # type: ignore[arg-type]
        append=lambda evidence, key: (key,),
        channel=lambda recipient: OpenDSR(recipient, endpoint),
    )


def decide(at: Desk, cases: int) -> None:
    """Cases, each with a notice to every recipient, as an approval writes them."""
    facts = Facts(
        as_of=TODAY, own_initiative=False, identity_matched=True, approved=True, notice_written=True
    )
    told = [
        ToTell(r, Given(r.id, 2, (f"txn-{os.urandom(8).hex()}", f"txn-{os.urandom(8).hex()}")))
        for r in at.catalogue.recipients
    ]
    with at.book() as conn:
        for _ in range(cases):
            with book.deed(conn, "bench"):
                number = book.next_case_no(conn)
                key = at.keys.make(number.lower(), number, Purpose.SEALING)
                case = book.insert(
                    conn, case_no=number, kind=book.REQUEST, ground=Ground.CANCELLATION, channel=Channel.APP,
                    requester=Requester.SELF, opened_by="support/bench", received_at=datetime.now(UTC), as_of=TODAY,
                    key_id=key.id,
                )  # fmt: skip
                outbox.write(conn, case, at.seal(case), told, facts=facts, actor=ACTOR)


def requests_of(at: Desk) -> list[tuple[str, bytes]]:
    """Every notice as it will be posted: request id, body."""
    by_id = {r.id: r for r in at.catalogue.recipients}
    with at.book() as conn:
        rows = conn.execute("SELECT * FROM casebook.outbox ORDER BY recipient, notice_id").fetchall()
        cases = {c.case_no: c for c in book.some(conn, sorted({r["case_no"] for r in rows}))}
        found = []
        for row in rows:
            case, recipient = cases[row["case_no"]], by_id[row["recipient"]]
            notice = outbox.unsealed(row, case, at.seal(case), recipient)
            found.append((str(row["request_id"]), forms.request(notice, BODY.domain, None)))
    return found


@contextmanager
def nginx(home: Path, authority: Authority, posted: list[tuple[str, bytes]]) -> Iterator[str]:
    """The server, with a signed receipt for each request; its base URL."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        raise SystemExit("this bench needs nginx: install it, then run it again")
    signer = authority.signer(BODY)
    authority.server()
    (home / "signer.pem").write_bytes(signer.pem)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    with (home / "receipts").open("w") as receipts, (home / "signatures").open("w") as signatures:
        for rid, body in posted:
            said = json.dumps({
                "controller_id": "bench", "expected_completion_time": now, "received_time": now,
                "encoded_request": base64.b64encode(body).decode(), "subject_request_id": rid,
            })  # fmt: skip
            receipts.write(f"{rid} '{said}';\n")
            signatures.write(f"{rid} '{signer.sign(said.encode())}';\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = f"https://127.0.0.1:{port}"
    discovery = json.dumps({
        "api_version": "2.0", "supported_subject_request_types": ["erasure"],
        "supported_identities": [{"identity_type": "controller_customer_id", "identity_format": "raw"}],
        "processor_certificate": f"{base}/cert.pem",
    })  # fmt: skip
    conf = home / "nginx.conf"
    conf.write_text(NGINX.format(home=home, port=port, domain=BODY.domain, discovery=discovery))
    process = subprocess.Popen([binary, "-e", str(home / "error.log"), "-c", str(conf)])
    try:
        for _ in range(600):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield base
    finally:
        process.terminate()
        process.wait(20)


def bare(base: str, authority: Path, posted: list[tuple[str, bytes]]) -> Cost:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(authority)
        began, cpu = time.perf_counter(), time.process_time()
        for _, body in posted:
            answer = session.post(
                f"{base}/v2/requests", data=body, headers={"Content-Type": "application/json"}, timeout=30
            )
            if answer.status_code != 201:
                raise SystemExit(f"the server does not answer as it should ({answer.status_code})")
        return Cost(len(posted), time.perf_counter() - began, time.process_time() - cpu)


def ours(at: Desk) -> Cost:
    sent = 0
    began, cpu = time.perf_counter(), time.process_time()
    for recipient in telling.due(at, now=observed_now(), as_of=TODAY):
        told = telling.tell(at, recipient, as_of=TODAY, actor=ACTOR, limit=10**6)
        if told.again or told.refused or told.errands:
            with at.book() as conn:
                row = conn.execute("SELECT why FROM casebook.outbox WHERE why IS NOT NULL LIMIT 1").fetchone()
            raise SystemExit(f"not every notice was delivered: {told}; {row and row['why']}")
        sent += told.sent
    return Cost(sent, time.perf_counter() - began, time.process_time() - cpu)


def idle(at: Desk, conninfo: str, waiting: int) -> float:
    """Seconds of one pass over that many notices of which none is due."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("UPDATE casebook.outbox SET due_at = clock_timestamp() + interval '1 day'")
        conn.execute(
            "INSERT INTO casebook.outbox (case_no, recipient, channel, idempotency_key, request_id, round, sealed_payload, items,"
            " state, written_at, remind_on, target_on, escalate_on, sent_at, delivery, due_at)"
            " SELECT case_no, recipient, channel, idempotency_key || '#' || n, gen_random_uuid(), 1 + n, sealed_payload,"
            " items, state, written_at, remind_on, target_on, escalate_on, sent_at, delivery, due_at"
            " FROM (SELECT * FROM casebook.outbox ORDER BY notice_id LIMIT 100) o, generate_series(1, %s) AS n",
            (waiting // 100,),
        )
        conn.execute("ANALYZE casebook.outbox")
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        if telling.due(at, now=observed_now(), as_of=TODAY):
            raise SystemExit("something is due that should not be")
        taken.append(time.perf_counter() - began)
    return min(taken)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.notices", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--recipients", type=int, default=10)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    said = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="quietus-bench-"))
    home.chmod(0o755)
    try:
        with postgres() as conninfo:
            migrate(conninfo)
            authority = Authority(home / "authority")
            told = recipients(said.recipients)
            writing = desk(conninfo, home, told, Endpoint("https://127.0.0.1"))
            began = time.perf_counter()
            decide(writing, said.cases)
            wrote = time.perf_counter() - began
            posted = requests_of(writing)
            with nginx(home, authority, posted) as base:
                at = Desk(**{
                    **vars(writing),
                    "channel": lambda r: OpenDSR(r, Endpoint(f"{base}/v2", authority=str(authority.certificate))),
                })  # fmt: skip
                half = len(posted) // 2
                first = bare(base, authority.certificate, posted[:half])
                mine = ours(at)
                last = bare(base, authority.certificate, posted[half:])
            floor = Cost(first.notices + last.notices, first.seconds + last.seconds, first.cpu + last.cpu)
            pass_ = idle(at, conninfo, said.waiting)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(
        f"{said.cases} cases x {said.recipients} recipients = {mine.notices} notices; floor half before, half after ours.\n"
    )
    print("| | a second | client CPU each | x floor (target <= 1.25) |")
    print("|---|---:|---:|---:|")
    print(f"| bare `requests.Session` loop | {floor.notices / floor.seconds:.0f} | {floor.each:.2f} ms | 1 |")
    print(
        f"| outbox: opened, sent, receipt verified, recorded | {mine.notices / mine.seconds:.0f} | {mine.each:.2f} ms"
        f" | {mine.each / floor.each:.2f} |"
    )
    print(f"\nWritten with the decision: {len(posted) / wrote:.0f} notices a second, sealed, case by case.")
    print(f"One pass with {said.waiting} notices waiting and none due: {pass_ * 1000:.1f} ms.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
