/*-------------------------------------------------------------------------
 *
 * brin_ranges.c
 *	  Going through the ranges of a BRIN index with encrypted columns.
 *
 * A summary is copied under its block's lock, and opened afterwards, when keys may be
 * asked for.  One that is sealed anew replaces the old one as an insertion's does:
 * only if nobody has changed it meanwhile, else it is read again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/brin_pageops.h"
#include "access/brin_revmap.h"
#include "access/brin_tuple.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/as_owner.h"
#include "base/compat.h"
#include "sealed/brin.h"

/* Of a table, an estimate opens the summaries of at most so many ranges */
#define RANGES_IN_SAMPLE	64

typedef struct Ranges
{
	Relation	index;
	BrinDesc   *desc;
	BrinRevmap *revmap;
	BlockNumber pages;			/* in a range */
	Buffer		buffer;			/* pinned, of the summary that was read last */
	MemoryContext context;		/* of one range */
} Ranges;

static void
begin_ranges(Ranges *out_ranges, Relation index)
{
	out_ranges->index = index;
	out_ranges->desc = brin_build_desc(index);
	out_ranges->revmap = pgseal_brin_revmap(index, &out_ranges->pages);
	out_ranges->buffer = InvalidBuffer;
	out_ranges->context = AllocSetContextCreate(CurrentMemoryContext, "pgseal BRIN range",
												ALLOCSET_DEFAULT_SIZES);
}

static void
end_ranges(Ranges *ranges)
{
	if (BufferIsValid(ranges->buffer))
		ReleaseBuffer(ranges->buffer);
	brinRevmapTerminate(ranges->revmap);
	brin_free_desc(ranges->desc);
	MemoryContextDelete(ranges->context);
}

/* A copy of the summary of the range that the block begins; NULL: there is none */
static BrinTuple *
copy_summary(Ranges *ranges, BlockNumber block, OffsetNumber *out_offset, Size *out_size)
{
	BrinTuple  *tuple = pgseal_brin_get_tuple(ranges->revmap, block, &ranges->buffer, out_offset,
											  out_size);

	if (tuple == NULL)
		return NULL;
	tuple = brin_copy_tuple(tuple, *out_size, NULL, NULL);
	LockBuffer(ranges->buffer, BUFFER_LOCK_UNLOCK);
	return tuple;
}

/* The same, deformed */
static BrinMemTuple *
read_summary(Ranges *ranges, BlockNumber block)
{
	OffsetNumber offset;
	Size		size;
	BrinTuple  *tuple = copy_summary(ranges, block, &offset, &size);

	return tuple == NULL ? NULL : brin_deform_tuple(ranges->desc, tuple, NULL);
}

/*
 * Sealing anew
 */

/* Opens what is under another version of its index key; false when nothing is */
static bool
open_stale_bounds(Ranges *ranges, BrinMemTuple *tuple)
{
	bool		found = false;

	for (int i = 0; i < ranges->desc->bd_tupdesc->natts; i++)
	{
		BrinValues *column = &tuple->bt_columns[i];
		const PgsealBrinColumn *ours;
		PgsealBounds bounds;

		if (!pgseal_brin_is_our_column(ranges->index, i) || column->bv_allnulls)
			continue;
		ours = pgseal_brin_column(ranges->desc, column->bv_attno);
		if (pgseal_keyring_num_index_versions(ours->key_hash) == 0 ||
			!pgseal_brin_is_stale(ours, column->bv_values[0]))
			continue;
		(void) pgseal_brin_open(&bounds, ours, ranges->index, column->bv_values[0]);
		pgseal_brin_set_bounds(ranges->desc, column, &bounds);
		pgseal_wipe(&bounds, sizeof(bounds));
		found = true;
	}
	return found;
}

/* False when somebody else has changed the summary meanwhile */
static bool
reseal_range(Ranges *ranges, BlockNumber block, uint32 *num)
{
	OffsetNumber offset;
	Size		old_size;
	Size		new_size;
	BrinTuple  *old = copy_summary(ranges, block, &offset, &old_size);
	BrinTuple  *new;
	BrinMemTuple *tuple;
	bool		same_page;

	if (old == NULL)
		return true;
	tuple = brin_deform_tuple(ranges->desc, old, NULL);
	if (!open_stale_bounds(ranges, tuple))
		return true;
	new = brin_form_tuple(ranges->desc, block, tuple, &new_size);
	LockBuffer(ranges->buffer, BUFFER_LOCK_SHARE);
	same_page = brin_can_do_samepage_update(ranges->buffer, old_size, new_size);
	LockBuffer(ranges->buffer, BUFFER_LOCK_UNLOCK);
	if (!brin_doupdate(ranges->index, ranges->pages, ranges->revmap, block, ranges->buffer, offset,
					   old, old_size, new, new_size, same_page))
		return false;
	(*num)++;
	return true;
}

