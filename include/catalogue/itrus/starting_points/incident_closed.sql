-- When an incident was closed, for whom it affected.
SELECT p.incident_id, i.closed_on AS started_at
  FROM cohort AS c JOIN ops.incident_person AS p ON p.account_id = c.subject_id JOIN ops.incident AS i USING (incident_id)
