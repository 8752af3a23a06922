/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  pgseal.verify_index(): is a sealed index sound, and does it have every row?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/as_owner.h"
#include "base/compat.h"
#include "sealed/access.h"
#include "sealed/sealed.h"
#include "sealed/terms.h"

PG_FUNCTION_INFO_V1(pgseal_verify_index);

/* Of a row that has not come to the tree; compared by memcmp() */
typedef struct PendingEntry
{
	uint64		tid;
	uint8		key[8];
} PendingEntry;

typedef struct Findings
{
	Relation	relation;
	PgsealSealedIndex index;
	MemoryContext row_context;
	int64		nodes;			/* leaves */
	int64		entries;
	int64		misplaced;		/* not in the order that the index claims */
	int64		rows;
	int64		missing;		/* rows without an entry */
	PendingEntry *pending;
	int64		num_pending;
	int64		max_pending;
} Findings;

/* Of a leaf: entries ascend, within its interval */
static void
check_leaf(Findings *findings, const PgsealSealedNode *leaf)
{
	const PgsealSealedIndex *index = &findings->index;
	const PgsealSealedEntry *before = leaf->low.key != NULL ? &leaf->low : NULL;

	for (int i = 0; i < leaf->num_entries; i++)
	{
		const PgsealSealedEntry *entry = &leaf->entries[i];
		int			order = before == NULL ? -1 :
			pgseal_sealed_compare(index, before->key, before->tid, entry->key, entry->tid);

		/* The first may be what its interval begins with */
		if (order > 0 || (order == 0 && i > 0) ||
			(leaf->high.key != NULL &&
			 pgseal_sealed_compare(index, entry->key, entry->tid,
								   leaf->high.key, leaf->high.tid) >= 0))
			findings->misplaced++;
		before = entry;
	}
	findings->nodes++;
	findings->entries += leaf->num_entries;
}

static int
compare_pending(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(PendingEntry));
}

static void
add_pending(Findings *findings, uint64 tid, const uint8 *key, int key_len)
{
	PendingEntry *entry;

	if (findings->num_pending == findings->max_pending)
	{
		findings->max_pending = Max(1024, findings->max_pending * 2);
		findings->pending = findings->pending == NULL ?
			palloc(sizeof(PendingEntry) * findings->max_pending) :
			repalloc_huge(findings->pending, sizeof(PendingEntry) * findings->max_pending);
	}
	entry = &findings->pending[findings->num_pending++];
	memset(entry, 0, sizeof(*entry));
	entry->tid = tid;
	memcpy(entry->key, key, key_len);
	findings->entries++;
}

static void
collect_pending(const PgsealPendingRow *row, void *arg)
{
	StringInfoData key;

	if (row->is_null)
		add_pending(arg, row->tid, (const uint8 *) "", 1);
	initStringInfo(&key);
	for (int i = 0; i < row->num && !row->is_null; i++)
	{
		resetStringInfo(&key);
		pgseal_term_key(&key, row->terms[i]);
		add_pending(arg, row->tid, (uint8 *) key.data, key.len);
	}
	pfree(key.data);
}

static void
check_leaves(Findings *findings)
{
	PgsealSealedBound start = {.side = -1};
	PgsealSealedNode *leaf = pgseal_sealed_find_bound(&findings->index, findings->relation, &start);

	while (leaf != NULL)
	{
		PgsealSealedNode *next;

		check_leaf(findings, leaf);
		next = leaf->high.key == NULL ? NULL :
			pgseal_sealed_step(&findings->index, findings->relation, leaf->right,
							   leaf->high.key, leaf->high.tid, true);
		pgseal_sealed_free_node(leaf);
		leaf = next;
		CHECK_FOR_INTERRUPTS();
	}
}

/* In the tree, or in a row that was pending before that was looked at */
static bool
has_entry(const Findings *findings, Relation relation, const uint8 *key, uint64 tid)
{
	PendingEntry wanted = {.tid = tid};

	if (pgseal_sealed_has((PgsealSealedIndex *) &findings->index, relation, key, tid))
		return true;
	memcpy(wanted.key, key, pgseal_sealed_key_len(&findings->index, key));
	return findings->num_pending > 0 &&
		bsearch(&wanted, findings->pending, findings->num_pending, sizeof(PendingEntry),
				compare_pending) != NULL;
}

static void
check_row(Relation relation, ItemPointer tid, Datum *values, bool *isnull, bool is_alive, void *state)
{
	Findings   *findings = state;
	MemoryContext caller = MemoryContextSwitchTo(findings->row_context);
	StringInfoData key;
	bool		found = true;

	findings->rows++;
	initStringInfo(&key);
	if (pgseal_sealed_encode(&key, &findings->index, relation, values, isnull))
		for (int i = 0; i < key.len && found; i += pgseal_sealed_key_len(&findings->index, (uint8 *) key.data + i))
			found = has_entry(findings, relation, (uint8 *) key.data + i, pgseal_sealed_tid(tid));
	if (!found)
		findings->missing++;
	pgseal_wipe(key.data, key.maxlen);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(findings->row_context);
}

Datum
pgseal_verify_index(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Oid			heap_id = IndexGetRelation(relid, true);
	Findings	findings = {0};
	Relation	heap;
	struct IndexInfo *info;
	PgsealCaller caller;
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!OidIsValid(heap_id))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("relation %u is not an index", relid)));
	if (!pgseal_owns_table(heap_id, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(heap_id));
	heap = table_open(heap_id, AccessShareLock);
	findings.relation = index_open(relid, AccessShareLock);
	if (!pgseal_sealed_is_method(findings.relation->rd_rel->relam) ||
		findings.relation->rd_rel->relkind != RELKIND_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a sealed index", RelationGetRelationName(findings.relation))));
	pgseal_sealed_get(&findings.index, findings.relation);
	if (!pgseal_sealed_check_access(&findings.index))
		PG_RETURN_NULL();
	findings.row_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal verify row",
												 ALLOCSET_DEFAULT_SIZES);

	pgseal_pending_visit(&findings.index, findings.relation, collect_pending, &findings);
	if (findings.num_pending > 0)
		qsort(findings.pending, findings.num_pending, sizeof(PendingEntry), compare_pending);
	check_leaves(&findings);
	pgseal_as_owner_begin(&caller, heap->rd_rel->relowner);
	info = BuildIndexInfo(findings.relation);
	info->ii_Concurrent = true; /* only rows that are visible to this
								 * statement */
	(void) table_index_build_scan(heap, findings.relation, info, true, false, check_row,
								  &findings, NULL);
	pgseal_as_owner_end(&caller);
	index_close(findings.relation, NoLock);
	table_close(heap, NoLock);

	values[0] = Int64GetDatum(findings.nodes);
	values[1] = Int64GetDatum(findings.entries);
	values[2] = Int64GetDatum(findings.misplaced);
	values[3] = Int64GetDatum(findings.rows);
	values[4] = Int64GetDatum(findings.missing);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
