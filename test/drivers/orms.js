// Sequelize, Knex, Drizzle and TypeORM as docs/clients.md declares columns: orms.js HOST PORT USER DATABASE
const [host, port, user, database] = process.argv.slice(2);
const print = (name, ...values) => console.log(name, ...values.map((value) => JSON.stringify(value)));

async function withSequelize() {
	const { Sequelize, DataTypes } = require('sequelize');
	const db = new Sequelize({ dialect: 'postgres', host, port, username: user, database, logging: false });
	const Person = db.define('person', {
		id: { type: DataTypes.INTEGER, primaryKey: true },
		email: 'encrypted_text',
		n: 'encrypted_int4',
	}, { timestamps: false, tableName: 'person_sequelize' });
	await Person.sync();
	await db.query('CREATE UNIQUE INDEX ON person_sequelize (blind_index(email))');
	await Person.bulkCreate([{ id: 1, email: 'a', n: 5 }, { id: 2, email: 'b', n: 6 }]);
	print('sequelize lookup', await Person.findAll({ where: { email: 'a' }, raw: true }));
	print('sequelize sum', await Person.sum('n'), await Person.count({ where: { email: ['a', 'b'] } }));
	await Person.create({ id: 3, email: 'a' }).catch((error) => print('sequelize unique', error.name, error.parent.detail));
	await Person.sync({ alter: true });
	print('sequelize alter', (await db.query("SELECT format_type(atttypid, atttypmod) AS t FROM pg_attribute WHERE attrelid = 'person_sequelize'::regclass AND attname = 'email'"))[0]);
	await db.close();
}

async function withKnex() {
	const db = require('knex')({ client: 'pg', connection: { host, port, user, database } });
	await db.schema.createTable('person_knex', (table) => {
		table.integer('id').primary();
		table.specificType('email', 'encrypted_text');
		table.specificType('n', 'encrypted_int4');
	});
	await db.raw('CREATE UNIQUE INDEX ON person_knex (blind_index(email))');
	await db('person_knex').insert([{ id: 1, email: 'a', n: 1 }, { id: 2, email: 'b', n: 2 }]);
	print('knex lookup', await db('person_knex').where({ email: 'a' }), await db('person_knex').whereIn('email', ['a', 'b']).sum('n'));
	print('knex upsert', await db('person_knex').insert({ id: 4, email: 'a', n: 8 }).onConflict('email').merge(['n']).returning('*'));
	await db.destroy();
}

async function withDrizzle() {
	const { pgTable, integer, customType } = require('drizzle-orm/pg-core');
	const { drizzle } = require('drizzle-orm/node-postgres');
	const { sql, eq, like, desc } = require('drizzle-orm');
	const encryptedText = customType({ dataType: () => 'encrypted_text' });
	const encryptedInt = customType({ dataType: () => 'encrypted_int4' });
	const person = pgTable('person_drizzle', { id: integer('id').primaryKey(), email: encryptedText('email'), n: encryptedInt('n') });
	const pool = new (require('pg').Pool)({ host, port, user, database });
	const db = drizzle(pool);
	await db.execute(sql`CREATE TABLE person_drizzle (id int PRIMARY KEY, email encrypted_text, n encrypted_int4)`);
	await db.execute(sql`CREATE UNIQUE INDEX ON person_drizzle (blind_index(email))`);
	await db.insert(person).values([{ id: 1, email: 'a', n: 1 }, { id: 2, email: 'b', n: 2 }]);
	print('drizzle lookup', await db.select().from(person).where(eq(person.email, 'a')), await db.select().from(person).where(like(person.email, 'b%')).orderBy(desc(person.n)));
	print('drizzle upsert', await db.insert(person).values({ id: 3, email: 'a', n: 9 }).onConflictDoUpdate({ target: person.email, set: { n: 9 } }).returning());
	await pool.end();
}

async function withTypeORM() {
	require('reflect-metadata');
	const { DataSource, EntitySchema } = require('typeorm');
	const Person = new EntitySchema({
		name: 'person',
		tableName: 'person_typeorm',
		columns: { id: { type: 'int', primary: true }, email: { type: 'text', nullable: true }, n: { type: 'int', nullable: true } },
	});
	const db = new DataSource({ type: 'postgres', host, port, username: user, database, entities: [Person], synchronize: false });
	await db.initialize();
	await db.query('CREATE TABLE person_typeorm (id int PRIMARY KEY, email encrypted_text, n encrypted_int4)');
	await db.query('CREATE UNIQUE INDEX ON person_typeorm (blind_index(email))');
	const people = db.getRepository('person');
	await people.insert([{ id: 1, email: 'a', n: 1 }, { id: 2, email: 'b', n: 2 }]);
	await people.upsert({ id: 3, email: 'a', n: 5 }, ['email']);
	print('typeorm', await people.findBy({ email: 'a' }), await people.sum('n'));
	// What synchronize would do, and why it must stay off
	print('typeorm synchronize', (await db.driver.createSchemaBuilder().log()).upQueries.map((step) => step.query)
		.filter((query) => / DROP COLUMN "email"/.test(query)));
	await db.destroy();
}

(async () => {
	await withSequelize();
	await withKnex();
	await withDrizzle();
	await withTypeORM();
})().catch((error) => {
	console.error(error);
	process.exit(1);
});
