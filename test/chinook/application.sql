-- What an application asks the Chinook database.  Run on a plain and on a sealed
-- one, every statement must give the same: rows and their order, messages, and
-- the types of the result's columns.  A line of "--- name" begins a statement;
-- "any order" in the name allows the rows to come in any.  The variable "text" is
-- the type encrypted_text in the sealed database, text in the plain one.  A name
-- that begins with "error" is of one; "without the value" is one that must not
-- repeat the input where it would have been sealed.

--- all customers
SELECT * FROM customer ORDER BY customer_id;

--- all employees
SELECT * FROM employee ORDER BY employee_id;

--- point lookup
SELECT first_name, last_name, email, phone FROM customer WHERE customer_id = 17;

--- no row
SELECT first_name, email FROM customer WHERE customer_id = -1;

--- equality with a literal
SELECT customer_id, city FROM customer WHERE last_name = 'Fernández' OR city = 'Prague' ORDER BY 1;

--- inequality and NULL
SELECT customer_id, company, state FROM customer WHERE company IS NOT NULL AND state <> 'SP' AND fax IS NULL ORDER BY 1;

--- IS DISTINCT FROM
SELECT customer_id, state FROM customer WHERE state IS DISTINCT FROM 'CA' ORDER BY customer_id;

--- IN list
SELECT customer_id, first_name FROM customer WHERE state IN ('CA', 'SP', 'TX', 'QC') ORDER BY customer_id;

--- NOT IN and ANY of an array
SELECT customer_id FROM customer WHERE state NOT IN ('CA', 'SP') AND city <> ALL (ARRAY['Prague', 'Lubbock']) ORDER BY 1;

--- LIKE
SELECT first_name, last_name FROM customer WHERE email LIKE '%@gmail.com' ORDER BY customer_id;

--- ILIKE
SELECT first_name, last_name, address FROM customer WHERE last_name ILIKE 'm%' OR address ILIKE '%ROSE%' ORDER BY customer_id;

--- NOT LIKE with an escape
SELECT count(*) FROM customer WHERE email NOT LIKE '%!_%' ESCAPE '!';

--- SIMILAR TO and regular expressions
SELECT customer_id, phone FROM customer WHERE phone ~ '^\+1 ' AND postal_code SIMILAR TO '%[0-9]+%' AND email !~* 'APPLE' ORDER BY 1;

--- starts_with, position, split_part
SELECT split_part(email, '@', 2) AS domain, position('@' IN email), starts_with(email, 'm') FROM customer ORDER BY customer_id;

--- sorted by an opened column
SELECT last_name, first_name FROM customer ORDER BY last_name, first_name, customer_id;

--- sorted backwards, NULL first
SELECT company, customer_id FROM customer ORDER BY company DESC NULLS FIRST, customer_id;

--- sorted by an expression
SELECT customer_id, lower(last_name) FROM customer ORDER BY lower(last_name) COLLATE "C", customer_id;

--- sorted under another collation
SELECT last_name FROM customer ORDER BY last_name COLLATE "C" DESC;

--- page of a list
SELECT customer_id, last_name FROM customer ORDER BY last_name, first_name, customer_id LIMIT 10 OFFSET 20;

--- keyset pagination
SELECT customer_id, last_name FROM customer WHERE (last_name, customer_id) > ('K', 0) ORDER BY last_name, customer_id LIMIT 5;

--- range of names
SELECT last_name FROM customer WHERE last_name >= 'F' AND last_name < 'M' ORDER BY last_name;

--- BETWEEN
SELECT last_name FROM customer WHERE last_name BETWEEN 'A' AND 'G' ORDER BY 1;

--- concatenated names
SELECT first_name || ' ' || last_name AS name, address || ', ' || city || ', ' || country AS address FROM customer ORDER BY customer_id;

--- concat, concat_ws and format
SELECT concat_ws(', ', address, city, state, country), concat(first_name, ' ', last_name), format('%s <%s>', last_name, email) FROM customer ORDER BY customer_id;

--- string functions
SELECT upper(first_name), lower(last_name), initcap(email), length(address), reverse(city), md5(phone), left(postal_code, 2), substr(phone, 1, 4),
	replace(phone, ' ', ''), trim(both '+' FROM phone), lpad(city, 12, '.'), regexp_replace(phone, '[^0-9]', '', 'g')
	FROM customer ORDER BY customer_id;

--- masked
SELECT format('%s***@%s', left(email, 1), split_part(email, '@', 2)), overlay(phone PLACING '####' FROM 5 FOR 4) FROM customer ORDER BY customer_id;

--- CASE, coalesce, nullif
SELECT coalesce(company, 'private'), coalesce(company, last_name), nullif(city, 'Prague'),
	CASE WHEN company IS NULL THEN last_name ELSE company END, CASE state WHEN 'CA' THEN 'west' ELSE 'elsewhere' END
	FROM customer ORDER BY customer_id;

--- an encrypted and a plain column in one CASE, coalesce
SELECT coalesce(state, country), CASE WHEN state IS NULL THEN country ELSE city END FROM customer ORDER BY customer_id;

--- greatest and least
SELECT greatest(first_name, last_name), least(first_name, last_name) FROM customer ORDER BY customer_id;

