import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Statement;
import java.time.LocalDate;
import java.util.List;
import java.util.function.Function;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;

/** Hibernate, with the table made and then updated by hbm2ddl. */
class WithHibernate {
	static SessionFactory factory(String ddl) {
		return new Configuration().addAnnotatedClass(Person.class)
			.setProperty("hibernate.connection.url", Cases.url)
			.setProperty("hibernate.connection.username", Cases.user)
			.setProperty("hibernate.hbm2ddl.auto", ddl)
			.setProperty("hibernate.jdbc.time_zone", "UTC")
			.setProperty("hibernate.jdbc.batch_size", "10")
			.buildSessionFactory();
	}

	static void run() throws Exception {
		try (Connection db = Cases.connect(""); Statement s = db.createStatement()) {
			if (Cases.plain)
				s.execute("CREATE TABLE person_hibernate (id bigint PRIMARY KEY, email text, salary numeric, age int4, born date,"
					+ " seen timestamptz, active bool, photo bytea, token uuid, doc jsonb)");
			else
				factory("update").close();
			s.execute(Cases.declared("CREATE UNIQUE INDEX person_hibernate_email ON person_hibernate (blind_index(email))"));
		}
		try (SessionFactory factory = factory("none")) {
			statements(factory);
		}
		for (String ddl : new String[] {"validate", "update"})
			Cases.show("hibernate " + ddl, () -> {
				try (SessionFactory factory = factory(ddl)) {
					return factory.fromSession(s -> s.createQuery("from Person order by id", Person.class).list());
				}
			});
	}

	static void statements(SessionFactory factory) {
		Function<String, Object> ids = hql -> factory.fromSession(s -> s.createQuery("select id from Person where " + hql + " order by id", Long.class).list());

		Cases.show("hibernate insert", () -> factory.fromTransaction(s -> {
			for (Person p : new Person[] {new Person(1, "a@x", "1.50", 30), new Person(2, "b@x", "2.25", 40), new Person(3, "c@x", null, null)})
				s.persist(p);
			return "done";
		}));
		Cases.show("hibernate find", () -> factory.fromSession(s -> s.find(Person.class, 1L)));
		Cases.show("hibernate lookup", () -> factory.fromSession(s -> s.createQuery("from Person where email = :e", Person.class).setParameter("e", "b@x").list()));
		for (String hql : new String[] {"email in ('a@x', 'c@x')", "email like '%@x' and age > 30", "lower(email) = 'a@x'", "age is null or active",
			"born between {d 2000-01-31} and {d 2000-02-01}", "year(born) = 2000 and month(born) = 2", "coalesce(salary, 0.0) < 2", "length(email) + age > 33",
			"email || '!' = 'a@x!'", "age in (select max(q.age) from Person q)", "exists (select 1 from Person q where q.email > Person.email)",
			"cast(age as string) = '30'", "upper(substring(email, 1, 1)) = 'B'", "nullif(age, 30) is null", "extract(day from seen) = 31"})
			Cases.show("hibernate where " + hql, () -> ids.apply(hql.replace("Person.email", "email")));
		Cases.show("hibernate typed", () -> factory.fromSession(s -> s.createQuery("select id from Person where salary = :s and born = :b and seen = :t and token = :u and active = :a", Long.class)
			.setParameter("s", new BigDecimal("1.5")).setParameter("b", LocalDate.of(2000, 1, 31)).setParameter("t", new Person(1, "", null, 0).seen)
			.setParameter("u", new java.util.UUID(0, 1)).setParameter("a", false).list()));
		Cases.show("hibernate aggregates", () -> factory.fromSession(s -> java.util.Arrays.toString(s.createQuery(
			"select sum(salary), avg(age), min(born), max(email), count(distinct email) from Person", Object[].class).getSingleResult())));
		Cases.show("hibernate group", () -> factory.fromSession(s -> s.createQuery(
			"select active, sum(age) from Person group by active having sum(age) > 0 order by active", Object[].class).list().stream().map(java.util.Arrays::toString).toList()));
		Cases.show("hibernate page", () -> factory.fromSession(s -> s.createQuery("from Person order by email desc", Person.class).setFirstResult(1).setMaxResults(1).list()));
		Cases.show("hibernate unique", () -> factory.fromTransaction(s -> {
			s.persist(new Person(9, "a@x", null, 1));
			return null;
		}));
		Cases.show("hibernate upsert", () -> factory.fromTransaction(s -> s.createMutationQuery(
			"insert into Person (id, email, age, active) values (9, 'a@x', 31, true) on conflict (email) do update set age = excluded.age").executeUpdate()));
		Cases.show("hibernate dirty", () -> factory.fromTransaction(s -> {
			Person p = s.find(Person.class, 1L);
			p.email = "changed@x";
			p.doc = java.util.Map.of("list", List.of(1, "two"));
			return "done";
		}));
		Cases.show("hibernate update", () -> factory.fromTransaction(s -> s.createMutationQuery("update Person set age = age + 1, email = concat(email, '!') where email = 'b@x'").executeUpdate()));
		Cases.show("hibernate merge", () -> factory.fromTransaction(s -> s.merge(new Person(2, "merged@x", "9", 9))));
		Cases.show("hibernate native", () -> factory.fromSession(s -> s.createNativeQuery("select * from person_hibernate where email = ?", Person.class).setParameter(1, "merged@x").list()));
		Cases.show("hibernate lock", () -> factory.fromTransaction(s -> s.find(Person.class, 1L, jakarta.persistence.LockModeType.PESSIMISTIC_WRITE)));
		Cases.show("hibernate delete", () -> factory.fromTransaction(s -> s.createMutationQuery("delete from Person where email = 'c@x'").executeUpdate()));
		Cases.show("hibernate all", () -> factory.fromSession(s -> s.createQuery("from Person order by id", Person.class).list()));
	}
}
