/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  Searching in a sealed index.
 *
 * The search keys become two places between entries: where the scan begins and
 * where it ends.  A leaf is opened once, the row pointers between the two are
 * kept, and the leaf is wiped; the next one is found by the end of its interval.
 *
 * A scan asks for the privilege before it looks at anything, and again when another
 * role goes on with it or rights may have changed, so that it tells nothing to whoever
 * lacks it.
 *
 * No pin keeps VACUUM from removing rows whose pointers are kept, and giving their
 * places to others: each row must be looked at, by a snapshot that sees none that came
 * since.  So there are no index only scans (access.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "keys/facts.h"
#include "sealed/sealed.h"
#include "sealed/terms.h"
#include "value/related.h"
#include "value/seal.h"

/* A condition that the bounds don't say whole, to be looked at for each entry */
typedef struct Condition
{
	int			column;
	StrategyNumber strategy;	/* 0: IS NULL, 6 prefix, else btree's; in the
								 * index's order */
	PgsealSealedProbe probe;
	bool		is_not_null;
} Condition;

typedef struct Scan
{
	PgsealSealedIndex index;
	MemoryContext context;		/* of the bounds; reset by a rescan */
	PgsealSealedBound lower;
	PgsealSealedBound upper;
	int			num_conditions;
	Condition	conditions[INDEX_MAX_KEYS];
	PgsealTermSearch terms;		/* of an index of terms, instead */
	bool		is_empty;		/* no row can match */
	bool		recheck;
	Oid			role;			/* who was found to have the privilege, */
	uint64		epoch;			/* and while which facts hold */

	/* The leaf that the scan is in */
	bool		started;
	uint64	   *tids;
	int64		num_tids;
	int64		max_tids;
	int64		next;			/* of tids, in either direction */
	uint32		left;
	uint32		right;
	bool		more_left;		/* it ended before the bound did */
	bool		more_right;
	uint8	   *low_key;		/* of the leaf's interval; wiped */
	uint8	   *high_key;
	int			low_len;
	int			high_len;
	uint64		low_tid;
	uint64		high_tid;
} Scan;

IndexScanDesc
pgseal_sealed_beginscan(Relation relation, int num_keys, int num_orderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(relation, num_keys, num_orderbys);
	Scan	   *state = palloc0(sizeof(Scan));

	pgseal_sealed_get(&state->index, relation);
	state->index.without_entries = state->index.columns[0].terms != PGSEAL_SEALED_WHOLE;
	state->context = AllocSetContextCreate(CurrentMemoryContext, "pgseal sealed scan",
										   ALLOCSET_SMALL_SIZES);
	state->max_tids = 256;
	state->tids = palloc(sizeof(uint64) * state->max_tids);
	state->low_key = palloc(state->index.max_key_bytes);
	state->high_key = palloc(state->index.max_key_bytes);
	scan->opaque = state;
	return scan;
}

static void
wipe_probes(PgsealSealedBound *bound)
{
	for (int i = 0; i < bound->num_columns; i++)
		if (bound->probes[i].bytes != NULL)
			pgseal_wipe((void *) bound->probes[i].bytes, bound->probes[i].len);
}

static void
forget(Scan *state)
{
	wipe_probes(&state->lower);
	wipe_probes(&state->upper);
	pgseal_wipe(state->low_key, state->index.max_key_bytes);
	pgseal_wipe(state->high_key, state->index.max_key_bytes);
	MemoryContextReset(state->context);
}

void
pgseal_sealed_endscan(IndexScanDesc scan)
{
	Scan	   *state = scan->opaque;

	forget(state);
	MemoryContextDelete(state->context);
	pfree(state->tids);
	pfree(state->low_key);
	pfree(state->high_key);
	pfree(state);
}

/*
 * Search keys
 */

bool
pgseal_sealed_make_argument(PgsealSealedProbe *out_probe, const PgsealSealedColumn *column,
							Oid type, Datum value)
{
	Oid			base_type = column->type->base->oid;
	const PgsealType *sealed_type = pgseal_type_by_oid(type);

	if (sealed_type != NULL)
	{
		bool		isnull;

		value = pgseal_value_open(sealed_type, value, PGSEAL_ACCESS_CHECKED, &isnull);
		if (isnull)
			return false;
		type = sealed_type->base->oid;
	}
	/* Or varchar, or a pattern */
	if (type == base_type || (base_type == TEXTOID && type != NAMEOID))
	{
		pgseal_sealed_make_probe(out_probe, column, value);
		return true;
	}
	memset(out_probe, 0, sizeof(*out_probe));
	out_probe->value = value;
	out_probe->cross = palloc(sizeof(FmgrInfo));
	if (!pgseal_related_comparison(out_probe->cross, base_type, type, CurrentMemoryContext))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s cannot be compared with %s",
						format_type_be(base_type), format_type_be(type))));
	return true;
}

