"""What law an answer cites, and whether that keeps anything (law.md F16)."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.words import LegalRank
from include.recipients.citing import LONGEST, read
from tests.recipients.making import AS_OF, POLICY

LAWS = POLICY.laws

CITED = {
    "counts": [
        ("emay", "CSL 23(3)"),
        ("emay", "《网络安全法》第二十三条第三项"),
        ("emay", "《中华人民共和国网络安全法》（2025年修正）第二十三条第（三）项"),
        ("emay", "网络安全法第23条"),
        ("emay", "Cybersecurity Law, Article 23, item 3"),
        ("emay", "《通信短信息服务管理规定》第十八条，依据网络安全法第二十三条第一款第三项"),
        ("weilai", "SMS Order and CSL 23(3)"),
        ("chinaums", "AML Law art. 34"),
        ("chinaums", "《非银行支付机构监督管理条例》第三十一条"),
        ("yuansu", "Credit Reporting Regs arts 16, 22"),
        ("pengyuan", "《征信业管理条例》第二十二条"),
        ("baiwang", "《发票管理办法》第二十八条、《税收征收管理法实施细则》第二十九条"),
        ("baiwang", "会计档案管理办法附表一"),
    ],
    "too_weak": [
        ("emay", "MIIT Order 31"),
        ("emay", "《通信短信息服务管理规定》第十八条"),
        ("emay", "工业和信息化部令第74号"),
        ("emay", "CPS 5.5.2"),
        ("sensetime", "GB/T 35273-2020 8.5"),
        ("sensetime", "根据我司与贵方签订的合同约定"),
        ("chinaums", "our privacy policy"),
        ("webank_chain", "区块链信息服务管理规定第十七条"),
    ],
    "no_article": [("emay", "网络安全法"), ("emay", "网络安全法，日志保存6个月"), ("chinaums", "the AML Law, 10 years")],
    "person": [
        ("emay", "CSL 23(2)"),  # another item
        ("emay", "PIPL 47"),  # a law, but no period
        ("emay", "AML Law art. 34"),  # binds financial institutions (F15)
        ("sensetime", "CSL 23(3)"),  # faces are no network log
        ("emay", "网络安全法实施条例第23条"),  # another rule, whose name begins like a law's
        ("emay", "某某市短信管理办法第3条"),
        ("emay", "Civil Code 188"),  # a time to sue, not a duty to keep
        ("emay", "it is the law"),
        ("emay", "CSL 23(3)" + " " * LONGEST),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("verdict", "body", "text"), [(v, b, t) for v, c in CITED.items() for b, t in c])
def test_a_citation_comes_to(verdict: str, body: str, text: str) -> None:
    assert read(text, LAWS, body, AS_OF).verdict == verdict


def test_a_weak_rule_is_told_what_it_would_have_to_rest_on() -> None:
    assert "CSL 23(3)" in read("MIIT Order 31", LAWS, "emay", AS_OF).why


def test_the_longest_article_cited_is_the_last_day() -> None:
    both = read("Invoice Measures 28; Accounting Archives Measures annex 1", LAWS, "baiwang", AS_OF)
    one = read("Invoice Measures 28", LAWS, "baiwang", AS_OF)
    assert date(2031, 12, 31) <= (one.until or date.min) < date(2033, 1, 1)
    assert (both.until or date.min) >= date(2056, 12, 31)
    assert read("Non-bank Payment Regs 31; AML 34", LAWS, "chinaums", AS_OF).until is None


@given(st.text(max_size=200))
def test_any_text_is_read_and_none_but_a_listed_article_counts(text: str) -> None:
    assert read(text, LAWS, "emay", AS_OF).verdict != "counts" or "23" in text or "二十三" in text


@given(st.lists(st.sampled_from([n for law in LAWS if not law.rank.restrains_deletion for n in law.names])))
def test_no_heap_of_weak_rules_becomes_a_law(names: list[str]) -> None:
    assert read("; ".join(names), LAWS, "emay", AS_OF).verdict != "counts"


def test_the_rank_decides_and_not_the_name() -> None:
    degraded = tuple(law.model_copy(update={"rank": LegalRank.DEPARTMENTAL_RULE}) for law in LAWS)
    assert read("CSL 23(3)", degraded, "emay", AS_OF).verdict == "too_weak"
    assert read("CSL 23(3)", (), "emay", AS_OF).verdict == "person"
