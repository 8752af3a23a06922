/*-------------------------------------------------------------------------
 *
 * test_cache.c
 *	  The key cache as SQL functions, and a fake keyring for the worker.
 *
 * The key of a key version is SHA-256 of its id, so that every process knows
 * what it must get, and no statement or table holds the bytes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "keys/seal_counts.h"
#include "keys/shared_cache.h"
#include "keys/drop.h"
#include "keys/keyring.h"
#include "keys/reseals.h"
#include "keys/wakeup.h"
#include "life/launcher.h"
#include "life/redefine.h"
#include "life/reencrypt.h"
#include "life/rewrap.h"
#include "signed/ledger.h"

PG_MODULE_MAGIC;

#define UNSAVED_MAX 4096

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/* Settings of the postmaster can't be defined later */
	if (!process_shared_preload_libraries_in_progress)
		return;
	pgseal_settings_init();
	pgseal_shared_cache_init();
	pgseal_wakeup_init();
	pgseal_launcher_init();
}

static void
make_key(uint8 key[PGSEAL_KEY_BYTES], int64 id)
{
	if (!pgseal_sha256(key, (uint8 *) &id, sizeof(id)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("SHA-256 failed")));
}

static double
seconds_until(TimestampTz time)
{
	return (time - pgseal_clock()) / 1000000.0;
}

static TimestampTz
publish(int64 id)
{
	uint8		key[PGSEAL_KEY_BYTES];

	make_key(key, id);
	return pgseal_shared_cache_publish(id, key);
}

static const char *
status_name(PgsealKmsStatus status)
{
	return status == PGSEAL_KMS_UNREACHABLE ? "unreachable" :
		status == PGSEAL_KMS_REFUSED ? "refused" : "invalid";
}

static bool
fail(int64 id, const char *status)
{
	PgsealKmsError error = {.operation = "unwrap",.http_status = 503};

	snprintf(error.code, sizeof(error.code), "code%d", (int) id);
	return pgseal_shared_cache_fail(id,
								strcmp(status, "unreachable") == 0 ? PGSEAL_KMS_UNREACHABLE :
								strcmp(status, "refused") == 0 ? PGSEAL_KMS_REFUSED : PGSEAL_KMS_INVALID,
								&error);
}

static char *
get(Oid server, int64 id, TimestampTz *out_expires_at)
{
	uint8		key[PGSEAL_KEY_BYTES];
	uint8		good[PGSEAL_KEY_BYTES];
	PgsealKmsStatus status;
	PgsealKmsError error;

	*out_expires_at = 0;
	switch (pgseal_shared_cache_get(server, id, key, out_expires_at, &status, &error))
	{
		case PGSEAL_CACHE_HIT:
			make_key(good, id);
			return memcmp(key, good, sizeof(key)) == 0 ? "hit:good" : "hit:bad";
		case PGSEAL_CACHE_CLAIMED:
			return "claimed";
		case PGSEAL_CACHE_FAILED:
			return psprintf("failed:%s:%s", status_name(status), error.code);
		case PGSEAL_CACHE_FULL:
			return "full";
	}
	return "unknown";
}

PG_FUNCTION_INFO_V1(cache_get);
Datum
cache_get(PG_FUNCTION_ARGS)
{
	TimestampTz expires_at;

	PG_RETURN_TEXT_P(cstring_to_text(get(InvalidOid, PG_GETARG_INT64(0), &expires_at)));
}

PG_FUNCTION_INFO_V1(cache_get_of);
Datum
cache_get_of(PG_FUNCTION_ARGS)
{
	TimestampTz expires_at;

	PG_RETURN_TEXT_P(cstring_to_text(get(PG_GETARG_OID(0), PG_GETARG_INT64(1), &expires_at)));
}