--- join with the representative
SELECT c.first_name, c.last_name, e.first_name AS rep, e.email FROM customer c JOIN employee e ON e.employee_id = c.support_rep_id ORDER BY c.customer_id;

--- self join: who reports to whom
SELECT e.first_name || ' ' || e.last_name AS who, m.last_name AS reports_to FROM employee e LEFT JOIN employee m ON m.employee_id = e.reports_to ORDER BY e.employee_id;

--- join on encrypted columns of two tables
SELECT c.customer_id, count(*) FROM customer c JOIN invoice i ON i.billing_address = c.address AND i.billing_city = c.city GROUP BY c.customer_id ORDER BY 1;

--- join on encrypted columns, merged
SET enable_hashjoin = off; SET enable_nestloop = off;
SELECT c.customer_id, e.employee_id FROM customer c JOIN employee e ON e.city = c.city OR e.state = c.state ORDER BY 1, 2;
SELECT c.customer_id, d.customer_id FROM customer c JOIN customer d ON d.city = c.city AND c.customer_id < d.customer_id ORDER BY 1, 2;

--- join USING
SELECT city, e.last_name, c.last_name FROM employee e JOIN customer c USING (city) ORDER BY 2, 3, c.customer_id;

--- full join
SELECT e.city AS e, c.city AS c FROM employee e FULL JOIN customer c ON c.city = e.city ORDER BY 1, 2, c.customer_id;

--- report: sales by country
SELECT billing_country, count(*), sum(total), round(avg(total), 2) FROM invoice GROUP BY billing_country ORDER BY sum(total) DESC, 1;

--- report: sales by city
SELECT billing_city, count(*), sum(total) FROM invoice GROUP BY billing_city ORDER BY sum(total) DESC, billing_city LIMIT 10;

--- report: best customers
SELECT c.first_name, c.last_name, sum(i.total) AS spent FROM customer c JOIN invoice i USING (customer_id)
	GROUP BY c.customer_id, c.first_name, c.last_name ORDER BY spent DESC, c.last_name, c.first_name LIMIT 10;

--- report: sales of each representative
SELECT e.last_name, count(DISTINCT c.email) AS customers, sum(i.total) FROM employee e JOIN customer c ON c.support_rep_id = e.employee_id
	JOIN invoice i ON i.customer_id = c.customer_id GROUP BY e.employee_id, e.last_name HAVING sum(i.total) > 0 ORDER BY 3 DESC;

--- report: group by domain
SELECT split_part(email, '@', 2) AS domain, count(*) FROM customer GROUP BY 1 ORDER BY 2 DESC, 1;

--- report: group by an encrypted column, hashed, any order
SET enable_sort = off;
SELECT state, count(*) FROM customer GROUP BY state;

--- report: group by an encrypted column, sorted
SET enable_hashagg = off;
SELECT state, city, count(*) FROM customer GROUP BY state, city ORDER BY state NULLS FIRST, city;

--- grouping sets
SELECT state, city, count(*), grouping(state, city) FROM customer GROUP BY ROLLUP (state, city) ORDER BY state NULLS LAST, city NULLS LAST, 4;

--- aggregates of an encrypted column
SELECT count(email), count(company), count(DISTINCT state), min(last_name), max(last_name), max(length(email)) FROM customer;

--- ordered aggregates
SELECT country, string_agg(last_name, ', ' ORDER BY last_name, customer_id), array_agg(first_name ORDER BY customer_id) FROM customer GROUP BY country ORDER BY country;

--- ordered-set aggregate and FILTER
SELECT mode() WITHIN GROUP (ORDER BY state), count(*) FILTER (WHERE email LIKE '%.com') FROM customer;

--- empty aggregate
SELECT min(email), max(hire_date), count(*) FROM employee WHERE false;

--- DISTINCT
SELECT DISTINCT state FROM customer ORDER BY state;

--- DISTINCT ON
SELECT DISTINCT ON (country) country, last_name, email FROM customer ORDER BY country, last_name DESC, customer_id;

--- UNION
SELECT city FROM customer UNION SELECT city FROM employee ORDER BY city;

--- UNION ALL with an expression
SELECT last_name AS name, 'customer' AS kind FROM customer UNION ALL SELECT last_name, 'employee' FROM employee ORDER BY kind, name;

--- INTERSECT
SELECT city FROM customer INTERSECT SELECT city FROM employee ORDER BY 1;

--- EXCEPT
SELECT city, state FROM customer EXCEPT SELECT billing_city, billing_state FROM invoice WHERE invoice_id < 100 ORDER BY 1, 2;

--- UNION of a plain and an encrypted column
SELECT country AS place FROM customer UNION SELECT city FROM customer ORDER BY place;

--- subquery in the target list
SELECT last_name, (SELECT email FROM employee e WHERE e.employee_id = c.support_rep_id) AS rep FROM customer c ORDER BY customer_id;

--- EXISTS
SELECT email FROM customer c WHERE EXISTS (SELECT FROM invoice i WHERE i.customer_id = c.customer_id AND i.total > 10) ORDER BY customer_id;

--- IN a subquery over encrypted columns
SELECT customer_id FROM customer WHERE city IN (SELECT billing_city FROM invoice WHERE total > 10) ORDER BY customer_id;

--- scalar subquery compared
SELECT employee_id, first_name FROM employee WHERE birth_date = (SELECT min(birth_date) FROM employee);

