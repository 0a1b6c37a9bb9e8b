SELECT k.key_id FROM cert.hosted_key AS k JOIN cohort AS c ON c.subject_id = k.account_id
  LEFT JOIN cert.key_destruction AS d ON d.key_id = k.key_id
 WHERE k.wrapped_key IS NOT NULL OR k.destroyed_at IS NULL OR d.key_id IS NULL
