SELECT s.session_id FROM account.session AS s JOIN cohort AS c ON c.subject_id = s.account_id
 WHERE s.revoked_at IS NULL
