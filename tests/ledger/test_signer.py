"""The signer signs extensions of what it signed, remembers them, and nothing else."""

from __future__ import annotations

import base64
import json
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.ledger import merkle, verify, verify_service
from include.ledger.checkpoint import Checkpoint, open_checkpoint
from include.ledger.signer import Signer, SignerClient, State, initialise, load_key
from include.model.errors import LedgerError, NotReachable, Refused
from tests.ledger.conftest import ORIGIN, ROOT, RunningSigner

VECTORS = Path(__file__).parent / "vectors"
HASHES = [merkle.leaf_hash(bytes([n])) for n in range(40)]
READ = merkle.memory_reader(HASHES)


def extend(client: SignerClient, old: int, new: int) -> str:
    return client.extend(new, merkle.root(new, READ), merkle.consistency_proof(old, new, READ))


def ask(signer: RunningSigner, line: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(str(signer.home / "s"))
        link.sendall(line)
        with link.makefile("rb") as answers:
            said: dict[str, Any] = json.loads(answers.readline())
            return said


def test_it_signs_each_extension_of_its_last_head(signer: RunningSigner) -> None:
    key = verify.load_key(signer.public_pem)
    assert signer.client.head() == (0, None)
    old = 0
    for new in (1, 2, 7, 8, 33):
        head = open_checkpoint(extend(signer.client, old, new), ORIGIN, key)
        assert (head.size, head.root) == (new, merkle.root(new, READ))
        assert signer.client.head()[0] == new
        old = new


def test_the_same_head_again_gets_the_same_note(signer: RunningSigner) -> None:
    note = extend(signer.client, 0, 5)
    assert extend(signer.client, 5, 5) == note


def test_it_refuses_a_smaller_a_forked_an_inconsistent_and_an_empty_tree(signer: RunningSigner) -> None:
    with pytest.raises(Refused, match="an empty log has no head"):
        signer.client.extend(0, merkle.EMPTY_ROOT, [])
    extend(signer.client, 0, 8)
    head = signer.client.head()
    with pytest.raises(Refused, match="fewer than the 8 that were signed"):
        extend(signer.client, 5, 5)
    with pytest.raises(Refused, match="fork: another tree of 8 entries was signed"):
        signer.client.extend(8, bytes(32), [])
    with pytest.raises(Refused, match="not shown to extend"):
        signer.client.extend(12, merkle.root(12, READ), [])
    with pytest.raises(Refused, match="not shown to extend"):
        signer.client.extend(12, bytes(32), merkle.consistency_proof(8, 12, READ))
    rewritten = merkle.memory_reader([*HASHES[:3], bytes(32), *HASHES[4:]])
    with pytest.raises(Refused, match="not shown to extend"):
        signer.client.extend(12, merkle.root(12, rewritten), merkle.consistency_proof(8, 12, rewritten))
    assert signer.client.head() == head


@pytest.mark.parametrize("kill", [True, False])
def test_it_does_not_forget_its_head_over_a_restart(signer: RunningSigner, kill: bool) -> None:
    extend(signer.client, 0, 8)
    head = signer.client.head()
    signer.stop(kill=kill)
    with pytest.raises(NotReachable, match="does not answer"):
        signer.client.head()
    signer.start()
    assert signer.client.head() == head
    with pytest.raises(Refused, match="fewer"):
        extend(signer.client, 0, 3)


def test_the_head_is_on_disk_before_the_signature_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (tmp_path / "key.pem", tmp_path / "state.json")
    initialise(ORIGIN, *files, tmp_path / "pub.pem")
    signer = Signer(*files)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(State, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        signer.extend(1, HASHES[0], [])
    assert signer.head()["size"] == 0


def test_a_second_signer_on_the_same_state_is_refused(signer: RunningSigner) -> None:
    second = subprocess.run(signer.command(), cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert second.returncode == 1
    assert b"another signer is running" in second.stderr
    assert signer.client.head() == (0, None)


def test_key_and_socket_are_for_their_owner_alone(signer: RunningSigner) -> None:
    for name in ("key.pem", "s"):
        assert stat.S_IMODE((signer.home / name).stat().st_mode) == 0o600
    signer.stop()
    (signer.home / "key.pem").chmod(0o640)
    refused = subprocess.run(signer.command(), cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert b"open to others" in refused.stderr


def test_a_key_and_a_log_are_made_once(signer: RunningSigner) -> None:
    again = subprocess.run(
        signer.command("--init", "--origin", ORIGIN, "--public", "/dev/null"),
        cwd=ROOT, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 1
    assert b"already" in again.stderr


def test_a_lost_or_damaged_state_stops_it_and_an_anchored_head_recovers_it(signer: RunningSigner) -> None:
    note = extend(signer.client, 0, 8)
    signer.stop()
    state = signer.home / "state.json"
    for damage in (state.unlink, lambda: state.write_text("{}"), lambda: state.write_text("[")):
        damage()
        refused = subprocess.run(signer.command(), cwd=ROOT, capture_output=True, timeout=60, check=False)
        assert refused.returncode == 1
        assert b"--adopt" in refused.stderr
    state.unlink()
    kept = signer.home / "head.txt"
    kept.write_text(note.replace("\n8\n", "\n7\n"), encoding="utf-8")
    adopt = signer.command("--adopt", str(kept), "--origin", ORIGIN)
    assert subprocess.run(adopt, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode == 1
    kept.write_text(note, encoding="utf-8")
    subprocess.run(adopt, cwd=ROOT, timeout=60, check=True)
    signer.start()
    assert signer.client.head() == (8, note)


def test_a_succeeded_signer_retires_and_its_successor_goes_on(signer: RunningSigner) -> None:
    extend(signer.client, 0, 8)
    old_pem = signer.public_pem
    retired = signer.command()
    statement = signer.succeed()
    refused = subprocess.run(retired, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert b"succeeded" in refused.stderr
    size, note = signer.client.head()
    assert size == 8
    assert note is not None
    open_checkpoint(note, ORIGIN, verify.load_key(signer.public_pem))
    with pytest.raises(LedgerError):
        open_checkpoint(note, ORIGIN, verify.load_key(old_pem))
    assert signer.client.successions() == (statement,)
    found = verify.succeeded(verify.load_key(old_pem), ORIGIN, [statement])
    assert verify.key_id(found) == verify.key_id(verify.load_key(signer.public_pem))
    with pytest.raises(Refused, match="fewer"):
        extend(signer.client, 0, 3)
    extend(signer.client, 8, 9)


@pytest.mark.parametrize("name", ["service-v1", "service-v2"])
def test_a_service_is_certified_in_the_present_format_alone(tmp_path: Path, name: str) -> None:
    """What was released in the former one verifies for ever, also under a head of this signer; it signs none anew."""
    envelope = json.loads((VECTORS / name / "service.json").read_bytes())
    said = json.loads(base64.b64decode(envelope["payload"]))
    origin = verify.origin_of(said["checkpoint"])
    size, root = said["checkpoint"].split("\n")[1:3]
    files = (tmp_path / "key.pem", tmp_path / "state.json")
    initialise(origin, *files, tmp_path / "pub.pem")
    note = Checkpoint(origin, int(size), base64.b64decode(root)).sign(load_key(files[0]))
    State(origin, note, ()).save(files[1])
    payload = verify.canonical({**said, "checkpoint": note})
    key = verify.load_key((tmp_path / "pub.pem").read_bytes())
    assert verify_service.check_payload(payload, key).problems == []
    if name == "service-v2":
        assert Signer(*files).certify_service(payload)["envelope"]
        return
    with pytest.raises(Refused, match=f"is signed as {verify_service.FORMAT}, and it says it is another"):
        Signer(*files).certify_service(payload)


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"[]\n", b"null\n", b"{}\n", b'{"op": 1}\n', b"\xff\xfe\n",
        b'{"op": "sign", "data": "AA=="}\n',
        b'{"op": "extend", "size": true, "root": "", "proof": []}\n',
        b'{"op": "extend", "size": 1, "root": "AA==", "proof": 3}\n',
        b'{"op": "extend", "size": 1.5, "root": "AA==", "proof": []}\n',
        b'{"op": "certify", "payload": 7}\n', b"[" * 100_000 + b"\n",
    ],
)  # fmt: skip
def test_a_malformed_request_is_answered_with_a_refusal(signer: RunningSigner, line: bytes) -> None:
    said = ask(signer, line)
    assert said["ok"] is False
    assert said["refused"]
    assert signer.client.head() == (0, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60).filter(lambda b: b"\n" not in b))
def test_no_bytes_bring_it_down(signer: RunningSigner, rubbish: bytes) -> None:
    assert ask(signer, rubbish + b"\n")["ok"] is False


def test_a_silent_or_vanished_caller_holds_nobody_up(signer: RunningSigner) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(str(signer.home / "s"))
    silent.sendall(b'{"op": "he')
    started = time.monotonic()
    assert signer.client.head() == (0, None)
    assert time.monotonic() - started < 3
    silent.close()
    assert signer.client.head() == (0, None)


def test_a_request_is_bounded(signer: RunningSigner, monkeypatch: pytest.MonkeyPatch) -> None:
    payload = base64.b64encode(bytes(1 << 20)).decode()
    assert ask(signer, json.dumps({"op": "certify", "payload": payload}).encode() + b"\n")["ok"] is False
