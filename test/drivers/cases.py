"""What an application does through psycopg 3, all in the driver's defaults.

Prints a line for each case: its name, a tab, what came back.

    python3 cases.py CONNECTION_URI
"""

import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Interface, IPv6Address
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

# Two of each type, as a program has them; column of the table "typed" => values
VALUES = {
    "c_text": ["Grzegorz Brzęczyszczykiewicz", ""],
    "c_bytea": [b"\x00\x01\xfe\xff'\\", b""],
    "c_bool": [True, False],
    "c_int2": [-32768, 7],
    "c_int4": [2147483647, 0],
    "c_int8": [-9223372036854775808, 42],
    "c_float4": [1.5, -0.25],
    "c_float8": [3.141592653589793, float("inf")],
    "c_numeric": [Decimal("12345678901234567890.12300"), Decimal("3")],
    "c_date": [date(2024, 2, 29), date(1, 1, 1)],
    "c_time": [time(23, 59, 59, 999999), time(0)],
    "c_timestamp": [datetime(2024, 2, 29, 12, 34, 56, 789), datetime(1969, 12, 31)],
    "c_timestamptz": [
        datetime(2024, 2, 29, 12, 34, tzinfo=timezone.utc),
        datetime(2001, 2, 3, tzinfo=timezone(timedelta(hours=-5))),
    ],
    "c_interval": [timedelta(days=400, seconds=5, microseconds=6), timedelta(-1)],
    "c_uuid": [UUID("123e4567-e89b-12d3-a456-426614174000"), UUID(int=0)],
    "c_inet": [IPv4Interface("192.168.1.5/24"), IPv6Address("2001:db8::1")],
    "c_jsonb": [Jsonb({"a": [1, 2.5, None], "b": "ü"}), Jsonb(True)],
}

# What a program also passes, which the server is to convert
CONVERTED = {
    "c_text": [date(2024, 2, 29), 17, UUID(int=5)],
    "c_int2": ["12"],
    "c_int4": ["12", 12, 40000],
    "c_int8": [12, 40000, "12"],
    "c_float4": [12, "1.5"],
    "c_float8": [12, Decimal("1.5")],
    "c_numeric": [12, 1.5, 10**30],
    "c_date": ["2024-02-29", datetime(2024, 2, 29, 12)],
    "c_timestamp": [date(2024, 2, 29), "2024-02-29 12:00"],
    "c_timestamptz": [datetime(2024, 2, 29, 12), date(2024, 2, 29)],
    "c_uuid": ["123e4567-e89b-12d3-a456-426614174000"],
    "c_inet": ["10.0.0.1"],
    "c_jsonb": ['{"k": 1}'],
}

# Those of which = takes a value of the other type, too
COMPARED = ("c_int2", "c_int4", "c_int8", "c_float4", "c_float8", "c_numeric",
            "c_date", "c_timestamp", "c_timestamptz")

NEW_CUSTOMER = "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (%s, %s, %s, %s)"


def show(cursor):
    """Types of the columns, then each value with its type."""
    if cursor.description is None:
        return f"{cursor.statusmessage}"
    columns = ",".join(
        f"{c.name}:{c.type_code}:{c.type_display}:{c.internal_size}:{cursor.pgresult.fformat(i)}"
        for i, c in enumerate(cursor.description)
    )
    values = " // ".join(
        " | ".join(f"{type(v).__name__} {v!r}" for v in row) for row in cursor.fetchall()
    )
    return f"[{columns}] {values}"