static Oid
argument_type(const PgsealSealedColumn *column, const ScanKey key)
{
	if (OidIsValid(key->sk_subtype))
		return key->sk_subtype;
	return column->encrypted ? column->type->oid : column->type->base->oid;
}

/*
 * A pattern becomes what its values begin with.  False when it says nothing about
 * where they lie; then they are only looked at again.
 */
static bool
make_prefix(Scan *state, PgsealSealedProbe *out_probe, const PgsealSealedColumn *column,
			const ScanKey key)
{
	size_t		len = 0;
	bool		exact = false;
	char	   *prefix = column->order != PGSEAL_SEALED_BY_BYTES ? NULL :
		pgseal_sealed_prefix(key->sk_strategy, key->sk_argument, key->sk_collation, &len, &exact);

	if (!exact)
		state->recheck = true;
	if (len == 0)
	{
		state->recheck = true;	/* for NULL */
		return false;
	}
	memset(out_probe, 0, sizeof(*out_probe));
	out_probe->is_prefix = true;
	out_probe->bytes = (uint8 *) prefix;
	out_probe->len = len;
	return true;
}

/* x > 5 is a condition on what comes before, in a descending column */
static StrategyNumber
strategy_in_order(const PgsealSealedColumn *column, StrategyNumber strategy)
{
	return column->descending && strategy <= BTMaxStrategyNumber ?
		BTCommuteStrategyNumber(strategy) : strategy;
}

static void
add_condition(Scan *state, const ScanKey key)
{
	Condition  *condition = &state->conditions[state->num_conditions];
	const PgsealSealedColumn *column;

	memset(condition, 0, sizeof(*condition));
	condition->column = key->sk_attno - 1;
	column = &state->index.columns[condition->column];
	if (key->sk_flags & (SK_SEARCHNULL | SK_SEARCHNOTNULL))
	{
		condition->is_not_null = (key->sk_flags & SK_SEARCHNOTNULL) != 0;
		condition->probe.isnull = true;
	}
	else if (key->sk_flags & SK_ISNULL)
	{
		state->is_empty = true;
		return;
	}
	else if (key->sk_strategy >= PGSEAL_SEALED_LIKE)
	{
		if (!make_prefix(state, &condition->probe, column, key))
			return;
		condition->strategy = PGSEAL_SEALED_LIKE;
	}
	else
	{
		if (!pgseal_sealed_make_argument(&condition->probe, column, argument_type(column, key),
										 key->sk_argument))
		{
			state->is_empty = true;
			return;
		}
		condition->strategy = strategy_in_order(column, key->sk_strategy);
	}
	state->num_conditions++;
}

/* The conditions on a column that say from where, or to where, it goes */
static const Condition *
find_condition(const Scan *state, int column, StrategyNumber a, StrategyNumber b)
{
	for (int i = 0; i < state->num_conditions; i++)
	{
		const Condition *condition = &state->conditions[i];

		if (condition->column == column && !condition->is_not_null &&
			(condition->strategy == a || condition->strategy == b))
			return condition;
	}
	return NULL;
}

