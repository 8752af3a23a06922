/*-------------------------------------------------------------------------
 *
 * names.c
 *	  How pgseal's functions and operators are named between nodes of Citus.
 *
 * OIDs differ between nodes, so they are told by schema, name and types of arguments.
 * To find one, those of the same short name are named and compared.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "citus/names.h"
#include "search/stored_expressions.h"
#include "value/find_sealed.h"

const char *const pgseal_citus_kind_names[PGSEAL_CITUS_NUM_KINDS] = {
	[PGSEAL_CITUS_CALL] = "call",[PGSEAL_CITUS_OPERATOR] = "operator",[PGSEAL_CITUS_ANY] = "any",[PGSEAL_CITUS_ALL] = "all",
	[PGSEAL_CITUS_DISTINCT] = "distinct",[PGSEAL_CITUS_NULLIF] = "nullif",[PGSEAL_CITUS_ELEMENTS] = "elements"
};

Oid
pgseal_citus_call_function(void)
{
	Oid			types[] = {ANYELEMENTOID, TEXTOID, ANYOID};

	if (!OidIsValid(pgseal_extension_oid()))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("pgseal_citus_call"),
						   PointerGetDatum(buildoidvector(types, lengthof(types))),
						   ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
}

static const char *
kind_of_schema(Oid schema)
{
	if (schema == PG_CATALOG_NAMESPACE)
		return "pg_catalog";
	if (schema == pgseal_schema())
		return PGSEAL_SCHEMA;
	return schema == pgseal_internal_schema() ? PGSEAL_INTERNAL_SCHEMA : NULL;
}

static char *
signature(const char *schema, const char *name, const Oid *types, int num_types)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s.%s(", schema, name);
	for (int i = 0; i < num_types; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? "," : "",
						 format_type_extended(types[i], -1, FORMAT_TYPE_FORCE_QUALIFY));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* Does it take or return encrypted values? */
static bool
is_of_encrypted(const Oid *types, int num_types, Oid result)
{
	for (int i = 0; i < num_types; i++)
		if (types[i] >= FirstNormalObjectId && pgseal_shape_of_type(types[i], -1) != NULL)
			return true;
	return pgseal_shape_of_type(result, -1) != NULL;
}

/* Those that open rows whose type says nothing of them */
static bool
is_of_rows(const char *name)
{
	static const char *const names[] = {"open_row", "open_rows", "open_row_result", "open_rows_result"};

	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

char *
pgseal_citus_function(Oid oid)
{
	HeapTuple	row;
	Form_pg_proc form;
	const char *schema;
	char	   *result = NULL;

	if (oid < FirstNormalObjectId)
		return NULL;
	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(row))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(row);
	schema = kind_of_schema(form->pronamespace);
	if (schema != NULL && form->prokind == PROKIND_FUNCTION && !form->proretset &&
		form->provolatile != PROVOLATILE_IMMUTABLE &&
		(is_of_encrypted(form->proargtypes.values, form->pronargs, form->prorettype) ||
		 pgseal_stored_is_token_function(oid) ||
		 (form->pronamespace == pgseal_internal_schema() && is_of_rows(NameStr(form->proname)))))
		result = signature(schema, NameStr(form->proname), form->proargtypes.values,
						   form->pronargs);
	ReleaseSysCache(row);
	return result;
}

char *
pgseal_citus_operator(Oid oid)
{
	HeapTuple	row;
	Form_pg_operator form;
	const char *schema;
	char	   *result = NULL;

	if (oid < FirstNormalObjectId)
		return NULL;
	row = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(row))
		return NULL;
	form = (Form_pg_operator) GETSTRUCT(row);
	schema = kind_of_schema(form->oprnamespace);
	if (schema != NULL && func_volatile(form->oprcode) != PROVOLATILE_IMMUTABLE)
	{
		Oid			types[] = {form->oprleft, form->oprright};
		bool		is_prefix = !OidIsValid(form->oprleft);

		result = signature(schema, NameStr(form->oprname), types + is_prefix, 2 - is_prefix);
	}
	ReleaseSysCache(row);
	return result;
}

bool
pgseal_citus_is_ours(PgsealCitusKind kind, Oid object)
{
	return getExtensionOfObject(pgseal_citus_is_of_function(kind) ? ProcedureRelationId : OperatorRelationId,
								object) == pgseal_extension_oid();
}

/* The function or operator that has this name, out of those of the same short name */
Oid
pgseal_citus_find(PgsealCitusKind kind, const char *wanted)
{
	const char *start = strchr(wanted, '.');
	const char *end = start != NULL ? strchr(start + 1, '(') : NULL;
	char	   *name;
	CatCList   *list;
	Oid			found = InvalidOid;

	if (end == NULL)
		return InvalidOid;
	name = pnstrdup(start + 1, end - start - 1);
	list = pgseal_citus_is_of_function(kind) ?
		SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name)) :
		SearchSysCacheList1(OPERNAMENSP, CStringGetDatum(name));
	for (int i = 0; i < list->n_members && !OidIsValid(found); i++)
	{
		HeapTuple	row = &list->members[i]->tuple;
		Oid			oid = pgseal_citus_is_of_function(kind) ?
			((Form_pg_proc) GETSTRUCT(row))->oid : ((Form_pg_operator) GETSTRUCT(row))->oid;
		char	   *candidate = pgseal_citus_is_of_function(kind) ? pgseal_citus_function(oid) : pgseal_citus_operator(oid);

		if (candidate != NULL && strcmp(candidate, wanted) == 0 && pgseal_citus_is_ours(kind, oid))
			found = oid;
	}
	ReleaseSysCacheList(list);
	return found;
}
