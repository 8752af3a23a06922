/*-------------------------------------------------------------------------
 *
 * expressions.c
 *	  Expressions in utility statements.
 *
 * Checks, defaults, policies, conditions of triggers, indexes and COPY, and what a
 * column is made of when its type changes: written_casts.c says what is done to them.
 * They are analyzed here as PostgreSQL will do it, among the columns that there
 * are or that the statement makes, before it runs.  That is a trial whose errors
 * are left to PostgreSQL, in a subtransaction; for others' relations there is none.
 * So is the body of an SQL function in standard form, which no hook sees either.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/functions.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "parser/parse_utilcmd.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"

#include "base/compat.h"
#include "ddl/expressions.h"
#include "statement/opened.h"
#include "statement/written_casts.h"
#include "value/find_sealed.h"

/* An expression, as it was parsed, and where it stands */
typedef struct Expression
{
	Node	   *parsed;
	ParseExprKind kind;
	bool		opens;			/* is of an index that would hold opened
								 * values */
} Expression;

/* What the expressions of a statement can name */
typedef struct Names
{
	Oid			relation;		/* whose columns, or InvalidOid */
	const char *aliases[2];		/* by what other names; the first is NULL for
								 * its own */
	const char *table;			/* the name of what columns are of */
	List	   *columns;		/* target entries of a table that isn't there
								 * yet */
	Oid			value;			/* the type of VALUE in a domain's check */
	bool		seals;			/* any encrypted ones? */
} Names;

bool
pgseal_expressions_may_be(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_AlterTableStmt:
		case T_CreateDomainStmt:
		case T_AlterDomainStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
		case T_RuleStmt:
			return true;
		case T_IndexStmt:
			return !((IndexStmt *) stmt)->transformed;
		case T_CreateTrigStmt:
			return ((CreateTrigStmt *) stmt)->whenClause != NULL;
		case T_CopyStmt:
			return ((CopyStmt *) stmt)->whereClause != NULL;
		case T_CreateFunctionStmt:
			return ((CreateFunctionStmt *) stmt)->sql_body != NULL;
		default:
			return false;
	}
}

/*
 * What can be named
 */

static void
add_column(Names *names, const char *name, Oid type)
{
	names->columns = lappend(names->columns,
							 makeTargetEntry((Expr *) makeNullConst(type, -1, get_typcollation(type)),
											 list_length(names->columns) + 1, pstrdup(name), false));
	names->seals = names->seals || pgseal_holds_encrypted(type);
}

static void
add_columns_of(Names *names, Oid relation)
{
	Relation	rel = OidIsValid(relation) ? try_relation_open(relation, AccessShareLock) : NULL;

	for (int i = 0; rel != NULL && i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), i);

		if (!column->attisdropped)
			add_column(names, NameStr(column->attname), column->atttypid);
	}
	if (rel != NULL)
		relation_close(rel, AccessShareLock);
}

/* serial and its like are no types, but integers */
static void
add_defined_column(Names *names, ColumnDef *column)
{
	Oid			type = column->typeName != NULL ?
		LookupTypeNameOid(NULL, column->typeName, true) : InvalidOid;

	add_column(names, column->colname, OidIsValid(type) ? type : INT8OID);
}

static void
add_elements(Names *names, List *elements)
{
	ListCell   *lc;

	foreach(lc, elements)
		if (IsA(lfirst(lc), ColumnDef))
			add_defined_column(names, lfirst(lc));
		else if (IsA(lfirst(lc), TableLikeClause))
			add_columns_of(names, RangeVarGetRelid(lfirst_node(TableLikeClause, lc)->relation, NoLock, true));
}

static void
names_of_create(Names *names, CreateStmt *stmt)
{
	ListCell   *lc;
	Oid			type = stmt->ofTypename != NULL ?
		LookupTypeNameOid(NULL, stmt->ofTypename, true) : InvalidOid;

	names->table = stmt->relation->relname;
	if (OidIsValid(type))
		add_columns_of(names, get_typ_typrelid(type));
	foreach(lc, stmt->inhRelations)
		add_columns_of(names, RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true));
	add_elements(names, stmt->tableElts);
}

