"""Heads kept outside under Object Lock show what an insider with key and database did to the log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from include.ledger import log, merkle, verify
from include.ledger.anchor import Anchor, AnchorFinding, audit_anchors
from include.ledger.checkpoint import Checkpoint
from include.ledger.sequencer import publish, sequence
from include.ledger.signer import load_key
from include.model.errors import LedgerError, NotReachable
from tests.ledger.conftest import ORIGIN, Ledger, RunningSigner, client_of
from tests.ledger.making import CASE, KEY, Log

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [pytest.mark.postgres, pytest.mark.s3]


@pytest.fixture
def s3(endpoint: str) -> S3Client:
    return client_of(endpoint)


@pytest.fixture
def bucket(s3: S3Client, request: pytest.FixtureRequest) -> str:
    name = f"heads-{abs(hash(request.node.name)) % 10**9}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def grow(ledger: Ledger, signer: RunningSigner, *numbers: int) -> str:
    with log.connect(ledger.writer) as conn:
        log.append_many(conn, [log.NewEntry(f"n:{n}", "test", None, {"n": n}) for n in numbers])
    with log.connect(ledger.sequencer) as conn:
        sequence(conn)
        return publish(conn, signer.client)[1]


def audit(ledger: Ledger, anchor: Anchor, first: Ed25519PublicKey, *successions: str) -> list[AnchorFinding]:
    with log.connect(ledger.owner) as conn:
        return audit_anchors(conn, anchor.heads(), ORIGIN, first, successions)


def codes(found: list[AnchorFinding]) -> set[str]:
    return {finding.code for finding in found}


@pytest.fixture
def anchored(ledger: Ledger, signer: RunningSigner, s3: S3Client, bucket: str) -> Anchor:
    """A log of nine entries with three anchored heads."""
    anchor = Anchor(s3, bucket)
    for numbers in ((0, 1, 2), (3,), (4, 5, 6, 7, 8)):
        anchor.put(grow(ledger, signer, *numbers))
    return anchor


def key_of(signer: RunningSigner) -> Ed25519PublicKey:
    return verify.load_key(signer.public_pem)


def test_an_honest_log_agrees_with_its_anchors(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    assert len(anchored.heads()) == 3
    assert audit(ledger, anchored, key_of(signer)) == []


def test_anchoring_again_writes_nothing_and_the_head_cannot_be_removed(
    signer: RunningSigner, anchored: Anchor, s3: S3Client, bucket: str
) -> None:
    note = signer.client.head()[1]
    assert note is not None
    key = anchored.put(note)
    assert len(anchored.heads()) == 3
    (version,) = s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version["VersionId"])


def rewrite(ledger: Ledger, statement: str) -> None:
    """What a superuser can do: silence the triggers, and change what may not be changed."""
    with log.connect(ledger.owner) as conn:
        for table in ("entry", "node", "checkpoint"):
            conn.execute(f"ALTER TABLE ledger.{table} DISABLE TRIGGER USER")
        conn.execute(statement)


CHANGE_ENTRY = """
    UPDATE ledger.entry SET leaf = lie.leaf, leaf_hash = sha256('\\x00'::bytea || lie.leaf)
    FROM (SELECT convert_to(replace(convert_from(leaf, 'UTF8'), '"n":1', '"n":7'), 'UTF8') AS leaf
          FROM ledger.entry WHERE index = 1) lie
    WHERE index = 1"""


def test_a_superusers_rewrite_is_named(ledger: Ledger, signer: RunningSigner, anchored: Anchor) -> None:
    rewrite(ledger, CHANGE_ENTRY)
    found = audit(ledger, anchored, key_of(signer))
    assert codes(found) == {"rewritten", "node_changed"}
    assert any("its first 3 entries are not those that were signed" in f.what for f in found)


def test_a_rewrite_with_the_key_in_hand_is_named(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    """The worst insider: rewrites the entries, makes the tree anew, and signs it with the log's own key."""
    old = anchored.heads()
    rewrite(ledger, CHANGE_ENTRY)
    rewrite(ledger, "DELETE FROM ledger.node")
    rewrite(ledger, "DELETE FROM ledger.checkpoint")
    with log.connect(ledger.owner) as conn:
        hashes = [e.leaf_hash for e in log.stream(conn)]
        note = Checkpoint(ORIGIN, 9, merkle.root_of(hashes)).sign(load_key(signer.home / "key.pem"))
        conn.execute(
            "INSERT INTO ledger.checkpoint (size, root, note) VALUES (9, %s, %s)",
            (merkle.root_of(hashes), note),
        )
    anchored.put(note)
    assert len(anchored.heads()) == len(old) + 1
    found = audit(ledger, anchored, key_of(signer))
    assert codes(found) == {"fork", "rewritten", "node_missing"}


