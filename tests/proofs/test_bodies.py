"""Reading inside bodies: what can be unpacked is; what cannot be is said to be unreadable, and is no zero."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable

import pytest

from include.proofs.bodies import Unreadable, texts
from include.proofs.values import Net

MOBILE = "13912345678"
SAID = f"请致电 {MOBILE} 张先生".encode()
NET = Net([MOBILE])


def found(body: bytes) -> bool:
    return any(NET.hits(piece.decode("utf-8", "replace")) for piece in texts(io.BytesIO(body)))


def zipped(body: bytes, name: str = "word/document.xml") -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", "<Types/>")
        packed.writestr(name, body)
    return sink.getvalue()


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "an office document": zipped,
    "utf-16": lambda b: b.decode().encode("utf-16"),
    "utf-16 of another machine": lambda b: b"\xfe\xff" + b.decode().encode("utf-16-be"),
    "utf-32": lambda b: b.decode().encode("utf-32"),
    "an archive in an archive": lambda b: gzip.compress(zipped(bz2.compress(b))),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_can_be_unpacked_is(way: str) -> None:
    assert found(WAYS[way](SAID))
    assert not found(WAYS[way]("请致电 张先生".encode()))


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_value_in_base64_is_found_wherever_it_stands(before: str) -> None:
    coded = base64.b64encode(f'{before}{{"tel":"{MOBILE}","x":1}}'.encode()).decode()
    assert NET.hits(f"data:application/json;base64,{coded}")
    assert not NET.hits(base64.b64encode(b'{"tel":"13912345679"}').decode())


def test_a_name_in_an_archive_counts() -> None:
    assert found(zipped(b"x", f"scans/{MOBILE}.txt"))


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xd8\xff\xe0" + bytes(40),
        b"\x89PNG\r\n\x1a\n" + bytes(40),
        b"%PDF-1.7\n...",
        b"\x00\x00\x00\x20ftypisom",
        b"7z\xbc\xaf\x27\x1c\x00\x04",
        b"\x28\xb5\x2f\xfd\x04\x00",
        gzip.compress(b"cut off" * 99, mtime=0)[:-9],
        zipped(b"\xff\xd8\xff\xe0" + bytes(40), "media/image1.jpeg"),
        b"PK\x03\x04 and no more",
    ],
)
def test_what_cannot_be_read_into_is_no_zero(body: bytes) -> None:
    with pytest.raises(Unreadable):
        found(body)


def test_archives_are_not_opened_for_ever() -> None:
    body = SAID
    for _ in range(9):
        body = gzip.compress(body)
    with pytest.raises(Unreadable):
        found(body)
