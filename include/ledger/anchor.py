"""Signed heads kept outside, where even the holder of the key and the database cannot reach back.

Each head is an object in a bucket with Object Lock, in COMPLIANCE mode: until the date nobody, the
bucket's owner included, can remove or replace that version. A delete marker or a newer version can
hide it from a plain GET, so the audit reads every *version*. An insider who rewrites the log and signs
a new history cannot make the old heads go away, and :func:`audit_anchors` names the difference.

The S3 client is passed in, with its time-outs; nothing here knows where the bucket is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from include.ledger import log, merkle
from include.ledger.checkpoint import Checkpoint, Succession, open_checkpoint
from include.model.errors import LedgerError, NotReachable
from include.model.times import observed_now

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NOT_SET_UP = ("InvalidRequest", "ObjectLockConfigurationNotFoundError", "NoSuchBucket", "AccessDenied")
RETAIN = timedelta(days=3653)  # ten years: longer than the longest statutory period of a case (five)


@dataclass(frozen=True)
class Anchored:
    """One version of one anchored head, as found in the bucket."""

    place: str  # "key@version"
    note: str


@dataclass(frozen=True)
class AnchorFinding:
    """Something that an honest log would not show. ``code`` is stable."""

    code: str
    place: str
    what: str


class Anchor:
    """Heads of one log in one bucket. Errors name the bucket and the S3 error code, nothing else."""

    def __init__(
        self, client: S3Client, bucket: str, prefix: str = "heads/", retain: timedelta = RETAIN
    ) -> None:
        self._s3 = client
        self.bucket = bucket
        self.place = f"anchor bucket {bucket}"
        self._prefix = prefix
        self._retain = retain

    def _failed(self, what: str, error: Exception) -> Exception:
        code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
        if code in _NOT_SET_UP:
            return LedgerError(
                f"{what} was refused ({code})",
                about=self.place,
                next_step="make the bucket with Object Lock, and let us put objects and read their locks",
            )
        return NotReachable(
            f"{what} failed ({code or type(error).__name__})",
            about=self.place,
            next_step="try again: a head that is anchored already is left as it is",
        )

    def _key(self, size: int, root: bytes) -> str:
        return f"{self._prefix}{size:016d}-{root.hex()[:16]}"

    def put(self, note: str) -> str:
        """Anchor a signed head; the object's key. Anchoring it again writes nothing.

        Raises LedgerError if the bucket did not lock it: an anchor without a lock is none.
        """
        head = Checkpoint.of_text(note.rpartition("\n\n")[0] + "\n")
        key = self._key(head.size, head.root)
        if any(found.note == note for found in self._versions(key)):
            return key
        try:
            done = self._s3.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=note.encode(),
                ContentType="text/plain; charset=utf-8",
                ChecksumAlgorithm="SHA256",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=observed_now() + self._retain,
            )
            version = done.get("VersionId")
            if not version or version == "null":
                raise LedgerError("the anchor bucket keeps no versions, so it cannot lock", about=self.bucket)
            lock = self._s3.head_object(Bucket=self.bucket, Key=key, VersionId=version)
        except (ClientError, BotoCoreError) as e:
            raise self._failed("anchoring a head", e) from None
        until = lock.get("ObjectLockRetainUntilDate")
        if lock.get("ObjectLockMode") != "COMPLIANCE" or until is None or until <= observed_now():
            raise LedgerError("the bucket took the head but did not lock it", about=self.bucket)
        return key

    def catch_up(self, conn: log.Conn) -> int:
        """Anchor every stored head that is not in the bucket yet; how many there were.

        Heads are signed whenever a certificate is issued; this brings them outside afterwards, and
        after any time in which the bucket could not be reached. Raises as :meth:`put` does.
        """
        try:
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=self._prefix
            )
            there = {version["Key"] for page in pages for version in page.get("Versions", [])}
        except (ClientError, BotoCoreError) as e:
            raise self._failed("listing the anchored heads", e) from None
        stored = conn.execute("SELECT size, root, note FROM ledger.checkpoint ORDER BY size").fetchall()
        missing = [note for size, root, note in stored if self._key(size, root) not in there]
        for note in missing:
            self.put(note)
        return len(missing)

    def holds(self, size: int, root: bytes) -> bool:
        """Whether any version of this head is in the bucket, hidden or not. Raises as :meth:`put` does."""
        try:
            page = self._s3.list_object_versions(Bucket=self.bucket, Prefix=self._key(size, root), MaxKeys=1)
        except (ClientError, BotoCoreError) as e:
            raise self._failed("looking for an anchored head", e) from None
        return bool(page.get("Versions"))

    def heads(self) -> list[Anchored]:
        """Every version of every anchored head, hidden ones too."""
        return list(self._versions(self._prefix))

    def _versions(self, prefix: str) -> Iterator[Anchored]:
        try:
            for page in self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                for version in page.get("Versions", []):
                    found = self._s3.get_object(
                        Bucket=self.bucket, Key=version["Key"], VersionId=version["VersionId"]
                    )
                    body = found["Body"].read(65536)
                    yield Anchored(
                        f"{version['Key']}@{version['VersionId']}", body.decode("utf-8", "replace")
                    )
        except (ClientError, BotoCoreError) as e:
            raise self._failed("reading the anchored heads", e) from None


def _roots(conn: log.Conn, sizes: Iterable[int]) -> tuple[dict[int, bytes], int, list[AnchorFinding]]:
    """(size -> root, entries read, findings), computed from the entries' own bytes in one pass.

    Neither the stored leaf hashes nor the stored nodes are believed; they are compared.
    """
    wanted = set(sizes)
    roots: dict[int, bytes] = {}
    findings: list[AnchorFinding] = []
    peaks: list[tuple[int, bytes]] = []  # (level, hash) of the perfect subtrees so far, largest first
    read = 0
    for entry in log.stream(conn):
        if entry.index != read:
            findings.append(AnchorFinding("gap", f"entry {read}", "the log has a gap: an entry was removed"))
            break
        level, node = 0, merkle.leaf_hash(entry.leaf)
        if node != entry.leaf_hash:
            findings.append(
                AnchorFinding("entry_changed", f"entry {read}", "the entry is not what its hash says")
            )
        while peaks and peaks[-1][0] == level:
            level, node = level + 1, merkle.node_hash(peaks.pop()[1], node)
        peaks.append((level, node))
        read += 1
        if read in wanted:
            root = peaks[-1][1]
            for _, left in reversed(peaks[:-1]):
                root = merkle.node_hash(left, root)
            roots[read] = root
    return roots, read, findings


_BAD_NODES = """
    WITH below (level, index, hash) AS (
        SELECT 0, index, leaf_hash FROM ledger.entry
        UNION ALL SELECT level, index, hash FROM ledger.node
    )
    SELECT n.level, n.index FROM ledger.node n
    LEFT JOIN below a ON a.level = n.level - 1 AND a.index = 2 * n.index
    LEFT JOIN below b ON b.level = n.level - 1 AND b.index = 2 * n.index + 1
    WHERE n.hash IS DISTINCT FROM sha256('\\x01'::bytea || a.hash || b.hash)
    ORDER BY n.level, n.index LIMIT 20"""


def _nodes(conn: log.Conn, entries: int) -> list[AnchorFinding]:
    """The stored nodes are those of the entries: otherwise no proof could be made from them."""
    findings = [
        AnchorFinding("node_changed", f"node {level}/{index}", "a stored node is not its children's hash")
        for level, index in conn.execute(_BAD_NODES).fetchall()
    ]
    row = conn.execute("SELECT count(*) FROM ledger.node").fetchone()
    expected = sum(entries >> level for level in range(1, 63))
    if row is None or row[0] != expected:
        what = f"{row[0] if row else 0} tree nodes are stored, {expected} belong to {entries} entries"
        findings.append(AnchorFinding("node_missing", "ledger.node", what))
    return findings


# Evidence that was in the log before a certificate of its case was fixed, and that the certificate does not list.
_LEFT_OUT = """
    WITH fixed (index, case_no, body) AS (
        SELECT index, case_no, convert_from(leaf, 'UTF8')::jsonb -> 'body' FROM ledger.entry WHERE kind = 'dispositions'
    )
    SELECT f.index, e.index FROM fixed f
    JOIN (VALUES ('evidence', 'evidence'), ('recheck', 'rechecks')) AS kept (kind, listed) ON f.body ? kept.listed
    JOIN ledger.entry e ON e.case_no = f.case_no AND e.kind = kept.kind AND e.index < f.index
    WHERE NOT f.body -> kept.listed @> to_jsonb(e.index)
    ORDER BY 1, 2 LIMIT 20"""


def _left_out(conn: log.Conn) -> list[AnchorFinding]:
    return [
        AnchorFinding(
            "left_out", f"entry {fixed}", f"a certificate leaves out evidence of its case, entry {index}"
        )
        for fixed, index in conn.execute(_LEFT_OUT).fetchall()
    ]


def audit_anchors(
    conn: log.Conn,
    anchored: Iterable[Anchored],
    origin: str,
    first: Ed25519PublicKey,
    successions: Iterable[str] = (),
) -> list[AnchorFinding]:
    """Compare the whole log, recomputed from its entries, with every head kept outside.

    ``first`` is the log's first key, and ``successions`` the statements by which later ones followed, oldest
    first: a key signs from the head at which it was named to the head at which it named the next, and no
    further. An empty list means that the log is still, entry by entry, the one whose heads were anchored, and
    that each certificate lists all evidence of its case. Raises NotReachable, and LedgerError for a statement
    that is none.
    """
    known = _terms(origin, first, successions)
    findings: list[AnchorFinding] = []
    heads: list[tuple[Anchored, Checkpoint]] = []
    for found in anchored:
        head = _opened(found.note, origin, known)
        if head is None:
            findings.append(
                AnchorFinding(
                    "bad_signature",
                    found.place,
                    "an anchored head is not signed by the log's key of its time",
                )
            )
        else:
            heads.append((found, head))

    stored = conn.execute("SELECT size, root, note FROM ledger.checkpoint ORDER BY size").fetchall()
    roots, entries, damage = _roots(conn, {head.size for _, head in heads} | {row[0] for row in stored})
    findings += damage + _nodes(conn, entries) + _left_out(conn)
    of_size: dict[int, tuple[str, bytes]] = {}
    for found, head in sorted(heads, key=lambda pair: pair[1].size):
        place, root = of_size.setdefault(head.size, (found.place, head.root))
        if root != head.root:
            what = f"fork: two different logs of {head.size} entries were signed (the other: {place})"
            findings.append(AnchorFinding("fork", found.place, what))
        if head.size > entries:
            what = (
                f"the log has {entries} entries, but a head of {head.size} was signed: entries were removed"
            )
            findings.append(AnchorFinding("shorter", found.place, what))
        elif roots.get(head.size) != head.root:
            what = f"the log was rewritten: its first {head.size} entries are not those that were signed"
            findings.append(AnchorFinding("rewritten", found.place, what))
    outside = {(head.size, head.root) for _, head in heads}
    for size, root, note in stored:
        place = f"checkpoint {size}"
        if _opened(note, origin, known) is None:
            findings.append(
                AnchorFinding(
                    "bad_signature", place, "a stored head is not signed by the log's key of its time"
                )
            )
        if roots.get(size) != root:
            findings.append(AnchorFinding("rewritten", place, "a stored head is not that of the log"))
        if (size, root) not in outside:
            findings.append(AnchorFinding("not_anchored", place, "a signed head is not kept outside"))
    return findings


@dataclass(frozen=True)
class _Term:
    """A key of the log, and the sizes of the heads that it may have signed."""

    key: Ed25519PublicKey
    since: int
    until: int | None


def _terms(origin: str, first: Ed25519PublicKey, successions: Iterable[str]) -> tuple[_Term, ...]:
    terms: list[_Term] = []
    key, since = first, 0
    for note in successions:
        said = Succession.open(note, origin, key)
        terms.append(_Term(key, since, said.size))
        key, since = Ed25519PublicKey.from_public_bytes(said.new), said.size
    return (*terms, _Term(key, since, None))


def _opened(note: str, origin: str, terms: Iterable[_Term]) -> Checkpoint | None:
    """The head, if a key of its time signed it."""
    for term in terms:
        try:
            head = open_checkpoint(note, origin, term.key)
        except LedgerError:
            continue
        if term.since <= head.size and (term.until is None or head.size <= term.until):
            return head
    return None
