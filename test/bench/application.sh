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

# Each is a request, as a transaction, with its values as parameters; %s is the schema.
profile='SELECT id, name, email, phone, address FROM %s_shop.customer WHERE id = :id;
SELECT id, at, amount, note FROM %s_shop.purchase WHERE customer = :id ORDER BY at DESC LIMIT 10;'
login="\\set n random(1, $people)
SELECT id, name FROM %s_shop.customer WHERE email = 'c' || :n || '@example.com';"
order='INSERT INTO %s_shop.purchase (customer, amount, note) VALUES (:id, 12.5, :note);'
move='UPDATE %s_shop.customer SET address = :address, phone = :phone WHERE id = :id;'
register="INSERT INTO %s_shop.customer (name, email, phone, card, born, address)
	VALUES (:name, 'new' || nextval('%s_shop.new'), :phone, :card, :born, :address);"
sql -c 'CREATE SEQUENCE plain_shop.new' -c 'CREATE SEQUENCE sealed_shop.new'

# request SCRIPT CONTESTANT
request()
{
	tps "\\set id random(1, $people)
$(printf '%s\n' "$1" | sed "s/%s/$2/g")" -D name='New Customer' -D phone='+49 40 7654321' -D card=n4000123412341234 \
		-D born=1990-05-17 -D address='7 Short Street, 20095 Hamburg' -D note='leave it at the door, please'
}

mix="\\set r random(1, 100)
\\if :r <= 50
$profile
\\elif :r <= 75
$login
\\elif :r <= 90
$order
\\elif :r <= 97
$move
\\else
$register
\\endif"

row "an application's requests, of those on plain columns" "pgseal" "budget"
contestants="plain sealed"
for name in profile login order move register mix
do
	eval "script=\$$name"
	case $name in
		profile) what="a customer, his last purchases: 4 + 4 values opened" ;;
		login) what="found by e-mail, blind index" ;;
		order) what="a purchase: 1 value sealed" ;;
		move) what="another address: 2 of 6 values sealed" ;;
		register) what="a new customer: 6 values sealed, 1 indexed" ;;
		mix) what="50 profile, 25 login, 15 order, 7 move, 3 register" ;;
	esac
	turns request "$script"
	row "$what" "$(share)" ">= 95 %"
done
sql -c 'DROP SCHEMA plain_shop, sealed_shop CASCADE' 2>/dev/null
