-- The moment is now, or the end of the business day in a replay.
UPDATE account.account SET cancelled_at = least(now(), (%(as_of)s::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' - interval '1 second')
 WHERE account_id IN (SELECT subject_id FROM cohort) AND cancelled_at IS NULL
