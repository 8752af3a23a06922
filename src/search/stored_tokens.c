/*-------------------------------------------------------------------------
 *
 * stored_tokens.c
 *	  Stored tokens: indexes and generated columns that hold blind_index().
 *
 * A stored expression computes tokens for whoever writes (blind_index.c), so
 * who makes one could use it to try guesses.  Making one therefore takes USAGE
 * on the foreign server of the column's key, of the table's owner or of the
 * user, however the column came by its key; and so does each token, of the
 * table's owner as it is then, for privileges, owners and keys change.
 *
 * PostgreSQL's ANALYZE would keep the most common tokens and a histogram of
 * them, and compute them for that, which takes a key.  So the statistics target
 * of such an index column or generated column is made 0, at its creation, in
 * the same transaction; ANALYZE then doesn't look at it.  The planner is given
 * the statistics of the encrypted column instead, which hold no value: its
 * tokens are distributed as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/catalog.h"
#include "search/stored_expressions.h"
#include "search/stored_tokens.h"
#include "value/basetype.h"
#include "value/owner_usage.h"

static get_relation_stats_hook_type prev_relation_stats = NULL;
static get_index_stats_hook_type prev_index_stats = NULL;

/*
 * Making one
 */

/* Rows of objects that are just being made are visible to SnapshotSelf only. */
static HeapTuple
read_row(Relation rel, Oid index, AttrNumber first, Oid first_value,
		 AttrNumber second, int16 second_value)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], first, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(first_value));
	if (second != InvalidAttrNumber)
		ScanKeyInit(&keys[1], second, BTEqualStrategyNumber, F_INT2EQ,
					Int16GetDatum(second_value));
	scan = systable_beginscan(rel, index, true, SnapshotSelf,
							  second != InvalidAttrNumber ? 2 : 1, keys);
	tuple = systable_getnext(scan);
	tuple = HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	systable_endscan(scan);
	return tuple;
}

/*
 * The expression in a column of an object's row, NULL when there is none.  The
 * object is known by an OID, and perhaps a number, in the index' first columns.
 */
static Node *
read_expression(Oid catalog, Oid index, AttrNumber oid_column, Oid object,
				AttrNumber number_column, int16 number, AttrNumber column)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	HeapTuple	tuple = read_row(rel, index, oid_column, object, number_column, number);
	bool		isnull = true;
	Datum		value = (Datum) 0;
	Node	   *expr;

	if (tuple != NULL)
		value = heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);
	expr = isnull ? NULL : stringToNode(TextDatumGetCString(value));
	table_close(rel, AccessShareLock);
	return expr;
}

static bool
check_access_walker(Node *node, void *context)
{
	PgsealKeyRow *key;
	int32		typmod;
	Oid			server;

	if (node == NULL)
		return false;
	if (pgseal_stored_column(node) == NULL)
		return expression_tree_walker(node, check_access_walker, context);

	typmod = pgseal_stored_column_typmod(node);
	key = typmod > 0 ? pgseal_catalog_key(typmod) : NULL;
	server = key != NULL ? get_foreign_server_oid(key->server, true) : InvalidOid;
	/* The current user is the table's owner while an index is made */
	if (OidIsValid(server) &&
		pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) != ACLCHECK_OK &&
		pgseal_server_aclcheck(server, GetOuterUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, key->server);
	return false;
}

/* Statistics target 0 for a column of a relation */
static void
keep_no_statistics(Oid relation, AttrNumber attnum)
{
	Relation	rel;
	HeapTuple	tuple;
	Datum		values[Natts_pg_attribute] = {0};
	bool		nulls[Natts_pg_attribute] = {false};
	bool		replace[Natts_pg_attribute] = {false};

	/* The row was made by this command and could not be changed otherwise */
	CommandCounterIncrement();
	rel = table_open(AttributeRelationId, RowExclusiveLock);
	tuple = read_row(rel, AttributeRelidNumIndexId, Anum_pg_attribute_attrelid, relation,
					 Anum_pg_attribute_attnum, attnum);
	if (tuple != NULL)
	{
		replace[Anum_pg_attribute_attstattarget - 1] = true;
		tuple = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replace);
		CatalogTupleUpdate(rel, &tuple->t_self, tuple);
	}
	table_close(rel, RowExclusiveLock);
	CommandCounterIncrement();
}

