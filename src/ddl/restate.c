/*-------------------------------------------------------------------------
 *
 * restate.c
 *	  Stored expressions that say under which key a column's values are.
 *
 * The nodes of views, rules, indexes, checks, policies and so on repeat the type
 * modifiers of the columns that they mention.  The planner compares them (an index
 * on blind_index(column) is used where the column's modifier is the same in the
 * query), pgseal computes tokens for the key that they name, and where they name a
 * column's own key nothing is resealed for it.  So when a column gets another key
 * they are stored anew.
 *
 * What is said of a Var is looked up, not replaced: what the catalog or the
 * query that it comes from says now.  So the order doesn't matter in which several
 * columns are restated.  Only encrypted types are looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "ddl/own_key.h"
#include "ddl/restate.h"
#include "keys/catalog.h"

/*
 * Expressions
 */

typedef struct Restatement
{
	Oid			relation;		/* of Vars that belong to no query */
	List	   *queries;		/* around the present node, the innermost
								 * first */
	bool		changed;
} Restatement;

static bool restate_walker(Node *node, void *context);

static void
restate(Restatement *restatement, int32 *typmod, int32 present)
{
	restatement->changed = restatement->changed || *typmod != present;
	*typmod = present;
}

static int32
typmod_of_column(Oid relation, AttrNumber attnum)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relation, attnum, &type, &typmod, &collation);
	return typmod;
}

/* That of a member of a list of expressions or target entries */
static int32
typmod_of_member(List *list, int n, int32 otherwise)
{
	Node	   *node = n > 0 && n <= list_length(list) ? list_nth(list, n - 1) : NULL;

	if (node != NULL && IsA(node, TargetEntry))
		node = (Node *) ((TargetEntry *) node)->expr;
	return node != NULL ? exprTypmod(node) : otherwise;
}

static List *
results_of(Query *query)
{
	return query->commandType == CMD_SELECT ? query->targetList : query->returningList;
}

static int32
typmod_of_cte(Restatement *restatement, RangeTblEntry *rte, int level, Var *var)
{
	Query	   *query = (Query *) list_nth(restatement->queries, level + rte->ctelevelsup);
	ListCell   *lc;

	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0 && IsA(cte->ctequery, Query))
			return typmod_of_member(results_of((Query *) cte->ctequery), var->varattno,
									var->vartypmod);
	}
	return PGSEAL_TYPMOD_NONE;
}

static int32
present_typmod(Restatement *restatement, Var *var)
{
	int			level = var->varlevelsup;
	RangeTblEntry *rte;

	if (level >= list_length(restatement->queries))
		return OidIsValid(restatement->relation) ?
			typmod_of_column(restatement->relation, var->varattno) : var->vartypmod;
	rte = rt_fetch(var->varno, ((Query *) list_nth(restatement->queries, level))->rtable);
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return typmod_of_column(rte->relid, var->varattno);
		case RTE_SUBQUERY:
			return typmod_of_member(results_of(rte->subquery), var->varattno, var->vartypmod);
		case RTE_JOIN:
			return typmod_of_member(rte->joinaliasvars, var->varattno, var->vartypmod);
		case RTE_CTE:
			return typmod_of_cte(restatement, rte, level, var);
		case RTE_FUNCTION:
			/* Where it takes its values from isn't known */
			return PGSEAL_TYPMOD_NONE;
		default:
			return typmod_of_member(pgseal_group_exprs(rte), var->varattno, var->vartypmod);
	}
}

/* A member of a row of a table */
static void
restate_member(Restatement *restatement, FieldSelect *select)
{
	Oid			relation = get_typ_typrelid(exprType((Node *) select->arg));

	if (OidIsValid(relation) && OidIsValid(pgseal_own_key_type(select->resulttype)))
		restate(restatement, &select->resulttypmod,
				typmod_of_column(relation, select->fieldnum));
}

/*
 * UNION and its like: a column is under a key if it is so on both sides.  Returns
 * the type modifiers of the columns of a node of the tree.
 */
