-- When the result of the vetting was returned, of applications that never led to a certificate: with one, what was
-- collected belongs to the vetting file (RS-03), and is not returned. An application to revoke belongs to the certificates of
-- its account, as in application_certificate_ended.sql. One that is not decided has a clock that has not started.
SELECT p.application_id, p.decided_at AS started_at
  FROM cohort AS c JOIN ra.application AS p ON p.account_id = c.subject_id
 WHERE NOT EXISTS (SELECT FROM cert.certificate AS x WHERE x.application_id = p.application_id)
   AND NOT (p.kind = 'revoke' AND EXISTS (SELECT FROM cert.certificate AS x WHERE x.account_id = p.account_id))
