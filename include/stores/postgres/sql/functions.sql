-- Who acts: SET ROLE counts, and survives a security definer function; session_user is the login behind it.
CREATE OR REPLACE FUNCTION quietus.actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN coalesce(nullif(current_setting('role'), 'none'), session_user::text);

-- Called by a policy for a row of a restricted subject: notes the attempt and says no. Once per statement and
-- relation; in a read-only transaction, where nothing can be written, to the server log. It never raises: a
-- query over many people must go on without the restricted ones.
CREATE OR REPLACE FUNCTION quietus.deny(relation text, subject text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    this text := relation || ' ' || extract(epoch FROM statement_timestamp());
BEGIN
    IF current_setting('quietus.denied', true) IS NOT DISTINCT FROM this THEN
        RETURN false;
    END IF;
    PERFORM set_config('quietus.denied', this, true);
    IF current_setting('transaction_read_only')::boolean THEN
        RAISE LOG 'quietus: % was denied a restricted row of %', quietus.actor(), relation;
        RETURN false;
    END IF;
    BEGIN
        INSERT INTO quietus.denied (relation, deed, role, case_no, minute)
        SELECT deny.relation, 'use', quietus.actor(),
               (SELECT r.case_no FROM quietus.restriction AS r WHERE r.subject_id = deny.subject),
               date_trunc('minute', statement_timestamp());
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'quietus: an attempt on % could not be noted (SQLSTATE %)', relation, SQLSTATE;
    END;
    RETURN false;
END $$;

-- Transactions and prepared transactions that began before a moment and are still open in this database.
-- A definer's function, because pg_stat_activity hides other users' transactions from ordinary roles.
CREATE OR REPLACE FUNCTION quietus.open_since(moment timestamptz)
RETURNS TABLE (pid int, kind text, age_seconds int)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.pid, coalesce(a.backend_type, 'unknown'),
           extract(epoch FROM clock_timestamp() - a.xact_start)::int
      FROM pg_stat_activity AS a
     WHERE a.datname = current_database() AND a.xact_start < moment AND a.pid <> pg_backend_pid()
       AND a.backend_type NOT LIKE 'autovacuum%' AND a.backend_type <> 'walsender'
    UNION ALL
    SELECT NULL, 'prepared transaction', extract(epoch FROM clock_timestamp() - p.prepared)::int
      FROM pg_prepared_xacts AS p WHERE p.database = current_database() AND p.prepared < moment
$$;

-- ANALYZE needs ownership before PostgreSQL 17; statistics hold values of erased rows until they are renewed.
CREATE OR REPLACE FUNCTION quietus.renew_statistics(tables regclass[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE one regclass;
BEGIN
    FOREACH one IN ARRAY tables LOOP
        EXECUTE format('ANALYZE %s', one);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION quietus.refresh(view regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('REFRESH MATERIALIZED VIEW %s', view);
END $$;

GRANT EXECUTE ON FUNCTION quietus.open_since(timestamptz) TO {eraser}, {prover};
GRANT EXECUTE ON FUNCTION quietus.renew_statistics(regclass[]), quietus.refresh(regclass) TO {eraser};
