-- When the chain of renewals that a certificate belongs to ceased to be valid: over the whole chain the latest of
-- expiry or revocation, whichever came first (ESL 24, 31). A chain that still lives ends when we restrict it, else
-- its clock has not started. Whoever put a circle into the chain has no clock that starts, which is no licence to delete.
-- LATERAL … OFFSET 0: by the index, one by one. How long chains are, no statistics say, and the whole table would be read.
WITH RECURSIVE up (serial, at, parent) AS (
  SELECT x.serial, x.serial, x.renews_serial
    FROM cert.certificate AS x JOIN cohort AS c ON c.subject_id = x.account_id
  UNION
  SELECT up.serial, x.serial, x.renews_serial
    FROM up, LATERAL (SELECT * FROM cert.certificate AS c WHERE c.serial = up.parent OFFSET 0) AS x
), top (serial, root) AS (
  SELECT serial, at FROM up WHERE parent IS NULL
), down (root, at) AS (
  SELECT root, root FROM top
  UNION
  SELECT down.root, x.serial
    FROM down, LATERAL (SELECT * FROM cert.certificate AS c WHERE c.renews_serial = down.at OFFSET 0) AS x
), ended (root, day) AS (
  SELECT down.root, (max(least(x.not_after, x.revoked_at)) AT TIME ZONE 'Asia/Shanghai')::date
    FROM down, LATERAL (SELECT * FROM cert.certificate AS c WHERE c.serial = down.at OFFSET 0) AS x
   GROUP BY down.root
)
SELECT s.serial,
       CASE WHEN ended.day <= %(as_of)s::date THEN ended.day
            WHEN ended.day IS NOT NULL AND %(restricting)s::boolean THEN %(as_of)s::date
       END AS started_at
  FROM (SELECT DISTINCT serial FROM up) AS s LEFT JOIN top USING (serial) LEFT JOIN ended USING (root)
