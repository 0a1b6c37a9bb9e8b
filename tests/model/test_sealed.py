"""Sealed objects: what opens, what does not, and that the format is the one that others read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model import sealed
from include.model.errors import Unopened

KEY = bytes(range(32))
KEY_ID = UUID(bytes=bytes(range(16)))
PATH = "acct_1/a.mp4"
HEAD = len(sealed.MAGIC) + 16 + 40  # bytes before the first segment's ciphertext
SMALL = 96  # bytes a segment, so that there are many in a few kilobytes

# Made by Tink for Python 1.10 (AES256_GCM_HKDF, segments of 64 KiB) of 0, 1 and 65,481 bytes; it opened ours as well.
TINK = {
    0: "283b5b34fc8381aace308971a61f9684f43335731e04c0821ab6e2c993e6c5f908a4e25a7d21ac2870cb8555686b3641de5973059dd0cfaf",
    1: "28c00f26e77d4117c81d8b2a0dd7ef8262b1ff559764d82c4259e6bdb0e0825f950f67d13e79595278a0b120ef08e971df9991eac873000496",
}


def data(n: int) -> bytes:
    return (bytes(range(251)) * (n // 251 + 1))[:n]


def seal(body: bytes, key: bytes = KEY, path: str = PATH) -> bytes:
    return b"".join(sealed.seal(key, KEY_ID, path, io.BytesIO(body)))


def unseal(body: bytes, key: bytes = KEY, path: str = PATH) -> bytes:
    return b"".join(sealed.unseal(key, path, io.BytesIO(body)))


def starts(body: bytes, key: bytes = KEY, path: str = PATH) -> bool:
    """Whether the start alone opens; and not if it is said to be another part of the body."""
    start, last = body[: sealed.START], len(body) <= sealed.START
    assert not sealed.opens(key, path, start, last=not last)
    return sealed.opens(key, path, start, last=last)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "SEGMENT", SMALL)
    monkeypatch.setattr(sealed, "START", len(sealed.MAGIC) + 16 + SMALL)


@pytest.fixture(scope="module")
def narrow() -> Iterator[None]:
    """As ``small``, for what Hypothesis runs many times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "SEGMENT", SMALL)
        patch.setattr(sealed, "START", len(sealed.MAGIC) + 16 + SMALL)
        yield


@pytest.mark.parametrize("n", [0, 1, 65_481])
def test_opens_what_tink_sealed(n: int) -> None:
    file = Path(__file__).with_name("vectors") / f"tink_{n}.bin"
    of = bytes.fromhex(TINK[n]) if n in TINK else file.read_bytes()
    whole = sealed.MAGIC + KEY_ID.bytes + of
    assert unseal(whole) == data(n)
    assert sealed.key_of(whole[:22]) == KEY_ID
    assert starts(whole)
    assert len(seal(data(n))) == len(whole)


@given(st.integers(0, 40 * SMALL))
def test_what_is_sealed_opens_whole(narrow: None, n: int) -> None:
    body = seal(data(n))
    assert unseal(body) == data(n)
    assert starts(body)


def _segments(body: bytes) -> list[bytes]:
    start = HEAD - 40
    first = body[start : start + SMALL]
    rest = body[start + SMALL :]
    return [first, *(rest[i : i + SMALL] for i in range(0, len(rest), SMALL))]


@given(st.data())
def test_a_body_that_was_cut_swapped_doubled_or_lengthened_does_not_open(
    narrow: None, data_: st.DataObject
) -> None:
    n = data_.draw(st.integers(3 * SMALL, 12 * SMALL))
    body = seal(data(n))
    mark, parts = body[: HEAD - 40], _segments(body)
    kind = data_.draw(st.sampled_from(["cut", "drop", "swap", "double", "add", "bit", "other's"]))
    i = data_.draw(st.integers(0, len(parts) - 1))
    if kind == "cut":
        wrong = body[: data_.draw(st.integers(0, len(body) - 1))]
    elif kind == "drop":
        wrong = mark + b"".join(parts[:i] + parts[i + 1 :])
    elif kind == "swap":
        j = data_.draw(st.integers(0, len(parts) - 1).filter(lambda j: j != i))
        parts[i], parts[j] = parts[j], parts[i]
        wrong = mark + b"".join(parts)
    elif kind == "double":
        wrong = mark + b"".join([*parts[: i + 1], parts[i], *parts[i + 1 :]])
    elif kind == "add":
        wrong = body + data_.draw(st.binary(min_size=1, max_size=2 * SMALL))
    elif kind == "bit":
        at, bit = data_.draw(st.integers(0, len(body) - 1)), data_.draw(st.integers(0, 7))
        wrong = body[:at] + bytes([body[at] ^ 1 << bit]) + body[at + 1 :]
    else:
        other = _segments(seal(data(n)))  # the same key, the same body, another sealing
        wrong = mark + b"".join([*parts[:i], other[i], *parts[i + 1 :]])
    with pytest.raises(Unopened):
        unseal(wrong)


def test_another_key_or_another_path_does_not_open() -> None:
    body = seal(b"a face")
    for key, path in ((bytes(32), PATH), (KEY, "acct_2/a.mp4")):
        with pytest.raises(Unopened):
            unseal(body, key, path)
        assert not starts(body, key, path)


def test_the_start_alone_shows_whether_a_key_opens_it(small: None) -> None:
    for n in range(0, 4 * SMALL, 7):
        body = seal(data(n))
        assert starts(body)
        assert not starts(body, bytes(32))


def test_what_is_not_sealed_names_no_key() -> None:
    assert sealed.key_of(b"\x00\x00\x00\x18ftypmp42" + bytes(40)) is None
    assert sealed.key_of(sealed.MAGIC) is None
    assert not starts(b"")


def test_a_wrapped_key_opens_with_its_kek_and_its_number_alone() -> None:
    kek, other = sealed.new_key(), sealed.new_key()
    wrapped = sealed.wrap(kek, KEY_ID, KEY)
    assert len(wrapped) == sealed.WRAPPED_BYTES
    assert sealed.unwrap(kek, KEY_ID, wrapped) == KEY
    assert sealed.wrap(kek, KEY_ID, KEY) != wrapped
    for k, key_id, what in ((other, KEY_ID, wrapped), (kek, uuid4(), wrapped), (kek, KEY_ID, wrapped[:-1])):
        with pytest.raises(Unopened):
            sealed.unwrap(k, key_id, what)
