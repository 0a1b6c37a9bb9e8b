"""Schema ``ra``: applications, and what was collected to check who applied."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people import keys, words
from include.sandbox.people.acting import DOCUMENT, handler, legal_representative
from include.sandbox.people.making import Application, Making, Row, document
from include.sandbox.people.transfers import CREDIT_AGENCIES, MATCHERS, VEHICLE, given
from include.sandbox.people.values import card, digits, hexed, region


def rows(m: Making, r: Random) -> Iterator[Row]:
    for application in m.applications:
        yield from _application(m, r, application)
    # Left over from verifications, though nothing keeps it: what a first night of deletion would find.
    if m.applications and m.person.left is None:
        yield from _left_over(m, r, min(a.submitted for a in m.applications))


def _application(m: Making, r: Random, a: Application) -> Iterator[Row]:
    p = m.person
    at = m.ago(a.submitted)
    yield "ra.application", {
        "application_id": a.application_id, "account_id": p.account_id, "kind": a.kind, "applicant_name": p.name,
        "document_no": p.document_no, "mobile": p.mobile, **_firm(m), "submitted_at": at,
        "decided_at": m.ago(a.submitted - 1),
    }  # fmt: skip
    issued_on = m.day(a.submitted + 900 + p.number % 900)
    yield "ra.id_card", {
        "id_card_id": m.id("id_card"), "application_id": a.application_id, "sex": "女" if p.female else "男",
        "ethnicity": p.ethnicity, "birth_date": p.born, "address": p.address, "citizen_id": p.document_no,
        "issuing_authority": f"{region(p.address)}公安局", "valid_from": issued_on,
        "valid_until": issued_on.replace(year=issued_on.year + 20, day=1), "read_at": at,
    }  # fmt: skip
    folder = f"{p.account_id}/{a.application_id}"
    firm = p.is_firm or p.full
    yield "ra.image", {
        "image_id": m.id("image"), "application_id": a.application_id,
        "document_photo_key": f"{folder}/holder.jpg", "id_sides_key": f"{folder}/front.jpg",
        "licence_photo_key": f"{folder}/licence.jpg" if firm else None,
        "representative_photo_key": f"{folder}/representative.jpg" if firm else None, "taken_at": at,
    }  # fmt: skip
    vendor, reference = r.choice(MATCHERS), hexed(r, 24)
    yield "ra.match_result", {
        "match_result_id": m.id("match_result"), "application_id": a.application_id, "vendor": vendor,
        "vendor_txn_id": reference, "matched": a.granted,
        "score": round(r.uniform(0.9, 1) if a.granted else r.uniform(0.1, 0.7), 4), "matched_at": at,
    }  # fmt: skip
    yield from given(m, r, vendor, at, reference=reference)
    if m.has(r, 0.5):
        yield "ra.operator_record", {
            "operator_record_id": m.id("operator_record"), "application_id": a.application_id,
            "operator": f"op-{r.randrange(1, 40)}", "note": words.vetting(r, p), "at": m.ago(a.submitted - 1),
        }  # fmt: skip
    if m.has(r, 0.05):
        yield "ra.other_evidence", {
            "other_evidence_id": m.id("other_evidence"), "application_id": a.application_id,
            "kind": "household register", "content": f"户主{p.name},住址{p.address}", "supplied_at": at,
        }  # fmt: skip


def _firm(m: Making) -> dict[str, str | None]:
    """What the vetting file says of the firm that applied, and of who acts for it. Nothing for a natural person."""
    p = m.person
    if not p.is_firm:
        return dict.fromkeys(_FIRM)
    legal, acts = legal_representative(m), handler(m)
    said = (
        p.firm,
        p.credit_code,
        legal.name,
        legal.document_no,
        acts.name,
        DOCUMENT,
        acts.document_no,
        acts.mobile,
    )
    return dict(zip(_FIRM, said, strict=True))


_FIRM = (
    "enterprise_name", "credit_code", "legal_representative_name", "legal_representative_document_no",
    "handler_name", "handler_document_type", "handler_document_no", "handler_mobile",
)  # fmt: skip


def _left_over(m: Making, r: Random, days: int) -> Iterator[Row]:
    p, id_ = m.person, m.person.account_id
    at = m.ago(days)
    if m.has(r, 0.3):
        yield "ra.biometric", {
            "biometric_id": m.id("biometric"), "account_id": id_, "face_template": r.randbytes(128),
            "face_video_key": f"{id_}/{digits(r, 8)}.mp4", "fingerprint_template": r.randbytes(96),
            "portrait_template": r.randbytes(128), "verification_face": r.randbytes(128),
            "collected_photo_key": f"{id_}/collected-{digits(r, 6)}.jpg", "captured_at": at,
        }  # fmt: skip
        yield keys.row(m, "ra.video_key", keys.video_key(m), id_, days)
    if m.has(r, 0.3):
        card_no, _, kind = card(r)
        yield "ra.bank_card", {
            "bank_card_id": m.id("bank_card"), "account_id": id_, "card_no": card_no,
            "bank_account_no": digits(r, 17), "card_class": kind, "verified_at": at,
        }  # fmt: skip
        yield from given(m, r, "chinaums", at)
    if m.has(r, 0.05):
        agency = r.choice(CREDIT_AGENCIES)
        yield "ra.credit_report", {
            "credit_report_id": m.id("credit_report"), "account_id": id_, "source": agency,
            "rating": r.choice(("A", "A-", "B+", "B", "C")),
            "report": document(
                subject={"name": p.name, "document": p.document_no, "mobile": p.mobile},
                lines=[{"kind": "loan", "bank": card(r)[1], "amount": r.randrange(1000, 90000), "overdue": 0}],
            ),
            "received_at": at,
        }  # fmt: skip
        yield from given(m, r, agency, at)
    if m.has(r, 0.03):
        yield "ra.vehicle_check", {
            "vehicle_check_id": m.id("vehicle_check"), "account_id": id_,
            "plate_no": f"{r.choice('京沪粤苏浙鲁')}{r.choice('ABCDE')}{hexed(r, 5).upper()}", "plate_kind": "小型汽车",
            "vin": f"LSV{hexed(r, 14).upper()}", "engine_no": hexed(r, 8).upper(),
            "driving_licence_no": p.document_no, "checked_at": at,
        }  # fmt: skip
        yield from given(m, r, "shujubao", at, more=VEHICLE)
