import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.Statement;
import java.time.LocalDate;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.util.PGobject;

/** pgjdbc alone, in one of its modes. */
class WithPgjdbc {
	static final String INSERT = "INSERT INTO person_jdbc (id, email, salary, age, born, seen, doc, photo, token, tags)"
		+ " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

	static PGobject json(String type, String text) throws Exception {
		PGobject object = new PGobject();
		object.setType(type);
		object.setValue(text);
		return object;
	}

	/** Rows with the types that the driver is told. */
	static String query(Connection db, String sql, Object... values) throws Exception {
		try (PreparedStatement statement = db.prepareStatement(sql)) {
			for (int i = 0; i < values.length; i++)
				statement.setObject(i + 1, values[i]);
			StringBuilder result = new StringBuilder();
			if (!statement.execute())
				return statement.getUpdateCount() + " rows";
			ResultSet rows = statement.getResultSet();
			ResultSetMetaData columns = rows.getMetaData();
			for (int c = 1; c <= columns.getColumnCount(); c++)
				result.append(columns.getColumnTypeName(c)).append(columns.getPrecision(c)).append(' ').append(columns.getColumnClassName(c)).append(' ');
			while (rows.next())
				for (int c = 1; c <= columns.getColumnCount(); c++) {
					Object value = rows.getObject(c);
					result.append("| ").append(value instanceof byte[] bytes ? java.util.Arrays.toString(bytes) : value).append(' ');
				}
			return result.toString();
		}
	}

	static void run(String options) throws Exception {
		Connection db = Cases.connect(options);
		String mode = "pgjdbc" + options + " ";
		try (Statement s = db.createStatement()) {
			s.execute("DROP TABLE IF EXISTS person_jdbc");
			s.execute(Cases.declared("CREATE TABLE person_jdbc (id int8, email encrypted_text, salary encrypted_numeric, age encrypted_int4,"
				+ " born encrypted_date, seen encrypted_timestamptz, doc encrypted_jsonb, photo encrypted_bytea, token encrypted_uuid, tags encrypted_text[])"));
			s.execute(Cases.declared("CREATE UNIQUE INDEX person_jdbc_email ON person_jdbc (blind_index(email))"));
		}
		Cases.show(mode + "insert", () -> query(db, INSERT, 1L, "a@x", new BigDecimal("1.50"), 30, LocalDate.of(2024, 2, 29),
			OffsetDateTime.of(2024, 2, 29, 1, 0, 0, 0, ZoneOffset.UTC), json("jsonb", "{\"k\": [1]}"), new byte[] {0, '\\'},
			new UUID(0, 1), db.createArrayOf("text", new String[] {"red", "blue"})));
		Cases.show(mode + "nulls", () -> query(db, INSERT, 2L, "b@x", null, null, null, null, null, null, null, null));
		Cases.show(mode + "all", () -> query(db, "SELECT * FROM person_jdbc ORDER BY id"));
		Cases.show(mode + "json", () -> query(db, "UPDATE person_jdbc SET doc = ? WHERE id = 2 RETURNING doc", json("json", "{\"q\": 1}")));
		for (String column : new String[] {"email", "age", "salary", "born", "seen", "token", "doc", "photo"})
			Cases.show(mode + "setString of " + column, () -> query(db, "SELECT id FROM person_jdbc WHERE " + column + " = ?", "1"));
		Cases.show(mode + "several times", () -> {
			StringBuilder all = new StringBuilder();
			try (PreparedStatement s = db.prepareStatement("SELECT id, age FROM person_jdbc WHERE email = ? AND age >= ?")) {
				for (int i = 0; i < 7; i++) {
					s.setString(1, i % 2 == 0 ? "a@x" : "b@x");
					s.setInt(2, 30);
					ResultSet rows = s.executeQuery();
					all.append(rows.next() ? rows.getInt(2) : "none").append(' ');
				}
			}
			return all;
		});
		Cases.show(mode + "dates", () -> {
			try (PreparedStatement s = db.prepareStatement("SELECT id FROM person_jdbc WHERE born = ? AND seen > ?")) {
				s.setDate(1, java.sql.Date.valueOf("2024-02-29"));
				s.setTimestamp(2, java.sql.Timestamp.valueOf("2024-02-28 23:00:00"));
				ResultSet rows = s.executeQuery();
				return rows.next() ? rows.getLong(1) : "none";
			}
		});
		Cases.show(mode + "any", () -> query(db, "SELECT id FROM person_jdbc WHERE email = ANY (?) ORDER BY id", db.createArrayOf("text", new String[] {"b@x", "z"})));
		Cases.show(mode + "array", () -> query(db, "SELECT id FROM person_jdbc WHERE tags @> ?", db.createArrayOf("text", new String[] {"red"})));
		Cases.show(mode + "like", () -> query(db, "SELECT id FROM person_jdbc WHERE email LIKE ? AND age BETWEEN ? AND ?", "a%", 1, 99L));
		Cases.show(mode + "upsert", () -> query(db, "INSERT INTO person_jdbc (id, email, age) VALUES (?, ?, ?) ON CONFLICT (email) DO UPDATE SET age = excluded.age RETURNING id, age", 9L, "a@x", 31));
		Cases.show(mode + "unique", () -> query(db, "INSERT INTO person_jdbc (id, email) VALUES (?, ?)", 9L, "a@x"));
		Cases.show(mode + "batch", () -> {
			try (PreparedStatement s = db.prepareStatement("INSERT INTO person_jdbc (id, email, age) VALUES (?, ?, ?)")) {
				for (int i = 10; i < 15; i++) {
					s.setLong(1, i);
					s.setString(2, "batch " + i);
					s.setInt(3, i);
					s.addBatch();
				}
				return java.util.Arrays.toString(s.executeBatch());
			}
		});
		Cases.show(mode + "keys", () -> {
			try (PreparedStatement s = db.prepareStatement("INSERT INTO person_jdbc (id, email) VALUES (?, ?)", new String[] {"id", "email"})) {
				s.setLong(1, 20);
				s.setString(2, "keys@x");
				s.executeUpdate();
				ResultSet keys = s.getGeneratedKeys();
				keys.next();
				return keys.getLong(1) + keys.getString(2);
			}
		});
		Cases.show(mode + "fetched", () -> {
			db.setAutoCommit(false);
			try (PreparedStatement s = db.prepareStatement("SELECT email FROM person_jdbc WHERE age >= ? ORDER BY age")) {
				s.setFetchSize(2);
				s.setInt(1, 10);
				ResultSet rows = s.executeQuery();
				StringBuilder all = new StringBuilder();
				while (rows.next())
					all.append(rows.getString(1)).append(',');
				return all;
			} finally {
				db.rollback();
				db.setAutoCommit(true);
			}
		});
		Cases.show(mode + "updatable", () -> {
			try (Statement s = db.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
				s.execute("ALTER TABLE person_jdbc ADD CONSTRAINT person_jdbc_key PRIMARY KEY (id)");
				ResultSet rows = s.executeQuery("SELECT id, email, age FROM person_jdbc WHERE id = 10");
				rows.next();
				rows.updateString("email", "updated@x");
				rows.updateRow();
				return rows.getString("email");
			}
		});
		Cases.show(mode + "copy", () -> db.unwrap(PGConnection.class).getCopyAPI()
			.copyIn("COPY person_jdbc (id, email, age, tags) FROM STDIN", new StringReader("30\tcopied@x\t5\t{a,b}\n")));
		Cases.show(mode + "after it", () -> query(db, "SELECT id, email, age, tags, coalesce(salary, 0.0) AS s FROM person_jdbc ORDER BY id"));
		db.close();
	}
}
