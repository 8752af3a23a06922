/*-------------------------------------------------------------------------
 *
 * sort.c
 *	  Sort support: ORDER BY opens each value about once.
 *
 * A sort of n values makes n log n comparisons, and a plain comparison of two
 * sealed values opens both.  So the "abbreviated key" of a value is here the
 * opened value itself (for types passed by reference, a pointer to it, together
 * with what the base type's own sort support makes of it).  It is as good as
 * the whole value: when two are equal, the full comparison that tuplesort.c
 * then asks for need not open anything.
 *
 * Aggregates with DISTINCT take values for different whose abbreviated keys are
 * (nodeAgg.c), so equal values must have the same: what was opened is looked
 * up, and the pointer to an equal one is taken.
 *
 * What is opened lives where tuplesort.c keeps the tuples themselves, a memory
 * context that it empties when it writes a run to disk.  Runs hold sealed
 * values; while they are merged, and in bounded sorts, comparisons go through a
 * small cache of opened values.
 *
 * tuplesort.c counts the tuples against work_mem, not what was opened.  Of short
 * values that is about as much again; but of long ones a tuple has no more than
 * a TOAST pointer.  So when it gets out of proportion, abbreviation is given up
 * for the sort, which from then on opens values with each comparison.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_sortsupport);

/* Opened values that comparisons remember; larger ones aren't kept */
#define CACHE_ENTRIES			256
#define CACHE_SEALED_MAX		512

/* Name of the context in which tuplesort.c keeps tuples */
#define TUPLE_CONTEXT			"Caller tuples"

typedef struct CacheEntry
{
	int			sealed_len;		/* 0: empty */
	uint8		sealed[CACHE_SEALED_MAX];
	Datum		value;
} CacheEntry;

/*
 * The abbreviated key of a value that is passed by reference points to this;
 * the value lies beside what decides most comparisons, for the sake of the
 * processor's cache.
 */
typedef struct Opened
{
	Datum		abbreviated;	/* by the base type, if it can */
	char		value[FLEXIBLE_ARRAY_MEMBER];
} Opened;

typedef struct OpenedSlot
{
	uint32		hash;
	Opened	   *opened;			/* NULL: free */
} OpenedSlot;

/* All of these in the memory context of the tuples: a hash table, and room */
typedef struct OpenedSet
{
	MemoryContext context;
	Size		bytes;			/* of slots and room, so far */
	uint32		num;
	uint32		num_slots;		/* a power of two, more than num */
	OpenedSlot *slots;
	char	   *room;			/* for further values */
	Size		room_left;
} OpenedSet;

#define OPENED_SLOTS_MIN		1024
#define ROOM_BYTES				(32 * 1024)

/* So many times work_mem may be opened, and up to twice that until it is noticed */
#define OPENED_WORK_MEMS		4

typedef struct SortState
{
	const PgsealType *type;		/* NULL until the first value has been seen */
	SortSupportData full;		/* of the base type */
	SortSupportData abbreviated;
	FmgrInfo	hash;
	OpenedSet  *opened;			/* NULL after its memory context was emptied */
	bool		tied;			/* the last comparison of abbreviated keys */
	CacheEntry *cache;			/* CACHE_ENTRIES, by the first byte of the
								 * nonce */
} SortState;

static void
prepare_base(SortSupport base, SortSupport ssup, const PgsealType *type, bool abbreviate)
{
	MemSet(base, 0, sizeof(*base));
	base->ssup_cxt = ssup->ssup_cxt;
	base->ssup_collation = ssup->ssup_collation;
	base->abbreviate = abbreviate;
	PrepareSortSupportFromOrderingOp(lookup_type_cache(type->base->oid,
													   TYPECACHE_LT_OPR)->lt_opr, base);
}

/* The state, once the type is known from a first value */
static SortState *
sort_state(SortSupport ssup, Datum sealed)
{
	SortState  *state = ssup->ssup_extra;
	PgsealEnvelope envelope;
	MemoryContext old;

	if (state->type != NULL)
		return state;
	pgseal_value_header(&envelope, sealed);
	state->type = pgseal_type_by_code(envelope.type_code);
	if (state->type == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("sealed value is of a type that this version of pgseal does not know")));
	old = MemoryContextSwitchTo(ssup->ssup_cxt);
	prepare_base(&state->full, ssup, state->type, false);
	prepare_base(&state->abbreviated, ssup, state->type, true);
	fmgr_info_cxt(lookup_type_cache(state->type->base->oid, TYPECACHE_HASH_PROC)->hash_proc,
				  &state->hash, ssup->ssup_cxt);
	state->cache = palloc0(CACHE_ENTRIES * sizeof(CacheEntry));
	MemoryContextSwitchTo(old);
	return state;
}

static Datum
open_or_fail(SortState *state, Datum sealed)
{
	bool		isnull;
	Datum		value = pgseal_value_open(state->type, sealed, PGSEAL_ACCESS_CHECKED, &isnull);

	/* A comparison has no way to say NULL */
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to sort encrypted values")));
	return value;
}

