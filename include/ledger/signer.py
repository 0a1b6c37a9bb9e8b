"""The signer: a process of its own that holds the key and remembers what it signed.

    python -m include.ledger.signer --init --origin NAME --key-file K --state S --public pub.pem
    python -m include.ledger.signer --socket PATH --key-file K --state S

It signs a head only if the caller proves that it extends the last head it signed, and a certificate
only if the offline verifier would accept it and nothing else was signed under its case, edition and
serial. So whoever takes over the application or the database cannot obtain a signature on a rewritten
log, nor a second, different receipt beside one that was given out. The protocol is a line of JSON each way over a Unix
socket; every wait has a time-out. The state is on disk before a signature leaves the process.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import hashlib
import json
import os
import shutil
import socket
import socketserver
import sqlite3
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from include.ledger import attest, verify, verify_dataroom, verify_service
from include.ledger.checkpoint import Checkpoint, Succession, exact_base64, open_checkpoint
from include.ledger.merkle import EMPTY_ROOT, consistency_holds
from include.model.errors import LedgerError, NotReachable, QuietusError, Refused

MAX_LINE = 96 * 1024 * 1024  # a certificate at the verifier's limit, in base64
TIMEOUT = 10.0  # seconds that either side waits for the other's next bytes
NUMBERED = {
    "quietus-bag-notice/1": "notice",
    "quietus-bag-request/1": "request",
    "quietus-bag-objection/1": "request",
}
"""What is said about a bag under numbers, each of which has one: a request and an objection are counted together."""


# --- what is on disk --------------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """What the signer must not forget."""

    origin: str
    note: str | None = None  # the last head that it signed
    successions: tuple[str, ...] = ()  # how the log came to this key
    retired: bool = False  # its key was succeeded; it signs no more

    @classmethod
    def load(cls, path: Path, key: Ed25519PublicKey) -> State:
        """Raises LedgerError if the state is missing, damaged, or not about this key."""
        try:
            said = json.loads(path.read_bytes())
            state = cls(said["origin"], said["note"], tuple(said["successions"]), said["retired"])
        except FileNotFoundError:
            raise LedgerError(
                "the signer's state is missing; without it the signer cannot know what it signed",
                next_step="recover it from the last anchored head with --adopt, or --init a new log",
            ) from None
        except (ValueError, KeyError, TypeError):
            raise LedgerError("the signer's state is damaged", next_step="recover it with --adopt") from None
        if state.note is not None:
            open_checkpoint(state.note, state.origin, key)
        return state

    def save(self, path: Path) -> None:
        """On disk, whole, and under its name, before this returns."""
        fresh = path.with_name(path.name + ".new")
        said = {
            "origin": self.origin,
            "note": self.note,
            "successions": self.successions,
            "retired": self.retired,
        }
        with fresh.open("wb") as file:
            file.write(json.dumps(said, ensure_ascii=False, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Said:
    """Which certificate was signed under each case, edition and serial. Beside the state, and as needed.

    A million certificates do not fit into a file that is written anew each time, so it is a database.
    """

    def __init__(self, state: Path) -> None:
        try:
            self._db = sqlite3.connect(
                self.beside(state), check_same_thread=False, isolation_level=None, timeout=TIMEOUT
            )
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS said (case_no TEXT, edition TEXT, serial INTEGER, digest TEXT NOT NULL,"
                " PRIMARY KEY (case_no, edition, serial)) WITHOUT ROWID"
            )
        except sqlite3.Error:
            raise LedgerError(
                "the signer's memory of certificates cannot be read", next_step="restore it from a copy"
            ) from None

    @staticmethod
    def beside(state: Path) -> Path:
        return state.with_name(state.name + ".said")

    def signed(self, case_no: str, edition: str, serial: int, digest: str) -> bool:
        """Whether this very document was signed at this place."""
        row = self._db.execute(
            "SELECT 1 FROM said WHERE case_no = ? AND edition = ? AND serial = ? AND digest = ?",
            (case_no, edition, serial, digest),
        ).fetchone()
        return row is not None

    def remember(self, case_no: str, edition: str, serial: int, digest: str) -> bool:
        """On disk before this returns. False if another document has this place."""
        self._db.execute("INSERT OR IGNORE INTO said VALUES (?, ?, ?, ?)", (case_no, edition, serial, digest))
        row = self._db.execute(
            "SELECT digest FROM said WHERE case_no = ? AND edition = ? AND serial = ?",
            (case_no, edition, serial),
        ).fetchone()
        return bool(row and row[0] == digest)


def load_key(path: Path) -> Ed25519PrivateKey:
    """The key. Raises LedgerError if others may read the file, or if it is not an Ed25519 key."""
    try:
        if path.stat().st_mode & 0o077:
            raise LedgerError("the signer's key file is open to others", next_step=f"chmod 600 {path}")
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError):
        raise LedgerError("the signer's key file cannot be read as a PEM private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise LedgerError("the signer's key is not an Ed25519 key")
    return key


def _make_key(path: Path, public: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise LedgerError(
            "there is a key file already; a key is made once", next_step="choose another path"
        ) from None
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return key


def initialise(origin: str, key_file: Path, state: Path, public: Path) -> None:
    """Make a key (mode 0600), its public half, and the state of a log with no head yet."""
    if state.exists():
        raise LedgerError(
            "there is a signer's state already; a log begins once", next_step="choose another path"
        )
    Checkpoint.of_text(Checkpoint(origin, 0, EMPTY_ROOT).text())  # refuses a malformed origin
    _make_key(key_file, public)
    State(origin).save(state)


def adopt(note: str, origin: str, key_file: Path, state: Path) -> None:
    """Recover a lost state from the last head that this key signed, as kept by an anchor."""
    if state.exists():
        raise LedgerError("the signer has a state; adopting another would let it forget a head")
    open_checkpoint(note, origin, load_key(key_file).public_key())
    State(origin, note).save(state)


def succeed(key_file: Path, state: Path, new_key_file: Path, new_state: Path, public: Path) -> str:
    """Make the next key, have the old one name it, and retire the old signer. Returns the statement."""
    old = load_key(key_file)
    was = State.load(state, old.public_key())
    if was.retired or was.note is None:
        raise LedgerError("only a signer that is in use and has signed a head can be succeeded")
    if new_state.exists():
        raise LedgerError("the new signer's state exists already")
    head = open_checkpoint(was.note, was.origin, old.public_key())
    new = _make_key(new_key_file, public)
    statement = Succession.sign(head, old, new)
    memory = Said.beside(state)
    if memory.exists():
        shutil.copyfile(memory, Said.beside(new_state))
    # Retire first: a crash in between leaves no signer, never two.
    replace(was, retired=True, successions=(*was.successions, statement)).save(state)
    State(was.origin, head.sign(new), (*was.successions, statement)).save(new_state)
    return statement


# --- what it signs ----------------------------------------------------------------------------


class Signer:
    """The decisions, without the socket. Raises Refused for what it will not sign."""

    def __init__(self, key_file: Path, state: Path) -> None:
        self._key = load_key(key_file)
        self._public = self._key.public_key()
        self._path = state
        self._state = State.load(state, self._public)
        if self._state.retired:
            raise LedgerError(
                "this signer's key was succeeded; it signs no more", next_step="start its successor"
            )
        self._said = Said(state)
        self._turn = threading.Lock()

    def _head(self) -> Checkpoint:
        if self._state.note is None:
            return Checkpoint(self._state.origin, 0, EMPTY_ROOT)
        return open_checkpoint(self._state.note, self._state.origin, self._public)

    def head(self) -> dict[str, Any]:
        return {
            "size": self._head().size,
            "note": self._state.note,
            "successions": list(self._state.successions),
        }

    def extend(self, size: int, root: bytes, proof: list[bytes]) -> dict[str, Any]:
        """Sign this head, if the proof shows that it extends the last one."""
        with self._turn:
            head = self._head()
            if size < head.size:
                raise Refused(f"the tree has {size} entries, fewer than the {head.size} that were signed")
            if size == 0:
                raise Refused("an empty log has no head to sign")
            if size == head.size and root != head.root:
                raise Refused(f"fork: another tree of {size} entries was signed")
            if not consistency_holds(head.size, size, head.root, root, proof):
                raise Refused(
                    f"the tree of {size} entries is not shown to extend the signed one of {head.size}"
                )
            if size > head.size or self._state.note is None:
                note = Checkpoint(head.origin, size, root).sign(self._key)
                fresh = replace(self._state, note=note)
                fresh.save(self._path)  # first remembered, then said
                self._state = fresh
            return {"note": self._state.note}

    def certify(self, payload: bytes) -> dict[str, Any]:
        """Sign a certificate that relies on a head of ours, that the verifier accepts, and that is the only
        one of its case, edition and serial. The same content under a later head is the same certificate."""
        report = verify.check_payload(payload, self._public)
        if report.ok:
            said = json.loads(payload)
            relied = open_checkpoint(said["checkpoint"], self._state.origin, self._public)
            if said["format"] != verify.FORMAT:
                report.problems.append(f"it is not in the format {verify.FORMAT}")
            elif relied.size > self._head().size:
                report.problems.append("its checkpoint is beyond the last head that was signed")
        if not report.ok:
            raise Refused(f"the certificate would not verify: {report.problems[0]}")
        grows = ("entries", "checkpoint", "successions")
        content = verify.canonical({name: value for name, value in said.items() if name not in grows})
        place = (said["case_no"], said["edition"], said["serial"])
        with self._turn:
            if not self._said.remember(*place, hashlib.sha256(content).hexdigest()):
                raise Refused(
                    f"another certificate {said['serial']} ({said['edition']}) of this case was signed"
                )
        signature = {"keyid": verify.key_id(self._public), "sig": _b64(self._key.sign(verify.pae(payload)))}
        envelope = {"payload": _b64(payload), "payloadType": verify.PAYLOAD_TYPE, "signatures": [signature]}
        return {"envelope": verify.canonical(envelope).decode()}

    def certify_service(self, payload: bytes) -> dict[str, Any]:
        """Sign the certificate of a service that stopped, as :meth:`certify` signs a case's: what its verifier accepts, under a
        head of ours, and the only one of its order and serial."""
        return self._certified(payload, verify_service, "order", "service")

    def certify_room(self, payload: bytes) -> dict[str, Any]:
        """The same of a data room that is over."""
        return self._certified(payload, verify_dataroom, "room", "data room")

    def _certified(self, payload: bytes, by: Any, number: str, what: str) -> dict[str, Any]:
        """``by``: the verifier of that kind; ``number``: the field that says what it is about."""
        report = by.check_payload(payload, self._public)
        if report.ok:
            said = json.loads(payload)
            if (
                said["format"] != by.FORMAT
            ):  # what was released in a former one verifies for ever, and nothing new is
                report.problems.append(
                    f"a certificate of a {what} is signed as {by.FORMAT}, and it says it is another"
                )
            if open_checkpoint(said["checkpoint"], self._state.origin, self._public).size > self._head().size:
                report.problems.append("its checkpoint is beyond the last head that was signed")
        if not report.ok:
            raise Refused(f"the certificate would not verify: {report.problems[0]}")
        with self._turn:
            if not self._said.remember(said[number], what, said["serial"], by.facts(said)):
                raise Refused(f"another certificate {said['serial']} of this {what} was signed")
        sig = self._key.sign(verify.encoded(by.PAYLOAD_TYPE, payload))
        signature = {"keyid": verify.key_id(self._public), "sig": _b64(sig)}
        envelope = {"payload": _b64(payload), "payloadType": by.PAYLOAD_TYPE, "signatures": [signature]}
        return {"envelope": verify.canonical(envelope).decode()}

    def attest(self, payload: bytes) -> dict[str, Any]:
        """Sign a statement about a bag, the only one of its order and name, or a receipt for one. What it is about the signer
        cannot see. That nobody is ever shown two different bags of one name it can see to, and that nobody signs for what they
        sent themselves."""
        said = attest.parsed(payload)
        if said["format"] == "quietus-bag/1":
            place = (str(said["order"]), f"bag {said['bag']}", 0)
            with self._turn:
                if not self._said.remember(*place, attest.digest(payload)):
                    raise Refused(f"another statement about bag {said['bag']} of this order was signed")
        for form, kind in NUMBERED.items():
            if said["format"] != form:
                continue
            place = (str(said["order"]), f"{kind} {said['bag']}", int(said[kind]))
            with self._turn:
                if not self._said.remember(*place, attest.digest(payload)):
                    raise Refused(f"another {kind} of this number about bag {said['bag']} was signed")
        if (own := self._own(said)) and self._said.signed(*own):
            raise Refused(
                "what it is a receipt for was signed by this very signer: nobody receives what they sent"
            )
        return {"envelope": attest.envelope(payload, self._key.sign, self._public).decode()}

    @staticmethod
    def _own(said: Mapping[str, Any]) -> tuple[str, str, int, str] | None:
        """Where it would remember having signed that for which this is a receipt."""
        if said["format"] == "quietus-bag-receipt/1":
            return str(said["order"]), f"bag {said['bag']}", 0, str(said["statement"])
        for kind in ("notice", "request"):
            if said["format"] == f"quietus-bag-{kind}-receipt/1":
                return str(said["order"]), f"{kind} {said['bag']}", int(said[kind]), str(said["digest"])
        return None

    def answer(self, line: bytes) -> dict[str, Any]:
        """One request, one answer; whatever is wrong with a request, the answer says it."""
        try:
            asked = json.loads(line)
            match asked["op"]:
                case "head":
                    said = self.head()
                case "extend":
                    if type(asked["size"]) is not int:
                        raise Refused("the request is malformed")
                    proof = [exact_base64(h, "the proof") for h in asked["proof"]]
                    said = self.extend(asked["size"], exact_base64(asked["root"], "the root"), proof)
                case "certify":
                    said = self.certify(exact_base64(asked["payload"], "the payload"))
                case "certify_service":
                    said = self.certify_service(exact_base64(asked["payload"], "the payload"))
                case "certify_room":
                    said = self.certify_room(exact_base64(asked["payload"], "the payload"))
                case "attest":
                    said = self.attest(exact_base64(asked["payload"], "the payload"))
                case _:
                    raise Refused("there is no such operation")
        except QuietusError as e:
            return {"ok": False, "refused": e.what}
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"ok": False, "refused": "the request is malformed"}
        except sqlite3.Error:
            return {"ok": False, "refused": "the signer cannot remember what it signs: see to its disk"}
        return {"ok": True, **said}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- the socket -------------------------------------------------------------------------------


class _Handler(socketserver.StreamRequestHandler):
    timeout = TIMEOUT

    def handle(self) -> None:
        signer: Signer = self.server.signer  # type: ignore[attr-defined]
        try:
            while line := self.rfile.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE or not line.endswith(b"\n"):
                    said: dict[str, Any] = {"ok": False, "refused": "the request is too long or was cut off"}
                else:
                    said = signer.answer(line)
                self.wfile.write(json.dumps(said).encode() + b"\n")
                if not line.endswith(b"\n"):
                    return
        except OSError:
            return  # the caller went away or fell silent; nothing half-done remains


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, signer: Signer) -> None:
        self.signer = signer
        super().__init__(path, _Handler)


def serve(path: Path, signer: Signer, state: Path, mode: int) -> None:
    """Answer until terminated. One signer to a state: a second one is refused."""
    with state.with_name(state.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError("another signer is running on this state") from None
        path.unlink(missing_ok=True)  # ours: we hold the lock
        umask = os.umask(0o777 & ~mode)
        try:
            server = _Server(str(path), signer)
        finally:
            os.umask(umask)
        with server:
            print(f"signer of {signer.head()['size']} entries listening", flush=True)  # noqa: T201 - tells the starter
            server.serve_forever()


class SignerClient:
    """How the rest of the house asks the signer. Raises Refused with its reason, or NotReachable."""

    def __init__(self, path: Path | str, *, timeout: float = 3 * TIMEOUT) -> None:
        self._path = str(path)
        self._timeout = timeout

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(self._timeout)
                link.connect(self._path)
                link.sendall(json.dumps(request).encode() + b"\n")
                with link.makefile("rb") as answers:
                    said: dict[str, Any] = json.loads(answers.readline(MAX_LINE * 2))
        except (OSError, ValueError):
            raise NotReachable(
                "the signer does not answer", about="ledger", next_step="start it, then try again"
            ) from None
        if not said.get("ok"):
            raise Refused(f"the signer refused: {said.get('refused')}", about="signer")
        return said

    def head(self) -> tuple[int, str | None]:
        """(size, note) of the last head that it signed; (0, None) before the first."""
        said = self._ask({"op": "head"})
        return int(said["size"]), said["note"]

    def successions(self) -> tuple[str, ...]:
        """The signed statements by which the log came to the present key, oldest first."""
        return tuple(self._ask({"op": "head"})["successions"])

    def extend(self, size: int, root: bytes, proof: list[bytes]) -> str:
        """The signed checkpoint of this extension of the last head."""
        request = {"op": "extend", "size": size, "root": _b64(root), "proof": [_b64(h) for h in proof]}
        return str(self._ask(request)["note"])

    def certify(self, payload: bytes) -> bytes:
        """The DSSE envelope around this certificate, as a file."""
        return str(self._ask({"op": "certify", "payload": _b64(payload)})["envelope"]).encode() + b"\n"

    def certify_service(self, payload: bytes) -> bytes:
        """The DSSE envelope around the certificate of a service, as a file."""
        return (
            str(self._ask({"op": "certify_service", "payload": _b64(payload)})["envelope"]).encode() + b"\n"
        )

    def certify_room(self, payload: bytes) -> bytes:
        """The DSSE envelope around the certificate of a data room, as a file."""
        return str(self._ask({"op": "certify_room", "payload": _b64(payload)})["envelope"]).encode() + b"\n"

    def attest(self, payload: bytes) -> bytes:
        """The DSSE envelope around a statement about a bag, or a receipt for one, as a file."""
        return str(self._ask({"op": "attest", "payload": _b64(payload)})["envelope"]).encode()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="signer", description="Holds the ledger's key, signs only extensions."
    )
    parser.add_argument("--key-file", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--socket-mode", type=lambda s: int(s, 8), default=0o600)
    parser.add_argument("--init", action="store_true", help="make a key and an empty state")
    parser.add_argument("--adopt", type=Path, help="recover a lost state from this signed head")
    parser.add_argument("--succeed", action="store_true", help="make the next key and retire this one")
    parser.add_argument("--new-key-file", type=Path)
    parser.add_argument("--new-state", type=Path)
    parser.add_argument("--origin", help="the log's name, such as authority.example/quietus")
    parser.add_argument("--public", type=Path, help="where to write the public key (PEM)")
    o = parser.parse_args(arguments)
    try:
        if o.init and o.origin and o.public:
            initialise(o.origin, o.key_file, o.state, o.public)
        elif o.adopt and o.origin:
            adopt(o.adopt.read_text("utf-8"), o.origin, o.key_file, o.state)
        elif o.succeed and o.new_key_file and o.new_state and o.public:
            print(succeed(o.key_file, o.state, o.new_key_file, o.new_state, o.public), end="")  # noqa: T201
        elif o.socket and not (o.init or o.adopt or o.succeed):
            serve(o.socket, Signer(o.key_file, o.state), o.state, o.socket_mode)
        else:
            parser.error("give --socket, or --init with --origin and --public, or --adopt with --origin, "
                         "or --succeed with --new-key-file, --new-state and --public")  # fmt: skip
    except (QuietusError, OSError) as e:
        print(f"signer: {e}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
