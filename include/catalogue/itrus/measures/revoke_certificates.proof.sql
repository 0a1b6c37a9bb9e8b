SELECT x.serial FROM cert.certificate AS x JOIN cohort AS c ON c.subject_id = x.account_id
 WHERE (x.revoked_at IS NULL OR x.status <> 'revoked')
   AND x.not_after > (%(as_of)s::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'
