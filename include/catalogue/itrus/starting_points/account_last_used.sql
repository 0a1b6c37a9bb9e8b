-- When an account was last alive: its last log-in, else its registration, and the end of its last certificate. One with a
-- certificate that lives does not sleep, whatever the day. A cancelled account has a case, and is not returned.
SELECT account_id, CASE WHEN NOT lives THEN alive END AS started_at
  FROM (
    SELECT a.account_id,
           greatest(a.registered_at, a.last_login_at, max(least(x.not_after, x.revoked_at))) AS alive,
           coalesce(bool_or(least(x.not_after, x.revoked_at) >= (%(as_of)s::date)::timestamp AT TIME ZONE 'Asia/Shanghai'),
                    false) AS lives
      FROM cohort AS c JOIN account.account AS a ON a.account_id = c.subject_id
      LEFT JOIN cert.certificate AS x ON x.account_id = a.account_id
     WHERE a.cancelled_at IS NULL
     GROUP BY a.account_id
  ) AS x
