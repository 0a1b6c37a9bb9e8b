-- When the certificate of a hosted key was revoked. A key that is destroyed is no key any more, and is not returned.
SELECT k.key_id, x.revoked_at AS started_at
  FROM cohort AS c JOIN cert.hosted_key AS k ON k.account_id = c.subject_id
  JOIN cert.certificate AS x ON x.serial = k.serial
 WHERE k.destroyed_at IS NULL
