--
-- Signing rows
--

CREATE FUNCTION pgseal.sign_table("table" regclass, columns text[] DEFAULT NULL, key text DEFAULT NULL,
	signers text DEFAULT 'usage', ledger bool DEFAULT NULL) RETURNS int8
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_sign_table';
COMMENT ON FUNCTION pgseal.sign_table IS
'signs the rows of a table from now on, and those that are there; returns how many. columns: NULL: as before, all but generated ones at first. key: NULL: as before, the table''s own at first. signers: "usage": who writes needs USAGE on the key''s server; "writers": who may write. ledger: rows that are missing, or were put back, are noticed, too; NULL: as before, false at first. Also changes what is signed: then the worker signs the rows anew, or a second call does; those that do not verify are left as they are';

CREATE FUNCTION pgseal.unsign_table("table" regclass, confirm text) RETURNS void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_unsign_table';
COMMENT ON FUNCTION pgseal.unsign_table IS 'rows are neither signed nor verified any more; confirm repeats the table''s name. The column with the signatures stays';

CREATE FUNCTION pgseal.tampered_rows("table" regclass, OUT "partition" regclass, OUT "row" tid,
	OUT key text, OUT reason text)
RETURNS SETOF record
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_tampered_rows';
REVOKE ALL ON FUNCTION pgseal.tampered_rows FROM PUBLIC;
COMMENT ON FUNCTION pgseal.tampered_rows IS 'the rows of a signed table that do not verify: table or partition, ctid, primary key, and whether they are unsigned, forged, of an other table, or signed by an old definition';

--
-- Ledgers
--

CREATE TYPE pgseal.digest AS (
	ledger int8,
	number int8,
	lsn    pg_lsn,
	"rows" int8,
	hash   bytea,
	hmac   bytea
);
COMMENT ON TYPE pgseal.digest IS 'where the ledger of a signed table stood; to be kept where who changes the table cannot change it';

CREATE FUNCTION pgseal.ledger_digest("table" regclass) RETURNS pgseal.digest
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'pgseal_ledger_digest_of_table';
REVOKE ALL ON FUNCTION pgseal.ledger_digest FROM PUBLIC;
COMMENT ON FUNCTION pgseal.ledger_digest IS 'where the ledger of a signed table stands: pgseal.verify_table(digest => x) tells whether the table is older than that';

CREATE FUNCTION pgseal.verify_table("table" regclass, ledger bool DEFAULT false, digest pgseal.digest DEFAULT NULL,
	OUT "column" name, OUT sealed int8, OUT stale int8, OUT broken int8,
	OUT "rows" int8, OUT unsigned int8, OUT bad int8, OUT old_definition int8, OUT ledger_status text) RETURNS SETOF record
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_verify_table';
REVOKE ALL ON FUNCTION pgseal.verify_table FROM PUBLIC;
COMMENT ON FUNCTION pgseal.verify_table IS 'opens every value of a table, and verifies every signed row: how many there are, are under an old key version, do not open or verify, are signed by the former definition. ledger: are these the rows that there must be? digest: and is the ledger not older than this?';
