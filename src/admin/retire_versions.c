/*-------------------------------------------------------------------------
 *
 * retire_versions.c
 *	  Retiring old versions of a key whose values are in shards of Citus.
 *
 * Each node re-encrypts what it has, and notes in pgseal_internal.retired_here that it
 * seals nothing under a version any more and has found nothing under it.  But shards
 * move, so that alone doesn't retire a version: retire_versions() asks all nodes, once
 * they have all noted it, to count what they have now, by the headers of the values.
 * They are asked twice, as a value may have been copied from a node that hadn't been
 * asked yet to one that had; and no shard may move meanwhile.
 *
 * A node that doesn't answer, or has a table that it can't look into, may have values.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/spi_query.h"
#include "keys/keyring.h"
#include "life/census.h"

PG_FUNCTION_INFO_V1(pgseal_retire_versions);
PG_FUNCTION_INFO_V1(pgseal_count_values);

/* What each node is asked: how many versions it isn't done with, values, tables unseen */
#define ASKED \
	"SELECT pg_catalog.concat_ws(' ', (SELECT pg_catalog.count(*)" \
	"  FROM pg_catalog.unnest(%1$L::pg_catalog.int8[]) i WHERE NOT EXISTS" \
	"   (SELECT FROM pgseal_internal.retired_here h WHERE h.key_version_id OPERATOR(pg_catalog.=) i))," \
	" (SELECT pg_catalog.concat_ws(' ', c.values, c.unseen)" \
	"  FROM pgseal_internal.count_values(%2$L, %1$L::pg_catalog.int8[]) c))"

#define OLD_VERSIONS \
	"SELECT v.id, v.number FROM pgseal.key_version v WHERE v.key = $1 AND v.purpose = 'd'" \
	" AND v.wrapped IS NOT NULL AND v.retired IS NULL AND v.number <" \
	"  (SELECT pg_catalog.max(n.number) FROM pgseal.key_version n WHERE n.key = $1 AND n.purpose = 'd')" \
	" ORDER BY v.number"

/* Of each node, this one among them: its name, whether it answered, what */
#define ALL_NODES \
	"SELECT 'this node', 1, pg_catalog.concat_ws(' '," \
	"  (SELECT count(*) FROM pg_catalog.unnest($2::int8[]) i WHERE NOT EXISTS" \
	"   (SELECT FROM pgseal_internal.retired_here h WHERE h.key_version_id = i)), c.values, c.unseen)" \
	" FROM pgseal_internal.count_values($3, $2::int8[]) c" \
	" UNION ALL SELECT * FROM (SELECT pg_catalog.concat(n.nodename, ':', n.nodeport)," \
	"  CASE WHEN r.success THEN 1 ELSE 0 END, r.result" \
	"  FROM pg_catalog.run_command_on_all_nodes(pg_catalog.format($1, $2, $3)) r" \
	"  JOIN pg_catalog.pg_dist_node n ON n.nodeid = r.nodeid" \
	"  WHERE n.groupid NOT IN (SELECT groupid FROM pg_catalog.pg_dist_local_group) ORDER BY 1) others"

/* Where the shards are, and how many are on their way */
#define PLACES \
	"SELECT pg_catalog.concat(pg_catalog.string_agg(pg_catalog.concat(shardid, ':', groupid), ','" \
	"  ORDER BY shardid, groupid))," \
	" (SELECT count(*) FROM pg_catalog.get_rebalance_progress()) FROM pg_catalog.pg_dist_placement"

/* count_values(name, ids): those of this node under these versions of a key */
Datum
pgseal_count_values(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(1);
	PgsealKeyRow *key = pgseal_keyring_require(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PgsealCensus census;
	TupleDesc	desc;
	Datum	   *elements;
	int64	   *ids;
	int			num;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, NULL, &num);
	ids = palloc(Max(num, 1) * sizeof(int64));
	for (int i = 0; i < num; i++)
		ids[i] = DatumGetInt64(elements[i]);
	pgseal_census_take(&census, key->hash, ids, num, AccessShareLock);
	values[0] = Int64GetDatum(census.values);
	values[1] = Int32GetDatum(census.unseen);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

static char *
places(void)
{
	(void) pgseal_query(PLACES, 0);
	if (pgseal_query_int64(0, 2) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("shards of Citus are being moved"),
				 errhint("Try again when they have arrived.")));
	return pgseal_query_text(0, 1);
}

static void
check_places(const char *before)
{
	if (strcmp(places(), before) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a shard of Citus has been moved meanwhile"),
				 errhint("Try again.")));
}

