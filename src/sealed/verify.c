/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  pgseal.verify_index(): is a sealed index sound, and does it have every row?
 *
 * Each level is walked from end to end, and nodes that no walk comes to are opened as
 * well: what VACUUM will open opens.  Then the entries are read into a hash table, and
 * each row's are looked for there, which costs less than a descent for each.  Of a
 * BRIN index, each row is compared with the bounds of its range (brin_ranges.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/as_owner.h"
#include "base/compat.h"
#include "base/random.h"
#include "sealed/access.h"
#include "sealed/brin.h"
#include "sealed/sealed.h"
#include "sealed/terms.h"

PG_FUNCTION_INFO_V1(pgseal_verify_index);

/* An entry that was seen: a hash of its key and row, under a secret of this call */
typedef struct SeenEntry
{
	uint64		hash;
	char		status;
} SeenEntry;

#define SH_PREFIX			seen
#define SH_ELEMENT_TYPE		SeenEntry
#define SH_KEY_TYPE			uint64
#define SH_KEY				hash
#define SH_HASH_KEY(tb, key) ((uint32) (key))
#define SH_EQUAL(tb, a, b)	((a) == (b))
#define SH_SCOPE			static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Of a seen_hash, at worst */
#define BYTES_OF_ENTRY		(2 * sizeof(SeenEntry))

typedef struct Findings
{
	Relation	relation;
	PgsealSealedIndex index;
	MemoryContext row_context;
	bool	   *visited;		/* nodes, by walking along a level */
	uint32		num_nodes;		/* there were when that began */
	int64		nodes;			/* leaves */
	int64		entries;
	int64		misplaced;		/* not in the order that the index claims */
	int64		rows;
	int64		missing;		/* rows without an entry */

	/* Rows are looked for in parts, as memory allows: by their blocks */
	uint32		part;
	uint32		num_parts;
	seen_hash  *seen;			/* entries of rows of this part */
	uint64		secret;
} Findings;

/*
 * Nodes: each opens, and each is where its neighbours and parents say
 */

/* Entries ascend, within the node's interval */
static void
check_order(Findings *findings, const PgsealSealedNode *node)
{
	const PgsealSealedIndex *index = &findings->index;
	const PgsealSealedEntry *before = node->low.key != NULL ? &node->low : NULL;

	/* The first child of an inner node begins where the node does */
	for (int i = node->level > 0 ? 1 : 0; i < node->num_entries; i++)
	{
		const PgsealSealedEntry *entry = &node->entries[i];
		int			order = before == NULL ? -1 :
			pgseal_sealed_compare(index, before->key, before->tid, entry->key, entry->tid);

		/* The first may be what its interval begins with */
		if (order > 0 || (order == 0 && i > 0) ||
			(node->high.key != NULL &&
			 pgseal_sealed_compare(index, entry->key, entry->tid,
								   node->high.key, node->high.tid) >= 0))
			findings->misplaced++;
		before = entry;
	}
}

static void
check_node(Findings *findings, const PgsealSealedNode *node, int level)
{
	check_order(findings, node);
	if (node->level != level)
		findings->misplaced++;
	if (node->id < findings->num_nodes)
		findings->visited[node->id] = true;
	if (node->level > 0)
		return;
	findings->nodes++;
	findings->entries += node->num_entries;
}

/* The nodes of a level, from the left end to the right; leaves are counted or remembered */
static void
walk_level(Findings *findings, int level, void (*visit) (Findings *, const PgsealSealedNode *, int))
{
	PgsealSealedNode *node = pgseal_sealed_leftmost(&findings->index, findings->relation, level);

	while (node != NULL)
	{
		PgsealSealedNode *next;

		visit(findings, node, level);
		next = node->high.key == NULL ? NULL :
			pgseal_sealed_step(&findings->index, findings->relation, node->right,
							   node->high.key, node->high.tid, true);
		pgseal_sealed_free_node(node);
		node = next;
		CHECK_FOR_INTERRUPTS();
	}
}

/* Opens what no walk has come to; its entries can't be found */
static void
check_the_rest(Findings *findings)
{
	for (uint32 id = 0; id < findings->num_nodes; id++)
	{
		PgsealSealedNode *node;

		if (findings->visited[id])
			continue;
		node = pgseal_sealed_read(&findings->index, findings->relation, id);
		findings->misplaced += Max(node->num_entries, 1);
		pgseal_sealed_free_node(node);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
check_nodes(Findings *findings)
{
	findings->num_nodes = pgseal_sealed_count_nodes(findings->relation);
	findings->visited = MemoryContextAllocExtended(CurrentMemoryContext, findings->num_nodes + 1,
												   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	pgseal_sealed_refresh_root(&findings->index, findings->relation);
	if (findings->index.root != PGSEAL_SEALED_NO_NODE)
		for (int level = findings->index.root_level; level >= 0; level--)
			walk_level(findings, level, check_node);
	check_the_rest(findings);
}

/*
 * Rows: each has its entries, pending or in the tree
 */

static inline bool
is_of_part(const Findings *findings, uint64 tid)
{
	return (tid >> 16) % findings->num_parts == findings->part;
}

static inline uint64
hash_entry(const Findings *findings, const uint8 *key, int key_len, uint64 tid)
{
	return hash_combine64(hash_bytes_extended(key, key_len, findings->secret),
						  hash_bytes_extended((uint8 *) &tid, sizeof(tid), findings->secret));
}

static void
remember_entry(Findings *findings, const uint8 *key, int key_len, uint64 tid)
{
	bool		found;

	if (is_of_part(findings, tid))
		(void) seen_insert(findings->seen, hash_entry(findings, key, key_len, tid), &found);
}

static void
remember_leaf(Findings *findings, const PgsealSealedNode *leaf, int level)
{
	for (int i = 0; i < leaf->num_entries; i++)
		remember_entry(findings, leaf->entries[i].key, leaf->entries[i].key_len,
					   leaf->entries[i].tid);
}

static void
count_pending(const PgsealPendingRow *row, void *arg)
{
	((Findings *) arg)->entries += Max(row->num, 1);
}

static void
remember_pending(const PgsealPendingRow *row, void *arg)
{
	StringInfoData key;

	if (row->is_null)
		remember_entry(arg, (const uint8 *) "", 1, row->tid);
	initStringInfo(&key);
	for (int i = 0; i < row->num && !row->is_null; i++)
	{
		resetStringInfo(&key);
		pgseal_term_key(&key, row->terms[i]);
		remember_entry(arg, (uint8 *) key.data, key.len, row->tid);
	}
	pgseal_wipe(key.data, key.maxlen);
	pfree(key.data);
}

static void
check_row(Relation relation, ItemPointer tid, Datum *values, bool *isnull, bool is_alive, void *state)
{
	Findings   *findings = state;
	uint64		row = pgseal_sealed_tid(tid);
	MemoryContext caller;
	StringInfoData key;
	bool		found = true;

	if (!is_of_part(findings, row))
		return;
	caller = MemoryContextSwitchTo(findings->row_context);
	findings->rows++;
	initStringInfo(&key);
	if (pgseal_sealed_encode(&key, &findings->index, relation, values, isnull))
		for (int i = 0, len; i < key.len && found; i += len)
		{
			const uint8 *part = (uint8 *) key.data + i;

			len = pgseal_sealed_key_len(&findings->index, part);
			found = seen_lookup(findings->seen, hash_entry(findings, part, len, row)) != NULL;
		}
	if (!found)
		findings->missing++;
	pgseal_wipe(key.data, key.maxlen);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(findings->row_context);
}

/*
 * The rows of a part that a snapshot sees.  It is taken before the index is read: so
 * the entries of these rows have been made, and none is removed meanwhile.  Pending
 * ones first, as they go from there to the tree.
 */
static void
check_rows(Findings *findings, Relation heap, struct IndexInfo *info)
{
	Snapshot	snapshot = RegisterSnapshot(GetTransactionSnapshot());
	TableScanDesc scan = table_beginscan_strat(heap, snapshot, 0, NULL, true, true);
	PgsealCaller caller;

	findings->seen = seen_create(CurrentMemoryContext,
								 (findings->entries + 1000) / findings->num_parts, NULL);
	pgseal_pending_visit(&findings->index, findings->relation, remember_pending, findings);
	if (findings->index.root != PGSEAL_SEALED_NO_NODE)
		walk_level(findings, 0, remember_leaf);
	pgseal_as_owner_begin(&caller, heap->rd_rel->relowner);
	(void) table_index_build_scan(heap, findings->relation, info, true, false, check_row,
								  findings, scan);
	pgseal_as_owner_end(&caller);
	seen_destroy(findings->seen);
	UnregisterSnapshot(snapshot);
}

static void
check_all_rows(Findings *findings, Relation heap)
{
	struct IndexInfo *info;
	PgsealCaller caller;

	/* Constant parts of its predicate are evaluated here */
	pgseal_as_owner_begin(&caller, heap->rd_rel->relowner);
	info = BuildIndexInfo(findings->relation);
	pgseal_as_owner_end(&caller);
	info->ii_Concurrent = true; /* only rows that the snapshot sees */
	pgseal_random_bytes(&findings->secret, sizeof(findings->secret));
	findings->num_parts = 1 +
		findings->entries * BYTES_OF_ENTRY / ((uint64) maintenance_work_mem * 1024);
	for (findings->part = 0; findings->part < findings->num_parts; findings->part++)
		check_rows(findings, heap, info);
}

/* Of BRIN: summaries, those that bound something, and rows that they don't cover */
static void
verify_ranges(Findings *findings, Relation heap)
{
	PgsealBrinFindings ranges;

	pgseal_brin_verify(&ranges, heap, findings->relation);
	findings->nodes = ranges.summaries;
	findings->entries = ranges.bounded;
	findings->misplaced = ranges.misplaced;
	findings->rows = ranges.rows;
	findings->missing = ranges.missing;
}

/* False when the current user may not open what is in it (pgseal.on_denied) */
static bool
verify(Findings *findings, Relation heap)
{
	if (pgseal_brin_is_ours(findings->relation))
	{
		if (!pgseal_brin_check_access(findings->relation))
			return false;
		verify_ranges(findings, heap);
		return true;
	}
	pgseal_sealed_get(&findings->index, findings->relation);
	if (!pgseal_sealed_check_access(&findings->index))
		return false;
	findings->row_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal verify row",
												  ALLOCSET_DEFAULT_SIZES);
	pgseal_pending_visit(&findings->index, findings->relation, count_pending, findings);
	check_nodes(findings);
	check_all_rows(findings, heap);
	return true;
}

static void
not_an_index(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no index with OID %u", relid)));
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("\"%s\" is not an index", name),
			 errhint("To verify all values of a table, use pgseal.verify_table().")));
}

Datum
pgseal_verify_index(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	Oid			heap_id = IndexGetRelation(relid, true);
	Findings	findings = {0};
	Relation	heap;
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (!OidIsValid(heap_id))
		not_an_index(relid);
	if (!pgseal_owns_table(heap_id, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(heap_id));
	heap = table_open(heap_id, AccessShareLock);
	findings.relation = index_open(relid, AccessShareLock);
	if (findings.relation->rd_rel->relkind != RELKIND_INDEX ||
		(!pgseal_sealed_is_method(findings.relation->rd_rel->relam) &&
		 !pgseal_brin_is_ours(findings.relation)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a sealed index", RelationGetRelationName(findings.relation))));
	if (!findings.relation->rd_index->indisvalid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" is not valid", RelationGetRelationName(findings.relation)),
				 errhint("Drop it, or build it anew with REINDEX INDEX CONCURRENTLY.")));
	if (!verify(&findings, heap))
		PG_RETURN_NULL();
	index_close(findings.relation, NoLock);
	table_close(heap, NoLock);

	values[0] = Int64GetDatum(findings.nodes);
	values[1] = Int64GetDatum(findings.entries);
	values[2] = Int64GetDatum(findings.misplaced);
	values[3] = Int64GetDatum(findings.rows);
	values[4] = Int64GetDatum(findings.missing);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