--- lateral
SELECT c.email, l.* FROM customer c, LATERAL (SELECT i.billing_city, i.total FROM invoice i WHERE i.customer_id = c.customer_id ORDER BY total DESC, invoice_id LIMIT 1) l ORDER BY c.customer_id;

--- CTE
WITH big AS (SELECT customer_id, sum(total) AS spent FROM invoice GROUP BY customer_id HAVING sum(total) > 10)
	SELECT c.last_name, b.spent FROM customer c JOIN big b USING (customer_id) ORDER BY b.spent DESC, c.last_name, c.customer_id;

--- materialized CTE of encrypted columns
WITH p AS MATERIALIZED (SELECT last_name, city FROM customer UNION SELECT last_name, city FROM employee)
	SELECT city, count(*), max(last_name) FROM p GROUP BY city ORDER BY 2 DESC, 1;

--- recursive CTE
WITH RECURSIVE chain AS (SELECT employee_id, last_name, 1 AS depth, last_name::text AS path FROM employee WHERE reports_to IS NULL
	UNION ALL SELECT e.employee_id, e.last_name, depth + 1, path || ' > ' || e.last_name FROM employee e JOIN chain ON e.reports_to = chain.employee_id)
	SELECT * FROM chain ORDER BY path;

--- window: ranks
SELECT last_name, country, rank() OVER (PARTITION BY country ORDER BY last_name), row_number() OVER (ORDER BY last_name, customer_id) FROM customer ORDER BY customer_id;

--- window: lag, lead, first_value
SELECT customer_id, lag(last_name) OVER w, lead(email, 1, 'none') OVER w, first_value(city) OVER w FROM customer WINDOW w AS (ORDER BY customer_id) ORDER BY 1;

--- window: partitioned by an encrypted column
SELECT customer_id, city, count(*) OVER (PARTITION BY city), ntile(4) OVER (ORDER BY last_name, customer_id) FROM customer ORDER BY customer_id;

--- dates: functions
SELECT last_name, extract(year FROM birth_date), date_part('month', hire_date), date_trunc('month', hire_date), to_char(birth_date, 'DD Mon YYYY'), age(hire_date, birth_date)
	FROM employee ORDER BY employee_id;

--- dates: arithmetic
SELECT employee_id, hire_date - birth_date, birth_date + interval '65 years', hire_date - interval '1 day' FROM employee ORDER BY 1;

--- dates: conditions
SELECT employee_id, birth_date FROM employee WHERE birth_date < '1970-01-01' AND hire_date BETWEEN '2000-01-01' AND '2004-12-31' ORDER BY birth_date;

--- dates: grouped and sorted
SELECT date_trunc('year', hire_date) AS year, count(*), min(birth_date), max(hire_date) FROM employee GROUP BY 1 ORDER BY 1;

--- dates: OVERLAPS and a typed literal
SELECT employee_id FROM employee WHERE (birth_date, hire_date) OVERLAPS (timestamp '1960-01-01', timestamp '1990-01-01') AND hire_date > timestamp '2001-01-01' ORDER BY 1;

--- casts
SELECT employee_id, birth_date::date, hire_date::text, postal_code::varchar(3), CAST(last_name AS char(5)), phone::bytea FROM employee ORDER BY 1;

--- a date column against a date
SELECT employee_id FROM employee WHERE hire_date > date '2003-01-01' ORDER BY hire_date;

--- JSON: rows
SELECT row_to_json(c) FROM customer c ORDER BY customer_id;

--- JSON: aggregated
SELECT json_agg(json_build_object('name', first_name || ' ' || last_name, 'email', email) ORDER BY customer_id) FROM customer WHERE country = 'USA';

--- JSON: jsonb
SELECT to_jsonb(e) - 'title' FROM employee e ORDER BY employee_id;

--- JSON: object of encrypted values
SELECT jsonb_object_agg(customer_id, phone) FROM customer WHERE phone IS NOT NULL;

--- JSON: a single value
SELECT to_json(email), to_jsonb(hire_date) FROM employee ORDER BY employee_id;

--- arrays
SELECT ARRAY[first_name, last_name], array_length(string_to_array(email, '@'), 1), email = ANY (ARRAY['luisg@embraer.com.br', 'person.001@gmail.com']) FROM customer ORDER BY customer_id;

--- array subquery and unnest
SELECT unnest(ARRAY(SELECT last_name FROM employee ORDER BY employee_id)) AS name ORDER BY name;

--- composite value
SELECT ROW(first_name, 1) IS NOT NULL, (c).email FROM customer c ORDER BY customer_id;

--- VALUES joined
SELECT v.n, c.last_name FROM (VALUES (1, 'CA'), (2, 'SP')) AS v (n, state) JOIN customer c ON c.state = v.state ORDER BY v.n, c.last_name, c.customer_id;

--- generated rows
SELECT c.last_name, n FROM customer c CROSS JOIN generate_series(1, 3) AS n WHERE c.customer_id < 4 ORDER BY c.last_name, n;

--- table command
TABLE employee ORDER BY last_name LIMIT 3;

--- FOR UPDATE
BEGIN; SELECT last_name, email FROM customer WHERE customer_id < 5 ORDER BY customer_id FOR UPDATE; ROLLBACK;