/* A relation of the current user's; others' are PostgreSQL's business, unless copied into */
static void
names_of_relation(Names *names, RangeVar *relation, bool owned)
{
	Relation	rel;

	names->relation = relation != NULL ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;
	if (!OidIsValid(names->relation) ||
		(owned && !pgseal_owns_table(names->relation, GetUserId())))
	{
		names->relation = InvalidOid;
		return;
	}
	rel = try_relation_open(names->relation, AccessShareLock);
	names->table = relation->relname;
	if (rel == NULL)
		return;
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		names->seals = names->seals ||
			pgseal_holds_encrypted(TupleDescAttr(RelationGetDescr(rel), i)->atttypid);
	relation_close(rel, AccessShareLock);
}

/* Columns that the statement adds can be named by the rest of it. */
static void
names_of_alter(Names *names, AlterTableStmt *stmt)
{
	List	   *added = NIL;
	ListCell   *lc;

	names_of_relation(names, stmt->relation, true);
	if (!OidIsValid(names->relation))
		return;
	foreach(lc, stmt->cmds)
		if (lfirst_node(AlterTableCmd, lc)->subtype == AT_AddColumn)
			added = lappend(added, lfirst_node(AlterTableCmd, lc)->def);
	if (added == NIL)
		return;
	add_columns_of(names, names->relation);
	add_elements(names, added);
	names->relation = InvalidOid;
}

/*
 * Expressions
 */

static void
add_expression(List **expressions, Node *parsed, ParseExprKind kind)
{
	Expression *expression;

	if (parsed == NULL)
		return;
	expression = palloc0(sizeof(Expression));
	expression->parsed = parsed;
	expression->kind = kind;
	*expressions = lappend(*expressions, expression);
}

static void
add_constraint(List **expressions, Constraint *constraint, ParseExprKind check)
{
	if (constraint->contype == CONSTR_CHECK)
		add_expression(expressions, constraint->raw_expr, check);
	else if (constraint->contype == CONSTR_DEFAULT)
		add_expression(expressions, constraint->raw_expr, EXPR_KIND_COLUMN_DEFAULT);
}

/* Those of columns and tables that are made */
static void
add_constraints(List **expressions, List *elements, ParseExprKind check)
{
	ListCell   *lc;

	foreach(lc, elements)
		if (IsA(lfirst(lc), Constraint))
			add_constraint(expressions, lfirst(lc), check);
		else if (IsA(lfirst(lc), ColumnDef))
			add_constraints(expressions, lfirst_node(ColumnDef, lc)->constraints, check);
}

static void
add_alterations(List **expressions, List *cmds)
{
	ListCell   *lc;

	foreach(lc, cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AddColumn || cmd->subtype == AT_AddConstraint)
			add_constraints(expressions, list_make1(cmd->def), EXPR_KIND_CHECK_CONSTRAINT);
		else if (cmd->subtype == AT_ColumnDefault)
			add_expression(expressions, cmd->def, EXPR_KIND_COLUMN_DEFAULT);
		else if (cmd->subtype == AT_AlterColumnType)
			add_expression(expressions, castNode(ColumnDef, cmd->def)->raw_default,
						   EXPR_KIND_ALTER_COL_TRANSFORM);
	}
}

static void
add_index(List **expressions, IndexStmt *stmt)
{
	ListCell   *lc;

	add_expression(expressions, stmt->whereClause, EXPR_KIND_INDEX_PREDICATE);
	foreach(lc, stmt->indexParams)
		add_expression(expressions, lfirst_node(IndexElem, lc)->expr, EXPR_KIND_INDEX_EXPRESSION);
}

