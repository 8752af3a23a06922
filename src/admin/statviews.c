/*-------------------------------------------------------------------------
 *
 * statviews.c
 *	  The functions behind pgseal.stat_kms, stat_keys and stat_cache.
 *
 * All of it lies in shared memory and is counted since the server was started.
 * None of it says anything of a value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "keys/shared_cache.h"
#include "kms/counters.h"

PG_FUNCTION_INFO_V1(pgseal_cache_stats);
PG_FUNCTION_INFO_V1(pgseal_key_stats);
PG_FUNCTION_INFO_V1(pgseal_kms_stats);
PG_FUNCTION_INFO_V1(pgseal_stat_kms_reset);

#define KMS_STATS_COLUMNS	17

static Datum
return_row(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

/* cache_stats(): columns as in PgsealCacheStats */
Datum
pgseal_cache_stats(PG_FUNCTION_ARGS)
{
	Datum		values[11];
	bool		nulls[11] = {false};
	PgsealCacheStats stats;
	int			i = 0;

	pgseal_shared_cache_stats(&stats);
	values[i++] = Int64GetDatum(stats.slots);
	values[i++] = Int64GetDatum(stats.used);
	values[i++] = Int64GetDatum(stats.hits);
	values[i++] = Int64GetDatum(stats.misses);
	values[i++] = Int64GetDatum(stats.waits);
	values[i++] = Int64GetDatum(stats.refreshes);
	values[i++] = Int64GetDatum(stats.evictions);
	values[i++] = Int64GetDatum(stats.expirations);
	values[i++] = Int64GetDatum(stats.overflows);
	values[i++] = Int64GetDatum(stats.failures);
	values[i++] = BoolGetDatum(stats.locked);
	return return_row(fcinfo, values, nulls);
}

/* key_stats(key version id) → seals, cached, fetched, used, expires, failure */
Datum
pgseal_key_stats(PG_FUNCTION_ARGS)
{
	Datum		values[6] = {0};
	bool		nulls[6] = {false};
	PgsealKeyStats stats;
	TimestampTz lead = pgseal_clock_lead();

	pgseal_shared_cache_key_stats(PG_GETARG_INT64(0), &stats);
	values[0] = Int64GetDatum(stats.seals);
	values[1] = BoolGetDatum(stats.cached);
	values[2] = TimestampTzGetDatum(pgseal_clock_time(stats.published_at, lead));
	values[3] = TimestampTzGetDatum(pgseal_clock_time(stats.used_at, lead));
	values[4] = TimestampTzGetDatum(pgseal_clock_time(stats.expires_at, lead));
	nulls[2] = nulls[3] = nulls[4] = !stats.cached;
	nulls[5] = stats.failure == PGSEAL_KMS_OK;
	values[5] = CStringGetTextDatum(pgseal_kms_status_name(stats.failure));
	return return_row(fcinfo, values, nulls);
}

static void
put_operation(ReturnSetInfo *result, const PgsealKmsServerStats *server, int operation)
{
	const PgsealKmsStat *stat = &server->operations[operation];
	bool		succeeded = stat->succeeded > 0;
	Datum		values[KMS_STATS_COLUMNS] = {0};
	bool		nulls[KMS_STATS_COLUMNS] = {false};
	int			i = 0;

	values[i++] = ObjectIdGetDatum(server->server);
	values[i++] = CStringGetTextDatum(pgseal_kms_counters_operation(operation));
	values[i++] = Int64GetDatum(stat->calls);
	values[i++] = Int64GetDatum(stat->succeeded);
	values[i++] = Int64GetDatum(stat->unreachable);
	values[i++] = Int64GetDatum(stat->refused);
	values[i++] = Int64GetDatum(stat->invalid);
	values[i++] = Int64GetDatum(stat->retries);
	nulls[i] = nulls[i + 1] = nulls[i + 2] = nulls[i + 3] = !succeeded;
	values[i++] = Float8GetDatum(stat->min_ms);
	values[i++] = Float8GetDatum(succeeded ? stat->total_ms / stat->succeeded : 0);
	values[i++] = Float8GetDatum(stat->max_ms);
	values[i++] = Float8GetDatum(stat->last_ms);
	nulls[i] = !succeeded;
	values[i++] = TimestampTzGetDatum(stat->last_success);
	nulls[i] = nulls[i + 1] = nulls[i + 2] = stat->last_failure == 0;
	values[i++] = TimestampTzGetDatum(stat->last_failure);
	values[i++] = CStringGetTextDatum(pgseal_kms_status_name(stat->last_failure_status));
	values[i++] = CStringGetTextDatum(stat->last_code);
	values[i++] = TimestampTzGetDatum(server->since);
	Assert(i == KMS_STATS_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* kms_stats(): a row for each server and operation that was called */
Datum
pgseal_kms_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PgsealKmsServerStats *stats;
	int			num = pgseal_kms_counters_servers(&stats);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < num; i++)
		for (int operation = 0; operation < PGSEAL_STAT_OPERATIONS; operation++)
			if (stats[i].operations[operation].calls > 0)
				put_operation(result, &stats[i], operation);
	return (Datum) 0;
}

/* stat_kms_reset(server) */
Datum
pgseal_stat_kms_reset(PG_FUNCTION_ARGS)
{
	pgseal_kms_counters_reset(PG_ARGISNULL(0) ? InvalidOid :
							  get_foreign_server_oid(text_to_cstring(PG_GETARG_TEXT_PP(0)), false));
	PG_RETURN_VOID();
}
