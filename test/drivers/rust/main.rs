// sqlx and tokio-postgres on columns declared as docs/clients.md says: cases HOST PORT USER DATABASE sealed|plain
//
// With "plain" the same is done with columns of the base types.

use std::fmt::Debug;

use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use serde_json::{json, Value};
use sqlx::types::BigDecimal;
use sqlx::{Column, Executor, Row, TypeInfo};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

type Anything = Box<dyn std::error::Error>;

const TABLE: &str = "(id int8 PRIMARY KEY, email encrypted_text, salary encrypted_numeric, age encrypted_int4, small encrypted_int2, \
	ratio encrypted_float8, born encrypted_date, seen encrypted_timestamptz, active encrypted_bool, photo encrypted_bytea, \
	token encrypted_uuid, doc encrypted_jsonb, tags encrypted_text[])";

fn show(name: &str, result: Result<impl Debug, Anything>) {
	match result {
		Ok(value) => println!("{name} {value:?}"),
		Err(error) => {
			if let Some(sqlx::Error::Database(e)) = error.downcast_ref::<sqlx::Error>() {
				println!("{name} error {:?} {:?}", e.code(), e.constraint());
			} else if let Some(e) = error.downcast_ref::<tokio_postgres::Error>().and_then(|e| e.as_db_error()) {
				println!("{name} error {:?} {:?}", e.code(), e.constraint());
			} else {
				println!("{name} error {error}");
			}
		}
	}
}

fn day() -> NaiveDate {
	NaiveDate::from_ymd_opt(2024, 2, 29).unwrap()
}

fn time() -> DateTime<Utc> {
	Utc.with_ymd_and_hms(2024, 2, 29, 1, 2, 3).unwrap()
}

// What query!() asks the server at compile time
async fn described(pool: &sqlx::PgPool, sql: &str) -> Result<String, Anything> {
	let statement = pool.describe(sql).await?;
	let columns: Vec<String> = statement.columns().iter().map(|c| format!("{} {}", c.name(), c.type_info().name())).collect();
	Ok(format!("{:?} {:?} {:?}", statement.parameters(), columns, statement.nullable))
}

