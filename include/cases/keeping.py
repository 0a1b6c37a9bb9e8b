"""Keeping the ledger: what is queued gets its place, its head is signed and brought outside; and the whole is audited.

Each part is done with the secret of its own role. The audit believes nobody in the house: it reads the entries' own
bytes, and compares them with heads that nobody here can change.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from include.cases.book import RECORDS
from include.ledger import anchoring, log
from include.ledger.anchor import Anchor, AnchorFinding, audit_anchors
from include.ledger.checkpoint import Succession
from include.ledger.sequencer import publish, sequence
from include.ledger.signer import SignerClient
from include.model.doors import Connections
from include.model.errors import LedgerError, QuietusError, Refused
from include.model.words import Role

SIGNER = "ledger_signer"
PUBLIC_KEY = "ledger_public_key"
OUTSIDE = "ledger"  # with the role's name: the connection `ledger_anchor`; its text names the bucket


@dataclass(frozen=True)
class Kept:
    """How many entries the log has, and how many heads were brought outside just now."""

    entries: int
    anchored: int

    def __str__(self) -> str:
        return f"{self.entries} entries, {self.anchored} more heads kept outside"


@dataclass(frozen=True)
class Audit:
    """What the log looks like beside the heads kept outside. No finding: it is, entry by entry, what was signed."""

    entries: int
    heads: int
    anew: tuple[int, ...]  # entries that say: what was outside before this was lost
    findings: tuple[AnchorFinding, ...]

    def __str__(self) -> str:
        said = [f"{self.entries} entries", f"{self.heads} heads kept outside"]
        said += [f"begun anew at entry {entry}: what is before has no witness outside" for entry in self.anew]
        said += [f"{f.code} ({f.place}): {f.what}" for f in self.findings[:5]]
        if len(self.findings) > 5:
            said.append(f"and {len(self.findings) - 5} more findings")
        return "; ".join(said)


def keep(connections: Connections) -> Kept:
    """Sequence what writers queued, have the head signed, bring heads outside. Again changes nothing more.

    Raises LedgerError if the log is not what was signed or what was outside is lost, Refused or NotReachable.
    """
    with log.connect(connections.postgres(RECORDS, Role.SEQUENCER)) as conn:
        sequence(conn)
        if log.size(conn) == 0:
            return Kept(0, 0)
        size, _ = publish(conn, SignerClient(connections.text(SIGNER)))
    return Kept(size, bring_outside(connections))


def bring_outside(connections: Connections) -> int:
    """Anchor every signed head that is not outside yet; how many. Raises as :func:`keep` does."""
    with _reading(connections) as reader, _writing(connections) as writer:
        return anchoring.catch_up(reader, writer, anchor_of(connections))


def begin_anew(connections: Connections) -> int:
    """Accept for ever that what was kept outside is lost; how many heads were anchored again."""
    with _reading(connections) as reader, _writing(connections) as writer:
        return anchoring.begin_anew(reader, writer, anchor_of(connections))


def is_lost(connections: Connections) -> bool:
    """Whether the heads that the log says are outside are there no more; what it is about to say has its place first.
    Raises LedgerError, NotReachable."""
    with log.connect(connections.postgres(RECORDS, Role.SEQUENCER)) as conn:
        sequence(conn)
    with _reading(connections) as reader:
        return anchoring.lost(reader, anchor_of(connections)) is not None


def audit(connections: Connections) -> Audit:
    """Compare every entry with every head kept outside. Raises LedgerError without a bucket, NotReachable."""
    outside = anchor_of(connections)
    with _reading(connections) as reader:
        beginnings = anchoring.begun(reader)
        heads = outside.heads()
        origin, key, successions = _log_and_keys(connections)
        gone = anchoring.lost(reader, outside)
        found = audit_anchors(reader, heads, origin, key, successions)
        entries = log.size(reader)
    if gone is not None:  # said once, and not for each head
        found = [gone, *(f for f in found if f.code != "not_anchored")]
    return Audit(entries, len(heads), tuple(b.entry for b in beginnings if b.anew), tuple(found))


def keep_and_audit(connections: Connections) -> Audit:
    """Keep the ledger, so that nothing is merely on its way, then audit it. What kept it from being kept is named too."""
    trouble: QuietusError | None = None
    try:
        keep(connections)
    except (LedgerError, Refused) as said:
        trouble = said  # the audit looks closer
    found = audit(connections)
    if trouble is not None and not found.findings:
        raise trouble
    return found


def anchor_of(connections: Connections) -> Anchor:
    """The bucket outside, by the role that may put heads there and read them."""
    return Anchor(connections.s3(OUTSIDE, Role.ANCHOR), connections.text(f"{OUTSIDE}_{Role.ANCHOR}"))


def _reading(connections: Connections) -> log.Conn:
    return log.connect(connections.postgres(RECORDS, Role.READER))


def _writing(connections: Connections) -> log.Conn:
    return log.connect(connections.postgres(RECORDS, Role.LEDGER_WRITER))


def _log_and_keys(connections: Connections) -> tuple[str, Ed25519PublicKey, tuple[str, ...]]:
    """The log's name, the public key that we were given, and the statements by which it was handed on from there."""
    signer = SignerClient(connections.text(SIGNER))
    origin = (signer.head()[1] or "").partition("\n")[0]
    _, first = public_key(connections)
    key, onwards = first, []
    for note in signer.successions():
        try:
            handed = Succession.open(note, origin, key)
        except LedgerError:
            continue  # of a key before ours
        onwards.append(note)
        key = Ed25519PublicKey.from_public_bytes(handed.new)
    return origin, first, tuple(onwards)


def our_key(connections: Connections) -> Ed25519PublicKey | None:
    """The same; None: none is declared."""
    try:
        return public_key(connections)[1]
    except Refused:
        return None


def public_key(connections: Connections) -> tuple[bytes, Ed25519PublicKey]:
    """The key that audits believe, as the PEM file that the connection names. Raises Refused if there is none."""
    try:
        pem = Path(connections.text(PUBLIC_KEY)).read_bytes()
        key = load_pem_public_key(pem)
    except (OSError, ValueError, UnsupportedAlgorithm):
        pem, key = b"", None
    if not isinstance(key, Ed25519PublicKey):
        raise Refused(
            "the ledger's public key cannot be read", about=PUBLIC_KEY,
            next_step="let the connection's text name its PEM file",
        )  # fmt: skip
    return pem, key
