-- When the last certificate that an application led to ceased to be valid, its whole chain of renewals included: the
-- same chains as in certificate_ended.sql. An application to revoke belongs to all certificates of its account. One that
-- never led to a certificate is not returned: the electronic signature law does not keep it.
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
), certificate (serial, account_id, application_id, day) AS (
  SELECT x.serial, x.account_id, x.application_id, coalesce(ended.day, 'infinity')
    FROM (SELECT DISTINCT serial FROM up) AS s JOIN cert.certificate AS x USING (serial)
    LEFT JOIN top USING (serial) LEFT JOIN ended USING (root)
), led (application_id, day) AS (
  SELECT application_id, day FROM certificate WHERE application_id IS NOT NULL
  UNION ALL
  SELECT a.application_id, x.day
    FROM ra.application AS a JOIN certificate AS x ON x.account_id = a.account_id WHERE a.kind = 'revoke'
)
SELECT application_id,
       CASE WHEN max(day) <= %(as_of)s::date THEN max(day)
            WHEN max(day) < 'infinity' AND %(restricting)s::boolean THEN %(as_of)s::date
       END AS started_at
  FROM led GROUP BY application_id
