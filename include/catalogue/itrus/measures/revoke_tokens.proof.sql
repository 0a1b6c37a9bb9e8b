SELECT t.api_token_id FROM account.api_token AS t JOIN cohort AS c ON c.subject_id = t.account_id
 WHERE t.revoked_at IS NULL