/*
 * A stored expression doesn't say of which table its columns are.  Whose privilege
 * its tokens take must be known where one is computed, however the row came
 * there, so the table's OID is put where a call says how it was written.  Nothing
 * compares that, and what isn't one of its few values is written as a call.
 *
 * No other place will do.  An argument with the OID would be written out by
 * pg_get_indexdef() and pg_dump and be wrong after a restore, and the call would not be
 * equal() to the one in a query, so no index would be found.  Locations are read as
 * -1 from a catalog.  The executor knows no table in ANALYZE, in partition routing and
 * in COPY.  And a caller can't forge it: the parser never makes such a call.
 */
#define MARK_OF_USER	((Oid) (FirstNormalObjectId - 1))

static bool
mark_walker(Node *node, void *context)
{
	FuncExpr   *call = (FuncExpr *) node;

	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && call->funcresulttype == BYTEAOID &&
		(call->funcformat == COERCE_EXPLICIT_CALL ||
		 (Oid) call->funcformat >= MARK_OF_USER) &&
		pgseal_stored_is_token_function(call->funcid))
		call->funcformat = (CoercionForm) *(Oid *) context;
	return expression_tree_walker(node, mark_walker, context);
}

static Oid
mark_of(Node *expr)
{
	return expr != NULL && IsA(expr, FuncExpr) ? (Oid) ((FuncExpr *) expr)->funcformat : InvalidOid;
}

Oid
pgseal_stored_table(Node *expr)
{
	return mark_of(expr) >= FirstNormalObjectId ? mark_of(expr) : InvalidOid;
}

bool
pgseal_stored_is_strict(Node *expr)
{
	return mark_of(expr) == MARK_OF_USER;
}

/*
 * A constraint that compares columns would answer guesses of who may write both, as
 * type/constraint_caller.c has it; so its tokens take the user's privilege, and without
 * it are an error and never NULL, which would pass.
 */
static bool
looks_at_one_column(Node *expr)
{
	Bitmapset  *columns = NULL;

	pull_varattnos(expr, 1, &columns);
	return bms_num_members(columns) == 1;
}