static void
extend_bound(PgsealSealedBound *bound, const PgsealSealedProbe *probe, int side)
{
	bound->probes[bound->num_columns++] = *probe;
	bound->side = side;
}

/* A bound that leaves out the NULLs at this end, when a condition on values is given */
static void
exclude_nulls(PgsealSealedBound *bound, int side)
{
	PgsealSealedProbe null_probe = {.isnull = true};

	extend_bound(bound, &null_probe, side);
}

/*
 * Equal columns first, then the range of one more: the rest is left to matches().
 */
static void
make_bounds(Scan *state)
{
	PgsealSealedBound *lower = &state->lower;
	PgsealSealedBound *upper = &state->upper;

	memset(lower, 0, sizeof(*lower));
	memset(upper, 0, sizeof(*upper));
	lower->side = -1;
	upper->side = 1;
	for (int i = 0; i < state->index.num_columns; i++)
	{
		const PgsealSealedColumn *column = &state->index.columns[i];
		const Condition *equal = find_condition(state, i, BTEqualStrategyNumber, 0);
		const Condition *prefix = find_condition(state, i, PGSEAL_SEALED_LIKE, PGSEAL_SEALED_LIKE);
		const Condition *from = find_condition(state, i, BTGreaterStrategyNumber,
											   BTGreaterEqualStrategyNumber);
		const Condition *to = find_condition(state, i, BTLessStrategyNumber,
											 BTLessEqualStrategyNumber);

		if (equal != NULL)
		{
			extend_bound(lower, &equal->probe, -1);
			extend_bound(upper, &equal->probe, 1);
			continue;
		}
		if (prefix != NULL)
		{
			extend_bound(lower, &prefix->probe, -1);
			extend_bound(upper, &prefix->probe, 1);
			break;
		}
		if (from != NULL)
			extend_bound(lower, &from->probe, from->strategy == BTGreaterStrategyNumber ? 1 : -1);
		else if (to != NULL && column->nulls_first)
			exclude_nulls(lower, 1);
		if (to != NULL)
			extend_bound(upper, &to->probe, to->strategy == BTLessStrategyNumber ? -1 : 1);
		else if (from != NULL && !column->nulls_first)
			exclude_nulls(upper, -1);
		break;
	}
}

/*
 * Has the current user the privilege?  Conditions on values that he may not see are
 * never true, where pgseal.on_denied says so; but an order is one of all rows, and
 * an EXCLUDE constraint, which looks at rows of others, too, must not take what isn't
 * seen for what isn't there.
 */
static bool
may_search(IndexScanDesc scan)
{
	Scan	   *state = scan->opaque;

	if (pgseal_sealed_check_access(&state->index))
	{
		state->role = GetUserId();
		state->epoch = pgseal_facts_now;
		return true;
	}
	if (scan->numberOfKeys == 0 || !IsMVCCSnapshot(scan->xs_snapshot))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to compare encrypted values")));
	return false;
}

void
pgseal_sealed_rescan(IndexScanDesc scan, ScanKey keys, int num_keys,
					 ScanKey orderbys, int num_orderbys)
{
	Scan	   *state = scan->opaque;
	MemoryContext caller;

	forget(state);
	state->started = false;
	state->recheck = false;
	state->num_conditions = 0;
	state->num_tids = 0;
	state->next = 0;
	if (keys != NULL && num_keys > 0)
		memmove(scan->keyData, keys, num_keys * sizeof(ScanKeyData));

	state->is_empty = !may_search(scan);
	if (state->is_empty)
		return;
	caller = MemoryContextSwitchTo(state->context);
	if (state->index.columns[0].terms != PGSEAL_SEALED_WHOLE)
	{
		state->is_empty = !pgseal_term_search_keys(&state->terms, &state->index.columns[0],
												   scan->keyData, num_keys);
		state->recheck = num_keys > 0;
	}
	else
	{
		for (int i = 0; i < num_keys && !state->is_empty; i++)
			add_condition(state, &scan->keyData[i]);
		if (!state->is_empty)
			make_bounds(state);
	}
	MemoryContextSwitchTo(caller);
}

