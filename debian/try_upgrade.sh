#!/bin/sh
# Upgrades pgseal where there are values, keys, indexes and sessions:
#
#   sh try_upgrade.sh PG_VERSION OLD.deb NEW.deb
#
# Called by try.sh, in a root directory that is thrown away afterwards.
#
# What the old version made is read and written at each step: by the old library beside
# the new files, by the new library with the old SQL, and after ALTER EXTENSION UPDATE,
# which is called while other sessions have statements prepared and rows not committed.
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
version=$1
cd /tmp

# is EXPECTED GOT NAME
is()
{
	[ "$1" = "$2" ] || { printf 'not ok - %s: expected "%s", got "%s"\n' "$3" "$1" "$2"; exit 1; }
	printf 'ok - %s\n' "$3"
}

# db NAME STATEMENT: what psql says, errors as well
db()
{
	su postgres -c "psql -XAtq -d $1" 2>&1 <<END
$2
END
}

sql()
{
	db postgres "$1"
}

# waits QUERY: until it says t
waits()
{
	tries=0
	until [ "$(sql "$1")" = t ]
	do
		tries=$((tries + 1))
		[ $tries -lt 300 ] || { echo "not ok - in vain: $1"; exit 1; }
		sleep 0.5
	done
}

# A session that stays open: its statements go to descriptor 3, its answers to /tmp/said
open_session()
{
	rm -f /tmp/asked
	mkfifo -m 0666 /tmp/asked
	: >/tmp/said
	su postgres -c 'exec psql -XAtq -d postgres' </tmp/asked >/tmp/said 2>&1 &
	exec 3>/tmp/asked
}

# asked STATEMENT: what the open session answers
asked()
{
	lines=$(wc -l </tmp/said)
	printf '%s\n\\echo END\n' "$1" >&3
	until tail -n "+$((lines + 1))" /tmp/said | grep -q '^END$'
	do
		sleep 0.1
	done
	tail -n "+$((lines + 1))" /tmp/said | sed '/^END$/d'
}

installed()
{
	sql "SELECT extversion FROM pg_extension WHERE extname = 'pgseal'"
}

# All that is there, and that each index finds what it has
all="SELECT count(*), md5(string_agg(concat_ws('|', id, name, pay, since, tags), ' ' ORDER BY id)) FROM people WHERE id <= 2000"
finds="SET enable_seqscan = off;
	SELECT (SELECT id FROM people WHERE name = 'name 1234'), (SELECT count(*) FROM people WHERE pay BETWEEN 500 AND 599),
		(SELECT count(*) FROM people WHERE name LIKE '%me 77%'), (SELECT id FROM people WHERE tags @> '{\"n\": 1999}'),
		(SELECT count(*) FROM people WHERE since < '2020-01-11'),
		(SELECT string_agg(missing::text, ',') FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_am a ON a.oid = relam,
			pgseal.verify_index(indexrelid) WHERE amname = 'sealed'),
		(SELECT string_agg(concat_ws(' ', broken, ledger_status), ',') FROM pgseal.verify_table('accounts', ledger => true)),
		(SELECT string_agg(iban, ',') FROM accounts), (SELECT pgseal.try_open(v) FROM people_of ORDER BY id LIMIT 1)"
found="1234|100|11|1999|9|0,0,0|0,0 good|DE1,DE2|child"
works()
{
	is "$digest" "$(sql "$all")" "$1: every value is what it was"
	is "$found" "$(sql "$finds")" "$1: indexes find them, signatures and the ledger are good"
	is "" "$(sql "SELECT object, status, detail FROM pgseal.check() WHERE status NOT IN ('ok', 'shown')")" "$1: check() is content"
}

# rotates NAME: a new version, and no value left under an old one
rotates()
{
	is "" "$(sql "SELECT pgseal.rotate_key('public.people'), pgseal.rotate_key('payroll')" | grep ERROR:)" "$1: a rotation"
	waits "SELECT count(*) = 0 FROM pgseal_internal.rotation"
	is t "$(sql "SELECT bool_and((pgseal.inspect(pay)).current AND (pgseal.inspect(name)).current) FROM people WHERE id <= 2000")" "and all values are re-encrypted"
	works "$1, rotated"
}

#
# The old version
#

apt-get update -q >/dev/null
apt-get install -qy --no-install-recommends "$2" >/dev/null
cat >>"/etc/postgresql/$version/main/postgresql.conf" <<END
shared_preload_libraries = 'pgseal'
pgseal.worker_interval = 1
END
pg_ctlcluster "$version" main start
is "" "$(sql "CREATE EXTENSION pgseal;
	SELECT pgseal.create_key('payroll'), pgseal.create_key('child', parent => 'payroll');
	CREATE TABLE people (id int PRIMARY KEY, name encrypted_text, pay encrypted_int4('payroll'), since encrypted_date, tags encrypted_jsonb, n int);
	INSERT INTO people SELECT i, 'name ' || i, i, date '2020-01-01' + i, jsonb_build_object('n', i), i FROM generate_series(1, 2000) i;
	CREATE UNIQUE INDEX ON people (blind_index(name));
	CREATE INDEX ON people USING sealed (name sealed_trgm_ops);
	CREATE INDEX ON people USING sealed (pay);
	CREATE INDEX ON people USING sealed (tags);
	CREATE INDEX people_n ON people USING brin (n);
	CREATE TABLE people_of (id int, v encrypted_text('*'));
	INSERT INTO people_of VALUES (1, pgseal.seal('child', 'child'));
	CREATE TABLE accounts (id int PRIMARY KEY, iban encrypted_text, signature row_signature);
	SELECT pgseal.sign_table('accounts', ledger => true);
	INSERT INTO accounts VALUES (1, 'DE1'), (2, 'DE2')" | grep -e ERROR -e WARNING)" "the old version is used"
