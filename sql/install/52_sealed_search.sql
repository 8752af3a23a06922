--
-- LIKE, regular expressions and JSON containment by a sealed index
--
-- The operators are hidden in pgseal_internal: the parser takes PostgreSQL's own on the
-- opened value, and the planner is given these (unopen.c).
--

CREATE FUNCTION pgseal_internal.matchsel(internal, oid, internal, int4) RETURNS float8
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_matchsel';

CREATE FUNCTION pgseal_internal.text_like(encrypted_text, text) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_like';
CREATE FUNCTION pgseal_internal.text_ilike(encrypted_text, text) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_ilike';
CREATE FUNCTION pgseal_internal.text_matches(encrypted_text, text) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_matches';
CREATE FUNCTION pgseal_internal.text_imatches(encrypted_text, text) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_imatches';
CREATE FUNCTION pgseal_internal.text_starts_with(encrypted_text, text) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_starts_with';
CREATE FUNCTION pgseal_internal.json_contains(encrypted_jsonb, jsonb) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_json_contains';
CREATE FUNCTION pgseal_internal.json_path_exists(encrypted_jsonb, jsonpath) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_json_path_exists';
CREATE FUNCTION pgseal_internal.json_path_match(encrypted_jsonb, jsonpath) RETURNS bool
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_json_path_match';

CREATE OPERATOR pgseal_internal.~~ (LEFTARG = encrypted_text, RIGHTARG = text, FUNCTION = pgseal_internal.text_like,
	RESTRICT = pgseal_internal.matchsel, JOIN = likejoinsel);
CREATE OPERATOR pgseal_internal.~~* (LEFTARG = encrypted_text, RIGHTARG = text, FUNCTION = pgseal_internal.text_ilike,
	RESTRICT = pgseal_internal.matchsel, JOIN = iclikejoinsel);
CREATE OPERATOR pgseal_internal.~ (LEFTARG = encrypted_text, RIGHTARG = text, FUNCTION = pgseal_internal.text_matches,
	RESTRICT = pgseal_internal.matchsel, JOIN = regexeqjoinsel);
CREATE OPERATOR pgseal_internal.~* (LEFTARG = encrypted_text, RIGHTARG = text, FUNCTION = pgseal_internal.text_imatches,
	RESTRICT = pgseal_internal.matchsel, JOIN = icregexeqjoinsel);
CREATE OPERATOR pgseal_internal.^@ (LEFTARG = encrypted_text, RIGHTARG = text, FUNCTION = pgseal_internal.text_starts_with,
	RESTRICT = pgseal_internal.matchsel, JOIN = prefixjoinsel);
CREATE OPERATOR pgseal_internal.@> (LEFTARG = encrypted_jsonb, RIGHTARG = jsonb, FUNCTION = pgseal_internal.json_contains,
	RESTRICT = pgseal_internal.matchsel, JOIN = matchingjoinsel);
CREATE OPERATOR pgseal_internal.@? (LEFTARG = encrypted_jsonb, RIGHTARG = jsonpath, FUNCTION = pgseal_internal.json_path_exists,
	RESTRICT = pgseal_internal.matchsel, JOIN = matchingjoinsel);
CREATE OPERATOR pgseal_internal.@@ (LEFTARG = encrypted_jsonb, RIGHTARG = jsonpath, FUNCTION = pgseal_internal.json_path_match,
	RESTRICT = pgseal_internal.matchsel, JOIN = matchingjoinsel);

-- Beginnings: by the order of bytes
CREATE FUNCTION pgseal_internal.pattern_cmp(encrypted_text, encrypted_text) RETURNS int4
LANGUAGE C STABLE STRICT PARALLEL SAFE COST 20 AS 'MODULE_PATHNAME', 'pgseal_sealed_pattern_cmp';
CREATE OPERATOR FAMILY sealed_text_pattern_ops USING sealed;
CREATE OPERATOR CLASS sealed_text_pattern_ops FOR TYPE encrypted_text USING sealed FAMILY sealed_text_pattern_ops AS
	OPERATOR 3 =,
	OPERATOR 6 pgseal_internal.~~ (encrypted_text, text), OPERATOR 7 pgseal_internal.^@ (encrypted_text, text),
	OPERATOR 8 pgseal_internal.~ (encrypted_text, text),
	FUNCTION 1 pgseal_internal.pattern_cmp(encrypted_text, encrypted_text);
ALTER OPERATOR FAMILY sealed_text_pattern_ops USING sealed ADD OPERATOR 3 = (encrypted_text, text);

-- In the default class where the index has the collation "C"
ALTER OPERATOR FAMILY sealed_text_ops USING sealed ADD
	OPERATOR 6 pgseal_internal.~~ (encrypted_text, text), OPERATOR 7 pgseal_internal.^@ (encrypted_text, text),
	OPERATOR 8 pgseal_internal.~ (encrypted_text, text);

-- Anything within: by the trigrams of a text, by the paths in a document.  The
-- functions are marks that the access method knows; nobody calls them.
CREATE FUNCTION pgseal_internal.sealed_trigrams(encrypted_text) RETURNS void
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_sealed_trigrams';
CREATE FUNCTION pgseal_internal.sealed_paths(encrypted_jsonb) RETURNS void
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'pgseal_sealed_paths';
CREATE OPERATOR CLASS sealed_trgm_ops FOR TYPE encrypted_text USING sealed AS
	OPERATOR 6 pgseal_internal.~~ (encrypted_text, text), OPERATOR 7 pgseal_internal.^@ (encrypted_text, text),
	OPERATOR 8 pgseal_internal.~ (encrypted_text, text), OPERATOR 9 pgseal_internal.~~* (encrypted_text, text),
	OPERATOR 10 pgseal_internal.~* (encrypted_text, text),
	FUNCTION 7 pgseal_internal.sealed_trigrams(encrypted_text);
CREATE OPERATOR CLASS sealed_path_ops DEFAULT FOR TYPE encrypted_jsonb USING sealed AS
	OPERATOR 11 pgseal_internal.@> (encrypted_jsonb, jsonb), OPERATOR 12 pgseal_internal.@? (encrypted_jsonb, jsonpath),
	OPERATOR 13 pgseal_internal.@@ (encrypted_jsonb, jsonpath),
	FUNCTION 7 pgseal_internal.sealed_paths(encrypted_jsonb);
