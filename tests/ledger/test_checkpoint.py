"""Checkpoints are C2SP signed notes: other tools' notes open here, and nothing malformed does."""

from __future__ import annotations

import base64
import re

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ledger import verify
from include.ledger.checkpoint import (
    Checkpoint,
    Succession,
    key_hash,
    open_checkpoint,
    open_note,
    sign_note,
    verifier_key,
)  # fmt: skip
from include.model.errors import LedgerError

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
ORIGIN = "ledger.example/quietus"
HEAD = Checkpoint(ORIGIN, 12, bytes(range(32)))

# The example of Go's golang.org/x/mod/sumdb/note, on which signed-note is modelled.
GO_NAME = "PeterNeumann"
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNX"
    "gKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_of_another_tool_opens() -> None:
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(GO_KEY.split("+", 2)[2])[1:])
    assert verifier_key(GO_NAME, public) == GO_KEY
    assert open_note(GO_NOTE, GO_NAME, public).startswith("If you think")
    with pytest.raises(LedgerError, match="not good"):
        open_note(GO_NOTE.replace("answer", "cause"), GO_NAME, public)


def test_a_checkpoint_is_three_lines_and_a_signature() -> None:
    note = HEAD.sign(KEY)
    assert note.split("\n")[:4] == [ORIGIN, "12", base64.b64encode(HEAD.root).decode(), ""]
    assert re.fullmatch(rf"— {ORIGIN} \S+", note.split("\n")[4])
    assert open_checkpoint(note, ORIGIN, PUBLIC) == HEAD
    assert verify.checkpoint(note, PUBLIC, ORIGIN) == (HEAD.size, HEAD.root)


def test_signatures_of_others_are_passed_over_by_us_and_refused_in_a_certificate() -> None:
    """A certificate carries the head as the signer gave it; a witness's word does not belong into it."""
    witness = sign_note(HEAD.text(), "witness.example", Ed25519PrivateKey.generate()).split("\n\n")[1]
    for note in (HEAD.sign(KEY) + witness, HEAD.text() + "\n" + witness + HEAD.sign(KEY).split("\n\n")[1]):
        assert open_checkpoint(note, ORIGIN, PUBLIC) == HEAD
        with pytest.raises(verify.Bad, match=r"2 signatures instead of 1|not signed by the key"):
            verify.checkpoint(note, PUBLIC, ORIGIN)
    with pytest.raises(LedgerError, match="not signed by the expected key"):
        open_checkpoint(HEAD.text() + "\n" + witness, ORIGIN, PUBLIC)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_changed_byte_is_noticed_by_both_readers(data: st.DataObject) -> None:
    note = HEAD.sign(KEY).encode()
    at = data.draw(st.integers(0, len(note) - 1))
    bent = note[:at] + bytes([note[at] ^ (1 << data.draw(st.integers(0, 7)))]) + note[at + 1 :]
    text = bent.decode("utf-8", "replace")
    with pytest.raises(LedgerError):
        open_checkpoint(text, ORIGIN, PUBLIC)
    with pytest.raises(verify.Bad):
        verify.checkpoint(text, PUBLIC, ORIGIN)


@pytest.mark.parametrize(
    "text",
    [
        "", "one line\n", f"{ORIGIN}\n012\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n-1\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n12\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n12\nAAAA=\n", f"two words\n12\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n12\n{base64.b64encode(bytes(32)).decode()}\nextension\n",
    ],
)  # fmt: skip
def test_a_malformed_checkpoint_is_refused_even_if_signed(text: str) -> None:
    with pytest.raises(LedgerError):
        Checkpoint.of_text(text)


def test_a_note_cannot_carry_control_characters_or_an_odd_name() -> None:
    for text, name in (
        ("no newline", ORIGIN),
        ("tab\there\n", ORIGIN),
        ("fine\n", "two words"),
        ("fine\n", "a+b"),
    ):
        with pytest.raises(LedgerError):
            sign_note(text, name, KEY)


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = sign_note(Checkpoint("other.example", 12, bytes(32)).text(), ORIGIN, KEY)
    with pytest.raises(LedgerError, match="another log"):
        open_checkpoint(note, ORIGIN, PUBLIC)
    with pytest.raises(verify.Bad, match="malformed"):
        verify.checkpoint(note, PUBLIC, ORIGIN)


def test_a_key_hash_depends_on_name_and_key() -> None:
    assert key_hash(ORIGIN, PUBLIC) != key_hash("other", PUBLIC)
    assert key_hash(ORIGIN, PUBLIC) != key_hash(ORIGIN, Ed25519PrivateKey.generate().public_key())


def test_a_key_is_succeeded_by_a_statement_that_both_sign() -> None:
    new = Ed25519PrivateKey.generate()
    note = Succession.sign(HEAD, KEY, new)
    statement = Succession.open(note, ORIGIN, PUBLIC)
    assert statement.new == new.public_key().public_bytes_raw()
    assert (statement.size, statement.root) == (HEAD.size, HEAD.root)
    old, found, head = verify.succession(note, ORIGIN)
    assert head == (HEAD.size, HEAD.root)
    assert (old.public_bytes_raw(), found.public_bytes_raw()) == (statement.old, statement.new)


def test_a_succession_that_one_of_them_did_not_sign_is_refused() -> None:
    new, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    note = Succession.sign(HEAD, KEY, new)
    text, _, tail = note.rpartition("\n\n")
    lines = tail.splitlines(keepends=True)
    assert len(lines) == 2
    for one in lines:
        with pytest.raises(LedgerError):
            Succession.open(f"{text}\n\n{one}", ORIGIN, PUBLIC)
        with pytest.raises(verify.Bad):
            verify.succession(f"{text}\n\n{one}", ORIGIN)
    with pytest.raises(LedgerError, match="not signed by the expected key"):
        Succession.open(Succession.sign(HEAD, stranger, new), ORIGIN, PUBLIC)
    with pytest.raises(LedgerError, match="cannot succeed itself"):
        Succession.sign(HEAD, KEY, KEY)
    with pytest.raises(LedgerError, match="not a succession"):
        Succession.open(HEAD.sign(KEY), ORIGIN, PUBLIC)