/*
 * Full comparison
 */

/* The opened value; *release when the caller must free it */
static Datum
open_cached(SortState *state, Datum sealed, MemoryContext context, bool *release)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(sealed);
	int			len = VARSIZE_ANY_EXHDR(packed);
	const uint8 *bytes = (uint8 *) VARDATA_ANY(packed);
	CacheEntry *entry = NULL;
	Datum		value;

	*release = !state->type->byval;
	if (len <= CACHE_SEALED_MAX && len > PGSEAL_ENVELOPE_HEADER_BYTES)
	{
		entry = &state->cache[bytes[PGSEAL_ENVELOPE_AAD_BYTES]];
		*release = false;
	}
	if (entry == NULL || entry->sealed_len != len || memcmp(entry->sealed, bytes, len) != 0)
	{
		value = open_or_fail(state, PointerGetDatum(packed));
		if (entry != NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			if (entry->sealed_len != 0 && !state->type->byval)
				pfree(DatumGetPointer(entry->value));
			entry->sealed_len = 0;
			entry->value = datumCopy(value, state->type->byval, state->type->len);
			MemoryContextSwitchTo(old);
			memcpy(entry->sealed, bytes, len);
			entry->sealed_len = len;
			if (!state->type->byval)
				pfree(DatumGetPointer(value));
			value = entry->value;
		}
	}
	else
		value = entry->value;
	if (packed != (struct varlena *) DatumGetPointer(sealed))
		pfree(packed);
	return value;
}

static int
compare_sealed(Datum x, Datum y, SortSupport ssup)
{
	SortState  *state = sort_state(ssup, x);
	Datum		left;
	Datum		right;
	bool		release_left;
	bool		release_right;
	int			order;

	/* Only the second half of a comparison of abbreviated keys? */
	if (state->tied)
	{
		state->tied = false;
		return 0;
	}
	left = open_cached(state, x, ssup->ssup_cxt, &release_left);
	/* Both may want the same entry of the cache */
	if (!release_left && !state->type->byval)
	{
		left = datumCopy(left, false, state->type->len);
		release_left = true;
	}
	right = open_cached(state, y, ssup->ssup_cxt, &release_right);
	order = state->full.comparator(left, right, &state->full);
	if (release_left)
		pfree(DatumGetPointer(left));
	if (release_right)
		pfree(DatumGetPointer(right));
	return order;
}

/*
 * Comparison of what was opened
 */

static int
compare_by_value(Datum x, Datum y, SortSupport ssup)
{
	SortState  *state = ssup->ssup_extra;
	int			order = state->full.comparator(x, y, &state->full);

	state->tied = (order == 0);
	return order;
}

static int
compare_by_reference(Datum x, Datum y, SortSupport ssup)
{
	SortState  *state = ssup->ssup_extra;
	Opened	   *left = (Opened *) DatumGetPointer(x);
	Opened	   *right = (Opened *) DatumGetPointer(y);
	int			order = 0;

	if (left != right && state->abbreviated.abbrev_converter != NULL)
		order = state->abbreviated.comparator(left->abbreviated, right->abbreviated,
											  &state->abbreviated);
	if (left != right && order == 0)
		order = state->full.comparator(PointerGetDatum(left->value),
									   PointerGetDatum(right->value), &state->full);
	state->tied = (order == 0);
	return order;
}

static int
compare_opened(Datum x, Datum y, SortSupport ssup)
{
	SortState  *state = ssup->ssup_extra;

	/* The type is known by now: keys have been made */
	ssup->comparator = state->type->byval ? compare_by_value : compare_by_reference;
	return ssup->comparator(x, y, ssup);
}

/* Where tuplesort.c keeps the tuple that is being added */
static MemoryContext
tuple_context(SortSupport ssup)
{
	for (MemoryContext child = CurrentMemoryContext->firstchild; child; child = child->nextchild)
		if (strcmp(child->name, TUPLE_CONTEXT) == 0)
			return child;
	return ssup->ssup_cxt;
}

static void
forget_opened(void *arg)
{
	((SortState *) arg)->opened = NULL;
}

/* The next slot, from this one on, that is free or has the hash */
static inline uint32
probe(const OpenedSet *set, uint32 slot, uint32 hash)
{
	uint32		mask = set->num_slots - 1;

	slot &= mask;
	while (set->slots[slot].opened != NULL && set->slots[slot].hash != hash)
		slot = (slot + 1) & mask;
	return slot;
}

