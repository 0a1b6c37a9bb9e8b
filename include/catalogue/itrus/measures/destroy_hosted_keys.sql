-- In the sandbox the wrapped key is the key: without it the HSM holds nothing. The record names the key only.
WITH destroyed AS (
  UPDATE cert.hosted_key SET wrapped_key = NULL, destroyed_at = least(now(), (%(as_of)s::date + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' - interval '1 second')
   WHERE account_id IN (SELECT subject_id FROM cohort) AND destroyed_at IS NULL
  RETURNING key_id, hsm
)
INSERT INTO cert.key_destruction (key_id, hsm, method, destroyed_on, case_no)
SELECT key_id, hsm, 'wrapped key erased', %(as_of)s::date, %(case_no)s FROM destroyed
ON CONFLICT (key_id) DO NOTHING
