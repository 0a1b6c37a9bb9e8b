-- When the last call of an account was: one key may open several recordings, and stays as long as the last of them.
SELECT r.account_id, max(r.called_at) AS started_at
  FROM cohort AS c JOIN support.call_record AS r ON r.account_id = c.subject_id GROUP BY r.account_id
