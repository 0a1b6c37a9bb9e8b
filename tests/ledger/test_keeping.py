"""The ledger as it is kept in the house: sequenced, signed, brought outside; and audited against what is outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from include.cases import keeping
from include.ledger import anchoring, log
from include.model.errors import LedgerError, NotReachable
from include.model.words import Role
from tests.ledger.conftest import Ledger, RunningSigner, client_of
from tests.ledger.test_anchor import CHANGE_ENTRY, rewrite

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = [pytest.mark.postgres, pytest.mark.s3]


@dataclass
class House:
    """Connections to one ledger, its signer, and a bucket outside."""

    ledger: Ledger
    signer: RunningSigner
    endpoint: str
    bucket: str

    def postgres(self, connection: str, role: Role) -> str:
        assert connection == "records"
        return {Role.LEDGER_WRITER: self.ledger.writer, Role.SEQUENCER: self.ledger.sequencer,
                Role.READER: self.ledger.reader}[role]  # fmt: skip

    def s3(self, connection: str, role: Role) -> S3Client:
        assert (connection, role) == ("ledger", Role.ANCHOR)
        return client_of(self.endpoint)

    def text(self, name: str) -> str:
        return {"ledger_anchor": self.bucket, "ledger_signer": str(self.signer.home / "s"),
                "ledger_public_key": str(self.signer.home / "pub.pem")}[name]  # fmt: skip

    def make(self, bucket: str) -> None:
        client_of(self.endpoint).create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        self.bucket = bucket

    def queue(self, *numbers: int) -> None:
        with log.connect(self.ledger.writer) as conn:
            log.append_many(conn, [log.NewEntry(f"n:{n}", "test", None, {"n": n}) for n in numbers])

    def outside(self) -> int:
        return len(keeping.anchor_of(self).heads())


@pytest.fixture
def house(ledger: Ledger, signer: RunningSigner, endpoint: str, request: pytest.FixtureRequest) -> House:
    made = House(ledger, signer, endpoint, "")
    made.make(f"heads-{abs(hash(request.node.name)) % 10**9}")
    return made


@pytest.fixture
def kept(house: House) -> House:
    """Five entries and the log's own word that it is kept outside, under three heads."""
    for numbers in ((0, 1, 2), (3,), (4,)):
        house.queue(*numbers)
        keeping.keep(house)
    return house


def codes(found: keeping.Audit) -> set[str]:
    return {f.code for f in found.findings}


def test_an_empty_log_is_kept_too(house: House) -> None:
    assert keeping.keep(house) == keeping.Kept(0, 0)
    assert house.outside() == 0


def test_every_head_is_outside_and_an_honest_log_agrees_with_them(kept: House) -> None:
    assert str(keeping.keep(kept)) == "6 entries, 0 more heads kept outside"
    assert kept.outside() == 3
    found = keeping.audit(kept)
    assert (found.entries, found.heads, found.anew, found.findings) == (6, 3, (), ())
    with log.connect(kept.ledger.reader) as conn:
        (begun,) = anchoring.begun(conn)
    assert (begun.size, begun.anew) == (3, False)


def test_a_rewritten_entry_is_named_by_whoever_looks(kept: House) -> None:
    """As the database's superuser: an entry says something else, and its hash fits. Nothing is signed again."""
    rewrite(kept.ledger, CHANGE_ENTRY)
    for look in (keeping.audit, keeping.keep_and_audit):
        found = look(kept)
        assert codes(found) == {"rewritten", "node_changed"}
        assert "its first 3 entries are not those that were signed" in str(found)


def test_removed_entries_are_named_though_the_log_cannot_be_kept(kept: House) -> None:
    rewrite(kept.ledger, "DELETE FROM ledger.entry WHERE index >= 4")
    with pytest.raises(LedgerError, match="entries were lost"):
        keeping.keep(kept)
    assert "shorter" in codes(keeping.keep_and_audit(kept))


def test_lost_heads_are_not_silently_put_again(kept: House) -> None:
    """A bucket that is not yesterday's, a server that forgot: red until somebody says so, and then said for ever."""
    kept.make(kept.bucket + "-other")
    kept.queue(7)
    with pytest.raises(LedgerError, match="kept outside since entry 3, is not there any more"):
        keeping.keep(kept)
    assert kept.outside() == 0
    assert keeping.is_lost(kept)
    assert codes(keeping.keep_and_audit(kept)) == {"lost"}

    assert keeping.begin_anew(kept) == kept.outside() == 4
    keeping.keep(kept)
    found = keeping.audit(kept)
    assert found.findings == () and len(found.anew) == 1
    assert f"begun anew at entry {found.anew[0]}: what is before has no witness outside" in str(found)


def test_heads_are_lost_too_if_the_word_that_they_are_outside_is_only_queued(house: House) -> None:
    """As a sandbox that is stopped right after its first certificate, with a server outside that forgets."""
    house.queue(0, 1)
    keeping.keep(house)
    with log.connect(house.ledger.reader) as conn:
        assert anchoring.begun(conn) == (), "it is on its way"
    house.make(house.bucket + "-other")
    assert keeping.is_lost(house)
    assert keeping.begin_anew(house) == house.outside() == 1


def test_to_begin_anew_without_a_loss_is_refused(kept: House) -> None:
    with pytest.raises(LedgerError, match="nothing is lost"):
        keeping.begin_anew(kept)


def test_an_honest_rest_does_not_hide_a_rewritten_past(kept: House) -> None:
    """Loss and rewriting at once: the stored heads, which were signed, still say that the entries are not theirs."""
    rewrite(kept.ledger, CHANGE_ENTRY)
    kept.make(kept.bucket + "-other")
    assert {"lost", "rewritten"} <= codes(keeping.audit(kept))


def test_after_a_succession_the_first_public_key_is_enough(kept: House) -> None:
    kept.signer.succeed()
    kept.queue(8)
    keeping.keep(kept)
    assert keeping.audit(kept).findings == ()


def test_without_bucket_or_server_nobody_says_that_all_is_well(kept: House) -> None:
    kept.bucket = "no-such-bucket"
    with pytest.raises(LedgerError, match="NoSuchBucket"):
        keeping.audit(kept)
    kept.endpoint = "http://127.0.0.1:9"
    with pytest.raises(NotReachable):
        keeping.keep_and_audit(kept)


def test_without_our_public_key_no_head_is_believed(kept: House) -> None:
    (kept.signer.home / "pub.pem").write_text("nonsense")
    with pytest.raises(Exception, match="public key cannot be read"):
        keeping.audit(kept)
