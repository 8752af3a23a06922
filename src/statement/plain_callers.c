/*-------------------------------------------------------------------------
 *
 * plain_callers.c
 *	  Functions that print what their queries return.
 *
 * crosstab('SELECT ...'), query_to_xml('SELECT ...') and functions in PL/Perl, PL/Python
 * and PL/Tcl get rows by SPI and take values in their text form, which for an
 * encrypted type is the sealed form.  The results of their queries are opened
 * as those of a client's own statements are.  Other C functions are left alone:
 * they may store what they get, or take it for what the table's row type says, as
 * dblink_build_sql_insert() does.
 *
 * Such a function is recognized when it is called, by the function manager's
 * hook: by its language or, in C, by its library.  Its queries are those that are
 * analyzed while it runs and nothing runs inside it.
 *
 * The hook isn't called for PostgreSQL's own functions.  Those that make XML of
 * queries and tables are exchanged, in a query that is about to be planned, for
 * functions of ours with the same name and arguments, which call them.
 *
 * SQL functions that PostgreSQL inlines become part of a query after these hooks have
 * seen it.  Those in which something may be printed are therefore said to be for the
 * function manager's hook, too, which PostgreSQL doesn't inline: their queries are
 * analyzed and planned as others are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "statement/join_columns.h"
#include "statement/opened.h"
#include "statement/plain_callers.h"
#include "statement/printing_bodies.h"
#include "type/handed_back.h"
#include "value/find_sealed.h"

#define NO_CALLER		(-1)

PG_FUNCTION_INFO_V1(pgseal_to_xml);

int			pgseal_nesting = 0;

/* At which nesting the innermost such function runs */
static int	caller_nesting = NO_CALLER;

static needs_fmgr_hook_type prev_needs_fmgr_hook = NULL;
static fmgr_hook_type prev_fmgr_hook = NULL;

bool
pgseal_plain_caller(void)
{
	return caller_nesting == pgseal_nesting;
}

/*
 * Recognizing them
 */

/* Nothing is copied: it is asked of many functions */
static bool
is_in_library(HeapTuple function, const char *const *libraries, int number)
{
	bool		isnull;
	Datum		probin = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_probin, &isnull);
	text	   *library = isnull ? NULL : DatumGetTextPP(probin);
	bool		result = false;

	for (int i = 0; library != NULL && i < number; i++)
		result = result || (VARSIZE_ANY_EXHDR(library) == strlen(libraries[i]) &&
							memcmp(VARDATA_ANY(library), libraries[i], strlen(libraries[i])) == 0);
	return result;
}

/* A language other than PL/pgSQL, which converts values by their types (plpgsql_rows.c) */
static bool
is_printing_language(Oid language)
{
	static const char *const plpgsql[] = {"$libdir/plpgsql"};
	HeapTuple	row = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
	HeapTuple	handler;
	bool		result = false;

	if (!HeapTupleIsValid(row))
		return false;
	handler = SearchSysCache1(PROCOID, ObjectIdGetDatum(((Form_pg_language) GETSTRUCT(row))->lanplcallfoid));
	ReleaseSysCache(row);
	if (HeapTupleIsValid(handler))
	{
		result = !is_in_library(handler, plpgsql, lengthof(plpgsql));
		ReleaseSysCache(handler);
	}
	return result;
}

static bool
prints_results(HeapTuple function)
{
	/* With those of the languages, whose functions of DO they are */
	static const char *const libraries[] = {
		"$libdir/tablefunc", "$libdir/pgxml",
		"$libdir/plperl", "$libdir/plpython3", "$libdir/pltcl"
	};
	Oid			language = ((Form_pg_proc) GETSTRUCT(function))->prolang;

	if (language == ClanguageId)
		return is_in_library(function, libraries, lengthof(libraries));
	return language != INTERNALlanguageId && language != SQLlanguageId &&
		is_printing_language(language);
}

