SELECT x.serial FROM cert.certificate AS x JOIN cohort AS c ON c.subject_id = x.account_id
  LEFT JOIN cert.crl_entry AS l ON l.serial = x.serial
 WHERE x.revoked_at IS NOT NULL AND l.serial IS NULL
