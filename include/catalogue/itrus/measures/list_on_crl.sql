INSERT INTO cert.crl_entry (serial, revoked_at, reason)
SELECT x.serial, x.revoked_at, 'cessation_of_operation'
  FROM cert.certificate AS x
 WHERE x.account_id IN (SELECT subject_id FROM cohort) AND x.revoked_at IS NOT NULL
ON CONFLICT (serial) DO NOTHING