--- TABLESAMPLE
SELECT last_name FROM customer TABLESAMPLE SYSTEM (100) ORDER BY last_name;

--- a prepared statement
PREPARE by_mail(text) AS SELECT customer_id, first_name FROM customer WHERE email = $1;
EXECUTE by_mail('luisg@embraer.com.br'); EXECUTE by_mail('person.003@gmail.com'); EXECUTE by_mail('nobody'); EXECUTE by_mail(NULL);

--- a prepared statement of untyped parameters
PREPARE search AS SELECT customer_id, last_name, city FROM customer WHERE last_name >= $1 AND city LIKE $2 ORDER BY last_name, customer_id LIMIT $3;
EXECUTE search('G', '%o%', 5); EXECUTE search('', '%', 3); EXECUTE search('zz', '%', 3);

--- a prepared statement made generic
SET plan_cache_mode = force_generic_plan;
PREPARE of_state AS SELECT last_name, email FROM customer WHERE state = $1 ORDER BY last_name, customer_id;
EXECUTE of_state('CA'); EXECUTE of_state('SP');

--- a cursor
BEGIN;
DECLARE names SCROLL CURSOR FOR SELECT last_name, email FROM customer ORDER BY last_name, customer_id;
FETCH 3 FROM names; FETCH LAST FROM names; FETCH BACKWARD 2 FROM names; MOVE ABSOLUTE 10 IN names; FETCH NEXT FROM names;
COMMIT;

--- a cursor WITH HOLD
DECLARE held CURSOR WITH HOLD FOR SELECT email, hire_date FROM employee ORDER BY hire_date, email;
FETCH ALL FROM held; CLOSE held;

--- UPDATE through a cursor
BEGIN;
DECLARE c CURSOR FOR SELECT email FROM customer WHERE customer_id = 2 FOR UPDATE;
FETCH c; UPDATE customer SET email = 'moved@example.org' WHERE CURRENT OF c RETURNING email; ROLLBACK;

--- COPY of a query
COPY (SELECT customer_id, email::text, last_name || '' FROM customer ORDER BY customer_id) TO STDOUT (FORMAT csv, HEADER);

--- INSERT
INSERT INTO customer (customer_id, first_name, last_name, email, support_rep_id) VALUES (100, 'Anaïs', 'Nørgaard-Whitlock', 'anais.whitlock@example.org', 3);

--- INSERT … RETURNING
INSERT INTO customer (customer_id, first_name, last_name, email, city) VALUES (101, 'Bartholomew', 'Quigleyson', 'bart.quigleyson@example.org', 'Reykjavík'),
	(102, '', 'Emptyfirstname', 'first-name-empty@example.org', NULL) RETURNING customer_id, first_name, email, city, upper(last_name) AS shout;

--- INSERT of typed values
INSERT INTO customer (customer_id, first_name, last_name, email, phone, city)
	VALUES (103, 'Typed'::varchar(40), 'Parameter'::text, 'typed.parameter@example.org'::char(30), N'+999 national', NULL) RETURNING first_name, phone, city;

--- UPDATE with what text takes by assignment
BEGIN; UPDATE customer SET city = 'Namedcity'::name, phone = 5551234567, fax = current_date - current_date, state = true WHERE customer_id = 103 RETURNING city, phone, fax, state; ROLLBACK;

--- INSERT … SELECT
INSERT INTO customer (customer_id, first_name, last_name, email, city) SELECT 200 + employee_id, first_name, last_name, email, city FROM employee RETURNING customer_id, email;

--- INSERT … SELECT of expressions
INSERT INTO customer (customer_id, first_name, last_name, email) SELECT 300 + employee_id, upper(first_name), last_name || '-' || employee_id, lower(email) FROM employee RETURNING last_name, email;

--- UPDATE
UPDATE customer SET email = 'newmailbox@example.org', phone = '+1 (800) 555-0199' WHERE customer_id = 1;
SELECT customer_id, email, phone FROM customer WHERE email = 'newmailbox@example.org';

--- UPDATE by an expression of itself, any order
UPDATE customer SET email = lower(email), address = address || ', rear building' WHERE country = 'Canada' RETURNING customer_id, email, address;

--- UPDATE … FROM, any order
UPDATE customer c SET company = e.last_name || ' & Co.', fax = e.fax FROM employee e WHERE e.employee_id = c.support_rep_id AND c.customer_id < 10 RETURNING c.customer_id, c.company, c.fax, e.email;

--- UPDATE that swaps columns
UPDATE customer SET (first_name, last_name) = (last_name, first_name) WHERE customer_id = 20 RETURNING first_name, last_name;

--- UPDATE from a subquery
UPDATE invoice i SET (billing_city, billing_address) = (SELECT city, address FROM customer c WHERE c.customer_id = i.customer_id) WHERE invoice_id < 20 RETURNING invoice_id, billing_city, billing_address;

--- UPDATE of dates, any order
UPDATE employee SET hire_date = hire_date + interval '1 month', birth_date = '1973-08-30' WHERE employee_id = 3 RETURNING hire_date, birth_date;

--- UPDATE to NULL, any order
UPDATE customer SET fax = NULL, state = DEFAULT WHERE customer_id BETWEEN 30 AND 35 RETURNING fax, state, phone;

