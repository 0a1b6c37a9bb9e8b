"""The verifier accepts what is true, and names what is wrong in everything else."""

from __future__ import annotations

import ast
import base64
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ledger import merkle, verify
from include.ledger.certificate import Edition, Kind
from include.ledger.checkpoint import Checkpoint, Succession
from include.model.words import Rung, Verdict
from tests.ledger.making import (
    CASE,
    FACE,
    KEY,
    LOGIN,
    ORIGIN,
    PROFILE,
    Change,
    Log,
    all_evidence,
    draft,
    evidence,
    passed,
    payload,
    pem,
    seal,
    sign,
)  # fmt: skip

PEM = pem(KEY)
VERIFIER = Path(verify.__file__)
VECTORS = Path(__file__).parent / "vectors"


def problems(made: dict[str, Any] | bytes) -> list[str]:
    return verify.verify(made if isinstance(made, bytes) else sign(made), PEM).problems


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("edition", list(Edition))
def test_an_honest_certificate_verifies_and_says_what_it_is_about(edition: Edition) -> None:
    report = verify.verify(sign(payload(edition)), PEM)
    assert report.problems == []
    assert report.ok
    assert report.said["case_no"] == CASE
    assert report.said["edition"] == edition


def test_a_final_certificate_verifies_when_nothing_is_pending() -> None:
    of = draft()
    done = draft(
        kind=Kind.FINAL, pending=(), groups=tuple(g for g in of.groups if not g.pending),
        located=tuple(found for found in of.located if found.dataset != LOGIN),
    )  # fmt: skip
    assert problems(payload(of=done)) == []


# --- every byte counts --------------------------------------------------------------------------


def test_a_change_of_any_byte_of_the_file_is_rejected_with_a_reason() -> None:
    file = sign(payload(Edition.PERSON))
    for at in range(len(file)):
        mask = (0x01, 0x20, 0x80)[at % 3]  # another bit, another case of letter, no ASCII at all
        report = verify.verify(file[:at] + bytes([file[at] ^ mask]) + file[at + 1 :], PEM)
        assert report.problems, at
        assert all(report.problems)


def test_a_change_of_any_byte_inside_is_rejected_even_if_the_key_signs_it_again() -> None:
    data = rfc8785.dumps(payload())
    for at in range(0, len(data), 3):
        bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert problems(sign(bent)), (at, data[max(0, at - 30) : at + 30])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_cut_or_inserted_bytes_never_verify_and_never_raise(data: st.DataObject) -> None:
    file = sign(payload(Edition.PERSON))
    at = data.draw(st.integers(0, len(file) - 1))
    bit = data.draw(st.integers(0, 7))
    extra = data.draw(st.binary(min_size=1, max_size=4))
    for bent in (
        file[:at] + bytes([file[at] ^ (1 << bit)]) + file[at + 1 :],
        file[:at],
        file[:at] + extra + file[at:],
        file[:at] + file[at + 1 :],
    ):
        if bent not in (file, file[:-1]):
            assert not verify.verify(bent, PEM).ok


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_rubbish_is_rejected_with_a_reason(rubbish: bytes) -> None:
    assert verify.verify(rubbish, PEM).problems
    assert verify.verify(sign(payload()), rubbish).problems
    assert verify.verify(sign(rubbish), PEM).problems


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, found in inner:
        yield from places(found, (*path, key))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_value_replaced_by_any_other_is_rejected_even_if_signed_again(data: st.DataObject) -> None:
    made = copy.deepcopy(HONEST)
    path = data.draw(st.sampled_from(PLACES))
    value = data.draw(JSON)
    at = made
    for step in path[:-1]:
        at = at[step]
    if at[path[-1]] == value and type(at[path[-1]]) is type(value):
        return
    at[path[-1]] = value
    assert problems(made)


HONEST = payload(Edition.PERSON)
PLACES = list(places(HONEST))


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_our_canonical_json_is_that_of_rfc_8785(value: Any) -> None:
    assert verify.canonical(value) == rfc8785.dumps(value)
    assert verify.parse(rfc8785.dumps(value), "x") == value


def test_the_envelope_is_the_dsse_of_other_tools() -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    file = json.loads(sign(payload()))
    public = {"public": KEY.public_key().public_bytes_raw().hex()}
    key = SSlibKey(verify.key_id(KEY.public_key()), "ed25519", "ed25519", public)
    envelope = Envelope.from_dict(copy.deepcopy(file))
    assert envelope.pae() == verify.pae(base64.b64decode(file["payload"]))
    assert envelope.verify([key], 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.data())
