-- When the result was returned that a face was taken for: the first of the account's that came after it, of an application that
-- was not decided before (the table does not say of which application a face is). A face without one has not started. What
-- several faces share (their folder, its key) waits for the last of them.
SELECT b.account_id, b.biometric_id, min(r.matched_at) AS started_at
  FROM cohort AS c JOIN ra.biometric AS b ON b.account_id = c.subject_id
  LEFT JOIN ra.application AS p ON p.account_id = b.account_id
  LEFT JOIN ra.match_result AS r ON r.application_id = p.application_id AND r.matched_at >= b.captured_at
       AND (p.decided_at IS NULL OR p.decided_at >= b.captured_at)
 GROUP BY b.account_id, b.biometric_id
