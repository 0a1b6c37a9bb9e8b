-- When the result of the verification was returned that a face was taken for: the last one of the account. A face that
-- was taken after it waits for its own, and with it whatever else is kept by the account.
SELECT b.account_id,
       CASE WHEN max(b.captured_at) <= max(r.matched_at) THEN max(r.matched_at) END AS started_at
  FROM cohort AS c JOIN ra.biometric AS b ON b.account_id = c.subject_id
  LEFT JOIN ra.application AS p ON p.account_id = b.account_id
  LEFT JOIN ra.match_result AS r ON r.application_id = p.application_id
 GROUP BY b.account_id