/* The expressions of a statement and what they can name */
static List *
expressions_of(Node *stmt, Names *names)
{
	List	   *found = NIL;

	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
			names_of_create(names, (CreateStmt *) stmt);
			add_constraints(&found, ((CreateStmt *) stmt)->tableElts, EXPR_KIND_CHECK_CONSTRAINT);
			break;
		case T_AlterTableStmt:
			if (((AlterTableStmt *) stmt)->objtype == OBJECT_TYPE)
				break;
			names_of_alter(names, (AlterTableStmt *) stmt);
			add_alterations(&found, ((AlterTableStmt *) stmt)->cmds);
			break;
		case T_CreateDomainStmt:
			names->value = LookupTypeNameOid(NULL, ((CreateDomainStmt *) stmt)->typeName, true);
			add_constraints(&found, ((CreateDomainStmt *) stmt)->constraints, EXPR_KIND_DOMAIN_CHECK);
			break;
		case T_AlterDomainStmt:
			names->value = LookupTypeNameOid(NULL, makeTypeNameFromNameList(((AlterDomainStmt *) stmt)->typeName),
											 true);
			if (((AlterDomainStmt *) stmt)->subtype == 'C')
				add_constraint(&found, castNode(Constraint, ((AlterDomainStmt *) stmt)->def),
							   EXPR_KIND_DOMAIN_CHECK);
			break;
		case T_CreatePolicyStmt:
			names_of_relation(names, ((CreatePolicyStmt *) stmt)->table, true);
			add_expression(&found, ((CreatePolicyStmt *) stmt)->qual, EXPR_KIND_POLICY);
			add_expression(&found, ((CreatePolicyStmt *) stmt)->with_check, EXPR_KIND_POLICY);
			break;
		case T_AlterPolicyStmt:
			names_of_relation(names, ((AlterPolicyStmt *) stmt)->table, true);
			add_expression(&found, ((AlterPolicyStmt *) stmt)->qual, EXPR_KIND_POLICY);
			add_expression(&found, ((AlterPolicyStmt *) stmt)->with_check, EXPR_KIND_POLICY);
			break;
		case T_IndexStmt:
			names_of_relation(names, ((IndexStmt *) stmt)->relation, true);
			add_index(&found, (IndexStmt *) stmt);
			break;
		case T_CreateTrigStmt:
			names_of_relation(names, ((CreateTrigStmt *) stmt)->relation, true);
			names->aliases[0] = "old";
			names->aliases[1] = "new";
			add_expression(&found, ((CreateTrigStmt *) stmt)->whenClause, EXPR_KIND_TRIGGER_WHEN);
			break;
		case T_RuleStmt:
			names_of_relation(names, ((RuleStmt *) stmt)->relation, true);
			names->seals = OidIsValid(names->relation);
			add_expression(&found, stmt, EXPR_KIND_OTHER);
			break;
		case T_CopyStmt:
			names_of_relation(names, ((CopyStmt *) stmt)->relation, false);
			add_expression(&found, ((CopyStmt *) stmt)->whereClause, EXPR_KIND_COPY_WHERE);
			break;
		case T_CreateFunctionStmt:
			names->seals = true;
			add_expression(&found, stmt, EXPR_KIND_OTHER);
			break;
		default:
			break;
	}
	names->seals = names->seals || (OidIsValid(names->value) && pgseal_holds_encrypted(names->value));
	return found;
}

/*
 * The trial
 */

/* The condition and the actions of a rule, which are queries */
static void
try_rule(RuleStmt *stmt, const char *query_string)
{
	List	   *actions;
	Node	   *condition;
	ListCell   *lc;
	ListCell   *parsed;

	transformRuleStmt(copyObject(stmt), query_string, &actions, &condition);
	if (condition != NULL)
		(void) pgseal_write_casts(condition, stmt->whereClause, false);
	forboth(lc, actions, parsed, stmt->actions)
		(void) pgseal_write_casts(lfirst(lc), lfirst(parsed), false);
}

/*
 * The statements of a function's body.  What prints in it is seen to when it has been made
 * (functions.c).
 */
static void
try_body(CreateFunctionStmt *stmt, const char *query_string)
{
	SQLFunctionParseInfo info = {.fname = strVal(llast(stmt->funcname))};
	List	   *statements = IsA(stmt->sql_body, List) ?
		linitial_node(List, (List *) stmt->sql_body) : list_make1(stmt->sql_body);
	ListCell   *lc;

	info.argtypes = palloc0(sizeof(Oid) * (list_length(stmt->parameters) + 1));
	info.argnames = palloc0(sizeof(char *) * (list_length(stmt->parameters) + 1));
	foreach(lc, stmt->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, lc);

		if (parameter->mode == FUNC_PARAM_OUT || parameter->mode == FUNC_PARAM_TABLE)
			continue;
		info.argtypes[info.nargs] = typenameTypeId(NULL, parameter->argType);
		info.argnames[info.nargs++] = parameter->name;
	}
	foreach(lc, statements)
	{
		ParseState *pstate = make_parsestate(NULL);
		Node	   *parsed = lfirst(lc);
		Query	   *query;

		pstate->p_sourcetext = query_string;
		sql_fn_parser_setup(pstate, &info);
		query = transformStmt(pstate, copyObject(parsed));
		(void) pgseal_write_casts((Node *) query,
								  IsA(parsed, ReturnStmt) ? ((ReturnStmt *) parsed)->returnval : parsed,
								  true);
		free_parsestate(pstate);
	}
}