def test_the_verifiers_tree_is_the_ledgers_tree(size: int, data: st.DataObject) -> None:
    hashes = [merkle.leaf_hash(bytes([n])) for n in range(size)]
    read = merkle.memory_reader(hashes)
    assert verify.root_of(hashes) == merkle.root_of(hashes)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    top = merkle.root_of(hashes)
    assert verify.included(hashes[index], index, size, merkle.inclusion_proof(index, size, read), top)
    assert not verify.included(
        hashes[index], index + size, size, merkle.inclusion_proof(index, size, read), top
    )
    path = merkle.consistency_proof(old, size, read)
    assert verify.extends(old, size, merkle.root_of(hashes[:old]), top, path)
    assert not verify.extends(old, size, bytes(32), top, path)
    assert not verify.extends(old, size, merkle.root_of(hashes[:old]), top, [*path, top])


def test_the_same_meaning_in_other_bytes_is_rejected() -> None:
    """Otherwise a byte could be changed unnoticed: spaces, order, doubled keys, idle bits of base64."""
    file = sign(payload(Edition.PERSON)).strip()
    said = json.loads(file)
    sig = said["signatures"][0]["sig"]
    idle = sig[:-3] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(sig[-3]) ^ 1
    ] + "=="  # fmt: skip
    assert base64.b64decode(idle) == base64.b64decode(sig)
    assert only(problems(file.replace(sig.encode(), idle.encode()))) == (
        "the signature is not base64 as an encoder writes it"
    )
    payload_type = b',"payloadType":"application/vnd.quietus.certificate+json"'
    for other in (
        json.dumps(said).encode(),
        file.replace(b'"payloadType"', b' "payloadType"'),
        file.replace(payload_type, payload_type * 2),
        file.replace(b"payloadType", rb"payload\u0054ype"),
    ):
        assert json.loads(other) == said
        assert "not in canonical form" in only(problems(other))


# --- lies, signed with the real key -------------------------------------------------------------


def test_a_dropped_item_is_named() -> None:
    made = payload()
    dropped = made["groups"].pop(2)
    made["balance"] = [b for b in made["balance"] if b["dataset"] != dropped["dataset"]]
    found = problems(made)
    assert found[0].startswith(
        "the list of item groups is not the one the ledger recorded: an item was dropped"
    )
    assert "not those the ledger recorded" in found[1]


def test_an_added_or_reordered_item_is_named() -> None:
    for change in (lambda g: g.append({**g[0], "category": "PI-003"}), lambda g: g.reverse()):
        made = payload()
        change(made["groups"])
        assert "an item was dropped, added or changed" in problems(made)[0]


def test_a_whole_list_of_groups_from_another_certificate_is_named() -> None:
    made = payload()
    made["serial"] = 2
    assert "that of another certificate" in problems(made)[0]


def test_the_editions_cannot_be_passed_off_for_each_other() -> None:
    made = payload(Edition.PERSON)
    made["edition"] = "auditor"
    assert problems(made)


