/*-------------------------------------------------------------------------
 *
 * access.c
 *	  The access method "sealed": what PostgreSQL asks of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/amapi.h"
#include "access/amvalidate.h"
#include "access/htup_details.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "sealed/access.h"
#include "sealed/sealed.h"
#include "sealed/terms.h"

PG_FUNCTION_INFO_V1(pgseal_sealed_handler);

/* Opening a node, in units of cpu_operator_cost */
#define OPEN_NODE_COST	50

typedef struct SealedOptions
{
	int32		vl_len_;
	int			node_size;
	int			pending_pages;	/* -1: not said */
} SealedOptions;

static relopt_kind options_kind;

static relopt_enum_elt_def node_sizes[] =
{
	{"auto", 0}, {"1024", 1024}, {"2048", 2048}, {"4096", 4096}, {"8192", 8192},
	{(const char *) NULL}
};

void
pgseal_sealed_init(void)
{
	options_kind = add_reloption_kind();
	add_enum_reloption(options_kind, "node_size", "Size of an encrypted node, in bytes",
					   node_sizes, 0,
					   gettext_noop("Valid values are \"1024\", \"2048\", \"4096\", and \"8192\"."),
					   AccessExclusiveLock);
	add_int_reloption(options_kind, "pending_pages",
					  "Blocks for rows that have not yet come to their nodes", -1, -1, 1024,
					  AccessExclusiveLock);
}

int
pgseal_sealed_node_size(Relation relation)
{
	SealedOptions *options = (SealedOptions *) relation->rd_options;

	return options != NULL ? options->node_size : 0;
}

int
pgseal_sealed_pending_pages(Relation relation)
{
	SealedOptions *options = (SealedOptions *) relation->rd_options;

	return options != NULL ? options->pending_pages : -1;
}

static bytea *
sealed_options(Datum reloptions, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"node_size", RELOPT_TYPE_ENUM, offsetof(SealedOptions, node_size)},
		{"pending_pages", RELOPT_TYPE_INT, offsetof(SealedOptions, pending_pages)}
	};

	return (bytea *) build_reloptions(reloptions, validate, options_kind, sizeof(SealedOptions),
									  table, lengthof(table));
}

static void
sealed_build_empty(Relation relation)
{
	Relation	heap = table_open(IndexGetRelation(RelationGetRelid(relation), false), NoLock);

	pgseal_sealed_create_empty(relation, heap);
	table_close(heap, NoLock);
}

/* The entries of a row: one, or of each term, which are in their order */
static void
insert_keys(PgsealSealedIndex *index, Relation relation, uint64 tid, StringInfo keys)
{
	for (int i = 0, len; i < keys->len; i += len)
	{
		PgsealSealedEntry entry = {.key = (uint8 *) keys->data + i, .tid = tid};

		entry.key_len = len = pgseal_sealed_key_len(index, entry.key);
		pgseal_sealed_insert(index, relation, &entry, 1);
	}
}

static bool
sealed_insert(Relation relation, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
			  IndexUniqueCheck check, bool index_unchanged, IndexInfo *info)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal sealed insert",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	PgsealSealedIndex index;
	StringInfoData key;

	pgseal_sealed_get(&index, relation);
	initStringInfo(&key);
	if (!pgseal_sealed_is_destroyed(&index) &&
		pgseal_sealed_encode(&key, &index, relation, values, isnull))
	{
		if (index.pending_pages > 0)
			pgseal_pending_append(&index, relation, pgseal_sealed_tid(tid), (uint8 *) key.data,
								  key.len);
		else
			insert_keys(&index, relation, pgseal_sealed_tid(tid), &key);
	}
	pgseal_wipe(key.data, key.maxlen);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return false;
}

/*
 * The clauses that narrow a search; *out_entries is what is read because of them
 * besides the rows that are found.
 */
static List *
narrowing_clauses(PlannerInfo *root, IndexPath *path, double *out_entries)
{
	List	   *result = NIL;
	ListCell   *lc;

	*out_entries = 0;
	foreach(lc, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, lc);
		bool		narrows = false;
		ListCell   *qual;

		foreach(qual, clause->indexquals)
		{
			double		entries = pgseal_sealed_entries_read(root, path->indexinfo, clause->indexcol,
															 (Node *) lfirst_node(RestrictInfo, qual)->clause);

			narrows |= entries >= 0;
			*out_entries += Max(entries, 0);
		}
		if (narrows)
			result = lappend(result, clause);
	}
	return result;
}

/* Of reading all of an index only to look at all rows: never, if there is another way */
#define FRUITLESS_COST	1.0e10

/* Entries in a leaf, roughly */
#define ENTRIES_IN_NODE	200

/*
 * The planner takes an index only scan also of an index that returns no column when
 * none is asked for, as by count(*), and would not look at rows of pages that are all
 * visible by now; a scan gives pointers of rows that VACUUM has removed meanwhile
 * (scan.c).  So the path becomes one that looks at them; returns what that costs more,
 * since the planner has taken it for the other one by now.
 */
