/*-------------------------------------------------------------------------
 *
 * brin.c
 *	  The operator classes sealed_TYPE_minmax_ops: what BRIN asks of them.
 *
 * Upkeep takes no privilege, as that of a sealed index: whoever may insert a row, or
 * summarizes a range, learns nothing.  A search asks for the privilege before it
 * opens any summary.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/brin_tuple.h"
#include "access/genam.h"
#include "access/skey.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "sealed/access.h"
#include "sealed/brin.h"
#include "sealed/sealed.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_brin_opcinfo);
PG_FUNCTION_INFO_V1(pgseal_brin_add_value);
PG_FUNCTION_INFO_V1(pgseal_brin_consistent);
PG_FUNCTION_INFO_V1(pgseal_brin_union);

/* Bounds that a tuple in memory holds until it is formed */
typedef struct MemoryBounds
{
	const PgsealBrinColumn *column;
	PgsealBounds bounds;
	MemoryContextCallback wipe;
} MemoryBounds;

bool
pgseal_brin_is_our_column(Relation index, int column)
{
	return index->rd_rel->relam == BRIN_AM_OID &&
		column < IndexRelationGetNumberOfKeyAttributes(index) &&
		pgseal_type_by_oid(index->rd_opcintype[column]) != NULL &&
		index_getprocinfo(index, column + 1, BRIN_PROCNUM_OPCINFO)->fn_addr == pgseal_brin_opcinfo;
}

bool
pgseal_brin_is_our_class(Oid opclass)
{
	Oid			type = get_opclass_input_type(opclass);
	Oid			function = get_opfamily_proc(get_opclass_family(opclass), type, type,
											 BRIN_PROCNUM_OPCINFO);
	FmgrInfo	info;

	if (pgseal_type_by_oid(type) == NULL || !OidIsValid(function))
		return false;
	fmgr_info(function, &info);
	return info.fn_addr == pgseal_brin_opcinfo;
}

bool
pgseal_brin_is_ours(Relation index)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		if (pgseal_brin_is_our_column(index, i))
			return true;
	return false;
}

/* opcinfo(type) */
Datum
pgseal_brin_opcinfo(PG_FUNCTION_ARGS)
{
	BrinOpcInfo *info = palloc0(MAXALIGN(SizeofBrinOpcInfo(1)) + sizeof(PgsealBrinColumn));

	info->oi_nstored = 1;
	info->oi_regular_nulls = true;
	info->oi_opaque = (char *) info + MAXALIGN(SizeofBrinOpcInfo(1));
	info->oi_typcache[0] = lookup_type_cache(BYTEAOID, 0);
	PG_RETURN_POINTER(info);
}

const PgsealBrinColumn *
pgseal_brin_column(BrinDesc *desc, AttrNumber attno)
{
	PgsealBrinColumn *column = desc->bd_info[attno - 1]->oi_opaque;
	Form_pg_attribute attribute = TupleDescAttr(desc->bd_tupdesc, attno - 1);

	if (column->described)
		return column;
	pgseal_sealed_describe_column(&column->column, desc->bd_index, attno - 1);
	column->attno = attno;
	column->key_hash = attribute->atttypmod;
	(void) getBaseTypeAndTypmod(attribute->atttypid, &column->key_hash);
	if (column->key_hash <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a BRIN index cannot be on a column of any key"),
				 errdetail("It would keep values after their key is destroyed.")));
	column->described = true;
	return column;
}

/*
 * Summaries in memory
 */

static void
wipe_bounds(void *arg)
{
	pgseal_wipe(&((MemoryBounds *) arg)->bounds, sizeof(PgsealBounds));
}

static void
serialize(BrinDesc *desc, Datum memory, Datum *out_values)
{
	MemoryBounds *held = (MemoryBounds *) DatumGetPointer(memory);

	out_values[0] = pgseal_brin_seal(held->column, &held->bounds);
}

