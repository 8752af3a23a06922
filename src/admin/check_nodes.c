/*-------------------------------------------------------------------------
 *
 * check_nodes.c
 *	  The nodes of Citus, as check() sees them.
 *
 * Every node needs the keys that this one has: values travel sealed.  Citus runs a
 * query on each of them, which answers with the ids of its key versions and with what
 * its own check() says of them; so each asks the KMS by itself, and a node with
 * another master key tells that it can't unwrap.  (Keys with a parent are left out:
 * there may be a great many, and they come with their parents.)  A node that is asked so
 * asks no others, or they would ask one another until no connection is left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "admin/check_nodes.h"
#include "base/citus.h"
#include "base/compat.h"
#include "base/spi_query.h"

/* What each node is asked: ids, a new line, what it can't use */
#define ASKED \
	"SELECT pg_catalog.concat((SELECT pg_catalog.string_agg(id::pg_catalog.text, ',')" \
	"  FROM pgseal.key_version WHERE parent_version IS NULL AND wrapped IS NOT NULL), pg_catalog.chr(10)," \
	" (SELECT pg_catalog.string_agg(pg_catalog.concat(object, ': ', detail), '; ')" \
	"  FROM pgseal.check() WHERE (object OPERATOR(pg_catalog.~~) 'key %' OR object OPERATOR(pg_catalog.~~) 'server %')" \
	"  AND status OPERATOR(pg_catalog.<>) 'ok'))"

/* Of each other node: its name, whether it answered, what, and which versions differ */
#define ALL_NODES \
	"WITH node AS (SELECT n.nodename, n.nodeport, r.success, r.result," \
	"  pg_catalog.string_to_array(pg_catalog.split_part(r.result, pg_catalog.chr(10), 1), ',') AS ids" \
	" FROM pg_catalog.run_command_on_all_nodes($1) r" \
	" JOIN pg_catalog.pg_dist_node n ON n.nodeid = r.nodeid" \
	" WHERE n.groupid NOT IN (SELECT groupid FROM pg_catalog.pg_dist_local_group))" \
	"SELECT pg_catalog.concat(nodename, ':', nodeport), CASE WHEN success THEN 1 ELSE 0 END, result," \
	" (SELECT count(*) FROM pgseal.key_version v WHERE v.parent_version IS NULL AND v.wrapped IS NOT NULL" \
	"  AND v.id::pg_catalog.text <> ALL (node.ids))," \
	" (SELECT count(*) FROM pg_catalog.unnest(node.ids) i WHERE i <> '' AND NOT EXISTS" \
	"  (SELECT FROM pgseal.key_version v WHERE v.id::pg_catalog.text = i AND v.wrapped IS NOT NULL))," \
	" (SELECT count(*) FROM pgseal.key_version v WHERE v.parent_version IS NULL AND v.wrapped IS NOT NULL)" \
	" FROM node ORDER BY 1"

static void
check_node(PgsealCheckRow put, void *context, uint64 row)
{
	char	   *node = psprintf("node %s", pgseal_query_text(row, 1));
	bool		answered = pgseal_query_int64(row, 2) != 0;
	char	   *answer = pgseal_query_text(row, 3);
	int64		missing = pgseal_query_int64(row, 4);
	int64		unknown = pgseal_query_int64(row, 5);
	int64		all = pgseal_query_int64(row, 6);
	char	   *unusable;

	if (!answered || answer == NULL)
	{
		put(context, node, "unavailable", answer);
		return;
	}
	unusable = strchr(answer, '\n');
	if (all > 0 && missing == all)
		put(context, node, "missing", "It has none of the key versions that are here: is it subscribed to them?");
	else if (missing > 0)
		put(context, node, "lagging",
			psprintf("It lacks " INT64_FORMAT " of " INT64_FORMAT " key versions that are here.", missing, all));
	else if (unusable != NULL && unusable[1] != '\0')
		put(context, node, "invalid", unusable + 1);
	else if (unknown > 0)
		put(context, node, "different",
			psprintf("It has " INT64_FORMAT " key versions that are not here, or were destroyed here.", unknown));
	else
		put(context, node, "ok", NULL);
}

void
pgseal_check_nodes(PgsealCheckRow put, void *context)
{
	PgsealQuerySession session;
	uint64		num;

	if (!pgseal_citus_is_loaded || pgseal_citus_is_command() || !pgseal_citus_is_installed())
		return;
	pgseal_query_begin(&session);
	num = pgseal_query(ALL_NODES, 1, TEXTOID, CStringGetTextDatum(ASKED));
	for (uint64 i = 0; i < num; i++)
		check_node(put, context, i);
	pgseal_query_end(&session);
}