static Cost
refuse_index_only(PlannerInfo *root, IndexPath *path, Selectivity selectivity)
{
	RelOptInfo *rel = path->indexinfo->rel;
	double		random_page_cost;
	double		pages;

	if (path->path.pathtype != T_IndexOnlyScan)
		return 0;
	path->path.pathtype = T_IndexScan;
	get_tablespace_page_costs(rel->reltablespace, &random_page_cost, NULL);
	pages = index_pages_fetched(clamp_row_est(selectivity * rel->tuples), rel->pages,
								path->indexinfo->pages, root);
	return pages * rel->allvisfrac * random_page_cost;
}

static void
sealed_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
					 Cost *startup_cost, Cost *total_cost, Selectivity *selectivity,
					 double *correlation, double *pages)
{
	GenericCosts costs;
	double		height = log(Max(path->indexinfo->tuples, 2)) / log(100) + 1;
	Cost		descent = height * OPEN_NODE_COST * cpu_operator_cost;
	IndexPath	narrowed = *path;
	double		entries;

	memset(&costs, 0, sizeof(costs));
	narrowed.indexclauses = narrowing_clauses(root, path, &entries);

	/* Without a condition on the first column, all of the index is read */
	if (narrowed.indexclauses == NIL ||
		linitial_node(IndexClause, narrowed.indexclauses)->indexcol > 0)
		costs.numIndexTuples = path->indexinfo->tuples;
	genericcostestimate(root, &narrowed, loop_count, &costs);
	*startup_cost = costs.indexStartupCost + descent;
	*total_cost = costs.indexTotalCost + costs.num_sa_scans * descent +
		(entries / ENTRIES_IN_NODE) * OPEN_NODE_COST * cpu_operator_cost;

	/* A pattern that no part of is found: rather look at the rows */
	if (narrowed.indexclauses == NIL && path->indexclauses != NIL)
		*total_cost += FRUITLESS_COST;
	*selectivity = costs.indexSelectivity;
	*total_cost += refuse_index_only(root, path, *selectivity);
	*correlation = 0;			/* nothing is known of the order of the rows */
	*pages = costs.numIndexPages;
}

/* Of a class: operators that a scan knows, each with a boolean result, and a comparison */
static bool
sealed_validate(Oid opclass)
{
	HeapTuple	class_row = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;
	CatCList   *operators;
	Oid			family;
	Oid			input;
	bool		valid = true;

	if (!HeapTupleIsValid(class_row))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(class_row);
	family = form->opcfamily;
	input = form->opcintype;
	ReleaseSysCache(class_row);

	operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
	for (int i = 0; i < operators->n_members; i++)
	{
		Form_pg_amop operator = (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple);

		if (operator->amopstrategy < 1 || operator->amopstrategy > PGSEAL_SEALED_STRATEGIES ||
			operator->amoppurpose != AMOP_SEARCH ||
			!check_amop_signature(operator->amopopr, BOOLOID, operator->amoplefttype,
								  operator->amoprighttype))
		{
			ereport(INFO,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("operator family %u of access method sealed contains operator %s, which it does not know",
							family, format_operator(operator->amopopr))));
			valid = false;
		}
	}
	ReleaseCatCacheList(operators);
	if (!OidIsValid(get_opfamily_proc(family, input, input, PGSEAL_SEALED_COMPARE_PROC)) &&
		!OidIsValid(get_opfamily_proc(family, input, input, PGSEAL_SEALED_TERMS_PROC)))
	{
		ereport(INFO,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("operator class %u of access method sealed has no support function",
						opclass)));
		valid = false;
	}
	return valid;
}

bool
pgseal_sealed_is_method(Oid access_method)
{
	IndexAmRoutine *routine = GetIndexAmRoutineByAmId(access_method, true);
	bool		is_sealed = routine != NULL && routine->ambuild == pgseal_sealed_build;

	if (routine != NULL)
		pfree(routine);
	return is_sealed;
}

bool
pgseal_sealed_is_planned(const IndexOptInfo *index)
{
	return (amcostestimate_function) index->amcostestimate == sealed_cost_estimate;
}

Datum
pgseal_sealed_handler(PG_FUNCTION_ARGS)
{
	IndexAmRoutine *routine = makeNode(IndexAmRoutine);

	routine->amstrategies = PGSEAL_SEALED_STRATEGIES;
	routine->amsupport = PGSEAL_SEALED_PROCS;
	routine->amcanorder = true;
	routine->amcanbackward = true;
	routine->amcanmulticol = true;
	routine->amoptionalkey = true;
	routine->amsearchnulls = true;
	routine->amusemaintenanceworkmem = false;
	routine->ambuild = pgseal_sealed_build;
	routine->ambuildempty = sealed_build_empty;
	routine->aminsert = sealed_insert;
	routine->ambulkdelete = pgseal_sealed_bulkdelete;
	routine->amvacuumcleanup = pgseal_sealed_vacuumcleanup;
	routine->amcostestimate = sealed_cost_estimate;
	routine->amoptions = sealed_options;
	routine->amvalidate = sealed_validate;
	routine->ambeginscan = pgseal_sealed_beginscan;
	routine->amrescan = pgseal_sealed_rescan;
	routine->amgettuple = pgseal_sealed_gettuple;
	routine->amgetbitmap = pgseal_sealed_getbitmap;
	routine->amendscan = pgseal_sealed_endscan;
	pgseal_set_order_properties(routine);
	PG_RETURN_POINTER(routine);
}