uint32
pgseal_brin_reseal(Relation relation)
{
	Relation	heap = table_open(IndexGetRelation(RelationGetRelid(relation), false), NoLock);
	uint64		num_blocks = RelationGetNumberOfBlocks(heap);
	MemoryContext caller = CurrentMemoryContext;
	uint32		num = 0;
	Ranges		ranges;

	begin_ranges(&ranges, relation);
	MemoryContextSwitchTo(ranges.context);
	for (uint64 block = 0; block < num_blocks; block += ranges.pages)
	{
		bool		done = false;

		while (!done)
		{
			CHECK_FOR_INTERRUPTS();
			MemoryContextReset(ranges.context);
			done = reseal_range(&ranges, (BlockNumber) block, &num);
		}
	}
	MemoryContextSwitchTo(caller);
	end_ranges(&ranges);
	table_close(heap, NoLock);
	return num;
}

/*
 * Estimates
 */

/* Where a value lies between those that a number of up to eight bytes can be */
static double
as_number(const uint8 *bytes, int len)
{
	uint8		number[8] = {0};
	uint64		value;

	memcpy(number, bytes, Min(len, sizeof(number)));
	memcpy(&value, number, sizeof(value));
	return (double) pg_ntoh64(value);
}

/*
 * The share of a range's rows that meet a condition, one of < <= >= >, if its values are
 * spread evenly between the bounds
 */
static double
share_of_range(const PgsealBounds *bounds, const PgsealBrinColumn *column,
			   StrategyNumber strategy, const PgsealSealedProbe *probe)
{
	bool		is_upper = strategy < BTEqualStrategyNumber;
	PgsealBounds end = *bounds;
	double		low;
	double		high;
	double		at;

	if (!pgseal_bounds_may_meet(bounds, column, strategy, probe))
		return 0;

	/* Does the far end meet it, too? */
	if (is_upper)
	{
		memcpy(end.low, bounds->high, bounds->high_len);
		end.low_len = bounds->high_len;
		end.flags = (bounds->flags & PGSEAL_BOUNDS_NO_HIGH) != 0 ? PGSEAL_BOUNDS_UNKNOWN : 0;
	}
	else
	{
		memcpy(end.high, bounds->low, bounds->low_len);
		end.high_len = bounds->low_len;
		end.flags = (bounds->flags & PGSEAL_BOUNDS_NO_LOW) != 0 ? PGSEAL_BOUNDS_UNKNOWN : 0;
	}
	if (end.flags == 0 && pgseal_bounds_may_meet(&end, column, strategy, probe))
		return 1;
	if (bounds->flags != 0 || probe->bytes == NULL || column->column.order != PGSEAL_SEALED_BY_BYTES)
		return 0.5;
	low = as_number(bounds->low, bounds->low_len);
	high = as_number(bounds->high, bounds->high_len);
	at = as_number(probe->bytes, probe->len);
	if (high <= low)
		return 0.5;
	at = Min(Max((at - low) / (high - low), 0), 1);
	return is_upper ? at : 1 - at;
}

typedef struct Estimate
{
	int			num;
	const PgsealBrinCondition *conditions;
	PgsealSealedProbe *probes;
} Estimate;

