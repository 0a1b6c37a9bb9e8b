-- Who acts: SET ROLE counts, and survives a security definer function; session_user is the login behind it.
CREATE OR REPLACE FUNCTION quietus.actor() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
RETURN coalesce(nullif(current_setting('role'), 'none'), session_user::text);

-- Whether one subject is restricted. Who may ask may probe ids that he knows, as he can by looking for their rows; he
-- cannot list those whom he does not know.
CREATE OR REPLACE FUNCTION quietus.is_restricted(subject text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM quietus.restriction AS r WHERE r.subject_id = subject AND r.lifted_at IS NULL)
$$;

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

-- Transactions that may still commit a row for somebody who was restricted at a moment: those that began before it and
-- have an xid, and prepared ones. All others need not be waited for: one that has written nothing yet takes its xid
-- in our trigger, which by then sees the restriction or refuses it for its old snapshot (refuse_old_snapshot). So a
-- dump or a report, however long, is in nobody's way. A definer's function, because pg_stat_activity hides other users' transactions.
DROP FUNCTION IF EXISTS quietus.open_since(timestamptz);
CREATE FUNCTION quietus.open_since(moment timestamptz)
RETURNS TABLE (pid int, kind text, application text, state text, age_seconds int)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.pid, coalesce(a.backend_type, 'unknown'), a.application_name, a.state,
           extract(epoch FROM clock_timestamp() - a.xact_start)::int
      FROM pg_stat_activity AS a
     WHERE a.datname = current_database() AND a.xact_start < moment AND a.pid <> pg_backend_pid()
       AND a.backend_xid IS NOT NULL
       AND a.backend_type NOT LIKE 'autovacuum%' AND a.backend_type <> 'walsender'
    UNION ALL
    SELECT NULL, 'prepared transaction', '', 'prepared', extract(epoch FROM clock_timestamp() - p.prepared)::int
      FROM pg_prepared_xacts AS p WHERE p.database = current_database() AND p.prepared < moment
$$;

-- Called by every trigger before it looks at the restriction list. The xid comes first: a transaction that looked before a
-- restriction committed then has one, and is waited for. One that sees the database as it was before the last
-- restriction (REPEATABLE READ) would look in vain, so it is told to run again. A sequence is read as it is now,
-- whatever the snapshot; a number from the future is another cluster's, come with a dump.
CREATE OR REPLACE FUNCTION quietus.refuse_old_snapshot() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine xid8 := pg_current_xact_id();
    last xid8;
BEGIN
    IF current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
        RETURN;
    END IF;
    SELECT s.last_value::text::xid8 INTO last FROM quietus.last_restriction AS s;
    IF last < mine AND NOT pg_visible_in_snapshot(last, pg_current_snapshot()) AND quietus.actor() <> {eraser_name} THEN
        RAISE EXCEPTION 'a subject was restricted since this transaction took its snapshot'
            USING ERRCODE = 'serialization_failure', HINT = 'run the transaction again';
    END IF;
END $$;

