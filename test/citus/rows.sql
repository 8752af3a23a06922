TRUNCATE people, visits, archive, cities;
INSERT INTO people VALUES
	(1, 'ada', 5200, '1985-12-10', 'york', '{"k": 1}', '{a,b}'),
	(2, 'bob', 2100, '1990-01-01', 'york', '{"k": 2}', '{}'),
	(3, 'cyd', 3300, '1999-06-30', 'bath', '{"k": 1, "l": [1, 2]}', '{c}'),
	(4, 'dan', 1000, '1970-05-05', 'bath', 'null', NULL),
	(5, 'ada', 4000, '1991-09-09', 'hull', '{}', '{a}'),
	(6, NULL, NULL, NULL, 'hull', NULL, NULL);
INSERT INTO visits VALUES (1, 1, 'first'), (1, 2, 'second'), (2, 1, 'first'), (5, 1, 'third');
INSERT INTO cities VALUES ('york', 'walls'), ('bath', 'water'), ('hull', 'sea');
