-- Acting as a business role, without being able to leave anything behind: the statement is run with the role's rights
-- and row security, and undone. ``n``: the number it returns; ``code``: the SQLSTATE if it was refused, and
-- ``violated`` the constraint, if one did it. The refusal of a statement is not raised, so the log quotes no row.
CREATE OR REPLACE FUNCTION {function}(
    statement text, arguments text[], OUT n bigint, OUT code text, OUT violated text
) LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE statement INTO n USING arguments;
    RAISE EXCEPTION SQLSTATE 'QT000';
EXCEPTION
    WHEN SQLSTATE 'QT000' THEN
        NULL;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, violated = CONSTRAINT_NAME;
END $$;
ALTER FUNCTION {function} OWNER TO {role};
REVOKE ALL ON FUNCTION {function} FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {function} TO {prover};
REVOKE {role} FROM {prover};
