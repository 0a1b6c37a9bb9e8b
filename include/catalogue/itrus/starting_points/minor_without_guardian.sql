-- When it was found that an account is a minor's. With a guardian's consent it is not returned.
SELECT m.account_id, m.noticed_at AS started_at
  FROM cohort AS c JOIN account.minor AS m ON m.account_id = c.subject_id
 WHERE NOT EXISTS (SELECT FROM account.guardian_consent AS g WHERE g.account_id = m.account_id)
