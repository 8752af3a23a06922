-- Made by test/parity/related.pl (make parity); don't edit.
--
-- = with values of the base type's relatives, so that a parameter of whatever
-- integer or number type finds the index.  Inlined: what the planner sees is
-- the = of the column's own base type.  A value that has no counterpart in the
-- column's type equals nothing (and NULL stays unknown).  Those with a plain
-- numeric are hidden in pgseal_internal (unopen.c).
--

CREATE FUNCTION pgseal_internal.eq(encrypted_int2, int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = CASE WHEN $2 BETWEEN -32768 AND 32767 THEN $2::int2 END AND (($2 BETWEEN -32768 AND 32767) IS NOT FALSE OR $1 IS NULL);
CREATE FUNCTION pgseal_internal.eq(int4, encrypted_int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = CASE WHEN $1 BETWEEN -32768 AND 32767 THEN $1::int2 END AND (($1 BETWEEN -32768 AND 32767) IS NOT FALSE OR $2 IS NULL);
CREATE FUNCTION pgseal_internal.eq(encrypted_int2, int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = CASE WHEN $2 BETWEEN -32768 AND 32767 THEN $2::int2 END AND (($2 BETWEEN -32768 AND 32767) IS NOT FALSE OR $1 IS NULL);
CREATE FUNCTION pgseal_internal.eq(int8, encrypted_int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = CASE WHEN $1 BETWEEN -32768 AND 32767 THEN $1::int2 END AND (($1 BETWEEN -32768 AND 32767) IS NOT FALSE OR $2 IS NULL);
CREATE FUNCTION pgseal_internal.eq(encrypted_int2, numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = CASE WHEN $2 BETWEEN -32768 AND 32767 AND $2 % 1 = 0 THEN $2::int2 END AND (($2 BETWEEN -32768 AND 32767 AND $2 % 1 = 0) IS NOT FALSE OR $1 IS NULL);
CREATE FUNCTION pgseal_internal.eq(numeric, encrypted_int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = CASE WHEN $1 BETWEEN -32768 AND 32767 AND $1 % 1 = 0 THEN $1::int2 END AND (($1 BETWEEN -32768 AND 32767 AND $1 % 1 = 0) IS NOT FALSE OR $2 IS NULL);
CREATE FUNCTION pgseal_internal.eq(encrypted_int4, int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = $2::int4;
CREATE FUNCTION pgseal_internal.eq(int2, encrypted_int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = $1::int4;
CREATE FUNCTION pgseal_internal.eq(encrypted_int4, int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = CASE WHEN $2 BETWEEN -2147483648 AND 2147483647 THEN $2::int4 END AND (($2 BETWEEN -2147483648 AND 2147483647) IS NOT FALSE OR $1 IS NULL);
CREATE FUNCTION pgseal_internal.eq(int8, encrypted_int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = CASE WHEN $1 BETWEEN -2147483648 AND 2147483647 THEN $1::int4 END AND (($1 BETWEEN -2147483648 AND 2147483647) IS NOT FALSE OR $2 IS NULL);
CREATE FUNCTION pgseal_internal.eq(encrypted_int4, numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = CASE WHEN $2 BETWEEN -2147483648 AND 2147483647 AND $2 % 1 = 0 THEN $2::int4 END AND (($2 BETWEEN -2147483648 AND 2147483647 AND $2 % 1 = 0) IS NOT FALSE OR $1 IS NULL);
CREATE FUNCTION pgseal_internal.eq(numeric, encrypted_int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = CASE WHEN $1 BETWEEN -2147483648 AND 2147483647 AND $1 % 1 = 0 THEN $1::int4 END AND (($1 BETWEEN -2147483648 AND 2147483647 AND $1 % 1 = 0) IS NOT FALSE OR $2 IS NULL);
CREATE FUNCTION pgseal_internal.eq(encrypted_int8, int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = $2::int8;
CREATE FUNCTION pgseal_internal.eq(int2, encrypted_int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = $1::int8;
CREATE FUNCTION pgseal_internal.eq(encrypted_int8, int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = $2::int8;
CREATE FUNCTION pgseal_internal.eq(int4, encrypted_int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = $1::int8;
CREATE FUNCTION pgseal_internal.eq(encrypted_int8, numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 = CASE WHEN $2 BETWEEN -9223372036854775808 AND 9223372036854775807 AND $2 % 1 = 0 THEN $2::int8 END AND (($2 BETWEEN -9223372036854775808 AND 9223372036854775807 AND $2 % 1 = 0) IS NOT FALSE OR $1 IS NULL);
CREATE FUNCTION pgseal_internal.eq(numeric, encrypted_int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 = CASE WHEN $1 BETWEEN -9223372036854775808 AND 9223372036854775807 AND $1 % 1 = 0 THEN $1::int8 END AND (($1 BETWEEN -9223372036854775808 AND 9223372036854775807 AND $1 % 1 = 0) IS NOT FALSE OR $2 IS NULL);
CREATE FUNCTION pgseal_internal.eq(encrypted_numeric, int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 OPERATOR(pgseal_internal.=) $2::numeric;
CREATE FUNCTION pgseal_internal.eq(int2, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 OPERATOR(pgseal_internal.=) $1::numeric;
CREATE FUNCTION pgseal_internal.eq(encrypted_numeric, int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 OPERATOR(pgseal_internal.=) $2::numeric;
CREATE FUNCTION pgseal_internal.eq(int4, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 OPERATOR(pgseal_internal.=) $1::numeric;
CREATE FUNCTION pgseal_internal.eq(encrypted_numeric, int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 OPERATOR(pgseal_internal.=) $2::numeric;
CREATE FUNCTION pgseal_internal.eq(int8, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $2 OPERATOR(pgseal_internal.=) $1::numeric;
CREATE OPERATOR = (LEFTARG = encrypted_int2, RIGHTARG = int4, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int4, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_int2, RIGHTARG = int8, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int8, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR pgseal_internal.= (LEFTARG = encrypted_int2, RIGHTARG = numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = OPERATOR(pgseal_internal.=),
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR pgseal_internal.= (LEFTARG = numeric, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.eq, COMMUTATOR = OPERATOR(pgseal_internal.=),
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_int4, RIGHTARG = int2, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int2, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_int4, RIGHTARG = int8, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int8, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR pgseal_internal.= (LEFTARG = encrypted_int4, RIGHTARG = numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = OPERATOR(pgseal_internal.=),
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR pgseal_internal.= (LEFTARG = numeric, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.eq, COMMUTATOR = OPERATOR(pgseal_internal.=),
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_int8, RIGHTARG = int2, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int2, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_int8, RIGHTARG = int4, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int4, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR pgseal_internal.= (LEFTARG = encrypted_int8, RIGHTARG = numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = OPERATOR(pgseal_internal.=),
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR pgseal_internal.= (LEFTARG = numeric, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.eq, COMMUTATOR = OPERATOR(pgseal_internal.=),
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_numeric, RIGHTARG = int2, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int2, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_numeric, RIGHTARG = int4, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int4, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_numeric, RIGHTARG = int8, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = int8, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = =,
	RESTRICT = eqsel, JOIN = eqjoinsel);

-- Two encrypted columns of different types
CREATE FUNCTION pgseal_internal.eq(encrypted_int2, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) = pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.eq(encrypted_numeric, encrypted_int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) = pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.eq(encrypted_int4, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) = pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.eq(encrypted_numeric, encrypted_int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) = pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.eq(encrypted_int8, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) = pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.eq(encrypted_numeric, encrypted_int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) = pgseal_internal.open($2);
CREATE OPERATOR = (LEFTARG = encrypted_int2, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_numeric, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_int4, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_numeric, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_int8, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel);
CREATE OPERATOR = (LEFTARG = encrypted_numeric, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.eq, COMMUTATOR = =, NEGATOR = <>,
	RESTRICT = eqsel, JOIN = eqjoinsel);

-- What these need to compare rows: <>, and a btree family.  That has no operator
-- class; no index and no merge join uses it.
CREATE FUNCTION pgseal_internal.ne(int2, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(int2, encrypted_numeric) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN $1 < pgseal_internal.open($2) THEN -1 WHEN $1 > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_numeric, int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> $2;
CREATE FUNCTION pgseal_internal.cmp(encrypted_numeric, int2) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < $2 THEN -1 WHEN pgseal_internal.open($1) > $2 THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_int2, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(encrypted_int2, encrypted_numeric) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < pgseal_internal.open($2) THEN -1 WHEN pgseal_internal.open($1) > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_numeric, encrypted_int2) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(encrypted_numeric, encrypted_int2) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < pgseal_internal.open($2) THEN -1 WHEN pgseal_internal.open($1) > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(int4, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(int4, encrypted_numeric) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN $1 < pgseal_internal.open($2) THEN -1 WHEN $1 > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_numeric, int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> $2;
CREATE FUNCTION pgseal_internal.cmp(encrypted_numeric, int4) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < $2 THEN -1 WHEN pgseal_internal.open($1) > $2 THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_int4, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(encrypted_int4, encrypted_numeric) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < pgseal_internal.open($2) THEN -1 WHEN pgseal_internal.open($1) > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_numeric, encrypted_int4) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(encrypted_numeric, encrypted_int4) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < pgseal_internal.open($2) THEN -1 WHEN pgseal_internal.open($1) > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(int8, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN $1 <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(int8, encrypted_numeric) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN $1 < pgseal_internal.open($2) THEN -1 WHEN $1 > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_numeric, int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> $2;
CREATE FUNCTION pgseal_internal.cmp(encrypted_numeric, int8) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < $2 THEN -1 WHEN pgseal_internal.open($1) > $2 THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_int8, encrypted_numeric) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(encrypted_int8, encrypted_numeric) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < pgseal_internal.open($2) THEN -1 WHEN pgseal_internal.open($1) > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE FUNCTION pgseal_internal.ne(encrypted_numeric, encrypted_int8) RETURNS bool
LANGUAGE SQL STABLE PARALLEL SAFE RETURN pgseal_internal.open($1) <> pgseal_internal.open($2);
CREATE FUNCTION pgseal_internal.cmp(encrypted_numeric, encrypted_int8) RETURNS int4
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN CASE WHEN pgseal_internal.open($1) < pgseal_internal.open($2) THEN -1 WHEN pgseal_internal.open($1) > pgseal_internal.open($2) THEN 1 ELSE 0 END;
CREATE OPERATOR <> (LEFTARG = int2, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_numeric, RIGHTARG = int2, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_int2, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_numeric, RIGHTARG = encrypted_int2, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = int4, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_numeric, RIGHTARG = int4, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_int4, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_numeric, RIGHTARG = encrypted_int4, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = int8, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_numeric, RIGHTARG = int8, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_int8, RIGHTARG = encrypted_numeric, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR <> (LEFTARG = encrypted_numeric, RIGHTARG = encrypted_int8, FUNCTION = pgseal_internal.ne, COMMUTATOR = <>, NEGATOR = =,
	RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR FAMILY pgseal_internal.other_ops USING btree;
ALTER OPERATOR FAMILY pgseal_internal.other_ops USING btree ADD
	OPERATOR 3 = (int2, encrypted_numeric), FUNCTION 1 (int2, encrypted_numeric) pgseal_internal.cmp(int2, encrypted_numeric),
	OPERATOR 3 = (encrypted_numeric, int2), FUNCTION 1 (encrypted_numeric, int2) pgseal_internal.cmp(encrypted_numeric, int2),
	OPERATOR 3 = (encrypted_int2, encrypted_numeric), FUNCTION 1 (encrypted_int2, encrypted_numeric) pgseal_internal.cmp(encrypted_int2, encrypted_numeric),
	OPERATOR 3 = (encrypted_numeric, encrypted_int2), FUNCTION 1 (encrypted_numeric, encrypted_int2) pgseal_internal.cmp(encrypted_numeric, encrypted_int2),
	OPERATOR 3 = (int4, encrypted_numeric), FUNCTION 1 (int4, encrypted_numeric) pgseal_internal.cmp(int4, encrypted_numeric),
	OPERATOR 3 = (encrypted_numeric, int4), FUNCTION 1 (encrypted_numeric, int4) pgseal_internal.cmp(encrypted_numeric, int4),
	OPERATOR 3 = (encrypted_int4, encrypted_numeric), FUNCTION 1 (encrypted_int4, encrypted_numeric) pgseal_internal.cmp(encrypted_int4, encrypted_numeric),
	OPERATOR 3 = (encrypted_numeric, encrypted_int4), FUNCTION 1 (encrypted_numeric, encrypted_int4) pgseal_internal.cmp(encrypted_numeric, encrypted_int4),
	OPERATOR 3 = (int8, encrypted_numeric), FUNCTION 1 (int8, encrypted_numeric) pgseal_internal.cmp(int8, encrypted_numeric),
	OPERATOR 3 = (encrypted_numeric, int8), FUNCTION 1 (encrypted_numeric, int8) pgseal_internal.cmp(encrypted_numeric, int8),
	OPERATOR 3 = (encrypted_int8, encrypted_numeric), FUNCTION 1 (encrypted_int8, encrypted_numeric) pgseal_internal.cmp(encrypted_int8, encrypted_numeric),
	OPERATOR 3 = (encrypted_numeric, encrypted_int8), FUNCTION 1 (encrypted_numeric, encrypted_int8) pgseal_internal.cmp(encrypted_numeric, encrypted_int8);

-- column = ANY (array of a relative): the tokens that the column's own type has
-- for the elements (lookup.c).  What has no counterpart becomes NULL, which has
-- no token.
CREATE FUNCTION pgseal_internal.tokens_of_int2(value int4[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens(ARRAY(SELECT CASE WHEN x BETWEEN -32768 AND 32767 THEN x::int2 END FROM unnest($1) AS x), $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int2(value int8[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens(ARRAY(SELECT CASE WHEN x BETWEEN -32768 AND 32767 THEN x::int2 END FROM unnest($1) AS x), $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int2(value numeric[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens(ARRAY(SELECT CASE WHEN x BETWEEN -32768 AND 32767 AND x % 1 = 0 THEN x::int2 END FROM unnest($1) AS x), $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int4(value int2[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::int4[], $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int4(value int8[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens(ARRAY(SELECT CASE WHEN x BETWEEN -2147483648 AND 2147483647 THEN x::int4 END FROM unnest($1) AS x), $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int4(value numeric[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens(ARRAY(SELECT CASE WHEN x BETWEEN -2147483648 AND 2147483647 AND x % 1 = 0 THEN x::int4 END FROM unnest($1) AS x), $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int8(value int2[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::int8[], $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int8(value int4[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::int8[], $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_int8(value numeric[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens(ARRAY(SELECT CASE WHEN x BETWEEN -9223372036854775808 AND 9223372036854775807 AND x % 1 = 0 THEN x::int8 END FROM unnest($1) AS x), $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_numeric(value int2[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::numeric[], $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_numeric(value int4[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::numeric[], $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_numeric(value int8[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::numeric[], $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_float8(value float4[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::float8[], $2, $3, $4);
CREATE FUNCTION pgseal_internal.tokens_of_text(value name[], typmod int4, normalizer text, bits int4) RETURNS bytea[]
LANGUAGE SQL STABLE STRICT PARALLEL SAFE RETURN pgseal_internal.tokens($1::text[], $2, $3, $4);