async fn with_sqlx(uri: &str, declared: &dyn Fn(&str) -> String) -> Result<(), Anything> {
	let pool = sqlx::PgPool::connect(uri).await?;
	pool.execute(declared(&format!("CREATE TABLE person_sqlx {TABLE}")).as_str()).await?;
	pool.execute(declared("CREATE UNIQUE INDEX person_sqlx_email ON person_sqlx (blind_index(email))").as_str()).await?;

	let insert = "INSERT INTO person_sqlx (id, email, salary, age, small, ratio, born, seen, active, photo, token, doc, tags) \
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
	for sql in [insert, "SELECT id, email, salary, born, doc, tags FROM person_sqlx WHERE email = $1 AND age > $2", "UPDATE person_sqlx SET email = $1, doc = $2 RETURNING *"] {
		show("sqlx described", described(&pool, sql).await);
	}
	for (id, email) in [(1_i64, "a@x"), (2, "b@x")] {
		show("sqlx insert", sqlx::query(insert).bind(id).bind(email).bind("1.50".parse::<BigDecimal>()?).bind(30_i32).bind(7_i16).bind(0.5_f64)
			.bind(day()).bind(time()).bind(true).bind(&b"\x00\\"[..]).bind(Uuid::from_u128(5)).bind(json!({"k": [id]})).bind(vec!["red", "blue"])
			.execute(&pool).await.map(|r| r.rows_affected()).map_err(Into::into));
	}
	show("sqlx lookup", sqlx::query("SELECT * FROM person_sqlx WHERE email = $1").bind("a@x").fetch_one(&pool).await
		.map(|r| ((r.get::<i64, _>(0), r.get::<String, _>(1), r.get::<BigDecimal, _>(2), r.get::<i32, _>(3), r.get::<i16, _>(4), r.get::<f64, _>(5), r.get::<NaiveDate, _>(6)),
			(r.get::<DateTime<Utc>, _>(7), r.get::<bool, _>(8), r.get::<Vec<u8>, _>(9), r.get::<Uuid, _>(10), r.get::<Value, _>(11), r.get::<Vec<String>, _>(12)))).map_err(Into::into));
	show("sqlx range", sqlx::query_scalar::<_, i64>("SELECT id FROM person_sqlx WHERE age BETWEEN $1 AND $2 AND born >= $3 AND salary < $4 ORDER BY email DESC")
		.bind(1_i32).bind(99_i32).bind(day()).bind("2".parse::<BigDecimal>()?).fetch_all(&pool).await.map_err(Into::into));
	show("sqlx any", sqlx::query_scalar::<_, i64>("SELECT id FROM person_sqlx WHERE email = ANY ($1) AND tags @> $2 ORDER BY id")
		.bind(vec!["b@x", "z"]).bind(vec!["red"]).fetch_all(&pool).await.map_err(Into::into));
	show("sqlx unnest", sqlx::query("INSERT INTO person_sqlx (id, email, age) SELECT * FROM unnest($1::int8[], $2::text[], $3::int4[])")
		.bind(vec![3_i64, 4]).bind(vec!["c@x", "d@x"]).bind(vec![Some(1_i32), None]).execute(&pool).await.map(|r| r.rows_affected()).map_err(Into::into));
	show("sqlx sum", sqlx::query_as::<_, (Option<BigDecimal>, Option<i64>, Option<i32>)>("SELECT sum(coalesce(salary, 0.0)), sum(age), max(age) FROM person_sqlx").fetch_one(&pool).await.map_err(Into::into));
	show("sqlx unique", sqlx::query("INSERT INTO person_sqlx (id, email) VALUES ($1, $2)").bind(9_i64).bind("a@x").execute(&pool).await.map(|r| r.rows_affected()).map_err(Into::into));
	show("sqlx upsert", sqlx::query_as::<_, (i64, i32)>("INSERT INTO person_sqlx (id, email, age) VALUES ($1, $2, $3) ON CONFLICT (email) DO UPDATE SET age = excluded.age RETURNING id, age")
		.bind(9_i64).bind("a@x").bind(31_i32).fetch_all(&pool).await.map_err(Into::into));
	let mut copy = pool.acquire().await?;
	show("sqlx copy", async {
		let mut sink = copy.copy_in_raw("COPY person_sqlx (id, email, age) FROM STDIN").await?;
		sink.send(&b"10\tj@x\t5\n11\tk@x\t\\N\n"[..]).await?;
		Ok(sink.finish().await?)
	}.await);
	let mut transaction = pool.begin().await?;
	show("sqlx update", sqlx::query_scalar::<_, String>("UPDATE person_sqlx SET email = email || $1 WHERE email = $2 RETURNING email").bind("!").bind("b@x").fetch_all(&mut *transaction).await.map_err(Into::into));
	transaction.rollback().await?;
	show("sqlx after it", sqlx::query("SELECT id, email, age FROM person_sqlx ORDER BY id").fetch_all(&pool).await
		.map(|rows| rows.iter().map(|r| (r.get::<i64, _>(0), r.get::<String, _>(1), r.get::<Option<i32>, _>(2))).collect::<Vec<_>>()).map_err(Into::into));
	Ok(())
}

