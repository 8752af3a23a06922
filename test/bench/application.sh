# A small application, once with plain columns and once with seven of them encrypted: what
# its requests cost, and a mix of them.

people=${PEOPLE:-100000}
schema()
{
	text=$2text date=$2date
	sql <<SQL
DROP SCHEMA IF EXISTS $1_shop CASCADE;
CREATE SCHEMA $1_shop;
SET search_path = $1_shop, public;
CREATE TABLE customer (id bigserial PRIMARY KEY, name $text NOT NULL, email $text NOT NULL, phone $text, card $text,
	born $date, address $text, since timestamptz DEFAULT now());
CREATE TABLE purchase (id bigserial PRIMARY KEY, customer bigint NOT NULL REFERENCES customer, at timestamptz DEFAULT now(),
	amount numeric NOT NULL, note $text);
INSERT INTO customer (name, email, phone, card, born, address)
	SELECT 'Customer Number ' || i, 'c' || i || '@example.com', '+49 30 ' || 1000000 + i, (4000000000000000 + i)::text,
		'1950-01-01'::date + i % 20000, i || ' Long Street, 10115 Berlin' FROM generate_series(1, $people) i;
INSERT INTO purchase (customer, amount, note)
	SELECT i % $people + 1, i % 1000, 'leave it at the door, number ' || i FROM generate_series(1, 4 * $people) i;
CREATE UNIQUE INDEX ON customer ($3);
CREATE INDEX ON purchase (customer, at);
VACUUM (FREEZE, ANALYZE) customer, purchase;
SQL
}
schema plain '' email
schema sealed encrypted_ 'blind_index(email)'
sql -c CHECKPOINT

sql -c 'CREATE SEQUENCE plain_shop.new' -c 'CREATE SEQUENCE sealed_shop.new'

# Each is a request, many times inside the server, for a customer i; %s is the schema.
profile='PERFORM id, length(c.name::text), length(email::text), length(phone::text), length(c.address::text)
	FROM %s_shop.customer c WHERE id = i'
purchases='PERFORM length(q.note::text) FROM (SELECT id, at, amount, p.note FROM %s_shop.purchase p WHERE customer = i ORDER BY at DESC LIMIT 10) q'
login="PERFORM id FROM %s_shop.customer WHERE email = 'c' || i || '@example.com'"
order='INSERT INTO %s_shop.purchase (customer, amount, note) VALUES (i, 12.5, note)'
move='UPDATE %s_shop.customer SET address = new_address, phone = new_phone WHERE id = i'
register="INSERT INTO %s_shop.customer (name, email, phone, card, born, address)
	VALUES (name, 'new' || nextval('%s_shop.new'), new_phone, card, born, new_address)"

requests=10000
# block TIMES REQUEST SCHEMA
block()
{
	cat <<SQL
DO \$\$ DECLARE i int; name text := 'New Customer'; new_phone text := '+49 40 7654321'; card text := '4000123412341234';
	born date := '1990-05-17'; new_address text := '7 Short Street, 20095 Hamburg'; note text := 'leave it at the door, please';
BEGIN
	FOR n IN 1..$1 LOOP
		i := n * 7919::bigint % $people + 1;
		$(printf '%s\n' "$2" | sed "s/%s/$3/g");
	END LOOP;
END \$\$;
SQL
}

# What a session does at its first use comes before what is measured
request()
{
	ms "$(block $requests "$1" "$2" | tr '\n' ' ')" "$(block 50 "$1" "$2" | tr '\n' ' ')"
}

row "an application's requests, CPU in the server" "over plain" "" "plain"
contestants="plain sealed"
for name in profile purchases login order move register
do
	eval "script=\$$name"
	case $name in
		profile) what="a customer: 4 values opened" ;;
		purchases) what="his last purchases: 4 values opened" ;;
		login) what="found by e-mail: blind index" ;;
		order) what="a purchase: 1 value sealed" ;;
		move) what="another address: 2 of 6 values sealed" ;;
		register) what="a new customer: 6 values sealed, 1 indexed" ;;
	esac
	turns request "$script"
	row "$what" "$(figure "(\$2 - \$1) * 1e3 / $requests" '%.1f us')" "" "$(figure "\$1 * 1e3 / $requests" '%.1f us')"
done

# A visit: each statement by itself, as clients send them, and what writes waits for the disk.
visit()
{
	tps "\\set i random(1, $people)
		SET synchronous_commit = on;
		SELECT id FROM $1_shop.customer WHERE email = 'c' || :i::int || '@example.com';
		SELECT id, name, email, phone, address FROM $1_shop.customer WHERE id = :i;
		SELECT id, at, amount, note FROM $1_shop.purchase WHERE customer = :i ORDER BY at DESC LIMIT 10;
		SELECT id, at, amount, note FROM $1_shop.purchase WHERE customer = :i AND amount > 500 ORDER BY at DESC LIMIT 10;
		SELECT id, name, email, phone, address FROM $1_shop.customer WHERE id = :i;
		INSERT INTO $1_shop.purchase (customer, amount, note) VALUES (:i, 12.5, 'leave it at the door, please');
		UPDATE $1_shop.customer SET phone = '+49 40 ' || :i::int WHERE id = :i;"
}
turns visit
row "visits of 5 SELECT, INSERT, UPDATE: by CPU (by clock)" "$(share)" "" "of plain"
sql -c 'DROP SCHEMA plain_shop, sealed_shop CASCADE' 2>/dev/null
