import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Statement;
import java.time.LocalDate;
import org.jooq.DSLContext;
import org.jooq.Field;
import org.jooq.SQLDialect;
import org.jooq.Table;
import org.jooq.codegen.GenerationTool;
import org.jooq.impl.DSL;
import org.jooq.impl.SQLDataType;
import org.jooq.meta.jaxb.Configuration;
import org.jooq.meta.jaxb.Database;
import org.jooq.meta.jaxb.ForcedType;
import org.jooq.meta.jaxb.Generate;
import org.jooq.meta.jaxb.Generator;
import org.jooq.meta.jaxb.Jdbc;
import org.jooq.meta.jaxb.Target;

/** jOOQ's statements, and what its generator makes of the catalog with forced types. */
class WithJooq {
	static final Table<?> PERSON = DSL.table(DSL.name("person_jooq"));
	static final Field<Long> ID = DSL.field(DSL.name("id"), SQLDataType.BIGINT);
	static final Field<String> EMAIL = DSL.field(DSL.name("email"), SQLDataType.VARCHAR);
	static final Field<BigDecimal> SALARY = DSL.field(DSL.name("salary"), SQLDataType.NUMERIC);
	static final Field<Integer> AGE = DSL.field(DSL.name("age"), SQLDataType.INTEGER);
	static final Field<LocalDate> BORN = DSL.field(DSL.name("born"), SQLDataType.LOCALDATE);

	static ForcedType forced(String type, String encrypted) {
		return new ForcedType().withName(type).withIncludeTypes(encrypted).withIncludeExpression(".*");
	}

	static String generated() throws Exception {
		java.nio.file.Path target = java.nio.file.Files.createTempDirectory("jooq");
		GenerationTool.generate(new Configuration().withJdbc(new Jdbc().withUrl(Cases.url).withUser(Cases.user))
			.withGenerator(new Generator()
				.withDatabase(new Database().withInputSchema("public").withIncludes("person_jooq")
					.withForcedTypes(forced("VARCHAR", "encrypted_text"), forced("NUMERIC", "encrypted_numeric"),
						forced("INTEGER", "encrypted_int4"), forced("DATE", "encrypted_date")))
				.withGenerate(new Generate().withRecords(false))
				.withTarget(new Target().withPackageName("generated").withDirectory(target.toString()))));
		StringBuilder types = new StringBuilder();
		try (var files = java.nio.file.Files.walk(target)) {
			for (var file : (Iterable<java.nio.file.Path>) files.sorted()::iterator)
				if (file.endsWith("PersonJooq.java"))
					java.nio.file.Files.lines(file).filter(line -> line.contains("public final TableField"))
						.forEach(line -> types.append(line.replaceAll(".*Record, (\\w+)> (\\w+).*", "$2 $1 ")));
		}
		return types.toString();
	}

	static void run() throws Exception {
		Connection db = Cases.connect("");
		try (Statement s = db.createStatement()) {
			s.execute(Cases.declared("CREATE TABLE person_jooq (id int8 PRIMARY KEY, email encrypted_text, salary encrypted_numeric, age encrypted_int4, born encrypted_date)"));
			s.execute(Cases.declared("CREATE UNIQUE INDEX person_jooq_email ON person_jooq (blind_index(email))"));
		}
		DSLContext jooq = DSL.using(db, SQLDialect.POSTGRES);
		Cases.show("jooq insert", () -> jooq.insertInto(PERSON, ID, EMAIL, SALARY, AGE, BORN)
			.values(1L, "a@x", new BigDecimal("1.50"), 30, LocalDate.of(2024, 2, 29))
			.values(2L, "b@x", null, 40, null).returning(EMAIL, SALARY, BORN).fetch().format());
		Cases.show("jooq lookup", () -> jooq.select(ID, AGE).from(PERSON).where(EMAIL.eq("a@x")).fetch().format());
		Cases.show("jooq in", () -> jooq.select(ID).from(PERSON).where(EMAIL.in("a@x", "b@x", "z")).and(AGE.gt(30)).fetch(ID));
		Cases.show("jooq like", () -> jooq.select(ID).from(PERSON).where(EMAIL.likeIgnoreCase("A%").or(EMAIL.contains("b@"))).orderBy(EMAIL.desc()).fetch(ID));
		Cases.show("jooq sum", () -> jooq.select(DSL.sum(DSL.coalesce(SALARY, BigDecimal.ZERO)), DSL.max(AGE), DSL.avg(AGE)).from(PERSON).fetch().format());
		Cases.show("jooq case", () -> jooq.select(DSL.when(AGE.gt(35), EMAIL).otherwise("young"), AGE.plus(1), EMAIL.concat("!")).from(PERSON).orderBy(ID).fetch().format());
		Cases.show("jooq keyset", () -> jooq.select(ID).from(PERSON).orderBy(EMAIL, AGE).seek("a@x", 30).limit(5).fetch(ID));
		Cases.show("jooq unique", () -> jooq.insertInto(PERSON, ID, EMAIL).values(3L, "a@x").execute());
		Cases.show("jooq upsert", () -> jooq.insertInto(PERSON, ID, EMAIL, AGE).values(3L, "a@x", 31)
			.onConflict(EMAIL).doUpdate().set(AGE, DSL.excluded(AGE)).returning(ID, AGE).fetch().format());
		Cases.show("jooq update", () -> jooq.update(PERSON).set(EMAIL, EMAIL.concat("!")).where(EMAIL.eq("b@x")).returning(EMAIL).fetch().format());
		Cases.show("jooq windows", () -> jooq.select(DSL.lag(AGE, 1, 0).over(DSL.orderBy(ID)), DSL.rowNumber().over(DSL.orderBy(EMAIL))).from(PERSON).orderBy(ID).fetch().format());
		Cases.show("jooq batch", () -> java.util.Arrays.toString(jooq.batch(jooq.insertInto(PERSON, ID, EMAIL).values((Long) null, null))
			.bind(11L, "k@x").bind(12L, "l@x").execute()));
		Cases.show("jooq delete", () -> jooq.deleteFrom(PERSON).where(EMAIL.eq("k@x")).execute());
		Cases.show("jooq generator", () -> generated());
		db.close();
	}
}