--- upsert
INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (101, 'Upsert', 'Upsertson', 'upsert.upsertson@example.org'), (104, 'Fresh', 'Freshwater', 'fresh.freshwater@example.org')
	ON CONFLICT (customer_id) DO UPDATE SET email = excluded.email, last_name = customer.last_name || '/' || excluded.last_name RETURNING customer_id, first_name, last_name, email;

--- upsert with a condition
INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (104, 'X', 'Y', 'fresh.freshwater@example.org')
	ON CONFLICT (customer_id) DO UPDATE SET first_name = excluded.first_name WHERE customer.email <> excluded.email RETURNING *;

--- upsert that does nothing
INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (104, 'Z', 'Z', 'z') ON CONFLICT DO NOTHING RETURNING email;

--- MERGE
MERGE INTO customer c USING (SELECT 400 + employee_id AS id, first_name, last_name, email FROM employee UNION ALL SELECT 104, 'Merged', 'Mergerson', 'merged.mergerson@example.org') n ON c.customer_id = n.id
	WHEN MATCHED THEN UPDATE SET first_name = n.first_name, email = n.email
	WHEN NOT MATCHED THEN INSERT (customer_id, first_name, last_name, email) VALUES (n.id, n.first_name, n.last_name, n.email);
SELECT customer_id, first_name, email FROM customer WHERE customer_id = 104 OR customer_id > 400 ORDER BY 1;

--- DELETE, any order
DELETE FROM customer WHERE customer_id > 400 AND last_name < 'M' RETURNING customer_id, last_name;

--- DELETE … USING, any order
DELETE FROM customer c USING employee e WHERE c.customer_id > 300 AND c.email = lower(e.email) RETURNING c.customer_id, e.last_name;

--- data-modifying CTE
WITH gone AS (DELETE FROM customer WHERE customer_id > 200 RETURNING customer_id, email), kept AS (UPDATE customer SET fax = 'n/a' WHERE customer_id = 100 RETURNING email)
	SELECT customer_id::text, email FROM gone UNION ALL SELECT 'kept', email FROM kept ORDER BY 1;

--- COPY in
COPY customer (customer_id, first_name, last_name, email, city) FROM STDIN;
500	Copied	Copperfield	copied.copperfield@example.org	\N
501	Tab\tInside	Back\\slash	tab.inside@example.org	Line\nBreak
\.
SELECT customer_id, first_name, last_name, email, city FROM customer WHERE customer_id >= 500 ORDER BY 1;

--- COPY in, CSV
COPY customer (customer_id, first_name, last_name, email, city) FROM STDIN (FORMAT csv);
502,"Quoted ""Q""","Comma, Inc",csv.comma@example.org,""
503,Plain,Csvson,csv.csvson@example.org,
\.
SELECT customer_id, first_name, last_name, email, city, city IS NULL FROM customer WHERE customer_id >= 502 ORDER BY 1;

--- a long value
CREATE TABLE letter (letter_id integer, body :text);
INSERT INTO letter SELECT n, repeat('Unabridged letter of complaint ', n) FROM generate_series(0, 5000, 1000) AS n;
SELECT letter_id, length(body), md5(body), right(body, 20) FROM letter ORDER BY letter_id;

--- a view
CREATE VIEW contact AS SELECT customer_id, first_name || ' ' || last_name AS name, email, phone FROM customer;
SELECT * FROM contact WHERE email LIKE '%gmail%' ORDER BY name, customer_id;

--- an updatable view, any order
CREATE VIEW mailbox AS SELECT customer_id, email, last_name FROM customer WHERE customer_id >= 500 WITH CHECK OPTION;
UPDATE mailbox SET email = upper(email) WHERE last_name LIKE 'C%' RETURNING email;
SELECT email, last_name FROM mailbox ORDER BY email;

--- a materialized view
CREATE MATERIALIZED VIEW by_state AS SELECT state, city, count(*) FROM customer GROUP BY state, city;
SELECT * FROM by_state ORDER BY state, city;
REFRESH MATERIALIZED VIEW by_state;

--- a function in SQL
CREATE FUNCTION full_name(integer) RETURNS text LANGUAGE sql STABLE AS 'SELECT first_name || '' '' || last_name FROM customer WHERE customer_id = $1';
SELECT customer_id, full_name(customer_id) FROM customer ORDER BY full_name(customer_id), 1;

--- a function in PL/pgSQL
CREATE FUNCTION label(id integer) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE r record; n customer.last_name%TYPE; t text;
BEGIN
	SELECT * INTO r FROM customer WHERE customer_id = id;
	n := r.last_name;
	SELECT city INTO t FROM customer WHERE email = r.email;
	RETURN upper(n) || ', ' || r.first_name || coalesce(' (' || t || ')', '');
END $$;
SELECT label(customer_id) FROM customer ORDER BY customer_id;

