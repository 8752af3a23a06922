/*-------------------------------------------------------------------------
 *
 * verify.c
 *	  Rows are verified as they are read.
 *
 * Where the planner asks what it is to know of a table, a condition is put on
 * the rows of one that is signed: verify_row(table, signature, columns ...).
 * It is evaluated where the table is scanned, on the rows that all else lets
 * pass (it has the highest cost, and the highest security level, so that row
 * security comes first), whatever the plan is: indexes are used as before, views
 * and functions, UPDATE and DELETE read through it, too.  It estimates itself as
 * true of all rows.
 *
 * The columns are those of the definition, of the former one where there is one,
 * then those of the primary key, for the message.  What they mean is read again from the table when the first row
 * comes; nobody changes it while the table is locked for reading.
 *
 * Of a partitioned table the planner hands the condition on to the partitions,
 * which have the same trigger: it goes on to be about the partitioned table.  (A
 * row's tableoid would not do: it is 0 where a row is looked at once more because
 * another session has changed it.)  A table that is read as a branch of UNION ALL, or
 * a signed partition of an unsigned table, takes conditions only from the list
 * in which row security leaves them for such a table, so it is put there.
 *
 * COPY table TO reads without a plan: a backup takes rows as they are.  The checks
 * and actions of foreign keys verify: were their plans exempt, so would be those
 * that a trigger's function makes and keeps while one of them runs.  They run as
 * the table's owner, so they name no row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "keys/keyring.h"
#include "signed/verify.h"

PG_FUNCTION_INFO_V1(pgseal_verify_row);
PG_FUNCTION_INFO_V1(pgseal_verify_row_support);

#define ARGUMENTS_BEFORE_COLUMNS	2

static get_relation_info_hook_type prev_get_relation_info = NULL;

/*
 * The columns that are handed over
 */

/* The attributes of the primary key, in its order; empty when there is none */
static List *
key_columns(Relation rel)
{
	List	   *columns = NIL;
	Relation	index;
	Oid			index_oid;

	(void) RelationGetIndexList(rel);
	index_oid = rel->rd_pkindex;
	if (!OidIsValid(index_oid))
		return NIL;
	index = index_open(index_oid, AccessShareLock);
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		columns = lappend_int(columns, index->rd_index->indkey.values[i]);
	index_close(index, AccessShareLock);
	return columns;
}

static List *
columns_of(List *columns, const PgsealDefinition *definition)
{
	for (int i = 0; i < definition->num_columns; i++)
		columns = list_append_unique_int(columns, definition->columns[i].attnum);
	return columns;
}

/* By number: those of the definitions, then those of the primary key that they lack */
static List *
needed_columns(PgsealSigning *signing, Relation rel)
{
	MemoryContext context;
	List	   *columns;

	if (signing->needed != NIL)
		return signing->needed;
	context = MemoryContextSwitchTo(signing->context);
	columns = columns_of(NIL, signing->newest);
	if (signing->former != NULL)
		columns = columns_of(columns, signing->former);
	signing->needed = list_concat_unique_int(columns, key_columns(rel));
	MemoryContextSwitchTo(context);
	return signing->needed;
}

/*
 * Planning
 */

static Oid
verify_function(void)
{
	Oid			types[3] = {REGCLASSOID, pgseal_signature_type(), ANYOID};

	return pgseal_internal_function("verify_row", 3, types);
}

static Var *
column_of(Index varno, Relation rel, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);

	return makeVar(varno, attnum, attribute->atttypid, attribute->atttypmod,
				   attribute->attcollation, 0);
}

