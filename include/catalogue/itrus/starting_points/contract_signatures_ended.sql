-- When the last certificate that a contract was signed with ceased to be valid, its whole chain of renewals included:
-- the same chains as in certificate_ended.sql, of all who signed, for until then the hash on a chain must be provable
-- (RS-10). Only the chains of those whom we restrict end with that; another party's goes on, and no clock starts.
-- LATERAL … OFFSET 0: by the index, one by one. How long chains are, no statistics say, and the whole table would be read.
WITH RECURSIVE signed (contract_id, serial) AS (
  SELECT DISTINCT s.contract_id, s.serial
    FROM cohort AS c JOIN sign.contract_party AS p ON p.account_id = c.subject_id
    JOIN sign.signature AS s ON s.contract_id = p.contract_id
), up (serial, at, parent) AS (
  SELECT x.serial, x.serial, x.renews_serial
    FROM (SELECT DISTINCT serial FROM signed) AS s JOIN cert.certificate AS x USING (serial)
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
), by_certificate (serial, day) AS (
  SELECT x.serial,
         CASE WHEN ended.day <= %(as_of)s::date THEN ended.day
              WHEN ended.day IS NOT NULL AND %(restricting)s::boolean
                   AND x.account_id IN (SELECT subject_id FROM cohort) THEN %(as_of)s::date
              ELSE 'infinity' END
    FROM (SELECT DISTINCT serial FROM up) AS s JOIN cert.certificate AS x USING (serial)
    LEFT JOIN top USING (serial) LEFT JOIN ended USING (root)
)
SELECT contract_id, nullif(max(day), 'infinity') AS started_at
  FROM signed JOIN by_certificate USING (serial) GROUP BY contract_id