async fn with_tokio_postgres(config: &str, declared: &dyn Fn(&str) -> String) -> Result<(), Anything> {
	let (client, connection) = tokio_postgres::connect(config, tokio_postgres::NoTls).await?;
	tokio::task::spawn_local(connection);
	client.batch_execute(&declared(&format!("CREATE TABLE person_tokio {TABLE}"))).await?;
	client.batch_execute(&declared("CREATE UNIQUE INDEX person_tokio_email ON person_tokio (blind_index(email))")).await?;

	let insert = client.prepare("INSERT INTO person_tokio VALUES ($1, $2, NULL, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)").await?;
	println!("tokio described {:?}", insert.params());
	for (id, email) in [(1_i64, "a@x"), (2, "b@x")] {
		let values: [&(dyn ToSql + Sync); 12] = [&id, &email, &30_i32, &7_i16, &0.5_f64, &day(), &time(), &true, &&b"\x00\\"[..], &Uuid::from_u128(5), &json!({"k": [id]}), &vec!["red", "blue"]];
		show("tokio insert", client.execute(&insert, &values).await.map_err(Into::into));
	}
	let all = client.prepare("SELECT * FROM person_tokio WHERE email = $1").await?;
	println!("tokio described {:?} {:?}", all.params(), all.columns().iter().map(|c| (c.name(), c.type_().clone())).collect::<Vec<_>>());
	show("tokio lookup", client.query_one(&all, &[&"a@x"]).await.map(|r| {
		(r.get::<_, i64>(0), r.get::<_, String>(1), r.get::<_, i32>(3), r.get::<_, i16>(4), r.get::<_, f64>(5), r.get::<_, NaiveDate>(6), r.get::<_, DateTime<Utc>>(7),
			(r.get::<_, bool>(8), r.get::<_, Vec<u8>>(9), r.get::<_, Uuid>(10), r.get::<_, Value>(11), r.get::<_, Vec<String>>(12)))
	}).map_err(Into::into));
	for sql in ["SELECT id FROM person_tokio WHERE email IN ($1, $2) ORDER BY id", "SELECT id FROM person_tokio WHERE email BETWEEN $1 AND $2 ORDER BY email DESC",
		"SELECT id FROM person_tokio WHERE coalesce(email, $1) <> $2", "SELECT id FROM person_tokio WHERE (email, id) > ($1, 0) AND email LIKE $2"] {
		show("tokio where", client.query(sql, &[&"a@x", &"b@x"]).await.map(|rows| rows.iter().map(|r| r.get::<_, i64>(0)).collect::<Vec<_>>()).map_err(Into::into));
	}
	show("tokio upsert", client.query_one("INSERT INTO person_tokio (id, email, age) VALUES (9, $1, $2) ON CONFLICT (email) DO UPDATE SET age = excluded.age RETURNING id, age", &[&"a@x", &31_i32])
		.await.map(|r| (r.get::<_, i64>(0), r.get::<_, i32>(1))).map_err(Into::into));
	show("tokio unique", client.execute("INSERT INTO person_tokio (id, email) VALUES (9, $1)", &[&"a@x"]).await.map_err(Into::into));

	show("tokio binary copy in", async {
		let sink = client.copy_in("COPY person_tokio (id, email, age, born, doc, tags) FROM STDIN (FORMAT binary)").await?;
		let writer = tokio_postgres::binary_copy::BinaryCopyInWriter::new(sink, &[Type::INT8, Type::TEXT, Type::INT4, Type::DATE, Type::JSONB, Type::TEXT_ARRAY]);
		let mut writer = std::pin::pin!(writer);
		writer.as_mut().write(&[&20_i64, &"j@x", &5_i32, &day(), &json!([1]), &vec!["x", "y"]]).await?;
		writer.as_mut().write(&[&21_i64, &"k@x", &None::<i32>, &day(), &json!({}), &None::<Vec<String>>]).await?;
		Ok(writer.finish().await?)
	}.await);
	show("tokio binary copy out", async {
		use futures_util::TryStreamExt;
		let stream = client.copy_out("COPY (SELECT id, email, age, tags FROM person_tokio ORDER BY id) TO STDOUT (FORMAT binary)").await?;
		let rows: Vec<_> = tokio_postgres::binary_copy::BinaryCopyOutStream::new(stream, &[Type::INT8, Type::TEXT, Type::INT4, Type::TEXT_ARRAY]).try_collect().await?;
		Ok(rows.iter().map(|r| (r.get::<i64>(0), r.get::<String>(1), r.get::<Option<i32>>(2), r.get::<Option<Vec<String>>>(3))).collect::<Vec<_>>())
	}.await);
	Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Anything> {
	let args: Vec<String> = std::env::args().skip(1).collect();
	let plain = args[4] == "plain";
	let declared = |sql: &str| if plain { sql.replace("encrypted_", "").replace("blind_index(email)", "email") } else { sql.to_owned() };

	with_sqlx(&format!("postgres://{}@{}:{}/{}?sslmode=disable", args[2], args[0], args[1], args[3]), &declared).await?;
	tokio::task::LocalSet::new().run_until(with_tokio_postgres(&format!("host={} port={} user={} dbname={}", args[0], args[1], args[2], args[3]), &declared)).await
}
