"""How each recipient answers, over all cases: for the console, for evidence, and for whoever renews its contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from include.cases.book import Conn, Rows


def record(conn: Conn, case_nos: Sequence[str] | None = None) -> Rows:
    """By recipient, in one statement: notices told, answered so that it counts, escalated, still open; the share that
    answered; median and 95th percentile of the days from being told to the first answer; how often which code was
    accepted; and how true that was. ``case_nos``: only of these cases.

    Of its words about synthetic people that they are gone (``words``): ``verified``, ``not_seen_before`` and
    ``unverified``; the rest are among the ``caught``, which are counted of everybody. ``taken_back``: what it said to
    be gone and then, by itself, not to be.
    """
    return conn.execute(
        "WITH answers AS (SELECT a.request_id, a.recipient, a.code, min(a.observed_at) AS first"
        "  FROM casebook.answer a LEFT JOIN casebook.answer_decision d USING (answer_id)"
        "  WHERE coalesce(d.accepted, a.accepted) AND (%(cases)s::text[] IS NULL OR a.case_no = ANY(%(cases)s))"
        "  GROUP BY 1, 2, 3"
        "), codes AS (SELECT recipient, jsonb_object_agg(code, n ORDER BY code) AS codes FROM"
        "  (SELECT recipient, code, count(*) AS n FROM answers GROUP BY 1, 2) AS counted GROUP BY 1"
        "), firsts AS (SELECT request_id, min(first) AS at FROM answers GROUP BY 1"
        "), kept AS (SELECT recipient, count(*) FILTER (WHERE synthetic) AS words,"
        "  count(*) FILTER (WHERE synthetic AND found = 'verified') AS verified,"
        "  count(*) FILTER (WHERE synthetic AND found = 'not_seen_before') AS not_seen_before,"
        "  count(*) FILTER (WHERE synthetic AND found = 'unverified') AS unverified,"
        "  count(*) FILTER (WHERE found = 'caught') AS caught FROM casebook.word_kept"
        "  WHERE (synthetic OR after) AND (%(cases)s::text[] IS NULL OR case_no = ANY(%(cases)s)) GROUP BY 1"
        "), told AS (SELECT o.recipient, count(*) AS notices, count(o.sent_at) AS told,"
        "  count(*) FILTER (WHERE o.state IN ('tp_acked', 'tp_retained', 'tp_unlinked')) AS answered,"
        "  count(*) FILTER (WHERE o.state = 'tp_escalated') AS escalated,"
        "  count(*) FILTER (WHERE o.state = 'tp_notified') AS open,"
        "  count(*) FILTER (WHERE o.because = 'not_deleted') AS not_deleted,"
        "  percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM f.at - o.sent_at) / 86400) AS median_days,"
        "  percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM f.at - o.sent_at) / 86400) AS p95_days"
        "  FROM casebook.outbox o LEFT JOIN firsts f USING (request_id)"
        "  WHERE %(cases)s::text[] IS NULL OR o.case_no = ANY(%(cases)s) GROUP BY o.recipient)"
        " SELECT recipient, notices, told, answered, escalated, open,"
        "  round(answered::numeric / nullif(told, 0), 3) AS answer_rate, median_days, p95_days,"
        "  coalesce(codes, '{}') AS codes, coalesce(words, 0) AS words, coalesce(verified, 0) AS verified,"
        "  coalesce(not_seen_before, 0) AS not_seen_before, coalesce(unverified, 0) AS unverified,"
        "  coalesce(caught, 0) AS caught, greatest(not_deleted - coalesce(caught, 0), 0) AS taken_back"
        " FROM told LEFT JOIN codes USING (recipient) LEFT JOIN kept USING (recipient) ORDER BY recipient",
        {"cases": None if case_nos is None else list(case_nos)},
    ).fetchall()


def truthfulness(row: Mapping[str, Any], lang: str = "en") -> str:
    """How true its word was, in a few words; empty where it gave none that could be tested."""
    zh = lang == "zh"
    said = []
    if row["words"]:
        said.append(
            f"经核实 {row['verified']}/{row['words']}"
            if zh
            else f"verified {row['verified']} of {row['words']}"
        )
    for key, in_zh, in_en in (
        ("caught", "查出不实", "caught"), ("taken_back", "自行更正", "taken back"),
        ("not_seen_before", "事前未见", "not seen before"), ("unverified", "未能核实", "unverified"),
    ):  # fmt: skip
        if row[key]:
            said.append(f"{in_zh if zh else in_en} {row[key]}")
    return ",".join(said) if zh else ", ".join(said)
