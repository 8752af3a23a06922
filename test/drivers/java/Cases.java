import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import org.postgresql.util.PSQLException;

/**
 * Hibernate, jOOQ and pgjdbc as docs/clients.md declares columns: Cases HOST PORT USER DATABASE sealed|plain
 *
 * With "plain" the same is done with columns of the base types.
 */
public class Cases {
	static String url, user;
	static boolean plain;

	interface Case {
		Object run() throws Exception;
	}

	/** Prints what came back, or how it failed. */
	static void show(String name, Case one) {
		try {
			System.out.println(name + " " + one.run());
		} catch (Exception e) {
			Throwable cause = e;
			while (cause.getCause() != null && !(cause instanceof PSQLException))
				cause = cause.getCause();
			System.out.println(name + " error " + e.getClass().getSimpleName() + " " + (cause instanceof PSQLException s
				? s.getSQLState() + " " + s.getServerErrorMessage().getConstraint() : cause));
		}
	}

	/** A declaration, as it is on this database. */
	static String declared(String sql) {
		return plain ? sql.replace("encrypted_", "").replace("blind_index(email)", "email") : sql;
	}

	static Connection connect(String options) throws SQLException {
		return DriverManager.getConnection(url + options, user, "");
	}

	public static void main(String[] args) throws Exception {
		// The socket's directory is of no use to pgjdbc, which speaks TCP
		url = "jdbc:postgresql://" + args[0] + ":" + args[1] + "/" + args[3];
		user = args[2];
		plain = args[4].equals("plain");
		java.util.logging.LogManager.getLogManager().reset();
		System.setProperty("org.jooq.no-logo", "true");
		System.setProperty("org.jooq.no-tips", "true");
		java.util.TimeZone.setDefault(java.util.TimeZone.getTimeZone("UTC"));
		WithPgjdbc.run("");
		WithPgjdbc.run("?prepareThreshold=1");
		WithPgjdbc.run("?prepareThreshold=-1");
		WithPgjdbc.run("?preferQueryMode=simple");
		WithPgjdbc.run("?stringtype=unspecified");
		WithJooq.run();
		WithHibernate.run();
	}
}