old=$(installed)
digest=$(sql "$all")
is 2000 "${digest%|*}" "$old: rows"
works "$old"

#
# The new package, before the restart: PostgreSQL has the old library in its memory
#

open_session
is "" "$(asked "PREPARE p(text) AS SELECT id, pay FROM people WHERE name = \$1; PREPARE r(int, int) AS SELECT count(*) FROM people WHERE pay BETWEEN \$1 AND \$2;")" \
	"a session prepares statements"
apt-get install -qy --no-install-recommends "$3" >/dev/null
works "the new files beside $old"
is "7|7" "$(asked "EXECUTE p('name 7');")" "the open session, too"
is 1 "$(sql "ALTER EXTENSION pgseal UPDATE" | grep -c 'ERROR:.*could not find function')" "ALTER EXTENSION before the restart is an error"
is "$old" "$(installed)" "and changes nothing"
rotates "the new files beside $old"
exec 3>&-
wait

#
# The new library, with the SQL of the old version
#

pg_ctlcluster "$version" main restart
is "$old" "$(installed)" "after the restart, SQL is that of $old"
works "the new library, SQL of $old"
rotates "the new library, SQL of $old"
is "" "$(sql "INSERT INTO people SELECT i, 'name ' || i, i, date '2020-01-01' + i FROM generate_series(2001, 3000) i;
	UPDATE accounts SET iban = 'DE3' WHERE id = 2; UPDATE accounts SET iban = 'DE2' WHERE id = 2" | grep ERROR:)" "rows are written"
works "written by the new library, SQL of $old"
is 2 "$(sql "CREATE INDEX ON people USING brin (since); CALL pgseal.encrypt_column('people', 'n')" | grep -c ERROR:)" "what is new is refused"
su postgres -c 'pg_dump -d postgres' >/tmp/dump
is "" "$(db template1 'CREATE DATABASE restored'; db restored "SET client_min_messages = error; $(cat /tmp/dump)" | grep ERROR)" "its dump is restored, with the new SQL"
is "$digest" "$(db restored "$all")" "with all values"
new=$(db restored "SELECT extversion FROM pg_extension WHERE extname = 'pgseal'")

#
# ALTER EXTENSION, while sessions are open
#

open_session
is "7|7 100" "$(asked "PREPARE p(text) AS SELECT id, pay FROM people WHERE name = \$1;
	PREPARE r(int, int) AS SELECT count(*) FROM people WHERE pay BETWEEN \$1 AND \$2;
	PREPARE i(int, text, date) AS INSERT INTO people (id, name, since) VALUES (\$1, \$2, \$3);
	EXECUTE p('name 7'); EXECUTE r(500, 599);" | xargs)" "a session has prepared statements"
is "" "$(asked "BEGIN; EXECUTE i(3001, 'name 3001', '2030-01-01');")" "and has written, without a commit"
is "" "$(sql "SET lock_timeout = '10s'; ALTER EXTENSION pgseal UPDATE")" "ALTER EXTENSION pgseal UPDATE waits for nobody"
is "$new" "$(installed)" "it is $new now"
is "7|7 3001| 100" "$(asked "EXECUTE p('name 7'); EXECUTE p('name 3001'); EXECUTE r(500, 599); COMMIT;" | xargs)" "the session goes on"
works "$new"
is "" "$(asked "EXECUTE i(3002, 'name 3002', '2030-01-02'); CREATE INDEX people_since ON people USING brin (since) WITH (pages_per_range = 1);")" \
	"and makes what is new: BRIN"
is "" "$(sql "CALL pgseal.encrypt_column('people', 'n')" | grep -v NOTICE)" "a column with BRIN is encrypted"
is "people_n 0, people_since 0" "$(sql "SELECT string_agg(i::text || ' ' || missing, ', ') FROM unnest('{people_n,people_since}'::regclass[]) i, pgseal.verify_index(i)")" \
	"which has all rows"
is 1 "$(sql "SET enable_seqscan = off; EXPLAIN SELECT 1 FROM people WHERE since > '2029-12-31'" | grep -c 'on people_since')" "and is used"
is "2 2" "$(echo $(sql "SET enable_seqscan = off; SELECT count(*) FROM people WHERE since > '2029-12-31'"; asked "SELECT count(*) FROM people WHERE since > '2029-12-31';"))" \
	"finding them"
rotates "$new"
is "7|7 100" "$(asked "EXECUTE p('name 7'); EXECUTE r(500, 599);" | xargs)" "the session goes on"
exec 3>&-
wait
pg_ctlcluster "$version" main restart
works "$new, restarted"
pg_ctlcluster "$version" main stop
echo "upgraded from $old to $new"