def main():
    conn = psycopg.connect(sys.argv[1], autocommit=True)

    def check(name, run):
        try:
            result = run()
        except psycopg.Error as e:
            result = f"error {e.sqlstate} {e.diag.message_primary}"
        print(name, str(result).replace("\n", " "), sep="\t")

    def q(name, sql, params=None, **options):
        check(name, lambda: show(conn.execute(sql, params, **options)))

    ids = iter(range(1, 10000))
    for column, values in VALUES.items():
        for value in [*values, None]:
            i = next(ids)
            q(f"{column} {i} insert", f"INSERT INTO typed (id, {column}) VALUES (%s, %s) RETURNING {column}", (i, value))
            q(f"{column} {i} where", f"SELECT id FROM typed WHERE {column} = %s ORDER BY id", (value,))
            q(f"{column} {i} update", f"UPDATE typed SET {column} = %s WHERE id = %s RETURNING {column}", (value, i))
            q(f"{column} {i} binary", f"SELECT {column} FROM typed WHERE id = %s", (i,), binary=True)
            q(f"{column} {i} binary parameter", f"UPDATE typed SET {column} = %b WHERE id = %b RETURNING {column}", (value, i))
        q(f"{column} range", f"SELECT id FROM typed WHERE {column} >= %s ORDER BY {column}, id", (values[0],))
        if column != "c_jsonb":
            q(f"{column} any", f"SELECT id FROM typed WHERE {column} = ANY (%s) ORDER BY id", (values,))
    for column, values in CONVERTED.items():
        for value in values:
            i = next(ids)
            kind = type(value).__name__
            q(f"{column} {i} from {kind}", f"INSERT INTO typed (id, {column}) VALUES (%s, %s) RETURNING {column}", (i, value))
            if column in COMPARED:
                q(f"{column} {i} with {kind}", f"SELECT id FROM typed WHERE {column} = %s ORDER BY id", (value,))
    for n in range(2):
        row = {c: values[n] for c, values in VALUES.items()}
        q(f"row of all types {n}", f"INSERT INTO typed (id, {', '.join(row)}) VALUES (%s, "
          + ", ".join("%s::" + c[2:] for c in row) + ") RETURNING *", (2000 + n, *row.values()), binary=n == 1)
    q("all types", "SELECT * FROM typed WHERE id >= 2000 ORDER BY id")
    q("all types, binary", "SELECT * FROM typed WHERE id >= 2000 ORDER BY id", binary=True)

    q("search", "SELECT customer_id, first_name, email FROM customer WHERE email ILIKE %s AND country = %s ORDER BY last_name, customer_id", ("%gmail%", "USA"))
    q("join", """SELECT c.last_name, e.email, sum(i.total) AS spent FROM customer c
        JOIN employee e ON e.employee_id = c.support_rep_id JOIN invoice i USING (customer_id)
        WHERE c.state = %s GROUP BY c.customer_id, c.last_name, e.email ORDER BY spent DESC, 1""", ("CA",))
    q("dates", "SELECT first_name, birth_date, hire_date FROM employee WHERE birth_date < %s ORDER BY birth_date", (datetime(1970, 1, 1),))
    q("dates, binary", "SELECT birth_date, age(hire_date, birth_date) FROM employee ORDER BY employee_id", binary=True)
    q("json", "SELECT row_to_json(e) FROM employee e ORDER BY employee_id")
    q("upsert", NEW_CUSTOMER + " ON CONFLICT (customer_id) DO UPDATE SET email = excluded.email RETURNING *", (1, "Ann", "Other", "ann.other@example.org"))
    q("expression", "UPDATE customer SET address = address || %s, phone = coalesce(%s, phone) WHERE customer_id < 4 RETURNING address, phone, upper(last_name)", (", floor 2", None))

    # The driver prepares what it has seen five times
    for i in range(12):
        q(f"prepared by itself {i}", "SELECT last_name, email FROM customer WHERE city = %s ORDER BY customer_id", (["Prague", "Paris", "Olomouc"][i % 3],))
    for i in range(3):
        q(f"prepared at once {i}", "SELECT email FROM customer WHERE last_name > %s ORDER BY customer_id LIMIT 3", (["A", "M", "Z"][i],), prepare=True, binary=i == 1)

    def bound_by(factory, sql, params):
        with factory(conn) as cursor:
            return show(cursor.execute(sql, params))

    check("bound by the client", lambda: bound_by(psycopg.ClientCursor, "SELECT first_name, email FROM customer WHERE email LIKE %s AND customer_id < %s ORDER BY customer_id", ("%.com", 30)))
    if hasattr(psycopg, "RawCursor"):
        check("numbered parameters", lambda: bound_by(psycopg.RawCursor, "SELECT first_name, city FROM customer WHERE city >= $1 ORDER BY city, customer_id", ["P"]))

    def server_side(binary=None, **options):
        with conn.transaction(), conn.cursor("mine", **options) as cursor:
            cursor.execute("SELECT last_name, email, support_rep_id FROM customer WHERE last_name > %s ORDER BY last_name, customer_id", ("B",), binary=binary)
            names = [(c.name, c.type_code) for c in cursor.description]
            got = [cursor.fetchone(), cursor.fetchmany(5)]
            if options.get("scrollable"):
                cursor.scroll(2, mode="absolute")
                got.append(cursor.fetchone())
            return names, got, cursor.fetchall()

    check("server-side cursor", server_side)
    check("server-side cursor, binary", lambda: server_side(binary=True))
    check("server-side cursor, scrollable", lambda: server_side(scrollable=True))
    check("server-side cursor, with hold", lambda: server_side(withhold=True))

    def many(first):
        with conn.cursor() as cursor:
            cursor.executemany(NEW_CUSTOMER + " RETURNING customer_id, email", [(first + i, f"First {i}", f"Last {i}", f"many.{i}@example.org") for i in range(20)], returning=True)
            results = []
            while True:
                results.append(show(cursor))
                if not cursor.nextset():
                    return results

    check("executemany", lambda: many(1000))

    def pipeline():
        with conn.pipeline():
            inserted = [conn.execute(NEW_CUSTOMER + " RETURNING email", (1100 + i, "P", f"Pipe {i}", f"pipe.{i}@example.org")) for i in range(8)]
            selected = conn.execute("SELECT email FROM customer WHERE customer_id >= %s AND customer_id < %s ORDER BY customer_id", (1100, 1200))
        return [show(c) for c in [*inserted, selected]]

    if psycopg.Pipeline.is_supported():
        check("pipeline", pipeline)

    def copy_in():
        with conn.cursor() as cursor:
            with cursor.copy("COPY customer (customer_id, first_name, last_name, email) FROM STDIN") as copy:
                for i in range(10):
                    copy.write_row((1200 + i, "Copied", f"Row\t{i}", f"copy.{i}@example.org"))
            return show(cursor.execute("SELECT * FROM customer WHERE customer_id BETWEEN 1200 AND 1299 ORDER BY 1"))

    check("copy in", copy_in)

    def copy_out():
        with conn.cursor() as cursor, cursor.copy("COPY (SELECT customer_id, email || '' FROM customer ORDER BY 1) TO STDOUT") as copy:
            return list(copy.rows())

    check("copy of a query out", copy_out)

    def rolled_back():
        with conn.transaction(force_rollback=True):
            conn.execute("UPDATE customer SET email = %s WHERE customer_id = %s", ("gone@example.org", 3))
            return show(conn.execute("SELECT email FROM customer WHERE customer_id = 3"))

    check("in a transaction", rolled_back)
    q("after it", "SELECT email FROM customer WHERE customer_id = 3")
    q("error: duplicate", NEW_CUSTOMER, (2, "x", "y", "z"))
    q("error: not null", NEW_CUSTOMER, (5000, None, "y", "z"))
    q("error: not an integer", "INSERT INTO typed (id, c_int4) VALUES (%s, %s)", (6000, "seven"))
    q("error: out of range", "INSERT INTO typed (id, c_int2) VALUES (%s, %s)", (6001, 40000))
    conn.close()


main()