/*
 * Leaves
 */

/* Does the entry meet all conditions? */
static bool
matches(const Scan *state, const uint8 *key)
{
	const uint8 *columns[PGSEAL_SEALED_MAX_COLUMNS];
	int			lens[PGSEAL_SEALED_MAX_COLUMNS];

	for (int i = 0; i < state->index.num_columns; i++)
	{
		lens[i] = pgseal_sealed_next_column(&key);
		columns[i] = key;
		key += Max(lens[i], 0);
	}
	for (int i = 0; i < state->num_conditions; i++)
	{
		const Condition *condition = &state->conditions[i];
		int			column = condition->column;
		int			order;
		bool		met = false;

		if (condition->probe.isnull)
		{
			if ((lens[column] < 0) == condition->is_not_null)
				return false;
			continue;
		}
		if (lens[column] < 0)
			return false;
		order = pgseal_sealed_compare_probe(&state->index.columns[column], columns[column],
											lens[column], &condition->probe);
		switch (condition->strategy)
		{
			case BTLessStrategyNumber:
				met = order < 0;
				break;
			case BTLessEqualStrategyNumber:
				met = order <= 0;
				break;
			case BTGreaterEqualStrategyNumber:
				met = order >= 0;
				break;
			case BTGreaterStrategyNumber:
				met = order > 0;
				break;
			default:
				met = order == 0;
				break;
		}
		if (!met)
			return false;
	}
	return true;
}

/* Do the bounds say all that the conditions do? */
static bool
bounds_suffice(const Scan *state)
{
	const Condition *conditions = state->conditions;

	if (state->index.num_columns > 1)
		return state->num_conditions == 0;
	if (state->num_conditions <= 1)
		return state->num_conditions == 0 || !conditions[0].is_not_null;
	return state->num_conditions == 2 &&
		state->lower.num_columns == 1 && state->upper.num_columns == 1 &&
		conditions[0].strategy != conditions[1].strategy &&
		find_condition(state, 0, BTGreaterStrategyNumber, BTGreaterEqualStrategyNumber) != NULL &&
		find_condition(state, 0, BTLessStrategyNumber, BTLessEqualStrategyNumber) != NULL;
}