LIES: list[tuple[str, Change]] = [
    ("the books do not balance for account.profile (live): 4 located, 3 accounted",
     lambda p: p["balance"][1].update(located=4)),
    ("the item groups of PI-001 in account.profile (live) do not add up to its balance",
     lambda p: p["groups"][next_of(p, PROFILE)].update(items=2)),
    ("PI-019 in face.image (live), erase: claims R5, but its evidence says: no check of it",
     lambda p: p["groups"][next_of(p, FACE)].update(rung_reached=5)),
    ("PI-019 in face.image (live), erase: R4 is required and was not reached",
     lambda p: p["groups"][next_of(p, FACE)].update(rung_reached=2)),
    ("PI-019 in face.image (live), erase: claims R4 as reached with the verdict 'unverified'",
     lambda p: p["groups"][next_of(p, FACE)].update(verdict="unverified")),
    ("PI-019 in face.image (live), erase: R4 is both claimed and UNVERIFIED",
     lambda p: p["groups"][next_of(p, FACE)].update(unverified=[{"rung": 4, "why": "hidden"}])),
    ("PI-019 in face.image (live), erase: the evidence it names, ledger entry 99, is not included",
     lambda p: p["groups"][next_of(p, FACE)]["evidence"].append(99)),
    ("PI-019 in face.image (live), erase: no law is named",
     lambda p: p["groups"][next_of(p, FACE)].update(law="")),
    ("PI-019 in face.image (live), erase: confidential where it cannot be",
     lambda p: p["groups"][next_of(p, FACE)].update(confidential=True)),
    ("PI-019 in face.image (live), erase: pending, but no pending track says what it waits for",
     lambda p: p["groups"][next_of(p, FACE)].update(pending=True)),
    ("face.image (live) has items located but no item group",
     lambda p: p["groups"].pop(next_of(p, FACE))),
    ("PI-019 in face.image (live), erase: claims R3, but its evidence says: no check of it",
     lambda p: p["groups"][next_of(p, FACE)].update(rung_required=3)),
    ("PI-030 in contract.file (live), retain: retained without a date or what the date waits for",
     lambda p: kept(p).update(until=None)),
    ("PI-030 in contract.file is kept until 2026-11-23, which is over",
     lambda p: kept(p).update(until="2026-11-23")),
    ("an until date is not a date", lambda p: kept(p).update(until="soon")),
    ("a pending track of weekly was due on 2026-11-01, which is over",
     lambda p: p["pending"][1].update(due="2026-11-01")),
    ("the business date is after the day of observation, and the certificate is no simulation",
     lambda p: p.update(as_of="2026-11-25")),
    ("observed_at is not a time", lambda p: p.update(observed_at="24 November")),
    ("observed_at has no time zone", lambda p: p.update(observed_at="2026-11-24T03:00:00")),
    ("item group 0 has no items or an unknown disposition", lambda p: p["groups"][0].update(items=0)),
    ("items of item group 0 is missing or not int", lambda p: p["groups"][0].update(items="3")),
    ("line 0 of the balance has a negative count", lambda p: p["balance"][0].update(held=-1)),
    ("the balance lists a dataset and copy twice", lambda p: p["balance"].append(dict(p["balance"][0]))),
    ("the certificate's kind or edition is not a known one", lambda p: p.update(kind="last")),
]  # fmt: skip


def next_of(p: dict[str, Any], dataset: str) -> int:
    return next(n for n, g in enumerate(p["groups"]) if g["dataset"] == dataset)


def kept(p: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(g for g in p["groups"] if g["disposition"] == "retain")
    return found


@pytest.mark.parametrize(("reason", "lie"), LIES, ids=[reason[:60] for reason, _ in LIES])
def test_a_lie_that_the_ledger_recorded_is_named_all_the_same(reason: str, lie: Change) -> None:
    assert reason in problems(payload(lie=lie))


def test_a_final_certificate_with_something_pending_is_named() -> None:
    found = problems(payload(lie=lambda p: p.update(kind="final")))
    assert "the certificate says it is final and still lists pending tracks" in found
    assert any("still pending, but the certificate says it is final" in what for what in found)


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNVERIFIED])
def test_a_rung_claimed_against_its_evidence_is_named(verdict: Verdict) -> None:
    said = [e for e in all_evidence() if e.kind == "restricted"]
    checks = [c for c in all_evidence()[1].checks if (c.dataset, c.rung) != (FACE, Rung.R4)]
    book = Log.of(*said, evidence(*checks, passed(FACE, Rung.R4, verdict=verdict)))
    assert only(problems(payload(book=book))) == (
        f"PI-019 in face.image (live), erase: claims R4, but its evidence says: {verdict}"
    )
    mixed = Log.of(*said, evidence(*all_evidence()[1].checks, passed(FACE, Rung.R4, verdict=verdict)))
    assert f"claims R4, but its evidence says: {', '.join(sorted(['passed', verdict]))}" in only(
        problems(payload(book=mixed))
    )
    lower = Log.of(*said, evidence(*checks, passed(FACE, Rung.R4), passed(FACE, Rung.R3, verdict=verdict)))
    assert "claims R4, but its evidence did not pass R3" in only(problems(payload(book=lower)))


def test_evidence_of_another_case_or_of_another_kind_proves_nothing() -> None:
    for kind, case_no in (("evidence", "CASE-000043"), ("notice", CASE)):
        book = Log.of()
        strange = book.add(kind, all_evidence()[1].model_dump(mode="json"), case_no)
        of = draft(groups=tuple(
            g.model_copy(update={"evidence": (strange,)}) if g.dataset == FACE else g for g in draft().groups
        ))  # fmt: skip
        assert "claims R4, but its evidence says: no check of it" in only(problems(payload(of=of, book=book)))


def test_evidence_observed_after_the_certificate_is_named() -> None:
    book = Log.of(*(
        e.model_copy(update={"observed_at": datetime(2026, 11, 24, 4, 0, tzinfo=UTC)}) for e in all_evidence()
    ))  # fmt: skip
    assert "ledger entry 0 was observed after the certificate was made" in problems(payload(book=book))