/* VALUE, in the check of a domain */
static Node *
domain_value(ParseState *pstate, ColumnRef *column)
{
	CoerceToDomainValue *value;
	Names	   *names = pstate->p_ref_hook_state;

	if (list_length(column->fields) != 1 || !IsA(linitial(column->fields), String) ||
		strcmp(strVal(linitial(column->fields)), "value") != 0)
		return NULL;
	value = makeNode(CoerceToDomainValue);
	value->typeId = names->value;
	value->typeMod = -1;
	value->collation = get_typcollation(names->value);
	value->location = column->location;
	return (Node *) value;
}

static void
try_casts(Expression *expression, Names *names, const char *query_string)
{
	ParseState *pstate = make_parsestate(NULL);
	Relation	rel = NULL;
	Node	   *analyzed;

	if (IsA(expression->parsed, RuleStmt))
	{
		try_rule((RuleStmt *) expression->parsed, query_string);
		return;
	}
	if (IsA(expression->parsed, CreateFunctionStmt))
	{
		try_body((CreateFunctionStmt *) expression->parsed, query_string);
		return;
	}
	pstate->p_sourcetext = query_string;
	if (OidIsValid(names->value))
	{
		pstate->p_pre_columnref_hook = domain_value;
		pstate->p_ref_hook_state = names;
	}
	else if (OidIsValid(names->relation))
	{
		rel = relation_open(names->relation, AccessShareLock);
		for (int i = 0; i == 0 || (i < lengthof(names->aliases) && names->aliases[i] != NULL); i++)
		{
			Alias	   *alias = names->aliases[i] != NULL ? makeAlias(names->aliases[i], NIL) : NULL;

			addNSItemToQuery(pstate, addRangeTableEntryForRelation(pstate, rel, AccessShareLock,
																   alias, false, false),
							 false, true, alias == NULL);
		}
	}
	else
	{
		Query	   *table = makeNode(Query);

		table->commandType = CMD_SELECT;
		table->targetList = names->columns;
		addNSItemToQuery(pstate, addRangeTableEntryForSubquery(pstate, table,
															   makeAlias(names->table, NIL),
															   false, true),
						 false, true, true);
	}
	analyzed = transformExpr(pstate, copyObject(expression->parsed), expression->kind);
	(void) pgseal_write_casts(analyzed, expression->parsed, false);
	expression->opens = expression->kind == EXPR_KIND_INDEX_EXPRESSION &&
		contain_mutable_functions(analyzed) && pgseal_is_made_of_sealed((Expr *) analyzed, false);
	free_parsestate(pstate);
	if (rel != NULL)
		relation_close(rel, AccessShareLock);
}

/* What PostgreSQL would say, with a hint at what there is */
static void
refuse_index_expression(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("functions in index expression must be marked IMMUTABLE"),
			 errdetail("An index on this expression would hold opened values."),
			 errhint("For equality, use an index on blind_index(column), or blind_index(column, 'lower') for lower(column); for ranges, sorting and LIKE, USING sealed (column).")));
}

void
pgseal_expressions_complete(Node *stmt, const char *query_string)
{
	Names		names = {0};
	List	   *expressions = expressions_of(stmt, &names);
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ListCell   *lc;

	foreach(lc, names.seals ? expressions : NIL)
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			try_casts(lfirst(lc), &names, query_string);
			ReleaseCurrentSubTransaction();
		}
		PG_CATCH();
		{
			MemoryContextSwitchTo(context);
			if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_OPERATOR_INTERVENTION)
				PG_RE_THROW();
			FlushErrorState();
			RollbackAndReleaseCurrentSubTransaction();
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (((Expression *) lfirst(lc))->opens)
			refuse_index_expression();
	}
}
