# Re-encryption by the worker at its default throttle, beside pgbench.

row "re-encryption of $rows rows, default throttle" "pgseal"
sql >/dev/null <<SQL
ALTER SYSTEM SET autovacuum = on;
SELECT pg_reload_conf();
DROP TABLE IF EXISTS rotated;
CREATE TABLE rotated (id int PRIMARY KEY, v encrypted_text);
INSERT INTO rotated SELECT i, substr(md5(i::text), 1, 16) FROM generate_series(1, $rows) i;
CREATE INDEX ON rotated (blind_index(v));
VACUUM (FREEZE, ANALYZE) rotated;
CHECKPOINT;
SQL
script='\set i random(1, :rows)
SELECT v FROM rotated WHERE id = :i;
UPDATE rotated SET v = md5((:i::int)::text) WHERE id = :i;'
sizes() { sql -F ' ' -c "SELECT pg_table_size('rotated'), pg_indexes_size('rotated')"; }
stale() { sql -c "SELECT count(*) FROM pgseal.key_versions WHERE key = 'public.rotated' AND purpose = 'data' AND retired IS NULL"; }
now() { date +%s.%N; }

quiet=$(tps "$script" | cut -d' ' -f1)
before=$(sizes)
sql -c "SELECT pgseal.rotate_key('public.rotated')" >/dev/null
start=$(now)
: >"$tmp/busy"
resealed=
while [ "$(stale)" -gt 1 ]
do
	tps "$script" | cut -d' ' -f1 >>"$tmp/busy"
	if [ -z "$resealed" ]
	then
		resealed=$(sql -c "SELECT EXTRACT(epoch FROM clock_timestamp()) || ' ' || values_resealed
			FROM pgseal.progress_reencrypt WHERE key = 'public.rotated' AND values_resealed > 0")
	fi
done
end=$(now)
row "resealed rows a second, pgbench running" \
	"$(echo "$resealed $start" | awk '{ printf "%.0f", $2 / ($1 - $3) }')"
row "pgbench meanwhile, of its tps without (SELECT, UPDATE)" \
	"$(echo "$(median <"$tmp/busy") $quiet" | awk '{ printf "%.0f %%", 100 * $1 / $2 }')"
row "until the old version is retired" "$(echo "$start $end" | awk '{ printf "%.0f s", $2 - $1 }')"
row "table, indexes afterwards, of before" \
	"$(echo "$(sizes) $before" | awk '{ printf "%.2f, %.2f x", $1 / $3, $2 / $4 }')"
sql -c 'ALTER SYSTEM RESET autovacuum' -c 'SELECT pg_reload_conf()' -c 'DROP TABLE rotated' >/dev/null