--- a function that returns rows
CREATE FUNCTION customers_of(text) RETURNS TABLE (id integer, mail text, name text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT customer_id, email::text, last_name::text FROM customer WHERE country = $1 ORDER BY customer_id;
END $$;
SELECT * FROM customers_of('USA');

--- a function that returns the table's rows
CREATE FUNCTION customers_in(text) RETURNS SETOF customer LANGUAGE sql STABLE AS 'SELECT * FROM customer WHERE city = $1 ORDER BY customer_id';
SELECT * FROM customers_in('Prague') UNION ALL SELECT * FROM customers_in('Olomouc');

--- a DO block with a loop
DO $$
DECLARE r record; n int := 0;
BEGIN
	FOR r IN SELECT email, last_name FROM customer WHERE email LIKE '%.com' LOOP n := n + length(r.email); END LOOP;
	PERFORM set_config('shop.length', n::text, false);
END $$;
SELECT current_setting('shop.length');

--- a trigger that changes NEW
CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := lower(NEW.email); NEW.city := coalesce(NEW.city, 'unknown'); RETURN NEW; END $$;
CREATE TRIGGER tidy BEFORE INSERT OR UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION tidy();
INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (600, 'Trig', 'Triggerson', 'TRIG.Triggerson@Example.ORG') RETURNING email, city;
UPDATE customer SET email = 'AGAIN.Triggerson@Example.ORG' WHERE customer_id = 600 RETURNING email;
DROP TRIGGER tidy ON customer;

--- CREATE TABLE AS
CREATE TABLE archive AS SELECT customer_id, email, last_name, city FROM customer;
SELECT * FROM archive WHERE email LIKE '%.org' ORDER BY customer_id;

--- a temporary table
CREATE TEMP TABLE recent AS SELECT last_name, email FROM customer WHERE customer_id > 50;
SELECT r.email, c.customer_id FROM recent r JOIN customer c USING (email) ORDER BY 2;

--- a new encrypted column with a default
ALTER TABLE archive ADD COLUMN note :text DEFAULT 'none';
UPDATE archive SET note = email || '!' WHERE customer_id < 5;
SELECT customer_id, note FROM archive ORDER BY customer_id;

--- error: a CHECK constraint
ALTER TABLE customer ADD CHECK (email LIKE '%@%' OR email IN ('Y', 'z'));
INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (700, 'Bad', 'Mailbox', 'no-at-sign-here');

--- error: NOT NULL
INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (701, 'Nullable', 'Missingmail', NULL);

--- error: duplicate key
INSERT INTO customer (customer_id, first_name, last_name, email) VALUES (1, 'Duplicate', 'Keyholder', 'duplicate.keyholder@example.org');

--- error: foreign key
INSERT INTO customer (customer_id, first_name, last_name, email, support_rep_id) VALUES (702, 'Foreign', 'Keyless', 'foreign.keyless@example.org', 99);

--- error: division by zero beside an opened column
SELECT last_name, 1 / (customer_id - 1) FROM customer ORDER BY customer_id;

--- error without the value: not a date
INSERT INTO employee (employee_id, last_name, first_name, birth_date) VALUES (99, 'Dateless', 'Person', 'not a date');

--- error: cannot be cast
SELECT last_name::integer FROM customer WHERE customer_id = 101;

--- error: raised with a value
DO $$ BEGIN RAISE EXCEPTION 'customer % is blocked', (SELECT customer_id FROM customer WHERE email = 'fresh@nowhere' OR customer_id = 3 LIMIT 1); END $$;

--- error in the middle of a transaction
BEGIN; UPDATE customer SET email = 'rolledback@example.org' WHERE customer_id = 5; SELECT no_such_column FROM customer; SELECT 1; ROLLBACK;
SELECT email FROM customer WHERE customer_id = 5;

--- savepoints
BEGIN; SAVEPOINT a; UPDATE customer SET city = 'Savepointville' WHERE customer_id = 5; ROLLBACK TO a; UPDATE customer SET city = 'Keptcity' WHERE customer_id = 6 RETURNING city; COMMIT;
SELECT customer_id, city FROM customer WHERE customer_id IN (5, 6) ORDER BY 1;

--- Django: get, exists, icontains, in a subquery
SELECT "customer"."customer_id", "customer"."email" FROM "customer" WHERE ("customer"."last_name" = 'Leacock' AND UPPER("customer"."email"::text) LIKE UPPER('%LEACOCK%')) ORDER BY "customer"."last_name" ASC LIMIT 21;
SELECT 1 AS "a" FROM "customer" WHERE "customer"."city" = 'Prague' LIMIT 1;
SELECT COUNT(*) FROM (SELECT DISTINCT "customer"."city" AS "col1" FROM "customer" WHERE NOT ("customer"."email"::text LIKE '%@gmail.com')) subquery;
SELECT "invoice"."invoice_id" FROM "invoice" WHERE "invoice"."customer_id" IN (SELECT U0."customer_id" FROM "customer" U0 WHERE (U0."state" IS NOT NULL AND U0."city" IN ('Prague', 'Montréal', 'Edmonton'))) ORDER BY 1 LIMIT 5;

--- Django: years, truncated dates
SELECT "employee"."employee_id", DATE_TRUNC('month', "employee"."hire_date") AS "month", EXTRACT(YEAR FROM "employee"."birth_date") AS "year" FROM "employee" WHERE ("employee"."birth_date" BETWEEN '1960-01-01'::timestamp AND '1979-12-31 23:59:59.999999'::timestamp AND EXTRACT(MONTH FROM "employee"."hire_date") > 3) ORDER BY "employee"."birth_date" DESC NULLS LAST;

--- Django: annotations
SELECT COALESCE("customer"."company", '') || COALESCE((' / ') || COALESCE("customer"."last_name", ''), '') AS "label", LENGTH("customer"."email") AS "length", CASE WHEN "customer"."state" = 'CA' THEN 'west' WHEN "customer"."state" IS NULL THEN "customer"."country" ELSE "customer"."state" END AS "region" FROM "customer" ORDER BY "customer"."customer_id";

--- Django: bulk_update, in any order
UPDATE "customer" SET "phone" = (CASE WHEN ("customer"."customer_id" = 1) THEN '+1 111' WHEN ("customer"."customer_id" = 2) THEN "customer"."phone" || ' x2' ELSE NULL END)::text WHERE "customer"."customer_id" IN (1, 2) RETURNING "customer"."customer_id", "customer"."phone";

--- Rails: exists, count of a limited query, pluck, find_or_create_by
SELECT 1 AS one FROM "customer" WHERE "customer"."email" = 'leonekohler@surfeu.de' LIMIT 1;
SELECT COUNT(*) FROM (SELECT 1 AS one FROM "customer" WHERE "customer"."city" != 'Prague' LIMIT 3 OFFSET 1) subquery_for_count;
SELECT DISTINCT "customer"."state", "customer"."customer_id" FROM "customer" WHERE ("customer"."last_name" = 'Peterson' OR "customer"."city" IS NULL) ORDER BY "customer"."customer_id" ASC;
INSERT INTO "customer" ("customer_id", "first_name", "last_name", "email") VALUES (800, 'Rail', 'Road', 'rail.road@example.org') ON CONFLICT DO NOTHING RETURNING "customer_id";

--- Rails: find_each, update_all, touch of a joined table
SELECT "customer".* FROM "customer" WHERE "customer"."customer_id" > 5 ORDER BY "customer"."customer_id" ASC LIMIT 3;
UPDATE "customer" SET "company" = COALESCE("company", 'none'), "fax" = NULL WHERE "customer"."customer_id" IN (SELECT "customer"."customer_id" FROM "customer" INNER JOIN "invoice" ON "invoice"."customer_id" = "customer"."customer_id" WHERE "invoice"."billing_city" = "customer"."city" AND "customer"."customer_id" < 4);
SELECT "customer_id", "company", "fax" FROM "customer" WHERE "customer_id" < 4 ORDER BY 1;

--- SQLAlchemy: exists, keyset, eager loading
SELECT EXISTS (SELECT 1 FROM customer WHERE customer.email = 'ftremblay@gmail.com') AS anon_1;
SELECT customer.customer_id, customer.last_name FROM customer WHERE (customer.last_name, customer.customer_id) > ('Mitchell', 5) ORDER BY customer.last_name, customer.customer_id LIMIT 4;
SELECT anon_1.customer_email, invoice_1.billing_city FROM (SELECT customer.customer_id AS customer_id, customer.email AS customer_email FROM customer ORDER BY customer.email LIMIT 2) AS anon_1 LEFT OUTER JOIN invoice AS invoice_1 ON anon_1.customer_id = invoice_1.customer_id ORDER BY anon_1.customer_email, invoice_1.invoice_id;

--- SQLAlchemy: typed parameters, insertmanyvalues
PREPARE s (varchar, varchar) AS SELECT customer.customer_id FROM customer WHERE customer.city = $1::VARCHAR OR lower(customer.email) = lower($2::VARCHAR) ORDER BY 1;
EXECUTE s ('Prague', 'FTREMBLAY@gmail.com');
INSERT INTO customer (customer_id, first_name, last_name, email) SELECT p0::INTEGER, p1::VARCHAR, p2::VARCHAR, p3::VARCHAR FROM (VALUES (801, 'Al', 'Chemy', 'al.chemy@example.org', 0), (802, 'Be', 'Chemy', 'be.chemy@example.org', 1)) AS imp_sen(p0, p1, p2, p3, sen_counter) ORDER BY sen_counter RETURNING customer.customer_id, customer.email;

--- Hibernate: aliases, paging, locks
select c1_0.customer_id,c1_0.email,c1_0.last_name from customer c1_0 where c1_0.state='CA' and lower(c1_0.last_name) like ('%'||lower('S')||'%') escape '' order by c1_0.customer_id offset 0 rows fetch first 3 rows only;
BEGIN; select c1_0.customer_id,c1_0.email from customer c1_0 where c1_0.customer_id=7 for no key update; update customer set email='locked.row@example.org' where customer_id=7; COMMIT;
select cast(e1_0.birth_date as varchar(10)),e1_0.birth_date+(2)*interval '1 day' from employee e1_0 where e1_0.reports_to is not null order by e1_0.employee_id;

--- Prisma: the unique one, its relations as JSON
SELECT "public"."customer"."customer_id", "public"."customer"."email" FROM "public"."customer" WHERE ("public"."customer"."email" = 'ftremblay@gmail.com' AND 1=1) LIMIT 1 OFFSET 0;
SELECT "t1"."customer_id", "t1"."email", "invoices"."__prisma_data__" AS "invoices" FROM "public"."customer" AS "t1" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("__prisma_data__" ORDER BY "id"), '[]') AS "__prisma_data__" FROM (SELECT "t2"."invoice_id" AS "id", JSONB_BUILD_OBJECT('id', "t2"."invoice_id", 'city', "t2"."billing_city") AS "__prisma_data__" FROM "public"."invoice" AS "t2" WHERE "t1"."customer_id" = "t2"."customer_id") AS "t3") AS "invoices" ON TRUE WHERE "t1"."customer_id" < 3 ORDER BY "t1"."customer_id" ASC;

