-- When a face was taken, whatever came of it: a try that was given up has no result, and would never be due by one.
SELECT b.account_id, max(b.captured_at) AS started_at
  FROM cohort AS c JOIN ra.biometric AS b ON b.account_id = c.subject_id
 GROUP BY b.account_id