/* Marks the expression in a column of a row that was just made */
static void
mark_expression(Oid catalog, HeapTuple row, AttrNumber column, Oid table)
{
	Relation	rel = table_open(catalog, RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc0(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc0(desc->natts * sizeof(bool));
	bool	   *replace = palloc0(desc->natts * sizeof(bool));
	bool		isnull;
	Datum		value = heap_getattr(row, column, desc, &isnull);
	Node	   *expr = isnull ? NULL : stringToNode(TextDatumGetCString(value));

	if (pgseal_stored_has_tokens(expr, PGSEAL_TYPMOD_NONE))
	{
		Oid			mark = catalog != ConstraintRelationId || looks_at_one_column(expr) ?
			table : MARK_OF_USER;

		mark_walker(expr, &mark);
		values[column - 1] = CStringGetTextDatum(nodeToString(expr));
		replace[column - 1] = true;
		row = heap_modify_tuple(row, desc, values, nulls, replace);
		CommandCounterIncrement();
		CatalogTupleUpdate(rel, &row->t_self, row);
		CacheInvalidateRelcacheByRelid(table);
		CommandCounterIncrement();
	}
	table_close(rel, RowExclusiveLock);
}

/* The row of an object that was just made */
static HeapTuple
created_row(Oid catalog, Oid index, AttrNumber oid_column, Oid object,
			AttrNumber number_column, int16 number)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	HeapTuple	row = read_row(rel, index, oid_column, object, number_column, number);

	table_close(rel, AccessShareLock);
	return row;
}

/* Does the table's owner make it, or who has his rights?  TRIGGER is another privilege. */
static bool
is_of_owner(Oid table)
{
	return has_privs_of_role(GetUserId(), pgseal_relation_owner(table));
}

void
pgseal_stored_mark(Oid catalog, Oid object, int sub_id)
{
	static const AttrNumber of_index[] = {Anum_pg_index_indexprs, Anum_pg_index_indpred};
	HeapTuple	row;

	switch (catalog)
	{
		case RelationRelationId:
			for (int i = 0; sub_id == 0 && i < lengthof(of_index); i++)
				if ((row = created_row(IndexRelationId, IndexRelidIndexId,
									   Anum_pg_index_indexrelid, object,
									   InvalidAttrNumber, 0)) != NULL)
					mark_expression(IndexRelationId, row, of_index[i],
									((Form_pg_index) GETSTRUCT(row))->indrelid);
			break;
		case AttrDefaultRelationId:
			row = created_row(catalog, AttrDefaultIndexId, Anum_pg_attrdef_adrelid, object,
							  Anum_pg_attrdef_adnum, sub_id);
			if (row != NULL)
				mark_expression(catalog, row, Anum_pg_attrdef_adbin, object);
			break;
		case PartitionedRelationId:
			row = created_row(catalog, PartitionedRelidIndexId,
							  Anum_pg_partitioned_table_partrelid, object,
							  InvalidAttrNumber, 0);
			if (row != NULL)
				mark_expression(catalog, row, Anum_pg_partitioned_table_partexprs, object);
			break;
		case ConstraintRelationId:
			row = created_row(catalog, ConstraintOidIndexId, Anum_pg_constraint_oid, object,
							  InvalidAttrNumber, 0);
			if (row != NULL && OidIsValid(((Form_pg_constraint) GETSTRUCT(row))->conrelid))
				mark_expression(catalog, row, Anum_pg_constraint_conbin,
								((Form_pg_constraint) GETSTRUCT(row))->conrelid);
			break;
		case TriggerRelationId:
			row = created_row(catalog, TriggerOidIndexId, Anum_pg_trigger_oid, object,
							  InvalidAttrNumber, 0);
			if (row != NULL && is_of_owner(((Form_pg_trigger) GETSTRUCT(row))->tgrelid))
				mark_expression(catalog, row, Anum_pg_trigger_tgqual,
								((Form_pg_trigger) GETSTRUCT(row))->tgrelid);
			break;
	}
}

static void
index_created(Oid index)
{
	List	   *exprs = (List *) read_expression(IndexRelationId, IndexRelidIndexId,
												 Anum_pg_index_indexrelid, index,
												 InvalidAttrNumber, 0,
												 Anum_pg_index_indexprs);
	Node	   *predicate = read_expression(IndexRelationId, IndexRelidIndexId,
											Anum_pg_index_indexrelid, index,
											InvalidAttrNumber, 0, Anum_pg_index_indpred);
	Relation	rel;
	HeapTuple	tuple;
	int16		keys[INDEX_MAX_KEYS];
	int			num_keys;
	ListCell   *lc = list_head(exprs);

	check_access_walker((Node *) exprs, NULL);
	check_access_walker(predicate, NULL);
	if (!pgseal_stored_has_tokens((Node *) exprs, PGSEAL_TYPMOD_NONE))
		return;

	rel = table_open(IndexRelationId, AccessShareLock);
	tuple = read_row(rel, IndexRelidIndexId, Anum_pg_index_indexrelid, index,
					 InvalidAttrNumber, 0);
	num_keys = ((Form_pg_index) GETSTRUCT(tuple))->indnatts;
	memcpy(keys, ((Form_pg_index) GETSTRUCT(tuple))->indkey.values, num_keys * sizeof(int16));
	table_close(rel, AccessShareLock);
	for (int i = 0; i < num_keys; i++)
	{
		if (keys[i] != 0)
			continue;
		if (pgseal_stored_has_tokens(lfirst(lc), PGSEAL_TYPMOD_NONE))
			keep_no_statistics(index, i + 1);
		lc = lnext(exprs, lc);
	}
}

static void
default_created(Oid relation, AttrNumber attnum)
{
	Node	   *expr = read_expression(AttrDefaultRelationId, AttrDefaultIndexId,
									   Anum_pg_attrdef_adrelid, relation,
									   Anum_pg_attrdef_adnum, attnum, Anum_pg_attrdef_adbin);

	check_access_walker(expr, NULL);
	if (pgseal_stored_has_tokens(expr, PGSEAL_TYPMOD_NONE))
		keep_no_statistics(relation, attnum);
}

void
pgseal_stored_created(Oid catalog, Oid object, int sub_id)
{
	if (catalog == AttrDefaultRelationId)
		default_created(object, sub_id);
	else if (catalog == RelationRelationId && sub_id == 0)
		index_created(object);
	else if (catalog == PartitionedRelationId)
		check_access_walker(read_expression(catalog, PartitionedRelidIndexId,
											Anum_pg_partitioned_table_partrelid, object,
											InvalidAttrNumber, 0,
											Anum_pg_partitioned_table_partexprs), NULL);
	else if (catalog == ConstraintRelationId)
		check_access_walker(read_expression(catalog, ConstraintOidIndexId,
											Anum_pg_constraint_oid, object,
											InvalidAttrNumber, 0,
											Anum_pg_constraint_conbin), NULL);
	else if (catalog == TriggerRelationId)
		check_access_walker(read_expression(catalog, TriggerOidIndexId,
											Anum_pg_trigger_oid, object,
											InvalidAttrNumber, 0,
											Anum_pg_trigger_tgqual), NULL);
}

/*
 * Statistics for the planner
 */

static bool
lend_statistics(VariableStatData *vardata, Oid relation, AttrNumber attnum, bool inherited)
{
	vardata->statsTuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relation),
										  Int16GetDatum(attnum), BoolGetDatum(inherited));
	vardata->freefunc = ReleaseSysCache;
	/* They hold numbers alone, no values that a privilege would protect */
	vardata->acl_ok = true;
	return true;
}

