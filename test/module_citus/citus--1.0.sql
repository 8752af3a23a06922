-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION citus" to load this file. \quit

-- As Citus does it: nothing can be created in pg_catalog directly
CREATE SCHEMA citus;
CREATE TABLE citus.pg_dist_partition (
	logicalrelid regclass NOT NULL UNIQUE,
	partmethod "char" NOT NULL,
	partkey text,
	colocationid int NOT NULL DEFAULT 0,
	repmodel "char" NOT NULL DEFAULT 's',
	autoconverted bool NOT NULL DEFAULT false
);
ALTER TABLE citus.pg_dist_partition SET SCHEMA pg_catalog;

CREATE FUNCTION citus.sent() RETURNS text
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'citus_sent';
CREATE FUNCTION citus.cast_as(value anyelement, target anycompatible) RETURNS anycompatible
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'citus_cast';
CREATE FUNCTION citus.read_intermediate_result(value text, type anyelement) RETURNS anyelement
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'read_intermediate_result';
CREATE FUNCTION citus.other_function(value text, type anyelement) RETURNS anyelement
LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'other_function';
GRANT USAGE ON SCHEMA citus TO PUBLIC;

-- Other nodes, by dblink in schema citus
CREATE TABLE citus.pg_dist_node (nodeid int, groupid int, nodename text, nodeport int);
ALTER TABLE citus.pg_dist_node SET SCHEMA pg_catalog;
CREATE TABLE citus.pg_dist_local_group (groupid int);
ALTER TABLE citus.pg_dist_local_group SET SCHEMA pg_catalog;

CREATE FUNCTION citus.run_command_on_all_nodes(command text, OUT nodeid int, OUT success bool, OUT result text)
RETURNS SETOF record LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	node record;
BEGIN
	FOR node IN SELECT * FROM pg_dist_node
	LOOP
		nodeid := node.nodeid;
		BEGIN
			PERFORM citus.dblink_connect('node', format(
				'host=%s port=%s dbname=%s application_name=''citus_internal gpid=1''',
				node.nodename, node.nodeport, current_database()));
			PERFORM citus.dblink_exec('node', 'SET application_name TO ''citus_run_command gpid=1''');
			SELECT t.result INTO result FROM citus.dblink('node', command) t (result text);
			success := true;
		EXCEPTION WHEN OTHERS THEN
			success := false;
			result := sqlerrm;
		END;
		IF 'node' = ANY (citus.dblink_get_connections()) THEN
			PERFORM citus.dblink_disconnect('node');
		END IF;
		RETURN NEXT;
	END LOOP;
END $$;
ALTER FUNCTION citus.run_command_on_all_nodes SET SCHEMA pg_catalog;

-- Where the shards are, and those that are on their way
CREATE TABLE citus.pg_dist_placement (shardid int8, groupid int);
ALTER TABLE citus.pg_dist_placement SET SCHEMA pg_catalog;
CREATE TABLE citus.moving (shardid int8);
CREATE FUNCTION citus.get_rebalance_progress() RETURNS SETOF citus.moving LANGUAGE sql AS 'SELECT * FROM citus.moving';
ALTER FUNCTION citus.get_rebalance_progress SET SCHEMA pg_catalog;
