"""What an application does through asyncpg, all in the driver's defaults: parameters
and results in binary, of the types that the server describes.

Prints a line for each case: its name, a tab, what came back.

    python3 cases_asyncpg.py CONNECTION_URI
"""

import asyncio
import io
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Interface, IPv6Address
from uuid import UUID

import asyncpg

# Two of each type, as a program has them; column of the table "typed" => values
VALUES = {
    "c_text": ["Grzegorz Brzęczyszczykiewicz", "pgseal:1:AAAA"],
    "c_bytea": [b"\x00\x01\xfe\xff'\\", b"abc"],
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
        datetime(2001, 2, 3, 0, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
    "c_interval": [timedelta(days=400, seconds=5, microseconds=6), timedelta(-1)],
    "c_uuid": [UUID("123e4567-e89b-12d3-a456-426614174000"), UUID(int=0)],
    "c_inet": [IPv4Interface("192.168.1.5/24"), IPv6Address("2001:db8::1")],
    "c_jsonb": ['{"a": [1, 2.5, null], "b": "ü"}', '"a string"'],
}


class Unfit:
    """A value that is of no type."""

    def __repr__(self):
        return "unfit"


NEW_CUSTOMER = "INSERT INTO customer (customer_id, first_name, last_name, email) VALUES ($1, $2, $3, $4)"


async def main():
    conn = await asyncpg.connect(sys.argv[1])

    async def check(name, run):
        try:
            result = await run()
        except asyncpg.PostgresError as e:
            result = f"error {e.sqlstate} {e.args[0]}"
        except (asyncpg.InterfaceError, asyncpg.InternalClientError, TypeError, ValueError) as e:
            result = f"refused {type(e).__name__} {e}"
        print(name, str(result).replace("\n", " "), sep="\t")

    async def statement(sql, args):
        prepared = await conn.prepare(sql)
        types = [(t.oid, t.name) for t in prepared.get_parameters()]
        columns = [(a.name, a.type.oid, a.type.name) for a in prepared.get_attributes()]
        return types, columns, [tuple(r) for r in await prepared.fetch(*args)], prepared.get_statusmsg()

    async def q(name, sql, *args):
        await check(name, lambda: statement(sql, args))

    ids = iter(range(1, 10000))
    for column, values in VALUES.items():
        for value in [*values, None]:
            i = next(ids)
            await q(f"{column} {i} insert", f"INSERT INTO typed (id, {column}) VALUES ($1, $2) RETURNING {column}", i, value)
            await q(f"{column} {i} where", f"SELECT id, {column} FROM typed WHERE {column} = $1 ORDER BY id", value)
            await q(f"{column} {i} update", f"UPDATE typed SET {column} = $1 WHERE id = $2 RETURNING {column}", value, i)
            await q(f"{column} {i} coalesce", f"SELECT coalesce({column}, $1), nullif({column}, $2) FROM typed WHERE id = $3", value, value, i)
            await q(f"{column} {i} case", f"SELECT CASE WHEN {column} = $1 THEN {column} ELSE $2 END FROM typed WHERE id = $3", value, value, i)
        await q(f"{column} in", f"SELECT id FROM typed WHERE {column} IN ($1, $2) ORDER BY id", *values)
        await q(f"{column} any", f"SELECT id FROM typed WHERE {column} = ANY ($1) ORDER BY id", values)
        await q(f"{column} range", f"SELECT id FROM typed WHERE {column} >= $1 ORDER BY {column}, id", values[0])
        await q(f"{column} between", f"SELECT id FROM typed WHERE {column} BETWEEN $1 AND $2 ORDER BY {column}, id", *values)
        await q(f"{column} distinct", f"SELECT id FROM typed WHERE {column} IS DISTINCT FROM $1 ORDER BY id", values[0])
        await q(f"{column} row", f"SELECT id FROM typed WHERE ({column}, id) = ($1, $2)", values[0], 1)
        await q(f"{column} keyset", f"SELECT id FROM typed WHERE ({column}, id) > ($1, $2) ORDER BY {column}, id LIMIT $3", values[1], 1, 5)
        await q(f"{column} upsert", f"INSERT INTO typed (id, {column}) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET {column} = coalesce(excluded.{column}, $2) RETURNING {column}", None, values[1])
        await q(f"{column} rows", f"INSERT INTO typed (id, {column}) VALUES ($1, $2), ($3, $4) RETURNING {column}", next(ids), values[0], next(ids), values[1])
        await q(f"{column} select", f"INSERT INTO typed (id, {column}) SELECT $1, $2 RETURNING {column}", next(ids), values[0])
        await q(f"{column} unnest", f"INSERT INTO typed (id, {column}) SELECT * FROM unnest($1::int[], $2::{column[2:]}[]) RETURNING {column}", [next(ids), next(ids)], values)
        await q(f"error: {column} wrong", f"UPDATE typed SET {column} = $1 WHERE id = 1", Unfit())

        async def copied():
            rows = [(next(ids), v) for v in [*values, None]]
            status = await conn.copy_records_to_table("typed", columns=["id", column], records=rows)
            return status, [tuple(r) for r in await conn.fetch(f"SELECT {column} FROM typed WHERE id = ANY ($1) ORDER BY id", [r[0] for r in rows])]

        await check(f"{column} copied in binary", copied)

        async def copied_out(**options):
            out = io.BytesIO()
            await conn.copy_from_query(f"SELECT {column} FROM typed WHERE id < $1 ORDER BY id", 60, output=out, **options)
            return out.getvalue()

        await check(f"{column} copied out", copied_out)
        await check(f"{column} copied out in binary", lambda: copied_out(format="binary"))

    for n in range(2):
        row = {c: values[n] for c, values in VALUES.items()}
        await q(f"row of all types {n}", f"INSERT INTO typed (id, {', '.join(row)}) VALUES ($1, "
                + ", ".join(f"${i + 2}" for i in range(len(row))) + ") RETURNING *", 2000 + n, *row.values())

    async def many():
        await conn.executemany("INSERT INTO typed (id, c_text, c_int4, c_date) VALUES ($1, $2, $3, $4)",
                               [(3000 + i, f"many {i}", i, date(2024, 1, 1 + i)) for i in range(20)])
        return await conn.fetch("SELECT c_text, c_int4, c_date FROM typed WHERE id >= 3000 ORDER BY id")

    await check("executemany", many)

    async def cursor():
        async with conn.transaction():
            rows = []
            async for row in conn.cursor("SELECT id, c_text FROM typed WHERE c_text > $1 ORDER BY c_text, id", "m", prefetch=3):
                rows.append(tuple(row))
            return rows

    await check("cursor", cursor)
    await q("search", "SELECT customer_id, first_name, email FROM customer WHERE email ILIKE $1 AND country = $2 ORDER BY last_name, customer_id", "%gmail%", "USA")
    await q("concatenation", "UPDATE customer SET address = address || $1, phone = coalesce($2, phone) WHERE customer_id < $3 RETURNING address, phone", ", floor 2", None, 4)
    await q("upsert", NEW_CUSTOMER + " ON CONFLICT (customer_id) DO UPDATE SET email = excluded.email RETURNING *", 1, "Ann", "Other", "ann.other@example.org")
    await q("join", "SELECT c.last_name, e.email FROM customer c JOIN employee e ON e.employee_id = c.support_rep_id WHERE c.state = $1 AND e.last_name = $2 ORDER BY 1", "CA", "Peacock")
    await q("dates", "SELECT first_name, birth_date FROM employee WHERE birth_date < $1 ORDER BY birth_date", datetime(1970, 1, 1))

    # A statement that the driver keeps, across a change of the table
    for i in range(8):
        await q(f"kept {i}", "SELECT last_name, email FROM customer WHERE city = $1 ORDER BY customer_id", ["Prague", "Paris", "Olomouc"][i % 3])
        if i == 5:
            await conn.execute("ALTER TABLE customer ALTER city SET STATISTICS 50")
    await q("error: duplicate", NEW_CUSTOMER, 2, "x", "y", "z")
    await q("error: not null", NEW_CUSTOMER, 5000, None, "y", "z")
    await q("error: not an integer", "INSERT INTO typed (id, c_int4) VALUES ($1, $2)", 6000, "seven")
    await q("error: out of range", "INSERT INTO typed (id, c_int2) VALUES ($1, $2)", 6001, 40000)
    await conn.close()


asyncio.run(main())