void
pgseal_brin_set_bounds(BrinDesc *desc, BrinValues *column, const PgsealBounds *bounds)
{
	MemoryBounds *held = MemoryContextAllocZero(column->bv_context, sizeof(MemoryBounds));

	held->column = pgseal_brin_column(desc, column->bv_attno);
	held->bounds = *bounds;
	held->wipe.func = wipe_bounds;
	held->wipe.arg = held;
	MemoryContextRegisterResetCallback(column->bv_context, &held->wipe);
	column->bv_mem_value = PointerGetDatum(held);
	column->bv_serialize = serialize;
}

static PgsealBounds *
bounds_in_memory(const BrinValues *column)
{
	MemoryBounds *held = (MemoryBounds *) DatumGetPointer(column->bv_mem_value);

	return held != NULL ? &held->bounds : NULL;
}

/*
 * The bytes of a value, in scratch memory; false when it can't be opened here and now
 */
static bool
read_value(StringInfo out_bytes, const PgsealBrinColumn *column, Datum value)
{
	PgsealEnvelope envelope;

	if (!pgseal_brin_may_ask() && pgseal_value_try_header(&envelope, value) &&
		!pgseal_keyring_at_hand(envelope.key_version_id))
		return false;
	initStringInfo(out_bytes);
	return pgseal_sealed_encode_value(out_bytes, &column->column, value);
}

static void
bounds_of_value(PgsealBounds *out_bounds, const PgsealBrinColumn *column, Datum value)
{
	StringInfoData bytes = {0};

	if (read_value(&bytes, column, value))
		pgseal_bounds_of_value(out_bounds, column, (uint8 *) bytes.data, bytes.len);
	else
	{
		memset(out_bounds, 0, sizeof(*out_bounds));
		out_bounds->flags = PGSEAL_BOUNDS_UNKNOWN;
	}
	if (bytes.data != NULL)
		pgseal_wipe(bytes.data, bytes.maxlen);
}

/* Of PostgreSQL's build nothing is freed between two values, so this has its own */
static MemoryContext
scratch_context(void)
{
	static MemoryContext scratch = NULL;

	if (scratch == NULL)
		scratch = AllocSetContextCreate(CacheMemoryContext, "pgseal BRIN", ALLOCSET_SMALL_SIZES);
	MemoryContextReset(scratch);
	return scratch;
}

static bool
add_value(BrinDesc *desc, BrinValues *column, Datum value)
{
	const PgsealBrinColumn *ours = pgseal_brin_column(desc, column->bv_attno);
	PgsealBounds *bounds = bounds_in_memory(column);
	PgsealBounds added;
	PgsealBounds stored = {0};
	bool		changed;

	if (!pgseal_brin_may_ask())
		pgseal_brin_watch(desc->bd_index);

	/*
	 * What can't be opened here and now may not hold for the value: nothing
	 * is known any more
	 */
	if (!column->bv_allnulls && bounds == NULL &&
		!pgseal_brin_open(&stored, ours, desc->bd_index, column->bv_values[0]))
	{
		pgseal_brin_set_bounds(desc, column, &stored);
		return true;
	}
	bounds_of_value(&added, ours, value);
	if (column->bv_allnulls)
	{
		pgseal_brin_set_bounds(desc, column, &added);
		column->bv_allnulls = false;
		changed = true;
	}
	else
	{
		changed = pgseal_bounds_unite(bounds != NULL ? bounds : &stored, ours, &added);
		if (bounds == NULL && changed)
			pgseal_brin_set_bounds(desc, column, &stored);
	}
	pgseal_wipe(&added, sizeof(added));
	pgseal_wipe(&stored, sizeof(stored));
	return changed;
}

/* addvalue(desc, column, value, isnull) → has the summary changed? */
Datum
pgseal_brin_add_value(PG_FUNCTION_ARGS)
{
	MemoryContext caller = MemoryContextSwitchTo(scratch_context());
	bool		changed = add_value((BrinDesc *) PG_GETARG_POINTER(0),
									(BrinValues *) PG_GETARG_POINTER(1), PG_GETARG_DATUM(2));

	MemoryContextSwitchTo(caller);
	PG_RETURN_BOOL(changed);
}