static List *
restate_set_operation(Restatement *restatement, Query *query, Node *node)
{
	SetOperationStmt *operation = (SetOperationStmt *) node;
	List	   *left;
	List	   *right;
	ListCell   *type;
	ListCell   *typmod;
	ListCell   *l;
	ListCell   *r;

	if (IsA(node, RangeTblRef))
	{
		Query	   *subquery = rt_fetch(((RangeTblRef *) node)->rtindex, query->rtable)->subquery;
		List	   *typmods = NIL;

		foreach(l, subquery->targetList)
			if (!lfirst_node(TargetEntry, l)->resjunk)
				typmods = lappend_int(typmods, exprTypmod((Node *) lfirst_node(TargetEntry, l)->expr));
		return typmods;
	}
	left = restate_set_operation(restatement, query, operation->larg);
	right = restate_set_operation(restatement, query, operation->rarg);
	forfour(type, operation->colTypes, typmod, operation->colTypmods, l, left, r, right)
	{
		if (OidIsValid(pgseal_own_key_type(lfirst_oid(type))))
			restate(restatement, &lfirst_int(typmod),
					lfirst_int(l) == lfirst_int(r) ? lfirst_int(l) : PGSEAL_TYPMOD_NONE);
	}
	return operation->colTypmods;
}

/* What comes in first, then what is made of it */
static void
restate_query(Restatement *restatement, Query *query)
{
	ListCell   *lc;
	ListCell   *typmod;

	restatement->queries = lcons(query, restatement->queries);
	(void) expression_tree_walker((Node *) query->cteList, restate_walker, restatement);
	(void) range_table_walker(query->rtable, restate_walker, restatement, 0);
	(void) query_tree_walker(query, restate_walker, restatement,
							 QTW_IGNORE_RANGE_TABLE | QTW_IGNORE_CTE_SUBQUERIES);
	if (query->setOperations != NULL)
	{
		List	   *typmods = restate_set_operation(restatement, query, query->setOperations);

		forboth(lc, query->targetList, typmod, typmods)
		{
			Var		   *var = (Var *) lfirst_node(TargetEntry, lc)->expr;

			if (IsA(var, Var) && OidIsValid(pgseal_own_key_type(var->vartype)))
				restate(restatement, &var->vartypmod, lfirst_int(typmod));
		}
	}
	restatement->queries = list_delete_first(restatement->queries);
}

static bool
restate_walker(Node *node, void *context)
{
	Restatement *restatement = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		restate_query(restatement, (Query *) node);
		return false;
	}
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varattno > 0 && OidIsValid(pgseal_own_key_type(var->vartype)))
			restate(restatement, &var->vartypmod, present_typmod(restatement, var));
		return false;
	}
	if (expression_tree_walker(node, restate_walker, context))
		return true;
	if (IsA(node, FieldSelect))
		restate_member(restatement, (FieldSelect *) node);
	return false;
}

/*
 * Where they are stored
 */

typedef struct Place
{
	Oid			catalog;
	Oid			index;			/* of its OIDs */
	AttrNumber	oid_column;
	AttrNumber	relation_column;	/* which the Vars are of, or 0 */
	AttrNumber	expressions[2];
} Place;

static const Place places[] = {
	{RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class,
	{Anum_pg_rewrite_ev_qual, Anum_pg_rewrite_ev_action}},
	{AttrDefaultRelationId, AttrDefaultOidIndexId, Anum_pg_attrdef_oid, Anum_pg_attrdef_adrelid,
	{Anum_pg_attrdef_adbin}},
	{ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid, Anum_pg_constraint_conrelid,
	{Anum_pg_constraint_conbin}},
	{IndexRelationId, IndexRelidIndexId, Anum_pg_index_indexrelid, Anum_pg_index_indrelid,
	{Anum_pg_index_indexprs, Anum_pg_index_indpred}},
	{PartitionedRelationId, PartitionedRelidIndexId, Anum_pg_partitioned_table_partrelid,
	Anum_pg_partitioned_table_partrelid, {Anum_pg_partitioned_table_partexprs}},
	{PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid, Anum_pg_policy_polrelid,
	{Anum_pg_policy_polqual, Anum_pg_policy_polwithcheck}},
	{TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, Anum_pg_trigger_tgrelid,
	{Anum_pg_trigger_tgqual}},
	{ProcedureRelationId, ProcedureOidIndexId, Anum_pg_proc_oid, InvalidAttrNumber,
	{Anum_pg_proc_prosqlbody}},
	{PublicationRelRelationId, PublicationRelObjectIndexId, Anum_pg_publication_rel_oid,
	Anum_pg_publication_rel_prrelid, {Anum_pg_publication_rel_prqual}},
};

/* The row whose OID it is; NULL when there is none */
static HeapTuple
read_row(Relation rel, const Place *place, Oid object)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, place->oid_column, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(rel, place->index, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	tuple = HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	systable_endscan(scan);
	return tuple;
}