def test_a_simulation_says_so_and_verifies() -> None:
    report = verify.verify(sign(payload(of=draft(as_of=date(2026, 11, 30), simulated=True))), PEM)
    assert report.ok
    assert report.said["simulated"] == "yes"


def test_an_entry_that_is_not_in_the_log_is_named() -> None:
    made = payload()
    entry = made["entries"][0]
    said = json.loads(base64.b64decode(entry["leaf"]))
    said["body"]["checks"][0]["observed"] = 1
    entry["leaf"] = base64.b64encode(rfc8785.dumps(said)).decode()
    assert only(problems(made)) == "ledger entry 0 is not in the log that the checkpoint signs"
    made = payload()
    made["entries"].append(dict(made["entries"][0]))
    assert only(problems(made)) == "ledger entry 0 is given twice"
    made = payload()
    made["entries"] = [e for e in made["entries"] if e["index"] != made["completeness"]["entry"]]
    assert "the ledger entry that lists this case's item groups is not among" in only(problems(made))


def test_the_list_of_another_case_is_not_taken_for_this_cases() -> None:
    made = payload()
    book = Log([base64.b64decode(e["leaf"]) for e in made["entries"]])
    last = json.loads(book.leaves.pop())
    assert last["kind"] == "dispositions"
    at = book.add("dispositions", last["body"], "CASE-000043")
    book = Log([*book.leaves])
    made["completeness"]["entry"] = at
    made["entries"] = book.included(list(range(at + 1)))
    made["checkpoint"] = book.checkpoint()
    assert "the ledger entry that lists this case's item groups is not among" in problems(made)[0]


# --- keys ---------------------------------------------------------------------------------------


def test_another_key_is_named() -> None:
    other = Ed25519PrivateKey.generate()
    assert "signed by another key" in only(verify.verify(sign(payload()), pem(other)).problems)
    assert "signed by another key" in only(problems(sign(payload(), other)))
    forged = json.loads(sign(payload(), other))
    forged["signatures"][0]["keyid"] = verify.key_id(KEY.public_key())
    assert "signature on the certificate is not good" in only(problems(rfc8785.dumps(forged)))
    elliptic = generate_private_key(SECP256R1()).public_key()
    wrong = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert only(verify.verify(sign(payload()), wrong).problems) == "the key is not an Ed25519 public key"


def test_a_checkpoint_signed_by_another_key_is_named() -> None:
    made = payload()
    book = Log.of()
    made["checkpoint"] = book.checkpoint(Ed25519PrivateKey.generate())
    assert only(problems(made)) == "the checkpoint is not signed by the key of this log"


def test_a_successors_certificate_verifies_with_the_first_key_and_with_its_own() -> None:
    second, third = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    head = Checkpoint(ORIGIN, 1, bytes(32))
    chain = [Succession.sign(head, KEY, second), Succession.sign(head, second, third)]
    made = payload()
    book = Log.of()
    book.add("evidence.person", {"checks": []})
    fresh = seal({**made, "successions": chain}, book, third)
    file = sign(fresh, third)
    for key in (KEY, second, third):
        assert verify.verify(file, pem(key)).problems == []
    stranger = Ed25519PrivateKey.generate()
    assert "no succession leads to it" in only(verify.verify(file, pem(stranger)).problems)
    broken = sign({**fresh, "successions": chain[1:]}, third)
    assert "no succession leads to it" in only(verify.verify(broken, PEM).problems)
    usurped = [Succession.sign(head, stranger, third).replace(raw(stranger), raw(KEY))]
    found = only(verify.verify(sign({**fresh, "successions": usurped}, third), PEM).problems)
    assert found == "a statement of key succession is not signed by the key of this log"
    astray = sign({**fresh, "successions": chain[:1]}, third)
    found = only(verify.verify(astray, pem(third)).problems)
    assert found == "the statements of key succession do not lead to the key that signed"