def test_a_changed_or_missing_tree_node_is_named(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    rewrite(ledger, "UPDATE ledger.node SET hash = sha256('x') WHERE level = 2 AND index = 0")
    found = audit(ledger, anchored, key_of(signer))
    assert {(f.code, f.place) for f in found} == {("node_changed", "node 2/0"), ("node_changed", "node 3/0")}
    rewrite(ledger, "DELETE FROM ledger.node WHERE level = 2 AND index = 1")
    found = audit(ledger, anchored, key_of(signer))
    assert "6 tree nodes are stored, 7 belong to 9 entries" in {f.what for f in found}


def test_heads_signed_meanwhile_are_anchored_by_catching_up(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    for n in (9, 10):
        grow(ledger, signer, n)
    assert codes(audit(ledger, anchored, key_of(signer))) == {"not_anchored"}
    with log.connect(ledger.reader) as conn:
        assert anchored.catch_up(conn) == 2
        assert anchored.catch_up(conn) == 0
    assert audit(ledger, anchored, key_of(signer)) == []


def test_removed_entries_are_named(ledger: Ledger, signer: RunningSigner, anchored: Anchor) -> None:
    rewrite(ledger, "DELETE FROM ledger.entry WHERE index >= 6")
    found = audit(ledger, anchored, key_of(signer))
    assert "the log has 6 entries, but a head of 9 was signed: entries were removed" in {
        f.what for f in found
    }
    assert "shorter" in codes(found)


def test_a_gap_is_named(ledger: Ledger, signer: RunningSigner, anchored: Anchor) -> None:
    rewrite(ledger, "DELETE FROM ledger.entry WHERE index = 4")
    assert {"gap", "shorter"} <= codes(audit(ledger, anchored, key_of(signer)))


def test_a_head_that_was_not_anchored_is_named(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    grow(ledger, signer, 9)
    assert codes(audit(ledger, anchored, key_of(signer))) == {"not_anchored"}


def test_a_head_hidden_by_a_newer_version_or_a_delete_marker_is_still_read(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor, s3: S3Client, bucket: str
) -> None:
    key = anchored.heads()[0].place.split("@")[0]
    s3.delete_object(Bucket=bucket, Key=key)
    assert audit(ledger, anchored, key_of(signer)) == []
    s3.put_object(Bucket=bucket, Key=key, Body=b"nothing to see")
    assert codes(audit(ledger, anchored, key_of(signer))) == {"bad_signature"}
    s3.put_object(Bucket=bucket, Key=key, Body=Log.of().checkpoint(KEY).encode())
    assert codes(audit(ledger, anchored, key_of(signer))) == {"bad_signature"}


def test_after_a_succession_each_key_is_known_for_its_time(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    first, old_key = key_of(signer), load_key(signer.home / "key.pem")
    statement = signer.succeed()
    anchored.put(grow(ledger, signer, 9))
    assert audit(ledger, anchored, first, statement) == []
    assert codes(audit(ledger, anchored, key_of(signer))) == {"bad_signature", "not_anchored"}
    with pytest.raises(LedgerError):
        audit(ledger, anchored, key_of(signer), statement)
    # Who kept the retired key signs the log's own head with it: its time is over.
    size, note = signer.client.head()
    assert note is not None
    head = Checkpoint.of_text(note.rpartition("\n\n")[0] + "\n")
    assert (head.size, size) == (10, 10)
    anchored.put(head.sign(old_key))
    assert codes(audit(ledger, anchored, first, statement)) == {"bad_signature"}


def test_evidence_that_a_certificate_leaves_out_is_named(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    with log.connect(ledger.writer) as conn:
        for n, listed in enumerate(([9, 10], [9])):
            for key in ("a", "b") if not n else ():
                log.append(conn, "evidence", CASE, {"checks": [], "n": key}, key=key)
            body = {"edition": "auditor", "serial": n + 1, "evidence": listed}
            log.append(conn, "dispositions", CASE, body, key=f"d{n}")
        log.append(conn, "evidence", CASE, {"checks": [], "n": "later"}, key="later")
    anchored.put(grow(ledger, signer, 20))
    (found,) = audit(ledger, anchored, key_of(signer))
    assert (found.code, found.place) == ("left_out", "entry 12")
    assert found.what == "a certificate leaves out evidence of its case, entry 10"


def test_a_recheck_that_a_certificate_leaves_out_is_named(
    ledger: Ledger, signer: RunningSigner, anchored: Anchor
) -> None:
    with log.connect(ledger.writer) as conn:
        log.append(conn, "recheck", CASE, {"found": "caught"}, key="r")
        for n, listed in enumerate(({"rechecks": [9]}, {"rechecks": []}, {})):
            body = {"edition": "auditor", "serial": n + 1, "evidence": [], **listed}
            log.append(conn, "dispositions", CASE, body, key=f"d{n}")
    anchored.put(grow(ledger, signer, 20))
    (found,) = audit(ledger, anchored, key_of(signer))
    assert (found.code, found.place) == ("left_out", "entry 11"), "and none of before there were any"


def test_a_bucket_that_does_not_lock_is_no_anchor(signer: RunningSigner, s3: S3Client) -> None:
    s3.create_bucket(Bucket="plain")
    note = Log.of().checkpoint(KEY)
    with pytest.raises(LedgerError, match="plain"):
        Anchor(s3, "plain").put(note)
    with pytest.raises(LedgerError, match="NoSuchBucket"):
        Anchor(s3, "absent", retain=timedelta(days=1)).put(note)
    with pytest.raises(NotReachable, match="try again"):
        Anchor(client_of("http://127.0.0.1:9"), "absent").put(note)
