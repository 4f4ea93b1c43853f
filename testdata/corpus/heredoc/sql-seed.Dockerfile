FROM postgres:16-alpine
COPY <<'SQL' /docker-entrypoint-initdb.d/10-schema.sql
CREATE TABLE users (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  data jsonb DEFAULT '{"a": [1, 2, "three"]}'
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.data := NEW.data || '{"touched": true}';
  RETURN NEW;
END
$$;
# not a comment for the builder
SQL
ADD <<EOF /docker-entrypoint-initdb.d/20-data.sh
#!/bin/bash
psql -v ON_ERROR_STOP=1 --username "\$POSTGRES_USER" <<-EOSQL
  INSERT INTO users (name) VALUES ('it''s me');
EOSQL
EOF
ENV POSTGRES_DB app
