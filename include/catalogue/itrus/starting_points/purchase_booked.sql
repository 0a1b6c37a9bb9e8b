-- When the last voucher about a purchase was booked: without it the voucher would say nothing (Accounting Law 23).
SELECT p.purchase_id, max(v.booked_at) AS started_at
  FROM cohort AS c JOIN billing.purchase AS p ON p.account_id = c.subject_id
  JOIN billing.voucher AS v USING (purchase_id) GROUP BY p.purchase_id
