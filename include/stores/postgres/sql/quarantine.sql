-- A restored database serves nobody until what was erased since is erased again. The eraser may close it; opening it
-- again takes a replay. Each function does one thing, with the rights of the schema's owner.

-- One more in the counter, past a number that somebody else knows. One after the other, so that none is given twice.
CREATE OR REPLACE FUNCTION quietus.go_forward(reason text, beyond int) RETURNS int
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('quietus epoch', 0));
    INSERT INTO quietus.epoch (no, reason)
    SELECT greatest(max(e.no), go_forward.beyond) + 1, go_forward.reason FROM quietus.epoch AS e RETURNING no;
$$;

-- Nobody may connect but the two of us and whoever owns the database. Returns who of the others still can: one whose right
-- another role granted. What is revoked is remembered, once, so that it can be given back.
DROP FUNCTION IF EXISTS quietus.quarantine();
CREATE FUNCTION quietus.quarantine() RETURNS TABLE (role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text;
    ours constant text[] := ARRAY[{eraser_name}, {prover_name}];
    granted text[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('quietus quarantine', 0));
    SELECT coalesce(array_agg(CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END), '{{}}') INTO granted
      FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a
     WHERE d.datname = current_database() AND a.privilege_type = 'CONNECT' AND a.grantee <> d.datdba
       AND pg_get_userbyid(a.grantee)::text <> ALL (ours);
    INSERT INTO quietus.closed (granted)
    SELECT granted WHERE NOT EXISTS (SELECT FROM quietus.closed AS c WHERE c.lifted_at IS NULL);
    FOREACH who IN ARRAY ours LOOP
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), who);
    END LOOP;
    FOREACH who IN ARRAY granted LOOP
        EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM %s CASCADE', current_database(),
                       CASE who WHEN '' THEN 'PUBLIC' ELSE quote_ident(who) END);
    END LOOP;
    RETURN QUERY SELECT r.rolname::text FROM pg_roles AS r
        WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname::text <> ALL (ours)
          AND has_database_privilege(r.oid, current_database(), 'CONNECT');
END $$;

-- Who is still connected to a closed database. After the revoking has committed: until then somebody may come in.
CREATE OR REPLACE FUNCTION quietus.end_sessions() RETURNS int
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*)::int FROM (
        SELECT pg_terminate_backend(a.pid, 5000) AS ended FROM pg_stat_activity AS a JOIN pg_roles AS r ON r.oid = a.usesysid
         WHERE a.datname = current_database() AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
           AND NOT r.rolsuper AND r.rolname::text <> ALL (ARRAY[{eraser_name}, {prover_name}])
           AND EXISTS (SELECT FROM quietus.closed AS c WHERE c.lifted_at IS NULL)
    ) AS s WHERE s.ended
$$;

-- Given back what was revoked, if the counter says that a replay ended since. Whether it is open now.
CREATE OR REPLACE FUNCTION quietus.release() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text;
    was quietus.closed;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('quietus quarantine', 0));
    SELECT c.* INTO was FROM quietus.closed AS c WHERE c.lifted_at IS NULL;
    IF NOT FOUND THEN
        RETURN true;
    END IF;
    IF NOT EXISTS (SELECT FROM quietus.epoch AS e WHERE e.reason = 'replayed' AND e.started_at > was.since
                      AND e.no = (SELECT max(no) FROM quietus.epoch)) THEN
        RETURN false;
    END IF;
    FOREACH who IN ARRAY was.granted LOOP
        CONTINUE WHEN who <> '' AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname::text = who);
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %s', current_database(),
                       CASE who WHEN '' THEN 'PUBLIC' ELSE quote_ident(who) END);
    END LOOP;
    UPDATE quietus.closed SET lifted_at = clock_timestamp() WHERE no = was.no;
    RETURN true;
END $$;

REVOKE ALL ON FUNCTION quietus.go_forward(text, int), quietus.quarantine(), quietus.end_sessions(), quietus.release()
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION quietus.go_forward(text, int), quietus.quarantine(), quietus.end_sessions(), quietus.release()
    TO {eraser};
