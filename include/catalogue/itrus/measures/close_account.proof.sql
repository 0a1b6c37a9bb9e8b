SELECT a.account_id FROM account.account AS a JOIN cohort AS c ON c.subject_id = a.account_id
 WHERE a.cancelled_at IS NULL
