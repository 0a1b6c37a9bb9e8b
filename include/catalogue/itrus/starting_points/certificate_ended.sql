-- When the chain of renewals that a certificate belongs to ceased to be valid: over the whole chain the latest of
-- expiry or revocation, whichever came first (ESL 24, 31). A chain that still lives ends when we restrict it, else
-- its clock has not started. Whoever put a circle into the chain has no clock that starts, which is no licence to delete.
WITH RECURSIVE up (serial, at, parent) AS (
  SELECT x.serial, x.serial, x.renews_serial
    FROM cert.certificate AS x JOIN cohort AS c ON c.subject_id = x.account_id
  UNION
  SELECT up.serial, x.serial, x.renews_serial FROM up JOIN cert.certificate AS x ON x.serial = up.parent
), top (serial, root) AS (
  SELECT serial, at FROM up WHERE parent IS NULL
), down (root, at) AS (
  SELECT root, root FROM top
  UNION
  SELECT down.root, x.serial FROM down JOIN cert.certificate AS x ON x.renews_serial = down.at
), ended (root, day) AS (
  SELECT down.root, (max(least(x.not_after, x.revoked_at)) AT TIME ZONE 'Asia/Shanghai')::date
    FROM down JOIN cert.certificate AS x ON x.serial = down.at GROUP BY down.root
)
SELECT s.serial,
       CASE WHEN ended.day <= %(as_of)s::date THEN ended.day
            WHEN ended.day IS NOT NULL AND %(restricting)s::boolean THEN %(as_of)s::date
       END AS started_at
  FROM (SELECT DISTINCT serial FROM up) AS s LEFT JOIN top USING (serial) LEFT JOIN ended USING (root)
