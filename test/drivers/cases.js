// What an application does through node-postgres, all in the driver's defaults.
// Prints a line for each case: its name, a tab, what came back.
//
//   node cases.js CONNECTION_URI

'use strict';

const { Client, Pool, types } = require('pg');
const util = require('util');

const show = (v) => util.inspect(v, { depth: 6, breakLength: Infinity, maxStringLength: Infinity, maxArrayLength: Infinity });
const typed = (v) => (v === null ? 'null' : `${v.constructor.name} ${show(v)}`);
const fields = (r) => r.fields.map((f) => `${f.name}:${f.dataTypeID}:${f.dataTypeSize}:${f.dataTypeModifier}:${f.format}`).join(',');
const rows = (r) => `${r.command} ${r.rowCount} [${fields(r)}] `
	+ r.rows.map((row) => Object.values(row).map(typed).join(' | ')).join(' // ');

// Two of each type; column name in the table "typed" => values
const values = {
	c_text: ['Grzegorz Brzęczyszczykiewicz', ''],
	c_bytea: [Buffer.from([0, 1, 254, 255, 39, 92]), Buffer.alloc(0)],
	c_bool: [true, false],
	c_int2: [-32768, 7],
	c_int4: [2147483647, 0],
	c_int8: ['-9223372036854775808', 42],
	c_float4: [1.5, -0.25],
	c_float8: [Math.PI, Infinity],
	c_numeric: ['12345678901234567890.12300', 3],
	c_date: ['2024-02-29', new Date(2001, 1, 3)],
	c_time: ['23:59:59.999999', '00:00:00'],
	c_timestamp: ['2024-02-29 12:34:56.789', new Date(2001, 1, 3, 4, 5, 6, 7)],
	c_timestamptz: ['2024-02-29 12:34:56.789+02', new Date(Date.UTC(2001, 1, 3))],
	c_interval: ['1 year 2 mons 3 days 04:05:06.5', '-1 day'],
	c_uuid: ['123e4567-e89b-12d3-a456-426614174000', '00000000-0000-0000-0000-000000000000'],
	c_inet: ['192.168.1.5/24', '2001:db8::1'],
	c_jsonb: [{ a: [1, 2.5, null], b: 'ü' }, 'true'],
};

async function main() {
	const client = new Client({ connectionString: process.argv[2] });
	await client.connect();

	async function check(name, run) {
		let result;
		try {
			result = await run();
			result = typeof result === 'string' ? result : rows(result);
		} catch (e) {
			result = `error ${e.code} ${e.message}`;
		}
		console.log(`${name}\t${result.replace(/[\n\t]/g, ' ')}`);
	}
	const q = (name, ...args) => check(name, () => client.query(...args));

	let id = 0;
	for (const [column, list] of Object.entries(values)) {
		for (const value of [...list, null]) {
			id += 1;
			await q(`${column} ${id} insert`, `INSERT INTO typed (id, ${column}) VALUES ($1, $2) RETURNING ${column}`, [id, value]);
			await q(`${column} ${id} select`, `SELECT ${column} FROM typed WHERE id = $1`, [id]);
			await q(`${column} ${id} where`, `SELECT id FROM typed WHERE ${column} = $1 ORDER BY id`, [value]);
			await q(`${column} ${id} update`, `UPDATE typed SET ${column} = $2 WHERE id = $1 RETURNING ${column}`, [id, value]);
		}
		await q(`${column} range`, `SELECT id FROM typed WHERE ${column} >= $1 ORDER BY ${column}, id`, [list[0]]);
		await q(`${column} any`, `SELECT id FROM typed WHERE ${column} = ANY ($1) ORDER BY id`, [column === 'c_jsonb' ? ['true'] : list]);
		await q(`${column} binary`, { text: `SELECT ${column} FROM typed WHERE ${column} IS NOT NULL ORDER BY id`, binary: true });
	}
	await q('bytea as text', "INSERT INTO typed (id, c_bytea) VALUES ($1, decode($2, 'hex')), ($3, $4) RETURNING c_bytea", [500, '0001feff', 501, '\\x275c00']);
	await q('bytea in binary', { text: 'SELECT c_bytea FROM typed WHERE id >= 500 ORDER BY id', binary: true });
	await q('all types', 'SELECT * FROM typed WHERE c_bytea IS NULL OR id >= 500 ORDER BY id');
	await q('all types as arrays', { text: 'SELECT * FROM typed WHERE c_bytea IS NULL OR id >= 500 ORDER BY id', rowMode: 'array' });

	await q('search', 'SELECT customer_id, first_name, email FROM customer WHERE email ILIKE $1 AND country = $2 ORDER BY last_name, customer_id', ['%gmail%', 'USA']);
	await q('join', 'SELECT c.last_name, e.email, sum(i.total) AS spent FROM customer c JOIN employee e ON e.employee_id = c.support_rep_id JOIN invoice i USING (customer_id) WHERE c.state = $1 GROUP BY c.customer_id, c.last_name, e.email ORDER BY spent DESC, 1', ['CA']);
	await q('dates', 'SELECT first_name, birth_date, hire_date FROM employee WHERE birth_date < $1 ORDER BY birth_date', [new Date(1970, 0, 1)]);
	await q('json', 'SELECT row_to_json(e) AS e FROM employee e ORDER BY employee_id');
	await q('upsert', 'INSERT INTO customer (customer_id, first_name, last_name, email) VALUES ($1, $2, $3, $4) ON CONFLICT (customer_id) DO UPDATE SET email = excluded.email RETURNING *', [1, 'Ann', 'Other', 'ann.other@example.org']);
	await q('several rows', 'INSERT INTO customer (customer_id, first_name, last_name, email) VALUES ($1, $2, $3, $4), ($5, $6, $7, $8) RETURNING email, customer_id', [900, 'A', 'B', 'a@b', 901, '', 'D', 'c@d']);
	await q('expression', "UPDATE customer SET address = address || $1, phone = coalesce($2, phone) WHERE customer_id < 4 RETURNING address, phone, upper(last_name) AS shout", [', floor 2', null]);

	for (let i = 0; i < 7; i += 1)
		await q(`named statement ${i}`, { name: 'by-city', text: 'SELECT last_name, email FROM customer WHERE city = $1 ORDER BY customer_id', values: [['Prague', 'Paris', 'Olomouc', null][i % 4]] });

	await q('cursor: begin', 'BEGIN');
	await q('cursor: declare', 'DECLARE c CURSOR FOR SELECT last_name, birth_date FROM employee ORDER BY last_name');
	await q('cursor: fetch', 'FETCH 3 FROM c');
	await q('cursor: commit', 'COMMIT');

	await q('error: not null', 'UPDATE customer SET email = $1 WHERE customer_id = $2', [null, 2]);
	await q('error: duplicate', 'INSERT INTO customer (customer_id, first_name, last_name, email) VALUES ($1, $2, $3, $4)', [2, 'x', 'y', 'z']);
	await q('error: not an integer', 'INSERT INTO typed (id, c_int4) VALUES ($1, $2)', [1000, 'seven']);
	await q('error: out of range', 'INSERT INTO typed (id, c_int2) VALUES ($1, $2)', [1001, 40000]);

	await client.end();

	const pool = new Pool({ connectionString: process.argv[2], max: 4 });
	await check('pool', async () => (await Promise.all(
		Array.from({ length: 20 }, (_, i) => pool.query('SELECT first_name, email FROM customer WHERE customer_id = $1', [i + 2])))).map(rows).join(' // '));
	await pool.end();
}

main().catch((e) => { console.error(e); process.exit(1); });
