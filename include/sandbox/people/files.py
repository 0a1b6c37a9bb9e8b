"""The objects that a person's rows point to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from random import Random
from typing import Any

from include.model import sealed
from include.sandbox import buckets
from include.sandbox.people import bodies, keys
from include.sandbox.people.making import Making, Row
from include.sandbox.people.person import source


@dataclass(frozen=True)
class File:
    """One object. ``before``: bodies of older versions; ``deleted``: a delete marker lies on top of it."""

    bucket: str
    key: str
    body: bytes
    before: tuple[bytes, ...] = ()
    deleted: bool = False
    sealed_with: keys.DataKey | None = None

    @property
    def bodies(self) -> Iterator[bytes]:
        """What is put, the oldest first: sealed, if it has a key."""
        for body in (*self.before, self.body):
            yield sealed_body(self.sealed_with, self.key, body) if self.sealed_with else body


def sealed_body(key: keys.DataKey, path: str, body: bytes) -> bytes:
    return b"".join(sealed.seal(key[1], key[0], path, BytesIO(body)))


def files_of(m: Making, rows: Sequence[Row]) -> Iterator[File]:
    """In the order of the rows. Some were taken twice, some were deleted as users delete: by a marker."""
    r = source(m.seed, m.person.number, "files")
    for table, row in rows:
        if table in _OF:
            yield from _OF[table](m, r, row)


def open_upload(m: Making) -> tuple[str, str, bytes] | None:
    """An upload that was begun and never ended, for those who have everything: bucket, key, the part that came."""
    p = m.person
    if not p.full or p.is_firm or p.signs_with is None:
        return None
    path, body = f"{p.account_id}/retake.mp4", bodies.mp4(source(m.seed, p.number, "upload"))
    return buckets.FACE_VIDEO, path, sealed_body(keys.video_key(m), path, body)


def _images(m: Making, r: Random, row: dict[str, Any]) -> Iterator[File]:
    p = m.person
    front = bodies.jpeg(r, bodies.card_front(p))
    again = (bodies.jpeg(r, f"模糊,重拍 {p.name}"),) if m.has(r, 0.1) else ()
    yield File(buckets.ID_PHOTOS, row["id_sides_key"], front, before=again)
    back = str(row["id_sides_key"]).replace("front.jpg", "back.jpg")
    yield File(buckets.ID_PHOTOS, back, bodies.jpeg(r, "签发机关 有效期限"))
    holder = bodies.jpeg(r, f"手持证件 {p.name} {p.document_no}")
    yield File(buckets.ID_PHOTOS, row["document_photo_key"], holder, deleted=m.has(r, 0.05))
    if row["licence_photo_key"]:
        yield File(
            buckets.ID_PHOTOS,
            row["licence_photo_key"],
            bodies.jpeg(r, f"{p.firm} 统一社会信用代码 {p.credit_code}"),
        )
    if row["representative_photo_key"]:
        yield File(buckets.ID_PHOTOS, row["representative_photo_key"], bodies.jpeg(r, f"法定代表人 {p.name}"))


def _biometrics(m: Making, r: Random, row: dict[str, Any]) -> Iterator[File]:
    id_ = m.person.account_id
    older = (bodies.mp4(r),) if m.has(r, 0.1) else ()
    key = keys.video_key(m)
    yield File(buckets.FACE_VIDEO, row["face_video_key"], bodies.mp4(r), before=older, sealed_with=key)
    photo = bodies.jpeg(r, m.person.name)
    yield File(buckets.FACE_VIDEO, row["collected_photo_key"], photo, sealed_with=key)
    for finger in ("right-thumb", "left-thumb"):
        yield File(buckets.FINGERPRINTS, f"{id_}/{finger}.fmr", bodies.minutiae(r))


def _seal(m: Making, r: Random, row: dict[str, Any]) -> Iterator[File]:
    yield File(buckets.SEALS, row["image_key"], bodies.png(r, row["legend"]))


def _handwriting(m: Making, r: Random, row: dict[str, Any]) -> Iterator[File]:
    key = f"handwriting/{m.person.account_id}/{row['handwriting_id']}.png"
    older = (bodies.png(r, "重写"),) if m.has(r, 0.2) else ()
    yield File(buckets.SEALS, key, bodies.png(r, m.person.name), before=older)


def _contract(m: Making, r: Random, row: dict[str, Any]) -> Iterator[File]:
    draft = (bodies.pdf(f"草稿 {row['title']}"),) if m.has(r, 0.3) else ()
    key = f"{row['contract_id']}/contract.pdf"
    yield File(buckets.CONTRACTS, key, bodies.pdf(f"{row['title']} {row['body']}"), before=draft)


def _signature(m: Making, r: Random, row: dict[str, Any]) -> Iterator[File]:
    key = f"{row['account_id']}/{row['serial']}/{row['signature_id']}.p7s"
    with_ = keys.evidence_key(m, row["signature_id"])
    yield File(buckets.LOCKED, key, bodies.signature(r, row["signature_value"]), sealed_with=with_)


def _call(m: Making, r: Random, row: dict[str, Any]) -> Iterator[File]:
    sound, gone = bodies.wav(r), r.random() < 0.1
    yield File(buckets.CALLS, row["recording_key"], sound, deleted=gone, sealed_with=keys.recording_key(m))


_OF: dict[str, Callable[[Making, Random, dict[str, Any]], Iterator[File]]] = {
    "ra.image": _images, "ra.biometric": _biometrics, "sign.seal": _seal, "sign.handwriting": _handwriting,
    "sign.contract": _contract, "sign.signature": _signature, "support.call_record": _call,
}  # fmt: skip
