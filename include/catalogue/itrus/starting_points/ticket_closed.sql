-- When a ticket was closed: its notes go with it.
SELECT t.ticket_id, t.closed_at AS started_at FROM cohort AS c JOIN support.ticket AS t ON t.account_id = c.subject_id
