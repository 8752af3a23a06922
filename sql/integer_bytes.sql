-- Casts between integers and bytea, which PostgreSQL has since 18, for a role that
-- may open values and has nothing else
CREATE ROLE regress_integers;
GRANT USAGE ON FOREIGN SERVER local_keyring TO regress_integers;
CREATE TABLE bytes (two encrypted_int2, four encrypted_int4, eight encrypted_int8, bytes encrypted_bytea);
GRANT SELECT, INSERT ON bytes TO regress_integers;
SET ROLE regress_integers;

-- out of the column
INSERT INTO bytes VALUES (-2, 258, -9223372036854775808, '\x0102');
SELECT two::bytea, four::bytea, eight::bytea FROM bytes;
SELECT bytes::int2, bytes::int4, bytes::int8 FROM bytes;

-- into it
INSERT INTO bytes (bytes) VALUES (1::int2::encrypted_bytea), (2::int4::encrypted_bytea), ((-3)::int8::encrypted_bytea);
SELECT bytes FROM bytes WHERE two IS NULL ORDER BY bytes;

-- from one to the other
SELECT four::encrypted_bytea::bytea, bytes::encrypted_int4::int4, two::encrypted_bytea::encrypted_int2::int2 FROM bytes WHERE two IS NOT NULL;

-- shorter ones are filled up, longer ones are out of range
SELECT ''::bytea::encrypted_int4::int4, '\xff'::bytea::encrypted_int4::int4, '\xffff'::bytea::encrypted_int2::int2, '\x80'::bytea::encrypted_int8::int8;
SELECT '\x010203'::bytea::encrypted_int2;
SELECT '\x0102030405'::bytea::encrypted_int4;
SELECT '\x010203040506070809'::bytea::encrypted_int8;

RESET ROLE;
DROP TABLE bytes;
REVOKE USAGE ON FOREIGN SERVER local_keyring FROM regress_integers;
DROP ROLE regress_integers;