--- Drizzle: relations as arrays
select "c"."customer_id", "c"."email", "c_invoices"."data" as "invoices" from "customer" "c" left join lateral (select coalesce(json_agg(json_build_array("i"."invoice_id", "i"."billing_city", "i"."billing_address") order by "i"."invoice_id"), '[]'::json) as "data" from "invoice" "i" where "i"."customer_id" = "c"."customer_id") "c_invoices" on true where "c"."email" like '%.ca' order by "c"."customer_id";

--- TypeORM: pages of joined rows
SELECT DISTINCT "distinctAlias"."c_customer_id" AS "ids_c_customer_id", "distinctAlias"."c_last_name" FROM (SELECT "c"."customer_id" AS "c_customer_id", "c"."last_name" AS "c_last_name", "i"."billing_city" AS "i_billing_city" FROM "customer" "c" LEFT JOIN "invoice" "i" ON "i"."customer_id" = "c"."customer_id" WHERE "i"."billing_city" <> 'Prague') "distinctAlias" ORDER BY "distinctAlias"."c_last_name" ASC, "c_customer_id" ASC LIMIT 3;

--- GORM, Ecto: upserts, whether inserted, arrays
INSERT INTO "customer" ("customer_id","first_name","last_name","email") VALUES (801,'Al','Chemist','al.chemist@example.org'),(803,'Go','Rm','go.rm@example.org') ON CONFLICT ("customer_id") DO UPDATE SET "last_name"="excluded"."last_name","email"="excluded"."email" RETURNING "customer_id","email",(xmax = 0) AS "inserted";
SELECT c0."email" FROM "customer" AS c0 WHERE (c0."email" = ANY('{go.rm@example.org,ftremblay@gmail.com}'::varchar[])) ORDER BY c0."email";

