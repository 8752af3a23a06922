/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  ANALYZE of encrypted columns.
 *
 * PostgreSQL's own typanalyze would keep the most common values and a
 * histogram, which is the order of the plaintexts.  This one keeps the null
 * fraction, the width and the number of distinct values, and nothing that is
 * made from a value.
 *
 * To count distinct values they must be opened.  That is done when all keys
 * are at hand, in memory: ANALYZE never asks a KMS, and without keys it keeps
 * the number that it found the last time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_statistic.h"
#include "commands/vacuum.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "value/index_token.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_typanalyze);

/* Values wider than this are counted as distinct, as PostgreSQL does */
#define WIDTH_THRESHOLD			1024

/* As std_typanalyze(), see there */
#define ROWS_PER_TARGET			300

/* Opens a value; false when it was damaged, which must not fail an ANALYZE. */
static bool
open_undamaged(const PgsealType *type, Datum sealed, Datum *out_value)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool opened = true;

	PG_TRY();
	{
		bool		isnull;

		*out_value = pgseal_value_open(type, sealed, PGSEAL_ACCESS_INTERNAL, &isnull);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() != ERRCODE_DATA_CORRUPTED)
			PG_RE_THROW();
		FlushErrorState();
		opened = false;
	}
	PG_END_TRY();
	return opened;
}

/*
 * Whose table is analyzed is the current user.  How many values are distinct
 * would tell whether a guess beside a copied value is right.
 */
static bool
owner_may_open(int64 key_version_id)
{
	Oid			server = pgseal_keyring_info(key_version_id)->server;

	return OidIsValid(server) &&
		pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

/*
 * Hash of an opened value that equal values share.  The seed is random, and
 * the hash never leaves the function that counts.
 */
static bool
hash_value(const PgsealType *type, Datum sealed, Oid collation, uint64 seed, uint64 *out_hash)
{
	/* Outside of open_undamaged(): what TOAST reports isn't for us to hide */
	Datum		fetched = PointerGetDatum(PG_DETOAST_DATUM_PACKED(sealed));
	PgsealEnvelope envelope;
	StringInfoData canonical;
	Datum		value;

	if (pgseal_envelope_parse(&envelope, (uint8 *) VARDATA_ANY(DatumGetPointer(fetched)),
							  VARSIZE_ANY_EXHDR(DatumGetPointer(fetched))) != PGSEAL_ENVELOPE_OK ||
		!pgseal_keyring_at_hand(envelope.key_version_id) ||
		!owner_may_open(envelope.key_version_id) ||
		!open_undamaged(type, fetched, &value))
		return false;
	initStringInfo(&canonical);
	pgseal_index_token_canonical(&canonical, type, value, "", collation);
	*out_hash = hash_bytes_extended((unsigned char *) canonical.data, canonical.len, seed);
	pgseal_wipe(canonical.data, canonical.len);
	return true;
}

static int
compare_hashes(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/*
 * Number of distinct values in the table, in the form of stadistinct, from a
 * sample: the estimator of Haas and Stokes, as in compute_scalar_stats().
 */
static float4
estimate_distinct(uint64 *hashes, int num_values, int num_sampled, double num_rows)
{
	int			num_distinct = 0;
	int			num_once = 0;
	double		estimate;
	double		n = num_values;
	double		rows_not_null = num_rows * num_values / num_sampled;

	qsort(hashes, num_values, sizeof(uint64), compare_hashes);
	for (int i = 0; i < num_values;)
	{
		int			same = i + 1;

		while (same < num_values && hashes[same] == hashes[i])
			same++;
		num_distinct++;
		if (same == i + 1)
			num_once++;
		i = same;
	}
	if (num_once == num_values)
		return -1.0 * num_values / num_sampled; /* a key of the table */
	if (num_once == 0)
		return num_distinct;	/* the sample has them all */

	estimate = n * num_distinct /
		((n - num_once) + num_once * n / rows_not_null);
	estimate = Min(Max(estimate, num_distinct), rows_not_null);
	estimate = floor(estimate + 0.5);
	return estimate > 0.1 * num_rows ? -(estimate / num_rows) : estimate;
}

/* What the last ANALYZE found */
static float4
previous_distinct(const VacAttrStats *stats)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH,
										ObjectIdGetDatum(pgseal_stats_relation(stats)),
										Int16GetDatum(pgseal_stats_attnum(stats)),
										BoolGetDatum(false));
	float4		distinct = 0;	/* unknown */

	if (HeapTupleIsValid(tuple))
	{
		distinct = ((Form_pg_statistic) GETSTRUCT(tuple))->stadistinct;
		ReleaseSysCache(tuple);
	}
	return distinct;
}

static void
compute_stats(VacAttrStatsP stats, AnalyzeAttrFetchFunc fetch, int num_sampled, double num_rows)
{
	const PgsealType *type = stats->extra_data;
	uint64	   *hashes = palloc(sizeof(uint64) * Max(num_sampled, 1));
	MemoryContext per_value = AllocSetContextCreate(CurrentMemoryContext, "pgseal typanalyze",
													ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(per_value);
	uint64		seed;
	int			num_nulls = 0;
	int			num_hashed = 0;
	double		total_width = 0;
	bool		countable = pgseal_random((uint8 *) &seed, sizeof(seed));

	for (int i = 0; i < num_sampled; i++)
	{
		bool		isnull;
		Datum		value;
		Size		width;

		pgseal_vacuum_delay_point();
		value = fetch(stats, i, &isnull);
		if (isnull)
		{
			num_nulls++;
			continue;
		}
		width = VARSIZE_ANY(DatumGetPointer(value));
		total_width += width;
		if (!countable)
			continue;
		if (toast_raw_datum_size(value) > WIDTH_THRESHOLD)
			countable = pgseal_random((uint8 *) &hashes[num_hashed++], sizeof(uint64));
		else
			countable = hash_value(type, value, stats->attrcollid, seed, &hashes[num_hashed++]);
		MemoryContextReset(per_value);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(per_value);
	if (num_sampled == 0)
		return;

	stats->stats_valid = true;
	stats->stanullfrac = (double) num_nulls / num_sampled;
	stats->stawidth = num_nulls < num_sampled ? total_width / (num_sampled - num_nulls) : 0;
	if (num_nulls == num_sampled)
		stats->stadistinct = 0;
	else if (countable)
		stats->stadistinct = estimate_distinct(hashes, num_hashed, num_sampled, num_rows);
	else
		stats->stadistinct = previous_distinct(stats);
}

Datum
pgseal_typanalyze(PG_FUNCTION_ARGS)
{
	VacAttrStats *stats = (VacAttrStats *) PG_GETARG_POINTER(0);

	stats->compute_stats = compute_stats;
	stats->extra_data = (void *) pgseal_type_by_oid(getBaseType(stats->attrtypid));
	stats->minrows = ROWS_PER_TARGET * pgseal_stats_target(stats);
	PG_RETURN_BOOL(stats->extra_data != NULL);
}
