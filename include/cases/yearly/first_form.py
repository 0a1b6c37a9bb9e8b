"""How data was read into the first lists of what was destroyed: kept, so that a correction can be told from a changed book.

It took every word of a receipt for a fate, so that what a night had passed over (``not_due``, ``needed``, ...) and how far
it had come (``upto``) stood there as destroyed; it found no rule for a copy (``erased@object_version``), and named nobody
who had approved a plan of stages. Nothing is said by it any more: a year of that form is read by it once more, to see that
the book gives the list that it gave then, before the right one is said beside it.
"""

DATA = """
WITH gone AS (
    SELECT r.case_no, r.step_id, r.store, r.plan, d.key AS dataset, f.key AS fate, sum(f.value::bigint) AS items,
           max(((r.body ->> 'done_at')::timestamptz AT TIME ZONE 'Asia/Shanghai')::date) AS day
      FROM casebook.receipt r, jsonb_each(r.body -> 'counts') AS d, jsonb_each_text(d.value) AS f
     WHERE r.verb = 'dispose' AND f.value::bigint > 0
       AND (r.body ->> 'done_at')::timestamptz >= %(since)s AND (r.body ->> 'done_at')::timestamptz < %(until)s
     GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT g.*, said.rules, said.laws,
       (SELECT string_agg(DISTINCT e.actor, '; ' ORDER BY e.actor) FROM casebook.event e
         WHERE e.case_no = g.case_no AND e.what = 'disposed' AND e.detail ->> 'step' = g.step_id
           AND e.observed_at < %(proved)s) AS by,
       (SELECT string_agg(DISTINCT who, '; ' ORDER BY who) FROM (
           SELECT a.approver AS who FROM casebook.approval a
            WHERE a.case_no = g.case_no AND a.decision = 'approve' AND a.decided_at < %(until)s
           UNION SELECT e.actor FROM casebook.event e
            WHERE e.case_no = g.case_no AND e.what = 'night approved' AND e.observed_at < %(until)s) AS w) AS approved
  FROM gone g CROSS JOIN LATERAL (
       SELECT string_agg(DISTINCT line ->> 'rule', '; ' ORDER BY line ->> 'rule') AS rules,
              string_agg(DISTINCT line ->> 'law', '; ' ORDER BY line ->> 'law') AS laws
         FROM casebook.plan p, jsonb_array_elements(p.body -> 'lines') AS line
        WHERE p.step_id = g.step_id AND p.fingerprint = g.plan AND line ->> 'dataset' = g.dataset
          AND line ->> 'disposition' = (%(fates)s::jsonb ->> g.fate)) AS said
"""
