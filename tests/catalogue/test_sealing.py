"""Lint of sealed objects and their keys: one thing broken in the first policy, and it is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.catalogue.explain import explain
from include.catalogue.lint import lint
from include.catalogue.loader import ITRUS, load

VIDEO = "  sealed_by: {dataset: ra.video_key, on: {account_id: account_id}}\n"
LOCKED = "  sealed_by: {dataset: sign.evidence_key, on: {account_id: account_id, serial: serial}}\n"
OPENED = "video_key, on: {account_id: account_id}"
KEYS = "  keys: {id: key_id, wrapped: wrapped, kek: kek}\n"
OBJECTS, RA, SIGN = (f"datasets/{name}.yaml" for name in ("objects", "ra", "sign"))
RS_10 = "    - {rule: RS-10, start: {query: certificate_ended, on: {serial: serial}}}\n"
OWN = "    - {column: account_id}\n"


def entry(text: str, id_: str) -> tuple[int, int]:
    start = text.index(f"- id: {id_}\n")
    end = text.find("\n- id: ", start)
    return start, len(text) if end < 0 else end


@pytest.mark.parametrize(
    ("file", "id_", "old", "new", "said"),
    [
        (OBJECTS, "objects.face_video", "ra.video_key", "ra.no_key", "'ra.no_key'"),
        (OBJECTS, "objects.face_video", "ra.video_key", "ra.biometric", "ra.biometric does not say which of its columns"),
        (OBJECTS, "objects.face_video", OPENED, "video_key, on: {account_id: owner}", "'owner' is not among"),
        (OBJECTS, "objects.face_video", OPENED, "video_key, on: {who: account_id}", "'who' is not among"),
        (OBJECTS, "objects.face_video", OPENED, "video_key, on: {}", "nothing says which key opens which"),
        (OBJECTS, "objects.face_video", VIDEO, "", "ra.video_key.keys: no dataset is sealed by them"),
        (OBJECTS, "objects.fingerprints", "  columns:\n", VIDEO.replace("video_key", "bank_card") + "  columns:\n",
         "ra.bank_card does not say"),
        (OBJECTS, "objects.web_log", "  columns:\n", VIDEO + "  columns:\n", "records are not sealed one by one"),
        (OBJECTS, "objects.locked_evidence", ", serial: serial}}\n  columns", "}}\n  columns",
         "RS-10/main starts by what its key cannot know"),
        (SIGN, "sign.evidence_key", RS_10, "    - {rule: RS-07}\n", "RS-10/main keeps the objects, and not sign.evidence_key"),
        (SIGN, "sign.evidence_key", RS_10, RS_10 + "    - {rule: RS-12, start: {column: made_at}}\n",
         "RS-12 keeps the keys longer than anything that they open"),
        (SIGN, "sign.evidence_key", OWN, "    - {via: sign.signature, on: {serial: serial}}\n",
         "sign.evidence_key does not lead to the same people"),
        (RA, "ra.video_key", "{categories: [PI-019, PI-020, PI-041, PI-082]}", "{category: PI-040}",
         "its objects must be gone to R4"),
        (RA, "ra.video_key", KEYS, KEYS.replace("kek: kek", "kek: nothing"), "'nothing' is not among the columns"),
        (RA, "ra.video_key", KEYS, KEYS.replace("id: key_id", "id: account_id"), "the key's number is not the table's key"),
        (OBJECTS, "objects.seals", "  columns:\n", "  keys: {id: account_id, wrapped: account_id, kek: account_id}\n  columns:\n",
         "only the rows of a table can be keys"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)  # fmt: skip
def test_what_is_wrong_with_a_key_is_named(
    file: str, id_: str, old: str, new: str, said: str, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(ITRUS, tmp_path / "policy"))
    text = (root / file).read_text("utf-8")
    start, end = entry(text, id_)
    assert old in text[start:end]
    (root / file).write_text(text[:start] + text[start:end].replace(old, new, 1) + text[end:], "utf-8")
    assert said in "\n".join(map(str, lint(root)))


def test_both_sides_say_what_opens_what() -> None:
    policy = load()
    assert "Sealed with a key of ra.video_key: once its row is gone no copy can be read" in explain(
        policy, "objects.face_video", "en"
    )
    said = explain(policy, "sign.evidence_key", "en")
    assert "Its keys open, and go with the last of\n  objects.locked_evidence" in said
    assert "Sealed" not in explain(policy, "objects.seals", "en")
