"""Bodies of made-up files: they begin as real ones do, and some hold the person's own values in plain text."""

from __future__ import annotations

import struct
from random import Random

from include.sandbox.people.person import Person


def jpeg(r: Random, comment: str) -> bytes:
    """A JPEG's header, a comment segment (as cameras and OCR write it), noise."""
    text = comment.encode()
    head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    return head + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + r.randbytes(600) + b"\xff\xd9"


def png(r: Random, text: str) -> bytes:
    said = text.encode()
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(said)) + b"iTXt" + said + r.randbytes(300)


def mp4(r: Random) -> bytes:
    return b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + r.randbytes(1200)


def wav(r: Random) -> bytes:
    sound = r.randbytes(800)
    form = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(sound)) + form + b"data" + struct.pack("<I", len(sound)) + sound
    )


def minutiae(r: Random) -> bytes:
    """A fingerprint's minutiae (ISO/IEC 19794-2)."""
    return b"FMR\x00 20\x00" + r.randbytes(260)


def pdf(text: str) -> bytes:
    return (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n% " + text.encode() + b"\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )


def signature(r: Random, value: bytes) -> bytes:
    """A detached signature (CMS begins as DER does)."""
    return b"\x30\x82\x01\x00" + value + r.randbytes(180)


def card_front(p: Person) -> str:
    """What OCR read from the front of an ID card."""
    return f"姓名 {p.name} 性别 {'女' if p.female else '男'} 民族 {p.ethnicity} 住址 {p.address} 公民身份号码 {p.document_no}"