/*
 * Would inlining it hide what it prints?  So it may where it is given encrypted values, or
 * values of any type, or makes XML of a query.  What answers yes or no compares in most cases,
 * and may find an index, or be a CHECK constraint's, only where it is inlined; and most
 * of what takes any type prints nothing: these are looked into (printing_bodies.c).  A result
 * of another type than was declared may be one that PostgreSQL prints to make text of it,
 * also as a column; but of a record, whose columns each call declares, PostgreSQL inlines
 * too much that prints nothing.  Bodies in standard form were opened when the function was made
 * (functions.c).
 */
static bool
body_hides_when_inlined(HeapTuple function, const char *body)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	bool		declares_columns = !heap_attisnull(function, Anum_pg_proc_proallargtypes, NULL);
	bool		prints_result;
	PgsealPrinting prints = pgseal_printing_in_body(body, &prints_result);

	prints_result = prints_result && !IsPolymorphicType(form->prorettype) &&
		(form->prorettype != RECORDOID || declares_columns) &&
		(TypeCategory(form->prorettype) == TYPCATEGORY_STRING || type_is_rowtype(form->prorettype));
	if (prints == PGSEAL_PRINTS_QUERIES)
		return true;
	for (int i = 0; i < form->pronargs; i++)
	{
		Oid			type = form->proargtypes.values[i];

		if (IsPolymorphicType(type) ? prints != PGSEAL_PRINTS_NOTHING || prints_result :
			pgseal_holds_encrypted(type) &&
			(prints != PGSEAL_PRINTS_NOTHING || form->prorettype != BOOLOID))
			return true;
	}
	return false;
}

static bool
hides_when_inlined(HeapTuple function)
{
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	Datum		body;
	bool		isnull;

	/* One that runs as its owner, or with settings, isn't inlined */
	if (form->prolang != SQLlanguageId || form->prosecdef ||
		!heap_attisnull(function, Anum_pg_proc_proconfig, NULL) ||
		form->pronamespace == PG_CATALOG_NAMESPACE || form->pronamespace == pgseal_internal_schema() ||
		!heap_attisnull(function, Anum_pg_proc_prosqlbody, NULL))
		return false;
	body = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_prosrc, &isnull);
	return body_hides_when_inlined(function, TextDatumGetCString(body));
}

/*
 * Those in C that are known to be left alone: what most plans call is asked about whenever
 * one begins to be executed.  By their OIDs, until anything happens to any function.
 */
static Oid	left_alone[256];

static void
forget_left_alone(Datum arg, int cacheid, uint32 hashvalue)
{
	memset(left_alone, 0, sizeof(left_alone));
}

static Oid *
left_alone_at(Oid function)
{
	return &left_alone[function % lengthof(left_alone)];
}

/* Does one of the conditions hold for a function of a user's or an extension's? */
static bool
holds(Oid oid, bool (*condition) (HeapTuple function), bool (*other) (HeapTuple function))
{
	HeapTuple	function;
	bool		result;

	if (oid < FirstNormalObjectId || *left_alone_at(oid) == oid || !OidIsValid(pgseal_extension_oid()))
		return false;
	function = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(function))
		return false;
	result = condition(function) || (other != NULL && other(function));
	if (!result && ((Form_pg_proc) GETSTRUCT(function))->prolang == ClanguageId)
		*left_alone_at(oid) = oid;
	ReleaseSysCache(function);
	return result;
}

/*
 * The function manager's hooks
 */

/* What is kept with a function that is called through the hook */
typedef struct Call
{
	int			outer_caller;
	PgsealHanded *outer_handed;
	PgsealHanded handed;
	Datum		next_private;
} Call;

static bool
plain_needs_fmgr_hook(Oid function)
{
	return (prev_needs_fmgr_hook != NULL && prev_needs_fmgr_hook(function)) ||
		holds(function, prints_results, hides_when_inlined);
}