/* Shares of one range: of 0 or 1, may it meet all conditions; and of its rows */
static void
look_at_range(Ranges *ranges, BlockNumber block, const Estimate *estimate,
			  double *out_meets, double *out_rows)
{
	BrinMemTuple *tuple = read_summary(ranges, block);

	*out_meets = *out_rows = 1;
	if (tuple == NULL || tuple->bt_placeholder)
		return;
	for (int i = 0; i < estimate->num && *out_meets > 0; i++)
	{
		const PgsealBrinCondition *condition = &estimate->conditions[i];
		BrinValues *column = &tuple->bt_columns[condition->attno - 1];
		const PgsealBrinColumn *ours = pgseal_brin_column(ranges->desc, condition->attno);
		PgsealBounds bounds;

		if (tuple->bt_empty_range || column->bv_allnulls)
		{
			*out_meets = *out_rows = 0;
			return;
		}
		(void) pgseal_brin_open(&bounds, ours, ranges->index, column->bv_values[0]);
		if (!pgseal_bounds_may_meet(&bounds, ours, condition->strategy, &estimate->probes[i]))
			*out_meets = *out_rows = 0;
		else if (condition->strategy != BTEqualStrategyNumber)
			*out_rows += share_of_range(&bounds, ours, condition->strategy, &estimate->probes[i]) - 1;
		pgseal_wipe(&bounds, sizeof(bounds));
	}
	*out_rows = Max(*out_rows, 0);
}

static bool
make_probes(Ranges *ranges, Estimate *estimate)
{
	for (int i = 0; i < estimate->num; i++)
	{
		const PgsealBrinCondition *condition = &estimate->conditions[i];
		const PgsealBrinColumn *ours = pgseal_brin_column(ranges->desc, condition->attno);

		if (!pgseal_sealed_make_argument(&estimate->probes[i], &ours->column, condition->type,
										 condition->constant))
			return false;
	}
	return true;
}

void
pgseal_brin_estimate(Relation index, const PgsealBrinCondition *conditions, int num,
					 double *out_ranges, double *out_rows)
{
	Relation	heap = table_open(IndexGetRelation(RelationGetRelid(index), false), NoLock);
	uint64		num_blocks = RelationGetNumberOfBlocks(heap);
	MemoryContext caller = CurrentMemoryContext;
	Estimate	estimate = {.num = num, .conditions = conditions};
	Ranges		ranges;
	uint64		step;
	int			looked_at = 0;

	*out_ranges = *out_rows = 0;
	begin_ranges(&ranges, index);
	estimate.probes = palloc0(Max(num, 1) * sizeof(PgsealSealedProbe));
	step = ranges.pages * Max(1, num_blocks / ranges.pages / RANGES_IN_SAMPLE);
	if (make_probes(&ranges, &estimate))
	{
		MemoryContextSwitchTo(ranges.context);
		for (uint64 block = 0; block < num_blocks; block += step, looked_at++)
		{
			double		meets;
			double		rows;

			MemoryContextReset(ranges.context);
			look_at_range(&ranges, (BlockNumber) block, &estimate, &meets, &rows);
			*out_ranges += meets;
			*out_rows += rows;
		}
		MemoryContextSwitchTo(caller);
	}
	end_ranges(&ranges);
	table_close(heap, NoLock);

	/* What lies between those that were looked at may meet it */
	*out_ranges = looked_at == 0 ? 1 : Max(*out_ranges, 0.5) / looked_at;
	*out_rows = looked_at == 0 ? 1 : *out_rows / looked_at;
}

/*
 * Verifying
 */

typedef struct Check
{
	PgsealBrinFindings *findings;
	Ranges		ranges;
	BlockNumber range;			/* whose bounds these are */
	bool		is_bounded;		/* it has a summary that isn't a placeholder */
	BrinMemTuple *tuple;
	PgsealBounds bounds[INDEX_MAX_KEYS];
	MemoryContext row_context;
} Check;

static void
check_bounds(Check *check, const PgsealBrinColumn *ours, const PgsealBounds *bounds)
{
	check->findings->summaries++;
	if ((bounds->flags & PGSEAL_BOUNDS_UNKNOWN) == PGSEAL_BOUNDS_UNKNOWN)
		return;
	check->findings->bounded++;
	if ((bounds->flags & PGSEAL_BOUNDS_UNKNOWN) == 0 &&
		pgseal_sealed_compare_values(&ours->column, bounds->low, bounds->low_len,
									 bounds->high, bounds->high_len) > 0 &&
		(bounds->flags & PGSEAL_BOUNDS_HIGH_IS_CUT) == 0)
		check->findings->misplaced++;
}