PG_FUNCTION_INFO_V1(cache_get_ttl);
Datum
cache_get_ttl(PG_FUNCTION_ARGS)
{
	TimestampTz expires_at;

	if (strcmp(get(InvalidOid, PG_GETARG_INT64(0), &expires_at), "hit:good") != 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(seconds_until(expires_at));
}

PG_FUNCTION_INFO_V1(cache_publish);
Datum
cache_publish(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(seconds_until(publish(PG_GETARG_INT64(0))));
}

PG_FUNCTION_INFO_V1(cache_fail);
Datum
cache_fail(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(fail(PG_GETARG_INT64(0), text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

PG_FUNCTION_INFO_V1(cache_abandon);
Datum
cache_abandon(PG_FUNCTION_ARGS)
{
	pgseal_shared_cache_abandon(PG_GETARG_INT64(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_fetch);
Datum
cache_fetch(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	TimestampTz until = pgseal_clock() + (TimestampTz) (PG_GETARG_FLOAT8(1) * 1000000);
	TimestampTz expires_at;
	char	   *result = get(InvalidOid, id, &expires_at);

	if (strcmp(result, "claimed") == 0)
	{
		PG_TRY();
		{
			while (pgseal_clock() < until)
			{
				(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 TimestampDifferenceMilliseconds(pgseal_clock(), until),
								 PG_WAIT_EXTENSION);
				ResetLatch(MyLatch);
				CHECK_FOR_INTERRUPTS();
			}
			publish(id);
		}
		PG_CATCH();
		{
			pgseal_shared_cache_abandon(id);
			PG_RE_THROW();
		}
		PG_END_TRY();
	}
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

PG_FUNCTION_INFO_V1(cache_drop);
Datum
cache_drop(PG_FUNCTION_ARGS)
{
	pgseal_shared_cache_drop(PG_GETARG_OID(0), PG_GETARG_INT64(1));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_drop_database);
Datum
cache_drop_database(PG_FUNCTION_ARGS)
{
	pgseal_shared_cache_drop_database(PG_GETARG_OID(0));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(cache_generation);
Datum
cache_generation(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(pgseal_shared_cache_generation());
}

PG_FUNCTION_INFO_V1(cache_stats);
Datum
cache_stats(PG_FUNCTION_ARGS)
{
	PgsealCacheStats stats;
	TupleDesc	desc;
	Datum		values[11];
	bool		nulls[11] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgseal_shared_cache_stats(&stats);
	values[0] = Int64GetDatum(stats.slots);
	values[1] = Int64GetDatum(stats.used);
	values[2] = Int64GetDatum(stats.hits);
	values[3] = Int64GetDatum(stats.misses);
	values[4] = Int64GetDatum(stats.waits);
	values[5] = Int64GetDatum(stats.refreshes);
	values[6] = Int64GetDatum(stats.evictions);
	values[7] = Int64GetDatum(stats.expirations);
	values[8] = Int64GetDatum(stats.overflows);
	values[9] = Int64GetDatum(stats.failures);
	values[10] = BoolGetDatum(stats.locked);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

PG_FUNCTION_INFO_V1(cache_reserve);
Datum
cache_reserve(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(pgseal_seal_counts_reserve(PG_GETARG_INT64(0), PG_GETARG_INT64(1),
												  PG_GETARG_INT32(2)));
}

/* In all mappings that are shared and readable */
static int64
count_in_shared_memory(const uint8 *needle, size_t needle_len)
{
	FILE	   *maps = fopen("/proc/self/maps", "r");
	char		line[1024];
	int64		count = 0;

	if (!maps)
		ereport(ERROR, (errcode_for_file_access(), errmsg("could not open /proc/self/maps: %m")));
	while (fgets(line, sizeof(line), maps))
	{
		unsigned long start,
					end;
		char		mode[5];
		uint8	   *at;

		if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 ||
			mode[0] != 'r' || mode[3] != 's')
			continue;
		at = (uint8 *) start;
		while ((at = memmem(at, (uint8 *) end - at, needle, needle_len)) != NULL)
		{
			count++;
			at++;
		}
	}
	fclose(maps);
	return count;
}

PG_FUNCTION_INFO_V1(count_key_in_shared_memory);
Datum
count_key_in_shared_memory(PG_FUNCTION_ARGS)
{
	uint8		key[PGSEAL_KEY_BYTES];

	/* Half a key would be bad enough */
	make_key(key, PG_GETARG_INT64(0));
	PG_RETURN_INT64(count_in_shared_memory(key, sizeof(key) / 2) +
					count_in_shared_memory(key + sizeof(key) / 2, sizeof(key) / 2));
}

PG_FUNCTION_INFO_V1(count_text_in_shared_memory);
Datum
count_text_in_shared_memory(PG_FUNCTION_ARGS)
{
	text	   *needle = PG_GETARG_TEXT_PP(0);

	PG_RETURN_INT64(count_in_shared_memory((uint8 *) VARDATA_ANY(needle), VARSIZE_ANY_EXHDR(needle)));
}

/* ---------- the fake keyring ---------- */

bool
pgseal_keyring_refresh(int64 key_version_id)
{
	char	   *outcome = "";
	bool		usable = true;

	if (!pgseal_shared_cache_claim_refresh(InvalidOid, key_version_id))
		return false;

	SPI_connect();
	SPI_execute(psprintf("SELECT outcome FROM public.refresh_outcome WHERE id = " INT64_FORMAT,
						 key_version_id), true, 1);
	if (SPI_processed == 1)
		outcome = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (strcmp(outcome, "error") == 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("fake keyring fails")));
	else if (strcmp(outcome, "good") == 0)
		publish(key_version_id);
	else
		usable = fail(key_version_id, *outcome ? outcome : "unreachable");
	SPI_finish();
	return usable;
}

int
pgseal_keyring_persist_seals(int64 *out_exhausted, int max)
{
	PgsealSealCount *counts = palloc(UNSAVED_MAX * sizeof(PgsealSealCount));
	int			num = pgseal_seal_counts_unsaved(counts, UNSAVED_MAX);

	SPI_connect();
	for (int i = 0; i < num; i++)
		SPI_execute(psprintf("INSERT INTO public.saved_seals AS s VALUES (" INT64_FORMAT ", " UINT64_FORMAT ")"
							 " ON CONFLICT (id) DO UPDATE SET seals = greatest(s.seals, excluded.seals)",
							 counts[i].key_version_id, counts[i].seals), false, 0);
	SPI_finish();
	pgseal_seal_counts_saved(counts, num);
	return 0;
}

/*
 * The rest of what a worker does needs a key catalog.  Here there is none, so
 * nothing is due.
 */

List *
pgseal_rewrap_due_rotations(void)
{
	return NIL;
}

List *
pgseal_rewrap_policy_rotations(int max)
{
	return NIL;
}

int
pgseal_rewrap_due(int64 *out_ids, int max)
{
	return 0;
}

static PgsealTableStep
no_step(void)
{
	return PGSEAL_STEP_IDLE;
}

static void
not_due(void)
{
	ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("nothing was due")));
}

static void
no_table(Oid relid, const char *phase, const char *reason)
{
	not_due();
}

const PgsealTableWork pgseal_reencryption = {"re-encrypt", no_step, no_table};
const PgsealTableWork pgseal_redefinition = {"sign rows anew", no_step, no_table};

void
pgseal_rewrap_version(int64 id)
{
	not_due();
}

bool
pgseal_keyring_is_stale(int64 id)
{
	not_due();
	return false;
}

int32
pgseal_keyring_add_version(const char *name, PgsealPurpose purpose, const char *reason)
{
	not_due();
	return 0;
}

void
pgseal_drop_destroyed(void)
{
}

void
pgseal_keyring_make_default(void)
{
}

/* There is no re-encryption, */
void
pgseal_reseals_begin(void)
{
}

void
pgseal_reseals_end(void)
{
}

void
pgseal_reseals_save(void)
{
}

/* there are no ledgers, and no SQL */
void
pgseal_query_begin(PgsealQuerySession *out_session)
{
}

void
pgseal_query_end(const PgsealQuerySession *session)
{
}

uint64
pgseal_query(const char *sql, int num_args,...)
{
	return 0;
}

int64
pgseal_query_int64(uint64 row, int column)
{
	return 0;
}

bool
pgseal_ledger_fold(int64 ledger)
{
	return true;
}

PgsealVersionRow *
pgseal_catalog_version(int64 id)
{
	not_due();
	return NULL;
}

PgsealKeyRow *
pgseal_catalog_key(int32 hash)
{
	not_due();
	return NULL;
}