/* Of a generated column */
static bool
stored_relation_stats(PlannerInfo *root, RangeTblEntry *rte, AttrNumber attnum,
					  VariableStatData *vardata)
{
	Var		   *column = NULL;

	if (rte->rtekind == RTE_RELATION && attnum > 0 &&
		get_atttype(rte->relid, attnum) == BYTEAOID &&
		get_attgenerated(rte->relid, attnum) != '\0' && OidIsValid(pgseal_extension_oid()))
	{
		Relation	rel = table_open(rte->relid, NoLock);

		column = pgseal_stored_column(pgseal_stored_generation(rel, attnum));
		table_close(rel, NoLock);
	}
	if (column != NULL)
		return lend_statistics(vardata, rte->relid, column->varattno, rte->inh);
	return prev_relation_stats ? prev_relation_stats(root, rte, attnum, vardata) : false;
}

/* Of a column of an expression index */
static bool
stored_index_stats(PlannerInfo *root, Oid index, AttrNumber attnum, VariableStatData *vardata)
{
	IndexOptInfo *info = NULL;
	ListCell   *lc;

	/* The column's expression, as the planner has it already */
	if (vardata->rel != NULL)
		foreach(lc, vardata->rel->indexlist)
			if (((IndexOptInfo *) lfirst(lc))->indexoid == index)
				info = lfirst(lc);
	if (info != NULL)
	{
		ListCell   *expr = list_head(info->indexprs);
		Var		   *column;

		for (int i = 0; i < attnum - 1 && expr != NULL; i++)
			if (info->indexkeys[i] == 0)
				expr = lnext(info->indexprs, expr);
		column = info->indexkeys[attnum - 1] == 0 && expr != NULL ?
			pgseal_stored_column(lfirst(expr)) : NULL;
		if (column != NULL)
		{
			RangeTblEntry *rte = planner_rt_fetch(column->varno, root);

			return lend_statistics(vardata, rte->relid, column->varattno, rte->inh);
		}
	}
	return prev_index_stats ? prev_index_stats(root, index, attnum, vardata) : false;
}

void
pgseal_stored_init(void)
{
	prev_relation_stats = get_relation_stats_hook;
	get_relation_stats_hook = stored_relation_stats;
	prev_index_stats = get_index_stats_hook;
	get_index_stats_hook = stored_index_stats;
}