-- ANALYZE needs ownership before PostgreSQL 17; statistics hold values of erased rows until they are renewed. Of a table
-- without rows it writes none, and leaves those of the last rows for good: what this transaction did not write is deleted.
-- Nobody else writes them meanwhile, for ANALYZE's lock is held to the transaction's end.
CREATE OR REPLACE FUNCTION quietus.renew_statistics(tables regclass[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one regclass;
    tree oid[];
BEGIN
    FOREACH one IN ARRAY tables LOOP
        EXECUTE format('ANALYZE %s', one);
        tree := ARRAY(SELECT one::oid UNION SELECT t.relid::oid FROM pg_partition_tree(one) AS t);
        tree := tree || ARRAY(SELECT i.indexrelid FROM pg_index AS i WHERE i.indrelid = ANY(tree));  -- of expressions
        IF (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
            DELETE FROM pg_statistic AS s WHERE s.starelid = ANY(tree) AND s.xmin <> pg_current_xact_id()::xid;
            DELETE FROM pg_statistic_ext_data AS d USING pg_statistic_ext AS e
             WHERE e.oid = d.stxoid AND e.stxrelid = ANY(tree) AND d.xmin <> pg_current_xact_id()::xid;
        ELSE
            PERFORM quietus.forget_statistics_of_the_empty(tree);
        END IF;
    END LOOP;
END $$;

-- The same for whoever may not write to catalogs; a server has this since PostgreSQL 18. Extended statistics stay.
CREATE OR REPLACE FUNCTION quietus.forget_statistics_of_the_empty(tables oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s record;
    rows_left boolean;
BEGIN
    IF to_regproc('pg_catalog.pg_clear_attribute_stats') IS NULL THEN
        RETURN;
    END IF;
    FOR s IN SELECT x.schemaname, x.tablename, x.attname, x.inherited, coalesce(i.indrelid, c.oid)::regclass AS of
               FROM pg_stats AS x JOIN pg_namespace AS n ON n.nspname = x.schemaname
               JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = x.tablename
               LEFT JOIN pg_index AS i ON i.indexrelid = c.oid WHERE c.oid = ANY(tables)
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', s.of) INTO rows_left;
        IF NOT rows_left THEN
            PERFORM pg_clear_attribute_stats(s.schemaname::text, s.tablename::text, s.attname::text, s.inherited);
        END IF;
    END LOOP;
END $$;

-- What is kept of columns together, which a server shows to the table's owner only: for the prover, who reads every row
-- anyway. Null: this function's owner is not shown it either.
CREATE OR REPLACE FUNCTION quietus.extended_statistics() RETURNS TABLE (address text, said text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(rn.nspname || '.' || rc.relname, n.nspname || '.' || t.relname),
           CASE WHEN pg_has_role(t.relowner, 'USAGE') THEN concat_ws(E'\n', v.said, x.said) END
      FROM pg_statistic_ext AS e
      JOIN pg_class AS t ON t.oid = e.stxrelid JOIN pg_namespace AS n ON n.oid = t.relnamespace
      JOIN pg_namespace AS sn ON sn.oid = e.stxnamespace
      LEFT JOIN pg_class AS rc ON t.relispartition AND rc.oid = pg_partition_root(t.oid)
      LEFT JOIN pg_namespace AS rn ON rn.oid = rc.relnamespace
      LEFT JOIN LATERAL (SELECT string_agg(s.most_common_vals::text, E'\n') AS said FROM pg_stats_ext AS s
                          WHERE (s.statistics_schemaname, s.statistics_name) = (sn.nspname, e.stxname)) AS v ON true
      LEFT JOIN LATERAL (SELECT string_agg(concat_ws(E'\n', s.most_common_vals::text, s.histogram_bounds::text,
                                                     s.most_common_elems::text), E'\n') AS said
                           FROM pg_stats_ext_exprs AS s
                          WHERE (s.statistics_schemaname, s.statistics_name) = (sn.nspname, e.stxname)) AS x ON true
$$;

CREATE OR REPLACE FUNCTION quietus.refresh(view regclass) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('REFRESH MATERIALIZED VIEW %s', view);
END $$;

-- Partitions that no row of today looks for: by range of one date, which ended a day ago or more (whatever zone a date without
-- one is of). The innermost of them; a foreign table is never ours to drop, and one that is being detached is somebody else's.
CREATE OR REPLACE FUNCTION quietus.past_partitions(root regclass) RETURNS TABLE (relid regclass)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC' AS $$
    WITH dated AS (
        SELECT t.relid AS part, substring(pg_get_expr(c.relpartbound, c.oid) FROM '^FOR VALUES FROM \(.*\) TO \(''([^'']+)''\)$') AS ends
          FROM pg_partition_tree(root) AS t JOIN pg_class AS c ON c.oid = t.relid
          JOIN pg_partitioned_table AS p ON p.partrelid = t.parentrelid
          JOIN pg_attribute AS a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
         WHERE p.partstrat = 'r' AND p.partnatts = 1
           AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
    )
    SELECT d.part FROM dated AS d
     WHERE d.ends::timestamptz <= now() - interval '1 day'
       AND NOT EXISTS (SELECT FROM dated AS e, pg_partition_ancestors(e.part) AS x WHERE e.part <> d.part AND x.relid = d.part)
       AND NOT EXISTS (SELECT FROM pg_partition_tree(d.part) AS t JOIN pg_class AS c ON c.oid = t.relid WHERE c.relkind = 'f')
       AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = d.part AND i.inhdetachpending)
$$;

-- Why a partition must not go with its files; null: it may. Who may delete every row of a table may drop what of it is past,
-- and nothing else; but not past whatever the company made to act on its deletions, or to copy them elsewhere.
CREATE OR REPLACE FUNCTION quietus.keeps_partition(root regclass, part regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    family oid[] := ARRAY(SELECT t.relid FROM pg_partition_tree(part) AS t UNION SELECT a.relid FROM pg_partition_ancestors(part) AS a);
    what text;
BEGIN
    IF NOT has_table_privilege(quietus.actor(), root, 'DELETE') THEN
        RETURN 'the role may not delete its rows';
    END IF;
    IF NOT EXISTS (SELECT FROM quietus.past_partitions(root) AS p WHERE p.relid = part) THEN
        RETURN 'it is no partition of the past any more';
    END IF;
    SELECT min(t.tgname) INTO what FROM pg_trigger AS t JOIN pg_proc AS f ON f.oid = t.tgfoid
     WHERE t.tgrelid = ANY(family) AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & (8 | 32) <> 0
       AND f.pronamespace <> 'quietus'::regnamespace;
    IF what IS NOT NULL THEN
        RETURN format('the trigger %s acts on what is deleted there', what);
    END IF;
    SELECT min(r.rulename) INTO what FROM pg_rewrite AS r WHERE r.ev_class = ANY(family) AND r.ev_type = '4' AND r.ev_enabled <> 'D';
    IF what IS NOT NULL THEN
        RETURN format('the rule %s acts on what is deleted there', what);
    END IF;
    SELECT min(p.pubname) INTO what FROM pg_publication_tables AS p JOIN pg_class AS c ON c.relname = p.tablename
      JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = p.schemaname WHERE c.oid = ANY(family);
    IF what IS NOT NULL THEN
        RETURN format('who follows the publication %s is told of rows, and not of a partition', what);
    END IF;
    SELECT min(s.slot_name) INTO what FROM pg_replication_slots AS s WHERE s.slot_type = 'logical' AND s.database = current_database();
    IF what IS NOT NULL THEN
        RETURN format('who reads the slot %s is told of rows, and not of a partition', what);
    END IF;
    RETURN NULL;
END $$;

-- Closes a partition to writers, and to them alone, or says why it must not go. Readers pass while it waits; a vacuum that is at
-- work there is ended by the server after a second (deadlock_timeout), for which it waits two.
CREATE OR REPLACE FUNCTION quietus.close_partition(root regclass, part regclass) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    why text := quietus.keeps_partition(root, part);
BEGIN
    IF why IS NULL THEN
        EXECUTE format('LOCK TABLE %s IN EXCLUSIVE MODE', part);
    END IF;
    RETURN why;
END $$;

-- Detached first, for then the server looks whether a row that stays refers to one of its rows. Nothing is taken along (RESTRICT).
-- It waits for the whole table, and others wait behind it: so not for long.
CREATE OR REPLACE FUNCTION quietus.drop_partition(root regclass, part regclass, step text, dataset text, rows bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $$
DECLARE
    why text := quietus.keeps_partition(root, part);
BEGIN
    IF why IS NOT NULL THEN
        RAISE EXCEPTION '%', why USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO quietus.dropped (step, dataset, partition, rows, bytes)
    SELECT step, dataset, n.nspname || '.' || c.relname, rows,
           (SELECT sum(pg_total_relation_size(t.relid)) FROM pg_partition_tree(part) AS t WHERE t.isleaf)
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = part;
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', (SELECT i.inhparent::regclass FROM pg_inherits AS i WHERE i.inhrelid = part), part);
    EXECUTE format('DROP TABLE %s', part);
END $$;

-- How far each standby is, and nothing else of what pg_read_all_stats would show: other sessions' statements quote
-- people's values. Shows no more than its owner may see.
CREATE OR REPLACE FUNCTION quietus.standbys()
RETURNS TABLE (pid integer, application_name text, state text, write_lsn pg_lsn, replay_lsn pg_lsn)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.pid, r.application_name, r.state, r.write_lsn, r.replay_lsn FROM pg_stat_replication AS r
$$;

-- How far the last of the standbys is, for whoever deletes and is to wait for it; which it is, is nobody's business there. Of some
-- (hidden) this function's owner is not shown it either.
CREATE OR REPLACE FUNCTION quietus.furthest_behind() RETURNS TABLE (bytes bigint, replayed pg_lsn, hidden bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn))::bigint, min(r.replay_lsn), count(*) FILTER (WHERE r.state IS NULL)
      FROM pg_stat_replication AS r
$$;

-- How many others the server works for, or keeps waiting for a lock, and how many sessions it allows in all, for whoever deletes and
-- is to make room; who they are, and what they do, is nobody's business there. Of some (hidden) the owner is not shown it either.
CREATE OR REPLACE FUNCTION quietus.at_work() RETURNS TABLE (others bigint, allowed bigint, hidden bigint)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*) FILTER (WHERE a.state IN ('active', 'fastpath function call')), current_setting('max_connections')::bigint,
           count(*) FILTER (WHERE a.backend_type IS NULL)
      FROM pg_stat_activity AS a
     WHERE (a.backend_type = 'client backend' OR a.backend_type IS NULL) AND a.pid <> pg_backend_pid()
$$;

-- Who holds an old snapshot, for the prover, too: by kind, role and age. A row that the owner may not see says so.
CREATE OR REPLACE FUNCTION quietus.holding_back()
RETURNS TABLE (kind text, name text, xmin bigint, xid bigint, age_seconds int, hidden boolean)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE a.backend_type WHEN 'client backend' THEN 'backend' WHEN 'walsender' THEN 'standby' ELSE a.backend_type END,
           CASE a.backend_type WHEN 'walsender' THEN a.application_name ELSE concat_ws(' ', a.pid, 'of ' || a.usename) END,
           a.backend_xmin::text::bigint, a.backend_xid::text::bigint,
           extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::int, a.backend_type IS NULL
      FROM pg_stat_activity AS a
     WHERE (a.datname = current_database() OR a.backend_type = 'walsender' OR a.backend_type IS NULL)
       AND a.pid <> pg_backend_pid()
       AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL OR a.backend_type IS NULL)
$$;

-- The names of WAL segments, which are positions in the log.
CREATE OR REPLACE FUNCTION quietus.wal_segments() RETURNS TABLE (name text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT w.name FROM pg_ls_waldir() AS w
$$;

GRANT EXECUTE ON FUNCTION quietus.open_since(timestamptz) TO {eraser}, {prover};
GRANT EXECUTE ON FUNCTION quietus.holding_back(), quietus.wal_segments(), quietus.extended_statistics() TO {prover};
GRANT EXECUTE ON FUNCTION quietus.standbys() TO {prover};
GRANT EXECUTE ON FUNCTION quietus.renew_statistics(regclass[]), quietus.refresh(regclass), quietus.furthest_behind(), quietus.at_work()
    TO {eraser};
GRANT EXECUTE ON FUNCTION quietus.past_partitions(regclass), quietus.close_partition(regclass, regclass),
    quietus.drop_partition(regclass, regclass, text, text, bigint) TO {eraser};
