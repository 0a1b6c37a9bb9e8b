UPDATE account.session SET revoked_at = least(now(), (%(as_of)s::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' - interval '1 second')
 WHERE account_id IN (SELECT subject_id FROM cohort) AND revoked_at IS NULL