Expr *
pgseal_verify_condition(Relation rel, Index varno)
{
	PgsealSigning *signing = pgseal_signing_of_relation(rel);
	List	   *args;
	ListCell   *lc;

	if (signing == NULL)
		return NULL;
	args = list_make2(makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
								ObjectIdGetDatum(RelationGetRelid(rel)), false, true),
					  column_of(varno, rel, signing->signature));
	foreach(lc, needed_columns(signing, rel))
		args = lappend(args, column_of(varno, rel, lfirst_int(lc)));
	return (Expr *) makeFuncExpr(verify_function(), BOOLOID, args, InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* Does its parent in the query hand the condition on? */
static bool
inherits_condition(PlannerInfo *root, RelOptInfo *rel)
{
	RangeTblEntry *parent = NULL;
	Relation	parent_rel;
	bool		signs;

	if (root->append_rel_array != NULL && root->append_rel_array[rel->relid] != NULL)
		parent = root->simple_rte_array[root->append_rel_array[rel->relid]->parent_relid];
	if (parent == NULL || parent->rtekind != RTE_RELATION)
		return false;
	parent_rel = table_open(parent->relid, NoLock);
	signs = pgseal_signing_trigger(parent_rel) != NULL;
	table_close(parent_rel, NoLock);
	return signs;
}

static void
verify_in_branch(PlannerInfo *root, RangeTblEntry *rte, RelOptInfo *rel, Expr *condition)
{
	List	   *conditions = list_make1(condition);

	/* A part of a query may be planned twice */
	if (inherits_condition(root, rel) || list_member(rte->securityQuals, conditions))
		return;
	rte->securityQuals = lappend(rte->securityQuals, conditions);
	root->qual_security_level = Max(root->qual_security_level,
									list_length(rte->securityQuals));
}

static void
verify_get_relation_info(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel)
{
	RangeTblEntry *rte = root->simple_rte_array[rel->relid];
	Relation	table;
	Expr	   *condition;

	if (prev_get_relation_info)
		prev_get_relation_info(root, relation, inhparent, rel);
	if (rte->rtekind != RTE_RELATION ||
		(rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE))
		return;
	table = table_open(relation, NoLock);
	condition = pgseal_verify_condition(table, rel->relid);
	table_close(table, NoLock);
	if (condition == NULL)
		return;
	if (rel->reloptkind != RELOPT_BASEREL)
	{
		verify_in_branch(root, rte, rel, condition);
		return;
	}
	rel->baserestrictinfo = lappend(rel->baserestrictinfo,
									pgseal_make_restrictinfo(root, condition,
															 root->qual_security_level));
	rel->baserestrict_min_security = Min(rel->baserestrict_min_security,
										 root->qual_security_level);
}

/* verify_row_support(internal) → internal: it is true of all rows */
Datum
pgseal_verify_row_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSelectivity))
		PG_RETURN_POINTER(NULL);
	((SupportRequestSelectivity *) request)->selectivity = 1.0;
	PG_RETURN_POINTER(request);
}

/*
 * The setting
 */

static bool
may_turn_off(const PgsealSigning *signing, Oid role)
{
	PgsealKeyRow *key;
	Oid			server;

	if (superuser_arg(role))
		return true;
	key = pgseal_catalog_key(signing->key_hash);
	server = key != NULL ? get_foreign_server_oid(key->server, true) : InvalidOid;
	return OidIsValid(server) && pgseal_owns_server(server, role);
}

/*
 * Off is for who could change the rows anyway, or is in charge of the key.  Nor does
 * it hold in a function of theirs that another user calls, who may have set it.
 */
bool
pgseal_verify_is_off(const PgsealSigning *signing)
{
	return pgseal_verify_rows == PGSEAL_VERIFY_ROWS_OFF &&
		may_turn_off(signing, GetOuterUserId()) &&
		(GetUserId() == GetOuterUserId() || may_turn_off(signing, GetUserId()));
}

static bool
is_warning(void)
{
	return pgseal_verify_rows == PGSEAL_VERIFY_ROWS_WARNING && GetUserId() == GetOuterUserId();
}

/*
 * The report
 */

static bool
may_see(Relation rel, AttrNumber attnum)
{
	Oid			relid = RelationGetRelid(rel);

	return pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK ||
		pg_attribute_aclcheck(relid, attnum, GetUserId(), ACL_SELECT) == ACLCHECK_OK;
}

char *
pgseal_verify_describe_key(Relation rel, const Datum *row_values, const bool *row_nulls)
{
	StringInfoData names;
	StringInfoData values;
	List	   *columns = key_columns(rel);
	ListCell   *lc;

	if (InNoForceRLSOperation())
		return NULL;
	initStringInfo(&names);
	initStringInfo(&values);
	foreach(lc, columns)
	{
		AttrNumber	attnum = lfirst_int(lc);
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
		const char *separator = names.len > 0 ? ", " : "";
		Oid			output;
		bool		is_varlena;

		if (row_nulls[attnum - 1] || !may_see(rel, attnum))
			return NULL;
		getTypeOutputInfo(attribute->atttypid, &output, &is_varlena);
		appendStringInfo(&names, "%s%s", separator, NameStr(attribute->attname));
		appendStringInfo(&values, "%s%s", separator,
						 OidOutputFunctionCall(output, row_values[attnum - 1]));
	}
	return columns != NIL ? psprintf("(%s)=(%s)", names.data, values.data) : NULL;
}