/* The bounds that a column of a tuple stands for */
static void
read_bounds(PgsealBounds *out_bounds, BrinDesc *desc, const BrinValues *column)
{
	PgsealBounds *held = bounds_in_memory(column);

	if (held != NULL)
		*out_bounds = *held;
	else
		(void) pgseal_brin_open(out_bounds, pgseal_brin_column(desc, column->bv_attno), desc->bd_index,
								column->bv_values[0]);
}

/* union(desc, a, b): what b covers, a covers as well */
Datum
pgseal_brin_union(PG_FUNCTION_ARGS)
{
	BrinDesc   *desc = (BrinDesc *) PG_GETARG_POINTER(0);
	BrinValues *a = (BrinValues *) PG_GETARG_POINTER(1);
	BrinValues *b = (BrinValues *) PG_GETARG_POINTER(2);
	PgsealBounds bounds;
	PgsealBounds other;

	read_bounds(&bounds, desc, a);
	read_bounds(&other, desc, b);
	if (pgseal_bounds_unite(&bounds, pgseal_brin_column(desc, a->bv_attno), &other))
		pgseal_brin_set_bounds(desc, a, &bounds);
	pgseal_wipe(&bounds, sizeof(bounds));
	pgseal_wipe(&other, sizeof(other));
	PG_RETURN_VOID();
}

/*
 * Searching
 */

/* Of a search, which asks about one range after the other */
typedef struct Search
{
	bool		is_empty;		/* nothing can match, or may be told */
	int			num;
	StrategyNumber *strategies;
	PgsealSealedProbe *probes;
	MemoryContextCallback wipe;
} Search;

static void
wipe_search(void *arg)
{
	Search	   *search = arg;

	for (int i = 0; i < search->num; i++)
		if (search->probes[i].bytes != NULL)
			pgseal_wipe((void *) search->probes[i].bytes, search->probes[i].len);
}

static Search *
begin_search(const PgsealBrinColumn *column, ScanKey *keys, int num)
{
	Search	   *search = palloc0(sizeof(Search));

	/* Before anything is looked up, so that it tells nothing */
	if (pgseal_keyring_index(column->key_hash, PGSEAL_ACCESS_CHECKED) == NULL)
	{
		search->is_empty = true;
		return search;
	}
	search->strategies = palloc(num * sizeof(StrategyNumber));
	search->probes = palloc0(num * sizeof(PgsealSealedProbe));
	search->wipe.func = wipe_search;
	search->wipe.arg = search;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &search->wipe);
	for (int i = 0; i < num && !search->is_empty; i++)
	{
		Oid			type = OidIsValid(keys[i]->sk_subtype) ? keys[i]->sk_subtype : column->column.type->oid;

		search->strategies[i] = keys[i]->sk_strategy;
		search->is_empty = !pgseal_sealed_make_argument(&search->probes[i], &column->column, type,
														keys[i]->sk_argument);
		search->num++;
	}
	return search;
}

/* consistent(desc, column, keys, num) → may a row of the range meet all of them? */
Datum
pgseal_brin_consistent(PG_FUNCTION_ARGS)
{
	BrinDesc   *desc = (BrinDesc *) PG_GETARG_POINTER(0);
	BrinValues *column = (BrinValues *) PG_GETARG_POINTER(1);
	ScanKey    *keys = (ScanKey *) PG_GETARG_POINTER(2);
	const PgsealBrinColumn *ours = pgseal_brin_column(desc, column->bv_attno);
	Search	   *search = fcinfo->flinfo->fn_extra;
	PgsealBounds bounds;
	bool		result = true;

	if (search == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		search = begin_search(ours, keys, PG_GETARG_INT32(3));
		MemoryContextSwitchTo(caller);
		fcinfo->flinfo->fn_extra = search;
	}
	if (search->is_empty)
		PG_RETURN_BOOL(false);
	(void) pgseal_brin_open(&bounds, ours, desc->bd_index, column->bv_values[0]);
	for (int i = 0; i < search->num && result; i++)
		result = pgseal_bounds_may_meet(&bounds, ours, search->strategies[i], &search->probes[i]);
	pgseal_wipe(&bounds, sizeof(bounds));
	PG_RETURN_BOOL(result);
}
