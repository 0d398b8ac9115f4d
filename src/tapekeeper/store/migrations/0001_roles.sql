-- Three group roles without a login. An administrator grants them to logins; no password is ever in SQL.
-- Roles belong to the whole server, so another database may have made them already, even at this very moment.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['tapekeeper_owner', 'tapekeeper_writer', 'tapekeeper_reader'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'tapekeeper_owner', 'MEMBER') THEN
        EXECUTE format('GRANT tapekeeper_owner TO %I', current_user);
    END IF;
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO tapekeeper_owner;
GRANT USAGE ON SCHEMA public TO tapekeeper_writer, tapekeeper_reader;