/* Also called for functions that have settings or are SECURITY DEFINER */
static void
plain_fmgr_hook(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	Call	   *call = (Call *) DatumGetPointer(*private);

	if (call == NULL)
	{
		call = MemoryContextAllocZero(function->fn_mcxt, sizeof(Call));
		*private = PointerGetDatum(call);
	}
	if (event == FHET_START)
	{
		bool		prints = holds(function->fn_oid, prints_results, NULL);

		call->outer_caller = caller_nesting;
		call->outer_handed = pgseal_handed;
		call->handed.context = function->fn_mcxt;
		caller_nesting = prints ? pgseal_nesting : NO_CALLER;
		pgseal_handed = prints ? &call->handed : NULL;
	}
	else
	{
		caller_nesting = call->outer_caller;
		pgseal_handed = call->outer_handed;
		pgseal_handed_forget(&call->handed);
	}
	if (prev_fmgr_hook != NULL)
		prev_fmgr_hook(event, function, &call->next_private);
}

/*
 * XML of queries and tables
 */

/*
 * PostgreSQL converts what an SQL function's last query returns to the declared type after
 * the hook of the parser has seen it: arrays and rows to text by printing them.
 */
static void
open_printed(CoerceViaIO *conversion)
{
	Expr	   *opened = pgseal_opened(conversion->arg, PGSEAL_OPEN_ARGUMENT, NIL);

	if (opened != NULL)
		conversion->arg = opened;
}

static bool
mark_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && pgseal_makes_xml(((FuncExpr *) node)->funcid))
	{
		FuncExpr   *call = (FuncExpr *) node;
		Oid			types[FUNC_MAX_ARGS];
		int			num_types = 0;
		Oid			ours;
		ListCell   *lc;

		foreach(lc, call->args)
			types[num_types++] = exprType(lfirst(lc));
		ours = pgseal_internal_function(get_func_name(call->funcid), num_types, types);
		if (OidIsValid(ours))
			call->funcid = ours;
	}
	if (IsA(node, CoerceViaIO))
		open_printed((CoerceViaIO *) node);
	if (IsA(node, Query))
	{
		pgseal_join_columns_choose((Query *) node);
		return query_tree_walker((Query *) node, mark_walker, NULL, 0);
	}
	return expression_tree_walker(node, mark_walker, NULL);
}

void
pgseal_plain_callers_mark(Query *query)
{
	if (!OidIsValid(pgseal_extension_oid()))
		return;
	/* Of views and rules that were made before this was done when they are */
	pgseal_join_columns_choose(query);
	(void) query_tree_walker(query, mark_walker, NULL, 0);
}

/* PostgreSQL's function of the same name and arguments as that of ours */
static Oid
namesake(Oid function)
{
	HeapTuple	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	Oid			result;

	if (!HeapTupleIsValid(row))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(row);
	result = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, NameGetDatum(&form->proname),
							 PointerGetDatum(&form->proargtypes),
							 ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	ReleaseSysCache(row);
	if (!pgseal_makes_xml(result))
		elog(ERROR, "function %u has no namesake", function);
	return result;
}

/* Calls its namesake as what prints the results of its queries. */
Datum
pgseal_to_xml(PG_FUNCTION_ARGS)
{
	FmgrInfo   *function = fcinfo->flinfo->fn_extra;
	FmgrInfo   *ours = fcinfo->flinfo;
	int			outer_caller = caller_nesting;
	Datum		result = (Datum) 0;

	if (function == NULL)
	{
		function = MemoryContextAllocZero(ours->fn_mcxt, sizeof(FmgrInfo));
		fmgr_info_cxt(namesake(ours->fn_oid), function, ours->fn_mcxt);
		ours->fn_extra = function;
	}
	if (pgseal_function_aclcheck(function->fn_oid, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function->fn_oid));

	caller_nesting = pgseal_nesting;
	fcinfo->flinfo = function;
	PG_TRY();
	{
		result = FunctionCallInvoke(fcinfo);
	}
	PG_FINALLY();
	{
		fcinfo->flinfo = ours;
		caller_nesting = outer_caller;
	}
	PG_END_TRY();
	return result;
}

void
pgseal_plain_callers_init(void)
{
	prev_needs_fmgr_hook = needs_fmgr_hook;
	needs_fmgr_hook = plain_needs_fmgr_hook;
	CacheRegisterSyscacheCallback(PROCOID, forget_left_alone, (Datum) 0);
	prev_fmgr_hook = fmgr_hook;
	fmgr_hook = plain_fmgr_hook;
}
