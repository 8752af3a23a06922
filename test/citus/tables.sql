-- The tables of statements.sql.  encrypted: is set for the types, or not.
\if :encrypted
	\set text encrypted_text
	\set int encrypted_int4
	\set date encrypted_date
	\set jsonb encrypted_jsonb
\else
	\set text text
	\set int int4
	\set date date
	\set jsonb jsonb
\endif
CREATE TABLE people (id int PRIMARY KEY, name :text, salary :int, born :date, city text, doc :jsonb, tags :text[]);
CREATE TABLE visits (person int, at int, note :text, PRIMARY KEY (person, at));
CREATE TABLE archive (id int, name :text);
CREATE TABLE cities (city text PRIMARY KEY, motto :text);