def raw(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


# --- as a program -------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "certificate.json").write_bytes(sign(payload()))
    (tmp_path / "pub.pem").write_bytes(PEM)
    return tmp_path


def run(
    folder: Path, *more: str, python: str = sys.executable, prefix: tuple[str, ...] = ()
) -> tuple[int, str]:
    done = subprocess.run(
        [*prefix, python, "-I", str(VERIFIER), "certificate.json", "--key", "pub.pem", *more],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_it_runs_as_one_file_and_exits_by_its_finding(files: Path) -> None:
    code, said = run(files)
    assert code == 0
    assert "VALID: signed, complete" in said
    file = (files / "certificate.json").read_bytes()
    (files / "certificate.json").write_bytes(file.replace(b"vnd.quietus", b"vnd.quietuz"))
    code, said = run(files)
    assert code == 1
    assert "NOT VALID: the file is not a Quietus certificate" in said
    (files / "certificate.json").unlink()
    assert run(files) == (2, "cannot read certificate.json\n")


def test_what_it_prints_cannot_drive_a_terminal_and_needs_no_locale(files: Path) -> None:
    made = payload()
    made["groups"][0]["category"] = "\x1b[2J类"
    (files / "certificate.json").write_bytes(sign(made))
    done = subprocess.run(
        [sys.executable, str(VERIFIER), "certificate.json", "--key", "pub.pem"],
        cwd=files, capture_output=True, timeout=60, check=False, env={"PYTHONIOENCODING": "ascii:strict"},
    )  # fmt: skip
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout
    assert b"\\u001b[2J\\u7c7b" in done.stdout
    assert done.stderr == b""


def test_it_checks_that_the_log_extends_a_checkpoint_that_was_kept(files: Path) -> None:
    book = Log.of()
    old = book.checkpoint()
    made = payload(book=book)
    (files / "certificate.json").write_bytes(sign(made))
    read = merkle.memory_reader([merkle.leaf_hash(data) for data in book.leaves])
    proof = [base64.b64encode(h).decode() for h in merkle.consistency_proof(2, len(book.leaves), read)]
    (files / "old.txt").write_text(old, encoding="utf-8")
    (files / "proof.json").write_text(json.dumps(proof))
    more = ("--previous", "old.txt", "--consistency", "proof.json")
    assert run(files, *more)[0] == 0
    forked = Log([b"{}", b"{}"]).checkpoint()
    (files / "old.txt").write_text(forked, encoding="utf-8")
    code, said = run(files, *more)
    assert code == 1
    assert "does not extend the older checkpoint" in said
    (files / "proof.json").write_text("{}")
    assert "NOT VALID: the consistency proof is missing or not list" in run(files, *more)[1]
    assert run(files, "--previous", "old.txt")[0] == 2


def test_it_imports_only_the_standard_library_and_cryptography() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(VERIFIER.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"cryptography"}
    assert not imported & {"socket", "ssl", "urllib", "http", "asyncio", "subprocess"}


@pytest.mark.slow
def test_it_runs_without_a_network_in_a_venv_with_cryptography_alone(files: Path) -> None:
    lock = (Path(__file__).parents[2] / "requirements.lock").read_text()
    version = next(line.split()[0] for line in lock.splitlines() if line.startswith("cryptography=="))
    venv = files / "venv"
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(venv)], check=True, timeout=120)
    python = str(venv / "bin" / "python")
    subprocess.run(["uv", "pip", "install", "-q", "--python", python, version], check=True, timeout=300)
    installed = subprocess.run(
        ["uv", "pip", "list", "-q", "--python", python, "--format", "json"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert {p["name"] for p in json.loads(installed.stdout)} <= {"cryptography", "cffi", "pycparser"}

    isolate = ("unshare", "--map-root-user", "--net")
    alone = subprocess.run([*isolate, "true"], check=False, capture_output=True, timeout=20).returncode == 0
    if alone:
        assert run(files, python=python, prefix=isolate)[0] == 0
    # Where namespaces are forbidden, and in any case: the interpreter itself reports every socket.
    guard = files / "guard.py"
    guard.write_text(
        "import runpy, sys\n"
        "def hook(event, args):\n"
        "    if event.startswith('socket.'):\n"
        "        raise SystemExit(f'opened {event}')\n"
        "sys.addaudithook(hook)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run(
        [python, "-I", str(guard), str(VERIFIER), "certificate.json", "--key", "pub.pem"],
        cwd=files, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    trap = files / "trap.py"
    trap.write_text("import socket\nsocket.socket()\n")
    caught = subprocess.run(
        [python, "-I", str(guard), str(trap)], capture_output=True, timeout=60, check=False
    )
    assert caught.returncode == 1
    assert b"opened socket" in caught.stderr


# --- for ever -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", sorted(p for p in VECTORS.glob("*") if p.is_dir()), ids=lambda p: p.name)
def test_every_certificate_ever_released_still_verifies(folder: Path) -> None:
    found = sorted(folder.glob("*.json"))
    assert found
    for file in found:
        report = verify.verify(file.read_bytes(), (folder / "pub.pem").read_bytes())
        assert report.problems == [], file.name


def test_there_are_released_vectors() -> None:
    assert (VECTORS / "v1" / "person.json").exists()
    assert (VECTORS / "v1" / "auditor.json").exists()
