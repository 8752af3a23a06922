# One value in a query, against OpenSSL alone.

row "one value in a query" "pgseal" "budget" "bare OpenSSL; pgcrypto encrypt(), pgp_sym"
cc -O2 -D_GNU_SOURCE -Isrc -I"$(pg_config --includedir-server)" -o "$tmp/crypto_bench" \
	"$bench/crypto_bench.c" src/base/crypto.c src/value/envelope.c -lcrypto -lssl || die "crypto_bench does not compile"
"$tmp/crypto_bench" >"$tmp/bare"

one_value()
{
	case $1 in
		plain) ms "SELECT max(octet_length(v)) FROM plain;" ;;
		seal) ms "SELECT max(octet_length(pgseal_internal.encrypted_text_send(pgseal_internal.seal_cast(v, $typmod, false)))) FROM plain;" ;;
		open) ms "SELECT max(octet_length(pgseal_internal.open(v))) FROM sealed;" ;;
		raw_seal) ms "SELECT max(octet_length(encrypt(v::bytea, $secret, 'aes'))) FROM plain;" ;;
		raw_open) ms "SELECT max(octet_length(decrypt(v, $secret, 'aes'))) FROM raw;" ;;
	esac
}

column=4
for size in 16 64 1024
do
	count=$((rows * 64 / (size + 64)))
	few=$((count / 200 + 1))
	sql <<SQL
DROP TABLE IF EXISTS plain, sealed, raw, pgp;
CREATE UNLOGGED TABLE plain AS
	SELECT left(repeat(md5(i::text), 32), $size) AS v FROM generate_series(1, $count) i;
CREATE UNLOGGED TABLE sealed (v encrypted_text('bench'));
INSERT INTO sealed SELECT v FROM plain;
CREATE UNLOGGED TABLE raw AS SELECT encrypt(v::bytea, $secret, 'aes') AS v FROM plain;
CREATE UNLOGGED TABLE pgp AS SELECT pgp_sym_encrypt(v, 'secret') AS v FROM plain LIMIT $few;
ALTER TABLE plain ALTER v SET STORAGE PLAIN;
VACUUM ANALYZE plain, sealed, raw, pgp;
SQL
	typmod=$(sql -c "SELECT atttypmod FROM pg_attribute WHERE attrelid = 'sealed'::regclass AND attname = 'v'")
	pgp_seal=$(ms "SELECT max(octet_length(pgp_sym_encrypt(v, 'secret'))) FROM (SELECT v FROM plain LIMIT $few) few;")
	pgp_open=$(ms "SELECT max(octet_length(pgp_sym_decrypt(v, 'secret'))) FROM pgp;")
	contestants="plain seal open raw_seal raw_open"
	turns one_value
	field=2
	for what in seal open
	do
		bare=$(awk -v what="OpenSSL $what" -v c=$column 'index($0, what) == 1 { print $(c - 1) }' "$tmp/bare")
		eval pgp=\$pgp_$what
		row "$what, $size bytes" "$(per_value $field)" "$([ $size = 16 ] && echo "<= $((bare + 150)) ns")" \
			"$bare; $(per_value $((field + 2))), $(echo "$pgp $few" | awk '{ printf "%.0f ns", $1 * 1e6 / $2 }')"
		field=$((field + 1))
	done
	column=$((column + 1))
done
count=
