-- Payloads with zero bytes in them open as they were sealed
CREATE TABLE zero_bytes (
	n encrypted_numeric, i encrypted_interval, u encrypted_uuid, a encrypted_inet,
	b encrypted_bytea, j encrypted_jsonb);
INSERT INTO zero_bytes VALUES
	('1.5', '1 mon 2 days 00:00:03', 'a0000000-0000-0000-0000-0000000000ff', '10.0.0.1/24', '\x610062', '{"a": 0}'),
	('10000.0001', '0', '00000000-0000-0000-0000-000000000000', '::1', '\x0000', 'null'),
	('0', '-178000000 years', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '0.0.0.0', '', '"\\u0001"');
SET intervalstyle = postgres;
SELECT * FROM zero_bytes;
DROP TABLE zero_bytes;