/* Opens the bounds of a range; each range once, if rows come in the order of blocks */
static void
load_range(Check *check, BlockNumber block, bool count)
{
	MemoryContext caller = CurrentMemoryContext;

	MemoryContextReset(check->ranges.context);
	MemoryContextSwitchTo(check->ranges.context);
	check->range = block;
	check->tuple = read_summary(&check->ranges, block);
	check->is_bounded = check->tuple != NULL && !check->tuple->bt_placeholder;
	for (int i = 0; i < check->ranges.desc->bd_tupdesc->natts && check->is_bounded; i++)
	{
		const PgsealBrinColumn *ours;

		if (!pgseal_brin_is_our_column(check->ranges.index, i) ||
			check->tuple->bt_empty_range || check->tuple->bt_columns[i].bv_allnulls)
			continue;
		ours = pgseal_brin_column(check->ranges.desc, i + 1);
		(void) pgseal_brin_open(&check->bounds[i], ours, check->ranges.index,
								check->tuple->bt_columns[i].bv_values[0]);
		if (count)
			check_bounds(check, ours, &check->bounds[i]);
	}
	MemoryContextSwitchTo(caller);
}

/* Does the summary of its range cover a column of the row? */
static bool
covers(Check *check, int column, Datum value, bool isnull)
{
	const BrinValues *summary = &check->tuple->bt_columns[column];
	const PgsealBrinColumn *ours;
	PgsealBounds bounds = check->bounds[column];
	StringInfoData bytes;
	bool		outside;

	if (check->tuple->bt_empty_range)
		return false;
	if (isnull)
		return summary->bv_hasnulls || summary->bv_allnulls;
	if (summary->bv_allnulls)
		return false;
	ours = pgseal_brin_column(check->ranges.desc, column + 1);
	initStringInfo(&bytes);
	outside = pgseal_sealed_encode_value(&bytes, &ours->column, value) &&
		pgseal_bounds_add_value(&bounds, ours, (uint8 *) bytes.data, bytes.len);
	pgseal_wipe(bytes.data, bytes.maxlen);
	pgseal_wipe(&bounds, sizeof(bounds));
	return !outside;
}

static void
check_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool is_alive, void *state)
{
	Check	   *check = state;
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	MemoryContext caller = MemoryContextSwitchTo(check->row_context);
	bool		covered = true;

	block -= block % check->ranges.pages;
	if (block != check->range)
		load_range(check, block, false);
	for (int i = 0; i < check->ranges.desc->bd_tupdesc->natts && check->is_bounded; i++)
		if (pgseal_brin_is_our_column(index, i))
			covered = covered && covers(check, i, values[i], isnull[i]);
	check->findings->rows++;
	if (!covered)
		check->findings->missing++;
	MemoryContextSwitchTo(caller);
	MemoryContextReset(check->row_context);
}

static void
check_rows(Check *check, Relation heap)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	TableScanDesc scan = table_beginscan_strat(heap, snapshot, 0, NULL, true, false);
	IndexInfo  *info;
	PgsealCaller caller;

	/* Its predicate is the owner's code */
	pgseal_as_owner_begin(&caller, heap->rd_rel->relowner);
	info = BuildIndexInfo(check->ranges.index);
	info->ii_Concurrent = true; /* only rows that the snapshot sees */
	(void) table_index_build_scan(heap, check->ranges.index, info, false, false, check_row, check,
								  scan);
	pgseal_as_owner_end(&caller);
	UnregisterSnapshot(snapshot);
}

bool
pgseal_brin_check_access(Relation index)
{
	BrinDesc   *desc = brin_build_desc(index);
	bool		may = true;

	for (int i = 0; i < desc->bd_tupdesc->natts && may; i++)
		may = !pgseal_brin_is_our_column(index, i) ||
			pgseal_keyring_index(pgseal_brin_column(desc, i + 1)->key_hash,
								 PGSEAL_ACCESS_CHECKED) != NULL;
	brin_free_desc(desc);
	return may;
}

void
pgseal_brin_verify(PgsealBrinFindings *out_findings, Relation heap, Relation index)
{
	uint64		num_blocks = RelationGetNumberOfBlocks(heap);
	Check	   *check = palloc0(sizeof(Check));

	memset(out_findings, 0, sizeof(*out_findings));
	check->findings = out_findings;
	begin_ranges(&check->ranges, index);
	check->row_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal verify row",
											   ALLOCSET_DEFAULT_SIZES);
	for (uint64 block = 0; block < num_blocks; block += check->ranges.pages)
	{
		CHECK_FOR_INTERRUPTS();
		load_range(check, (BlockNumber) block, true);
	}
	check->range = InvalidBlockNumber;
	check_rows(check, heap);
	pgseal_wipe(check->bounds, sizeof(check->bounds));
	end_ranges(&check->ranges);
}