/* Returns the relation whose expressions have changed, or InvalidOid */
static Oid
restate_object(const Place *place, Oid object)
{
	Relation	rel = table_open(place->catalog, RowExclusiveLock);
	HeapTuple	tuple = read_row(rel, place, object);
	Datum		values[64] = {0};
	bool		nulls[64] = {false};
	bool		replace[64] = {false};
	Restatement restatement = {0};
	bool		isnull;

	Assert(RelationGetNumberOfAttributes(rel) <= lengthof(values));
	if (tuple != NULL && place->relation_column != InvalidAttrNumber)
		restatement.relation = DatumGetObjectId(heap_getattr(tuple, place->relation_column,
															 RelationGetDescr(rel), &isnull));
	for (int i = 0; tuple != NULL && i < lengthof(place->expressions); i++)
	{
		AttrNumber	column = place->expressions[i];
		Datum		value = column == InvalidAttrNumber ? (Datum) 0 :
			heap_getattr(tuple, column, RelationGetDescr(rel), &isnull);
		Node	   *expression;

		if (column == InvalidAttrNumber || isnull)
			continue;
		expression = stringToNode(TextDatumGetCString(value));
		(void) restate_walker(expression, &restatement);
		values[column - 1] = CStringGetTextDatum(nodeToString(expression));
		replace[column - 1] = true;
	}
	if (restatement.changed)
	{
		tuple = heap_modify_tuple(tuple, RelationGetDescr(rel), values, nulls, replace);
		CatalogTupleUpdate(rel, &tuple->t_self, tuple);
		CommandCounterIncrement();
		if (OidIsValid(restatement.relation))
			CacheInvalidateRelcacheByRelid(restatement.relation);
	}
	table_close(rel, NoLock);
	return restatement.changed ? restatement.relation : InvalidOid;
}

/* A view's query, or a rule's action; NULL when there is no such rule */
static List *
actions_of(Oid relation, bool *out_selects)
{
	Relation	rel = table_open(RewriteRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *actions = NIL;

	ScanKeyInit(&key, Anum_pg_rewrite_ev_class, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(rel, RewriteRelRulenameIndexId, true, NULL, 1, &key);
	*out_selects = false;
	while (!*out_selects && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;

		*out_selects = ((Form_pg_rewrite) GETSTRUCT(tuple))->ev_type == '1';
		if (*out_selects)
			actions = (List *) stringToNode(TextDatumGetCString(heap_getattr(tuple, Anum_pg_rewrite_ev_action,
																			 RelationGetDescr(rel), &isnull)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return actions;
}

List *
pgseal_restate_view_typmods(Oid view)
{
	bool		selects;
	List	   *actions = actions_of(view, &selects);
	List	   *typmods = NIL;
	ListCell   *lc;

	if (actions == NIL)
		return NIL;
	foreach(lc, linitial_node(Query, actions)->targetList)
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			typmods = lappend_int(typmods, exprTypmod((Node *) lfirst_node(TargetEntry, lc)->expr));
	return typmods;
}

/* All objects that depend on the column, as ObjectAddress */
static List *
dependents_of(Oid relation, AttrNumber attnum)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *dependents = NIL;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ,
				Int32GetDatum(attnum));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 3, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *address = palloc(sizeof(ObjectAddress));

		ObjectAddressSet(*address, form->classid, form->objid);
		dependents = lappend(dependents, address);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return dependents;
}

List *
pgseal_restate_column(Oid relation, AttrNumber attnum)
{
	List	   *dependents = dependents_of(relation, attnum);
	List	   *views = NIL;
	ListCell   *lc;

	/* A partition key and whole rows depend on the table alone */
	foreach(lc, dependents_of(relation, 0))
		dependents = lappend(dependents, lfirst(lc));
	dependents = lappend(dependents, palloc(sizeof(ObjectAddress)));
	ObjectAddressSet(*(ObjectAddress *) llast(dependents), RelationRelationId, relation);
	foreach(lc, dependents)
	{
		ObjectAddress *dependent = lfirst(lc);

		for (int i = 0; i < lengthof(places); i++)
		{
			Oid			catalog = places[i].catalog;
			Oid			changed;

			if (catalog == IndexRelationId || catalog == PartitionedRelationId)
				catalog = RelationRelationId;
			if (dependent->classId != catalog)
				continue;
			changed = restate_object(&places[i], dependent->objectId);
			if (places[i].catalog == RewriteRelationId && OidIsValid(changed) &&
				changed != relation)
				views = list_append_unique_oid(views, changed);
		}
	}
	return views;
}
