
--
-- The sealed index
--

CREATE FUNCTION pgseal_internal.sealed_handler(internal) RETURNS index_am_handler
LANGUAGE C AS 'MODULE_PATHNAME', 'pgseal_sealed_handler';
CREATE ACCESS METHOD sealed TYPE INDEX HANDLER pgseal_internal.sealed_handler;
COMMENT ON ACCESS METHOD sealed IS 'index whose nodes are encrypted as a whole';

-- Plain columns before the encrypted one
CREATE OPERATOR CLASS sealed_plain_bool_ops DEFAULT FOR TYPE bool USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btboolcmp(bool, bool);
CREATE OPERATOR CLASS sealed_plain_int2_ops DEFAULT FOR TYPE int2 USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint2cmp(int2, int2);
CREATE OPERATOR CLASS sealed_plain_int4_ops DEFAULT FOR TYPE int4 USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int4, int4);
CREATE OPERATOR CLASS sealed_plain_int8_ops DEFAULT FOR TYPE int8 USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint8cmp(int8, int8);
CREATE OPERATOR CLASS sealed_plain_text_ops DEFAULT FOR TYPE text USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 bttextcmp(text, text);
CREATE OPERATOR CLASS sealed_plain_uuid_ops DEFAULT FOR TYPE uuid USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 uuid_cmp(uuid, uuid);
CREATE OPERATOR CLASS sealed_plain_date_ops DEFAULT FOR TYPE date USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 date_cmp(date, date);
CREATE OPERATOR CLASS sealed_plain_timestamp_ops DEFAULT FOR TYPE timestamp USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 timestamp_cmp(timestamp, timestamp);
CREATE OPERATOR CLASS sealed_plain_timestamptz_ops DEFAULT FOR TYPE timestamptz USING sealed AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 timestamptz_cmp(timestamptz, timestamptz);

-- Minimum and maximum of a range of blocks, sealed: the classes are in 51_sealed_types.sql
CREATE FUNCTION pgseal_internal.brin_opcinfo(internal) RETURNS internal
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_opcinfo';
CREATE FUNCTION pgseal_internal.brin_add_value(internal, internal, internal, internal) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_add_value';
CREATE FUNCTION pgseal_internal.brin_consistent(internal, internal, internal, int4) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_consistent';
CREATE FUNCTION pgseal_internal.brin_union(internal, internal, internal) RETURNS bool
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_brin_union';

CREATE FUNCTION pgseal.verify_index(index regclass,
	OUT leaves int8, OUT entries int8, OUT misplaced int8, OUT rows int8, OUT missing int8)
LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'pgseal_verify_index';
COMMENT ON FUNCTION pgseal.verify_index(regclass) IS 'opens all of a sealed index, or of BRIN on encrypted columns, and looks for every row in it';