/* The others have its keys, and what is retired with them */
static void
check_coordinator(void)
{
	if (pgseal_query("SELECT FROM pg_catalog.pg_dist_local_group WHERE groupid = 0", 0) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("versions are retired on the coordinator of Citus"),
				 errdetail("This node is another.")));
}

typedef struct Answer
{
	char	   *node;
	const char *status;			/* "ok": it has none of the values */
	int64		values;
	char	   *detail;			/* or NULL */
} Answer;

static Answer *
answer_of(char *node, bool answered, char *text)
{
	Answer	   *answer = palloc0(sizeof(Answer));
	long long	unfinished;
	long long	values;
	int			unseen;

	answer->node = node;
	if (!answered || text == NULL || sscanf(text, "%lld %lld %d", &unfinished, &values, &unseen) != 3)
	{
		answer->status = "unavailable";
		answer->detail = text;
		return answer;
	}
	answer->values = values;
	answer->status = unfinished > 0 ? "reencrypting" : values > 0 ? "values" : unseen > 0 ? "unseen" : "ok";
	return answer;
}

static List *
ask_nodes(const char *name, const char *ids)
{
	uint64		num = pgseal_query(ALL_NODES, 3, TEXTOID, CStringGetTextDatum(ASKED),
								   TEXTOID, CStringGetTextDatum(ids), TEXTOID, CStringGetTextDatum(name));
	List	   *answers = NIL;

	for (uint64 i = 0; i < num; i++)
		answers = lappend(answers, answer_of(pgseal_query_text(i, 1), pgseal_query_int64(i, 2) != 0,
											 pgseal_query_text(i, 3)));
	return answers;
}

static bool
all_are_done(const List *answers)
{
	ListCell   *lc;

	foreach(lc, answers)
		if (strcmp(((Answer *) lfirst(lc))->status, "ok") != 0)
			return false;
	return true;
}

static void
put(ReturnSetInfo *result, const List *answers)
{
	ListCell   *lc;

	foreach(lc, answers)
	{
		Answer	   *answer = lfirst(lc);
		bool		unavailable = strcmp(answer->status, "unavailable") == 0;
		Datum		values[4] = {CStringGetTextDatum(answer->node), CStringGetTextDatum(answer->status),
		Int64GetDatum(answer->values)};
		bool		nulls[4] = {false, false, unavailable, answer->detail == NULL};

		if (answer->detail != NULL)
			values[3] = CStringGetTextDatum(answer->detail);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
}

/* The versions as an array's text; NULL where there is none */
static char *
old_versions(const char *name, uint64 *out_num)
{
	StringInfoData ids;

	initStringInfo(&ids);
	*out_num = pgseal_query(OLD_VERSIONS, 1, TEXTOID, CStringGetTextDatum(name));
	for (uint64 i = 0; i < *out_num; i++)
		appendStringInfo(&ids, "%c" INT64_FORMAT, i == 0 ? '{' : ',', pgseal_query_int64(i, 1));
	appendStringInfoChar(&ids, '}');
	return *out_num == 0 ? NULL : ids.data;
}

static void
retire(const char *name, uint64 num)
{
	SPITupleTable *versions;

	(void) pgseal_query(OLD_VERSIONS, 1, TEXTOID, CStringGetTextDatum(name));
	versions = SPI_tuptable;
	for (uint64 i = 0; i < num; i++)
	{
		int64		id;

		SPI_tuptable = versions;
		id = pgseal_query_int64(i, 1);
		pgseal_catalog_retire_version(id);
		pgseal_catalog_event("version_retired", name, id, NULL);
	}
}

/* retire_versions(name): asks all nodes of Citus, and retires if none has values left */
Datum
pgseal_retire_versions(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	PgsealQuerySession session;
	char	   *ids;
	uint64		num;

	InitMaterializedSRF(fcinfo, 0);
	PreventCommandIfReadOnly("pgseal.retire_versions()");
	if (!pgseal_citus_is_loaded || !pgseal_citus_is_installed())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("there is no Citus"),
				 errdetail("Without it, the worker retires versions by itself.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("pgseal.retire_versions() has to see what others commit meanwhile"),
				 errhint("Call it at the isolation level READ COMMITTED.")));
	pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
	(void) pgseal_keyring_require(name);

	pgseal_query_begin(&session);
	check_coordinator();
	ids = old_versions(name, &num);
	if (ids != NULL)
	{
		char	   *before = places();
		List	   *answers = ask_nodes(name, ids);

		if (all_are_done(answers))
			answers = ask_nodes(name, ids);
		if (all_are_done(answers))
		{
			check_places(before);
			retire(name, num);
		}
		put((ReturnSetInfo *) fcinfo->resultinfo, answers);
	}
	pgseal_query_end(&session);
	return (Datum) 0;
}