static void
make_slots(OpenedSet *set, uint32 num_slots)
{
	OpenedSlot *old = set->slots;
	uint32		num_old = set->num_slots;

	set->num_slots = num_slots;
	set->bytes += num_slots * sizeof(OpenedSlot);
	set->slots = MemoryContextAllocExtended(set->context, num_slots * sizeof(OpenedSlot),
											MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < num_old; i++)
	{
		uint32		slot;

		if (old[i].opened == NULL)
			continue;
		slot = probe(set, old[i].hash, old[i].hash);
		while (set->slots[slot].opened != NULL)
			slot = probe(set, slot + 1, old[i].hash);
		set->slots[slot] = old[i];
	}
	/* The old slots stay: the context of tuples may not know how to free */
}

static OpenedSet *
opened_set(SortState *state, SortSupport ssup)
{
	OpenedSet  *set = state->opened;
	MemoryContextCallback *callback;

	if (set == NULL)
	{
		MemoryContext context = tuple_context(ssup);

		set = MemoryContextAllocZero(context, sizeof(OpenedSet));
		set->context = context;
		make_slots(set, OPENED_SLOTS_MIN);
		callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
		callback->func = forget_opened;
		callback->arg = state;
		MemoryContextRegisterResetCallback(context, callback);
		state->opened = set;
	}
	else if (set->num > set->num_slots / 2)
		make_slots(set, set->num_slots * 2);
	return set;
}

/* A copy of the value, as abbreviated as the base type can */
static Opened *
keep_opened(SortState *state, OpenedSet *set, Datum value)
{
	Size		value_size = datumGetSize(value, false, state->type->len);
	Size		size = MAXALIGN(offsetof(Opened, value) + value_size);
	Opened	   *opened;

	if (size > set->room_left)
	{
		set->room_left = Max(ROOM_BYTES, size);
		set->room = MemoryContextAllocHuge(set->context, set->room_left);
		set->bytes += set->room_left;
	}
	opened = (Opened *) set->room;
	set->room += size;
	set->room_left -= size;
	memcpy(opened->value, DatumGetPointer(value), value_size);
	opened->abbreviated = state->abbreviated.abbrev_converter == NULL ? (Datum) 0 :
		state->abbreviated.abbrev_converter(PointerGetDatum(opened->value), &state->abbreviated);
	return opened;
}

/* The one that is equal to the value, or a new one with a copy of it */
static Opened *
find_opened(SortState *state, Datum value, SortSupport ssup)
{
	OpenedSet  *set = opened_set(state, ssup);
	uint32		hash = DatumGetUInt32(FunctionCall1Coll(&state->hash, ssup->ssup_collation, value));
	uint32		slot;
	Opened	   *opened;

	/* The low bits of a hash choose partitions and buckets elsewhere, too */
	hash = murmurhash32(hash);
	slot = probe(set, hash, hash);
	while ((opened = set->slots[slot].opened) != NULL)
	{
		if (state->full.comparator(PointerGetDatum(opened->value), value, &state->full) == 0)
			return opened;
		slot = probe(set, slot + 1, hash);
	}

	opened = keep_opened(state, set, value);
	set->slots[slot].hash = hash;
	set->slots[slot].opened = opened;
	set->num++;
	return opened;
}

/* Equal floats that are different bits get the same key as well */
static Datum
canonical_by_value(const PgsealType *type, Datum value)
{
	if (type->base->oid == FLOAT8OID && (DatumGetFloat8(value) == 0 || isnan(DatumGetFloat8(value))))
		return Float8GetDatum(isnan(DatumGetFloat8(value)) ? get_float8_nan() : 0);
	if (type->base->oid == FLOAT4OID && (DatumGetFloat4(value) == 0 || isnan(DatumGetFloat4(value))))
		return Float4GetDatum(isnan(DatumGetFloat4(value)) ? get_float4_nan() : 0);
	return value;
}

static Datum
make_opened(Datum sealed, SortSupport ssup)
{
	SortState  *state = sort_state(ssup, sealed);
	Datum		value = open_or_fail(state, sealed);
	Opened	   *opened;

	if (state->type->byval)
		return canonical_by_value(state->type, value);
	opened = find_opened(state, value, ssup);
	pfree(DatumGetPointer(value));
	return PointerGetDatum(opened);
}

/* However alike the values are, opening them once pays; unless they are too large */
static bool
too_large(int num_tuples, SortSupport ssup)
{
	OpenedSet  *set = ((SortState *) ssup->ssup_extra)->opened;

	return set != NULL && set->bytes / 1024 / OPENED_WORK_MEMS > (Size) work_mem;
}

/* Support function 2 of the btree classes */
Datum
pgseal_sortsupport(PG_FUNCTION_ARGS)
{
	SortSupport ssup = (SortSupport) PG_GETARG_POINTER(0);

	ssup->ssup_extra = MemoryContextAllocZero(ssup->ssup_cxt, sizeof(SortState));

	if (ssup->abbreviate)
	{
		ssup->comparator = compare_opened;
		ssup->abbrev_converter = make_opened;
		ssup->abbrev_abort = too_large;
		ssup->abbrev_full_comparator = compare_sealed;
	}
	else
		ssup->comparator = compare_sealed;
	PG_RETURN_VOID();
}