--- sqlc, sqlx: unnest, updates from VALUES, in any order
INSERT INTO customer (customer_id, first_name, last_name, email) SELECT * FROM unnest(ARRAY[804, 805]::int[], ARRAY['Un', 'Ne']::text[], ARRAY['Nest', 'St']::text[], ARRAY['un.nest@example.org', 'ne.st@example.org']::text[]) RETURNING customer_id, email;
UPDATE customer SET email = v.email, city = coalesce(v.city, customer.city) FROM (VALUES (804, 'un.nested@example.org', NULL), (805, 'ne.sted@example.org', 'Nestville')) AS v (id, email, city) WHERE v.id = customer.customer_id RETURNING customer.customer_id, customer.email, customer.city;

--- PostgREST: a page as JSON, rows from JSON
WITH pgrst_source AS (SELECT "public"."customer"."customer_id", "public"."customer"."email" FROM "public"."customer" WHERE "public"."customer"."city" = 'Prague' ORDER BY 1) SELECT null::bigint AS total_result_set, pg_catalog.count(_postgrest_t) AS page_total, coalesce(json_agg(_postgrest_t), '[]') AS body FROM (SELECT * FROM pgrst_source) _postgrest_t;
INSERT INTO customer (customer_id, first_name, last_name, email) SELECT customer_id, first_name, last_name, email FROM json_to_recordset('[{"customer_id": 806, "first_name": "Post", "last_name": "Rest", "email": "post.rest@example.org"}]') AS _(customer_id int, first_name text, last_name text, email text) RETURNING email;
INSERT INTO customer (customer_id, first_name, last_name, email) SELECT customer_id, first_name, last_name, email FROM json_populate_recordset(null::customer, '[{"customer_id": 807, "first_name": "Pop", "last_name": "Ulated", "email": "pop.ulated@example.org"}]') RETURNING email;
SELECT row_to_json(c) FROM customer c WHERE c.customer_id BETWEEN 801 AND 807 ORDER BY c.customer_id;

--- Hasura: rows as JSON in a subquery
SELECT coalesce(json_agg("root" ORDER BY "root.pg.customer_id"), '[]') AS "root" FROM (SELECT row_to_json((SELECT "_e" FROM (SELECT "_base"."customer_id" AS "customer_id", "_base"."email" AS "email") AS "_e")) AS "root", "_base"."customer_id" AS "root.pg.customer_id" FROM (SELECT * FROM "public"."customer" WHERE (("public"."customer"."last_name") > (('W')::text)) ORDER BY "customer_id" ASC LIMIT 4) AS "_base") AS "_root";

--- an outbox and its worker
WITH moved AS (UPDATE customer SET company = upper(company) WHERE customer_id IN (SELECT customer_id FROM customer WHERE company IS NOT NULL ORDER BY customer_id LIMIT 2 FOR UPDATE SKIP LOCKED) RETURNING customer_id, company, email) SELECT json_build_object('id', customer_id, 'to', email, 'company', company)::text FROM moved ORDER BY customer_id;

--- all customers at the end
SELECT * FROM customer ORDER BY customer_id;

--- all employees at the end
SELECT * FROM employee ORDER BY employee_id;

--- all addresses of invoices at the end
SELECT * FROM invoice ORDER BY invoice_id;
