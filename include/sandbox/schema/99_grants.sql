-- The company's own applications, each with what its work needs and no more.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['company_owner', 'app_portal', 'app_ra', 'app_sign', 'app_support', 'app_bi'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    END IF;
  END LOOP;
  FOREACH r IN ARRAY ARRAY['eraser', 'prover'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN BYPASSRLS', r);
    END IF;
  END LOOP;
END $$;

DO $$
DECLARE s text; t record;
BEGIN
  -- The files before this one made every schema there is but public.
  FOR s IN SELECT nspname FROM pg_namespace
           WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public') LOOP
    EXECUTE format('ALTER SCHEMA %I OWNER TO company_owner', s);
    FOR t IN SELECT c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = s AND c.relkind IN ('r', 'p', 'm') LOOP
      EXECUTE format('ALTER %s %I.%I OWNER TO company_owner',
                     CASE t.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, s, t.relname);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO eraser, prover, app_bi', s);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO eraser', s);
    EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO eraser', s);
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO prover', s);
    FOR t IN SELECT p.oid::regprocedure AS f FROM pg_proc p WHERE p.pronamespace = s::regnamespace LOOP
      EXECUTE format('ALTER FUNCTION %s OWNER TO company_owner', t.f);
    END LOOP;
  END LOOP;
END $$;
-- The eraser refreshes the derived copies; only their owner may, so it is a member for that one duty.
ALTER ROLE eraser NOINHERIT;
GRANT company_owner TO eraser;

GRANT USAGE ON SCHEMA account, usage, cert TO app_portal;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA account TO app_portal;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA usage TO app_portal;
GRANT SELECT ON cert.certificate, cert.usb_key TO app_portal;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA account, usage TO app_portal;

GRANT USAGE ON SCHEMA ra, cert, ent, account TO app_ra;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ra, cert, ent TO app_ra;
GRANT SELECT ON account.account, account.person TO app_ra;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA ra, cert, ent TO app_ra;

GRANT USAGE ON SCHEMA sign, account, cert TO app_sign;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA sign TO app_sign;
GRANT SELECT ON account.account, account.person, cert.certificate, cert.hosted_key TO app_sign;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA sign TO app_sign;

GRANT USAGE ON SCHEMA support, account, billing, partner TO app_support;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA support, billing TO app_support;
GRANT SELECT ON account.account, account.person, partner.transfer TO app_support;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA support, billing TO app_support;

GRANT SELECT ON ALL TABLES IN SCHEMA usage, stat, partner, ops TO app_bi;
GRANT SELECT ON account.account TO app_bi;

-- Row security does not reach into a materialised view: no application reads this copy, only the nightly report
-- does, as its owner.
REVOKE ALL ON usage.use_by_account FROM app_portal, app_bi;
