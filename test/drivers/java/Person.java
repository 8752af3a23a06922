import jakarta.persistence.Column;
import jakarta.persistence.Entity;
import jakarta.persistence.Id;
import jakarta.persistence.Table;
import java.math.BigDecimal;
import java.time.Instant;
import java.time.LocalDate;
import java.util.Map;
import java.util.UUID;
import org.hibernate.annotations.JdbcTypeCode;
import org.hibernate.type.SqlTypes;

/** Columns declared for Hibernate as docs/clients.md says. */
@Entity
@Table(name = "person_hibernate")
public class Person {
	@Id
	public Long id;
	@Column(columnDefinition = "encrypted_text")
	public String email;
	@Column(columnDefinition = "encrypted_numeric")
	public BigDecimal salary;
	@Column(columnDefinition = "encrypted_int4")
	public Integer age;
	@Column(columnDefinition = "encrypted_date")
	public LocalDate born;
	@Column(columnDefinition = "encrypted_timestamptz")
	public Instant seen;
	@Column(columnDefinition = "encrypted_bool")
	public boolean active;
	@Column(columnDefinition = "encrypted_bytea")
	public byte[] photo;
	@Column(columnDefinition = "encrypted_uuid")
	public UUID token;
	@JdbcTypeCode(SqlTypes.JSON)
	@Column(columnDefinition = "encrypted_jsonb")
	public Map<String, Object> doc;

	public Person() {
	}

	public Person(long id, String email, String salary, Integer age) {
		this.id = id;
		this.email = email;
		this.salary = salary == null ? null : new BigDecimal(salary);
		this.age = age;
		this.born = LocalDate.of(2000, 1, 30).plusDays(id);
		this.seen = Instant.parse("2000-01-30T01:30:00Z").plusSeconds(86400 * id);
		this.active = id % 2 == 0;
		this.photo = new byte[] {0, (byte) id, '\\'};
		this.token = new UUID(0, id);
		this.doc = Map.of("n", (int) id);
	}

	@Override
	public String toString() {
		return id + " " + email + " " + salary + " " + age + " " + born + " " + seen + " " + active + " "
			+ java.util.Arrays.toString(photo) + " " + token + " " + doc;
	}
}
