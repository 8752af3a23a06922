--
-- Signing rows
--

CREATE FUNCTION pgseal.sign_table("table" regclass, columns text[] DEFAULT NULL, key text DEFAULT NULL,
	signers text DEFAULT 'usage') RETURNS int8
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_sign_table';
COMMENT ON FUNCTION pgseal.sign_table IS
'signs the rows of a table from now on, and those that are there; returns how many. columns: all but generated ones by default. key: the table''s own by default. signers: "usage": who writes needs USAGE on the key''s server; "writers": who may write. Also changes what is signed: then rows that do not verify are left as they are';

CREATE FUNCTION pgseal.unsign_table("table" regclass, confirm text) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_unsign_table';
COMMENT ON FUNCTION pgseal.unsign_table IS 'rows are neither signed nor verified any more; confirm repeats the table''s name. The column with the signatures stays';

CREATE FUNCTION pgseal.tampered_rows("table" regclass, OUT "row" tid, OUT key text, OUT reason text)
RETURNS SETOF record
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_tampered_rows';
REVOKE ALL ON FUNCTION pgseal.tampered_rows FROM PUBLIC;
COMMENT ON FUNCTION pgseal.tampered_rows IS 'the rows of a signed table that do not verify: ctid, primary key, and whether they are unsigned, forged, or signed by an old definition';