/* The first entry of a leaf that doesn't lie before the bound */
static int
first_behind(const PgsealSealedIndex *index, const PgsealSealedNode *leaf,
			 const PgsealSealedBound *bound)
{
	int			low = 0;
	int			high = leaf->num_entries;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (pgseal_sealed_compare_bound(index, leaf->entries[middle].key, bound) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Remembers what the scan needs of a leaf, and lets go of it */
static void
take_leaf(Scan *state, PgsealSealedNode *leaf)
{
	int			begin = first_behind(&state->index, leaf, &state->lower);
	int			end = first_behind(&state->index, leaf, &state->upper);
	bool		suffice = bounds_suffice(state);

	if (end - begin > state->max_tids)
	{
		state->max_tids = end - begin;
		state->tids = repalloc(state->tids, sizeof(uint64) * state->max_tids);
	}
	state->num_tids = 0;
	for (int i = begin; i < end; i++)
		if (suffice || matches(state, leaf->entries[i].key))
			state->tids[state->num_tids++] = leaf->entries[i].tid;
	state->left = leaf->left;
	state->right = leaf->right;
	state->more_left = begin == 0 && leaf->low.key != NULL;
	state->more_right = end == leaf->num_entries && leaf->high.key != NULL;
	if (leaf->low.key != NULL)
	{
		memcpy(state->low_key, leaf->low.key, leaf->low.key_len);
		state->low_tid = leaf->low.tid;
	}
	if (leaf->high.key != NULL)
	{
		memcpy(state->high_key, leaf->high.key, leaf->high.key_len);
		state->high_tid = leaf->high.tid;
	}
	pgseal_sealed_free_node(leaf);
}

/* Of terms all rows are found at once */
static void
take_all_rows(IndexScanDesc scan)
{
	Scan	   *state = scan->opaque;
	MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(state));
	PgsealRows	found;

	pgseal_term_search(&found, &state->index, scan->indexRelation, &state->terms);
	if (found.tids != NULL)
	{
		pfree(state->tids);
		state->tids = found.tids;
		state->max_tids = found.max;
	}
	state->num_tids = found.num;
	state->more_left = state->more_right = false;
	MemoryContextSwitchTo(caller);
}

/* The first leaf of the scan in a direction; false when the index is empty */
static bool
first_leaf(IndexScanDesc scan, bool forward)
{
	Scan	   *state = scan->opaque;
	PgsealSealedNode *leaf;

	state->started = true;
	pgstat_count_index_scan(scan->indexRelation);
	pgseal_count_index_search(scan);
	if (state->is_empty)
		return false;
	if (state->index.columns[0].terms != PGSEAL_SEALED_WHOLE)
	{
		take_all_rows(scan);
		return true;
	}
	leaf = pgseal_sealed_find_bound(&state->index, scan->indexRelation,
									forward ? &state->lower : &state->upper);
	if (leaf == NULL)
		return false;
	take_leaf(state, leaf);
	return true;
}

/* The next leaf with rows; false at the end of the scan */
static bool
next_leaf(IndexScanDesc scan, bool forward)
{
	Scan	   *state = scan->opaque;

	while (forward ? state->more_right : state->more_left)
	{
		PgsealSealedNode *leaf = forward ?
			pgseal_sealed_step(&state->index, scan->indexRelation, state->right,
							   state->high_key, state->high_tid, true) :
			pgseal_sealed_step(&state->index, scan->indexRelation, state->left,
							   state->low_key, state->low_tid, false);

		if (leaf == NULL)
			return false;
		take_leaf(state, leaf);
		if (state->num_tids > 0)
			return true;
		CHECK_FOR_INTERRUPTS();
	}
	return false;
}

bool
pgseal_sealed_gettuple(IndexScanDesc scan, ScanDirection direction)
{
	Scan	   *state = scan->opaque;
	bool		forward = ScanDirectionIsForward(direction);

	/*
	 * Since the last row a cursor may have been handed to another role, or a
	 * function may have taken the privilege
	 */
	if (state->started && (state->role != GetUserId() || state->epoch != pgseal_facts_now) &&
		!may_search(scan))
		return false;
	if (!state->started)
	{
		if (!first_leaf(scan, forward))
			return false;
		state->next = forward ? 0 : state->num_tids - 1;
	}
	else
		state->next += forward ? 1 : -1;
	if (state->next < 0 || state->next >= state->num_tids)
	{
		if (!next_leaf(scan, forward))
		{
			/* Stay behind the last, or before the first: the scan may turn */
			state->next = forward ? state->num_tids : -1;
			return false;
		}
		state->next = forward ? 0 : state->num_tids - 1;
	}
	pgseal_sealed_set_tid(&scan->xs_heaptid, state->tids[state->next]);
	scan->xs_recheck = state->recheck;
	return true;
}

int64
pgseal_sealed_getbitmap(IndexScanDesc scan, TIDBitmap *bitmap)
{
	Scan	   *state = scan->opaque;
	int64		num = 0;
	bool		more = first_leaf(scan, true);

	while (more)
	{
		for (int64 i = 0; i < state->num_tids; i++)
		{
			ItemPointerData tid;

			pgseal_sealed_set_tid(&tid, state->tids[i]);
			tbm_add_tuples(bitmap, &tid, 1, state->recheck);
		}
		num += state->num_tids;
		more = next_leaf(scan, true);
	}
	return num;
}