void
pgseal_verify_report(int elevel, const PgsealSigning *signing, Relation rel,
					 const Datum *row_values, const bool *row_nulls)
{
	char	   *key = pgseal_verify_describe_key(rel, row_values, row_nulls);
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
												   RelationGetRelationName(rel));

	ereport(elevel,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 key != NULL ?
			 errmsg("row %s of table %s does not verify", key, table) :
			 errmsg("a row of table %s does not verify", table)));
}

/*
 * Verifying
 */

/* What is kept for the rows of one scan */
typedef struct Verifier
{
	Oid			relid;
	PgsealSigning *signing;		/* NULL: the rows aren't signed */
	List	   *columns;
	Oid			role;			/* whose setting is_off is about */
	bool		is_off;
	Datum	   *values;			/* of a row, by attribute */
	bool	   *nulls;
	StringInfoData body;
} Verifier;

/*
 * The worker may have dropped the former definition since the condition was made: then
 * there are more arguments.  Those of the newest come first.
 */
static List *
given_columns(FunctionCallInfo fcinfo, PgsealSigning *signing, Relation rel)
{
	List	   *columns = needed_columns(signing, rel);
	int			num_given = PG_NARGS() - ARGUMENTS_BEFORE_COLUMNS;

	if (num_given == list_length(columns))
		return columns;
	if (num_given < signing->newest->num_columns || signing->former != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("what is signed in table \"%s\" has changed meanwhile",
						RelationGetRelationName(rel))));
	return list_truncate(list_copy(columns), signing->newest->num_columns);
}

static Verifier *
verifier_of(FunctionCallInfo fcinfo, Oid relid)
{
	Verifier   *verifier = fcinfo->flinfo->fn_extra;
	MemoryContext context;
	Relation	rel;

	if (verifier != NULL && verifier->relid == relid)
		return verifier;
	/* Statements have it locked; a superuser may call it with anything */
	if (get_rel_relkind(relid) == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", relid)));
	context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	verifier = palloc0(sizeof(Verifier));
	rel = table_open(relid, NoLock);
	verifier->relid = relid;
	verifier->signing = pgseal_signing_of_relation(rel);
	verifier->values = palloc0(RelationGetNumberOfAttributes(rel) * sizeof(Datum));
	verifier->nulls = palloc(RelationGetNumberOfAttributes(rel) * sizeof(bool));
	memset(verifier->nulls, true, RelationGetNumberOfAttributes(rel) * sizeof(bool));
	if (verifier->signing != NULL)
		verifier->columns = given_columns(fcinfo, verifier->signing, rel);
	table_close(rel, NoLock);
	initStringInfo(&verifier->body);
	MemoryContextSwitchTo(context);
	fcinfo->flinfo->fn_extra = verifier;
	return verifier;
}

static bool
is_off(Verifier *verifier)
{
	if (verifier->role != GetUserId())
		verifier->is_off = pgseal_verify_is_off(verifier->signing);
	verifier->role = GetUserId();
	return verifier->is_off;
}

static void
read_row(FunctionCallInfo fcinfo, Verifier *verifier)
{
	int			argument = ARGUMENTS_BEFORE_COLUMNS;
	int			signature = verifier->signing->signature - 1;
	ListCell   *lc;

	verifier->values[signature] = PG_GETARG_DATUM(1);
	verifier->nulls[signature] = PG_ARGISNULL(1);
	foreach(lc, verifier->columns)
	{
		verifier->values[lfirst_int(lc) - 1] = PG_GETARG_DATUM(argument);
		verifier->nulls[lfirst_int(lc) - 1] = PG_ARGISNULL(argument);
		argument++;
	}
}

static void
report(Verifier *verifier)
{
	Relation	rel = table_open(verifier->relid, NoLock);

	pgseal_verify_report(is_warning() ? WARNING : ERROR, verifier->signing, rel,
						 verifier->values, verifier->nulls);
	table_close(rel, NoLock);
}

/*
 * verify_row("table" regclass, row_signature, VARIADIC "any") → bool: true, or an
 * error.  In no schema that anybody may use: it would tell whether a guess at a
 * column that one may not read is right.
 */
Datum
pgseal_verify_row(PG_FUNCTION_ARGS)
{
	Verifier   *verifier = verifier_of(fcinfo, PG_GETARG_OID(0));

	if (verifier->signing == NULL || is_off(verifier))
		PG_RETURN_BOOL(true);
	read_row(fcinfo, verifier);
	if (pgseal_signing_verify_row(verifier->signing, verifier->values, verifier->nulls,
								  &verifier->body) != PGSEAL_SIGNATURE_GOOD)
		report(verifier);
	PG_RETURN_BOOL(true);
}

void
pgseal_verify_init(void)
{
	prev_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = verify_get_relation_info;
}
