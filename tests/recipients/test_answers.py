"""Which answers are accepted, and that none is without its evidence."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.notices import Answer, AnswerCode, Judgement, Part
from include.model.times import PRC
from include.recipients.answers import judge
from tests.recipients.making import AS_OF, BODY, DONE, POLICY, TOLD, answer, deleted

NAME, PHONE, ID = "PI-001", "PI-005", "PI-037"


def judged(body: str, *parts: Part, erase: tuple[str, ...] = (), **said: Any) -> tuple[Judgement, ...]:
    return judge(
        BODY[body], erase or BODY[body].categories[:1], answer(*parts, recipient=body),
        as_of=AS_OF, laws=POLICY.laws, **({"told_at": TOLD} | said),
    )  # fmt: skip


def one(body: str, *parts: Part, **said: Any) -> Judgement:
    (only,) = judged(body, *parts, **said)
    return only


def part(code: str, **said: Any) -> Part:
    return Part.model_validate({"code": code} | said)


BY_LAW = {"article": "CSL 23(3)", "until": date(2027, 4, 1)}

ACCEPTED: dict[str, tuple[str, Part]] = {
    "a deletion with count, time and method": ("sensetime", deleted()),
    "nothing there": ("juhe", part("NOTHING_HELD")),
    "a law, its article and its last day": ("emay", part("RETAINED_BY_LAW", **BY_LAW)),
    "a mandate of its own": ("arb_wuhan", part("RETAINED_INDEPENDENT", authorisation="仲裁档案管理")),
    "a mandate of who is both": ("yuansu", part("RETAINED_INDEPENDENT", authorisation="征信业务许可")),
    "proceedings with a number": ("fazhenglian", part("HELD_DISPUTE", dispute="(2026)武仲受字第000123号")),
    "a chain": ("webank_chain", part("CANNOT_ERASE_IMMUTABLE")),
    "a deletion, and everybody who got it": ("fazhenglian", deleted(sub_recipients=["甲公司", "乙公司"])),
}

REFUSED: dict[str, tuple[str, Part, str]] = {
    "no count": ("sensetime", deleted(count=None), "how many"),
    "no time": ("sensetime", deleted(at=None), "when"),
    "no method": ("sensetime", deleted(method=None), "method"),
    "a blank method": ("sensetime", deleted(method=" "), "method"),
    "nothing deleted": ("sensetime", deleted(count=0), "nothing was deleted"),
    "deleted tomorrow": ("sensetime", deleted(at=DONE + timedelta(days=2)), "still to come"),
    "deleted before we asked": ("sensetime", deleted(at=TOLD - timedelta(hours=1)), "before our notice"),
    "deleted at no place on earth": ("sensetime", deleted(at=DONE.replace(tzinfo=None)), "time zone"),
    "deleted at the end of time": (
        "sensetime", deleted(at=datetime(9999, 12, 31, 23, tzinfo=PRC) - timedelta(0)), "still to come"
    ),
    "a law without an article": ("emay", part("RETAINED_BY_LAW", article="CSL", until=BY_LAW["until"]), "article"),
    "no law": ("emay", part("RETAINED_BY_LAW", until=BY_LAW["until"]), "name the article"),
    "no last day": ("emay", part("RETAINED_BY_LAW", article="CSL 23(3)"), "last day"),
    "a last day that is over": ("emay", part("RETAINED_BY_LAW", article="CSL 23(3)", until=AS_OF), "over"),
    "a rule that is too weak": (
        "emay", part("RETAINED_BY_LAW", article="SMS Order 31", until=BY_LAW["until"]), "CSL 23(3)"
    ),
    "a mandate of its own that it has not": (
        "emay", part("RETAINED_INDEPENDENT", authorisation="our licence"), "on our behalf"
    ),
    "a mandate that is not named": ("arb_wuhan", part("RETAINED_INDEPENDENT"), "name the mandate"),
    "proceedings without a number": ("fazhenglian", part("HELD_DISPUTE"), "number"),
    "who is no chain": ("emay", part("CANNOT_ERASE_IMMUTABLE"), "only a ledger"),
    "a chain that deletes": ("webank_chain", deleted(), "stays there"),
    "a part": ("emay", part("PARTIAL", remains="backups"), "still there"),
    "an end that is not known": ("fazhenglian", part("INCOMPLETE"), "name everybody"),
    "partners that are not named": ("fazhenglian", deleted(), "name every partner"),
    "partners that are not all": (
        "fazhenglian", deleted(sub_recipients=["甲公司"], complete=False), "these are all"
    ),
    "partners unknown of nothing": ("fazhenglian", part("NOTHING_HELD"), "name every partner"),
    "what is no answer": ("emay", part("NO_REPLY"), "no answer"),
    "what only we can say": ("webank_chain", part("UNLINKED"), "no answer"),
}  # fmt: skip

FOR_A_PERSON: dict[str, tuple[str, Part]] = {
    "a law that we do not know": ("emay", part("RETAINED_BY_LAW", article="某条例第3条", until=BY_LAW["until"])),
    "a day that the article does not reach": (
        "emay", part("RETAINED_BY_LAW", article="CSL 23(3)", until=date(2030, 1, 1))
    ),
    "an identity that is not found": ("emay", part("REJECTED_IDENTITY")),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    body, said = ACCEPTED[name]
    assert one(body, said).accepted


@pytest.mark.parametrize("name", REFUSED)
def test_not_accepted_and_told_why(name: str) -> None:
    body, said, why = REFUSED[name]
    judgement = one(body, said)
    assert not judgement.accepted and not judgement.for_a_person
    assert why in judgement.why and in_chinese(judgement.told)


@pytest.mark.parametrize("name", FOR_A_PERSON)
def test_a_person_decides(name: str) -> None:
    body, said = FOR_A_PERSON[name]
    judgement = one(body, said)
    assert not judgement.accepted and judgement.for_a_person and judgement.why


def test_one_recipient_may_delete_one_part_and_keep_another() -> None:
    found = judged("chinaums", deleted(NAME), part("RETAINED_BY_LAW", categories=[PHONE], article="AML 34",
                   until=date(2036, 1, 1)), erase=(NAME, PHONE))  # fmt: skip
    assert [(j.part.code, j.part.categories, j.accepted) for j in found] == [
        ("DELETED", (NAME,), True),
        ("RETAINED_BY_LAW", (PHONE,), True),
    ]


def test_a_chain_keeps_the_hash_and_deletes_what_lies_beside_it() -> None:
    assert all(j.accepted for j in judged("webank_chain", part("CANNOT_ERASE_IMMUTABLE"), deleted()))


def test_what_is_held_and_not_held_at_once_is_not_believed() -> None:
    found = judged("emay", part("NOTHING_HELD"), part("RETAINED_BY_LAW", **BY_LAW))
    assert [j.accepted for j in found] == [False, True]
    assert "something else" in found[0].why


def test_a_category_of_which_nothing_is_said_is_named() -> None:
    found = judged("jinlianhuitong", deleted(NAME), erase=(NAME, PHONE, ID))
    assert found[0].accepted
    assert (found[1].part.code, found[1].part.categories) == (AnswerCode.NO_REPLY, (PHONE, ID))
    assert not found[1].accepted and f"{PHONE}, {ID}" in found[1].why


def test_an_answer_of_no_parts_says_nothing_of_anything() -> None:
    (only,) = judged("jinlianhuitong", erase=(NAME, PHONE))
    assert not only.accepted and only.part.categories == (NAME, PHONE)


def test_a_category_that_was_not_asked_about_is_told_apart() -> None:
    found = judged("jinlianhuitong", deleted(NAME, "PI-020"), erase=(NAME,))
    assert [(j.part.categories, j.accepted) for j in found] == [((NAME,), True), (("PI-020",), False)]
    assert "PI-020" not in found[1].why


def test_what_was_to_be_preserved_must_not_be_deleted() -> None:
    found = judged("jinlianhuitong", deleted(), erase=(NAME,), preserve=(PHONE,))
    assert [(j.part.categories, j.accepted, j.for_a_person) for j in found] == [
        ((NAME,), True, False),
        ((PHONE,), False, True),
    ]
    assert judged("jinlianhuitong", deleted(NAME), erase=(NAME,), preserve=(PHONE,))[0].accepted


# --- properties -----------------------------------------------------------------------------

BODIES = st.sampled_from(["sensetime", "chinaums", "emay", "arb_wuhan", "fazhenglian", "webank_chain"])
CATEGORIES = ("PI-001", "PI-004", "PI-005", "PI-083")
TEXTS = st.sampled_from([None, "", " ", "CSL 23(3)", "AML 34", "MIIT Order 31", "合同", "甲"])
PARTS = st.builds(
    Part,
    code=st.sampled_from(AnswerCode),
    categories=st.lists(st.sampled_from(CATEGORIES), max_size=4, unique=True).map(tuple),
    count=st.none() | st.integers(-1, 3),
    at=st.none() | st.sampled_from([DONE, TOLD - timedelta(days=1), DONE + timedelta(days=9)]) | st.datetimes(),
    method=TEXTS, article=TEXTS, authorisation=TEXTS, dispute=TEXTS,
    until=st.none() | st.sampled_from([AS_OF, AS_OF + timedelta(days=1), date(2090, 1, 1)]),
    sub_recipients=st.lists(TEXTS.filter(lambda t: t is not None), max_size=2).map(tuple),
    complete=st.booleans(),
)  # fmt: skip
ANSWERS = st.lists(PARTS, max_size=4).map(lambda parts: answer(*parts))
ASKED = st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=4, unique=True).map(tuple)


def run(body: str, erase: tuple[str, ...], preserve: tuple[str, ...], said: Answer) -> tuple[Judgement, ...]:
    return judge(BODY[body], erase, said, preserve=preserve, told_at=TOLD, as_of=AS_OF, laws=POLICY.laws)


def fates(found: tuple[Judgement, ...]) -> Counter[Any]:
    """What became of each category under each part, however the parts were cut."""
    return Counter(
        (c, j.part.model_copy(update={"categories": ()}), j.accepted, j.why, j.for_a_person)
        for j in found
        for c in j.part.categories
    )


NEEDED: dict[AnswerCode, Any] = {
    AnswerCode.DELETED: lambda p: p.count and p.count > 0 and p.at and (p.method or "").strip(),
    AnswerCode.NOTHING_HELD: lambda p: True,
    AnswerCode.RETAINED_BY_LAW: lambda p: (p.article or "").strip() and p.until and p.until > AS_OF,
    AnswerCode.RETAINED_INDEPENDENT: lambda p: (p.authorisation or "").strip(),
    AnswerCode.HELD_DISPUTE: lambda p: (p.dispute or "").strip(),
    AnswerCode.CANNOT_ERASE_IMMUTABLE: lambda p: True,
}


@given(BODIES, ASKED, ASKED, ANSWERS)
def test_nothing_is_accepted_without_its_evidence(
    body: str, erase: tuple[str, ...], preserve: tuple[str, ...], said: Answer
) -> None:
    for judgement in run(body, erase, preserve, said):
        if judgement.accepted:
            assert NEEDED[judgement.part.code](judgement.part)
            assert set(judgement.part.categories) <= {*erase, *preserve}
            assert not (
                judgement.part.code is AnswerCode.DELETED and {*judgement.part.categories} & {*preserve}
            )
            assert not judgement.for_a_person
        else:
            assert judgement.why and in_chinese(judgement.told)


def in_chinese(told: str) -> bool:
    """Chinese, and in it nothing foreign but codes, categories and abbreviations of laws."""
    foreign = re.sub(r"PI-\d{3}|[A-Z][A-Z_]+(?: \d+\(\d\))?", "", told)
    return bool(re.search("[\u4e00-\u9fff]{4}", told)) and not re.search("[A-Za-z]", foreign)


@given(BODIES, ASKED, ANSWERS)
def test_taking_evidence_away_never_makes_an_answer_better(
    body: str, erase: tuple[str, ...], said: Answer
) -> None:
    bare = answer(*(Part(code=p.code, categories=p.categories) for p in said.parts))
    before = {(j.part.code, c) for j in run(body, erase, (), said) if j.accepted for c in j.part.categories}
    after = {(j.part.code, c) for j in run(body, erase, (), bare) if j.accepted for c in j.part.categories}
    assert {k for k in after if k[0] is not AnswerCode.NOTHING_HELD} <= before


@given(BODIES, ASKED, ASKED, ANSWERS)
def test_how_an_answer_is_cut_into_parts_changes_nothing(
    body: str, erase: tuple[str, ...], preserve: tuple[str, ...], said: Answer
) -> None:
    everything = sorted({*erase, *preserve})
    cut = answer(
        *chain.from_iterable(
            [p.model_copy(update={"categories": (c,)}) for c in p.categories or everything]
            for p in said.parts
        )
    )
    assert fates(run(body, erase, preserve, said)) == fates(run(body, erase, preserve, cut))


@given(BODIES, ASKED, ANSWERS, st.randoms())
def test_the_order_of_parts_changes_nothing(body: str, erase: tuple[str, ...], said: Answer, r: Any) -> None:
    shuffled = list(said.parts)
    r.shuffle(shuffled)
    assert fates(run(body, erase, (), said)) == fates(run(body, erase, (), answer(*shuffled)))


@given(BODIES, ASKED, ANSWERS)
def test_every_category_of_the_notice_is_spoken_of(body: str, erase: tuple[str, ...], said: Answer) -> None:
    assert {c for j in run(body, erase, (), said) for c in j.part.categories} >= set(erase)


@given(BODIES, st.sampled_from(CATEGORIES), st.text(min_size=8, max_size=40))
def test_what_is_told_quotes_nothing_of_the_answer(body: str, category: str, secret: str) -> None:
    parts = [
        Part(code=code, method=secret, article=secret, authorisation=secret, dispute=secret, remains=secret,
             sub_recipients=(secret,), transactions=(secret,), complete=False)
        for code in AnswerCode
    ]  # fmt: skip
    ours = "".join(
        j.why + j.told for p in parts for j in run(body, (category,), (), answer(Part(code=p.code)))
    )
    for p in parts:
        for judgement in run(body, (category,), (), answer(p)):
            assert secret not in judgement.why + judgement.told or secret in ours
