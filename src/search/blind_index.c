/*-------------------------------------------------------------------------
 *
 * blind_index.c
 *	  blind_index(): the deterministic companion of an encrypted column.
 *
 * blind_index(column) is the token of the column's value under the index key
 * of the column's key; as expression index, unique index or generated column
 * it finds equal values without storing them.
 *
 * Tokens answer whether a guess is right, so computing one takes USAGE on the
 * key's foreign server.  In what PostgreSQL itself maintains, an index, a generated
 * column or a check, that is asked of the table's owner, at that moment, so that a
 * role that only writes can write: stored_tokens.c marks the calls in such
 * an expression with the table.  All other calls ask the current user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "search/stored_expressions.h"
#include "search/stored_tokens.h"
#include "type/column_default.h"
#include "value/index_token.h"
#include "value/owner_usage.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_blind_index);
PG_FUNCTION_INFO_V1(pgseal_blind_index_bits);
PG_FUNCTION_INFO_V1(pgseal_blind_index_of_plaintext);
PG_FUNCTION_INFO_V1(pgseal_tokens);
PG_FUNCTION_INFO_V1(pgseal_tokens_of_array);
PG_FUNCTION_INFO_V1(pgseal_token);

/* What a call site knows of its first argument */
typedef struct Argument
{
	const PgsealType *type;
	bool		sealed;			/* or of the base type */
	bool		strict;			/* who may not know the token must not get
								 * NULL */
	PgsealAccess access;
	Oid			table;			/* in whose stored expression the call is, or
								 * InvalidOid, */
	Oid			owner;			/* who owns that, */
	Oid			allowed_server; /* and has USAGE on this one */
} Argument;

/* What is stored takes the privilege of the table's owner */
static void
check_owner(Argument *arg, Oid server)
{
	if (!OidIsValid(arg->owner) || server == arg->allowed_server)
		return;
	pgseal_check_owner_usage(arg->table, arg->owner, server);
	arg->allowed_server = server;
}

static void
check_owner_of_key(Argument *arg, int32 key_hash)
{
	Oid			server;

	if (!OidIsValid(arg->owner) || key_hash <= 0 || !pgseal_keyring_find_server(key_hash, &server))
		return;
	if (!OidIsValid(server))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the foreign server of key \"%s\" does not exist",
						pgseal_catalog_name(key_hash))));
	check_owner(arg, server);
}

static Argument *
argument(FunctionCallInfo fcinfo)
{
	Argument   *argument = fcinfo->flinfo->fn_extra;

	if (argument == NULL)
	{
		Oid		   *types;
		int			num_types;
		Oid			type;

		get_func_signature(fcinfo->flinfo->fn_oid, &types, &num_types);
		type = OidIsValid(get_element_type(types[0])) ? get_element_type(types[0]) : types[0];
		argument = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Argument));
		argument->type = pgseal_type_by_oid(type);
		argument->sealed = (argument->type != NULL);
		if (argument->type == NULL)
			argument->type = pgseal_type_by_base(type);
		if (argument->type == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("no encrypted type belongs to type %s", format_type_be(type))));
		argument->table = pgseal_stored_table(fcinfo->flinfo->fn_expr);
		if (!OidIsValid(argument->table))
			argument->table = pgseal_default_table(fcinfo->flinfo);
		argument->strict = pgseal_stored_is_strict(fcinfo->flinfo->fn_expr);
		argument->owner = OidIsValid(argument->table) ?
			pgseal_relation_owner(argument->table) : InvalidOid;
		argument->access = OidIsValid(argument->owner) ?
			PGSEAL_ACCESS_INTERNAL : PGSEAL_ACCESS_CHECKED;

		/*
		 * The column's own key may be on another server than that of the
		 * value
		 */
		if (OidIsValid(argument->owner))
			check_owner_of_key(argument, pgseal_stored_typmod(linitial(((FuncExpr *) fcinfo->flinfo->fn_expr)->args)));
		fcinfo->flinfo->fn_extra = argument;
	}
	return argument;
}

static void
report_denied(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to check a constraint on encrypted values")));
}

/*
 * The token of a value under the newest index key of a key, NULL when the
 * user may not know it
 */
static bytea *
token_of(FunctionCallInfo fcinfo, const Argument *arg, Datum value, int32 key_hash,
		 const PgsealTokenForm *form)
{
	StringInfoData canonical;
	PgsealKey  *key;
	bytea	   *token;

	initStringInfo(&canonical);
	pgseal_index_token_canonical(&canonical, arg->type, value, form->normalizer, PG_GET_COLLATION());
	key = pgseal_keyring_index(key_hash, arg->access);
	token = key ? pgseal_index_token_make(key, arg->type, form, &canonical) : NULL;
	if (token == NULL && arg->strict)
		report_denied();
	pgseal_wipe(canonical.data, canonical.len);
	pfree(canonical.data);
	return token;
}

/*
 * The same for a sealed value, under the index key of its own key.  A value whose
 * key was destroyed has none: its row must stay one that can be updated, indexed
 * and restored.
 */
static bytea *
token_of_sealed(FunctionCallInfo fcinfo, const PgsealTokenForm *form)
{
	Argument   *arg = argument(fcinfo);
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;
	int32		key_hash;
	bool		isnull;
	Datum		value;

	pgseal_value_header(&envelope, PG_GETARG_DATUM(0));
	info = pgseal_keyring_info(envelope.key_version_id);
	key_hash = info->key_hash;
	if (info->destroyed)
		return NULL;
	if (info->known && OidIsValid(info->server))
		check_owner(arg, info->server);
	value = pgseal_value_open(arg->type, PG_GETARG_DATUM(0), arg->access, &isnull);
	if (isnull && arg->strict)
		report_denied();
	return isnull ? NULL : token_of(fcinfo, arg, value, key_hash, form);
}

/*
 * Whether the form is one that tokens have.  The functions are LEAKPROOF: what a
 * row holds must not show in an error.  So one is raised only about what the
 * statement itself says; a form that comes out of rows and is none gives NULL.
 */
static bool
check_form(FunctionCallInfo fcinfo, const PgsealTokenForm *form)
{
	if (pgseal_index_token_is_form(form))
		return true;
	for (int i = 1; i < PG_NARGS(); i++)
		if (!get_fn_expr_arg_stable(fcinfo->flinfo, i))
			return false;
	pgseal_index_token_check_form(form);
	return true;
}

/* blind_index(encrypted [, normalizer [, bits]]) */
Datum
pgseal_blind_index(PG_FUNCTION_ARGS)
{
	PgsealTokenForm form = {"", PGSEAL_TOKEN_BITS_MAX};
	bytea	   *token;

	if (PG_NARGS() > 1)
		form.normalizer = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (PG_NARGS() > 2)
		form.bits = PG_GETARG_INT32(2);
	if (!check_form(fcinfo, &form))
		PG_RETURN_NULL();
	token = token_of_sealed(fcinfo, &form);
	if (token == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(token);
}

/* blind_index(encrypted, bits) */
Datum
pgseal_blind_index_bits(PG_FUNCTION_ARGS)
{
	PgsealTokenForm form = {"", PG_GETARG_INT32(1)};
	bytea	   *token;

	if (!check_form(fcinfo, &form))
		PG_RETURN_NULL();
	token = token_of_sealed(fcinfo, &form);
	if (token == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(token);
}

/* blind_index(plaintext, key [, normalizer [, bits]]) */
Datum
pgseal_blind_index_of_plaintext(PG_FUNCTION_ARGS)
{
	Argument   *arg = argument(fcinfo);
	PgsealTokenForm form = {"", PGSEAL_TOKEN_BITS_MAX};
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32		hash = pgseal_catalog_key_hash(name);
	char	   *known = pgseal_catalog_name(hash);
	bytea	   *token;

	if (known == NULL || strcmp(known, name) != 0)
		pgseal_keyring_no_key(name);
	if (PG_NARGS() > 2)
		form.normalizer = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (PG_NARGS() > 3)
		form.bits = PG_GETARG_INT32(3);
	pgseal_index_token_check_form(&form);
	check_owner_of_key(arg, hash);
	token = token_of(fcinfo, arg, PG_GETARG_DATUM(0), hash, &form);
	if (token == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(token);
}

/*
 * What the planner puts on the other side of blind_index(column) = ...
 * (lookup.c): tokens of a value, sealed under whatever key or plain, as the
 * column with this type modifier has them.
 */

static Datum
plain_value(const Argument *arg, Datum value, bool *isnull)
{
	*isnull = false;
	return arg->sealed ?
		pgseal_value_open(arg->type, value, PGSEAL_ACCESS_CHECKED, isnull) : value;
}

/* Of token() and tokens(); the planner takes it from an index */
static PgsealTokenForm
planned_form(FunctionCallInfo fcinfo)
{
	PgsealTokenForm form = {text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_INT32(3)};

	pgseal_index_token_check_form(&form);
	return form;
}

/*
 * Appends the tokens under all index keys in use, newest first; false when the
 * user may not know them
 */
static bool
append_tokens(FunctionCallInfo fcinfo, ArrayBuildState **state, const Argument *arg, Datum value)
{
	bool		allowed = true;
	PgsealTokenForm form = planned_form(fcinfo);
	StringInfoData canonical;
	List	   *versions = pgseal_keyring_index_versions(PG_GETARG_INT32(1));
	ListCell   *lc;

	initStringInfo(&canonical);
	pgseal_index_token_canonical(&canonical, arg->type, value, form.normalizer, PG_GET_COLLATION());
	foreach(lc, versions)
	{
		PgsealVersionRow *version = lfirst(lc);
		PgsealKey  *key = pgseal_keyring_index_version(version->id, arg->access);

		allowed = (key != NULL);
		if (!allowed)
			break;
		*state = accumArrayResult(*state,
								  PointerGetDatum(pgseal_index_token_make(key, arg->type, &form, &canonical)),
								  false, BYTEAOID, CurrentMemoryContext);
	}
	pgseal_wipe(canonical.data, canonical.len);
	pfree(canonical.data);
	return allowed;
}

static Datum
array_result(ArrayBuildState *state)
{
	if (state == NULL)
		return PointerGetDatum(construct_empty_array(BYTEAOID));
	return makeArrayResult(state, CurrentMemoryContext);
}

/* token(value, typmod, normalizer, bits) */
Datum
pgseal_token(PG_FUNCTION_ARGS)
{
	const Argument *arg = argument(fcinfo);
	PgsealTokenForm form = planned_form(fcinfo);
	bool		isnull;
	Datum		value = plain_value(arg, PG_GETARG_DATUM(0), &isnull);
	bytea	   *token = isnull ? NULL : token_of(fcinfo, arg, value, PG_GETARG_INT32(1), &form);

	if (token == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(token);
}

/* tokens(value, typmod, normalizer, bits) */
Datum
pgseal_tokens(PG_FUNCTION_ARGS)
{
	const Argument *arg = argument(fcinfo);
	bool		isnull;
	Datum		value = plain_value(arg, PG_GETARG_DATUM(0), &isnull);
	ArrayBuildState *state = NULL;

	if (isnull || !append_tokens(fcinfo, &state, arg, value))
		PG_RETURN_NULL();
	return array_result(state);
}

/* tokens(array, typmod, normalizer, bits) */
Datum
pgseal_tokens_of_array(PG_FUNCTION_ARGS)
{
	const Argument *arg = argument(fcinfo);
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	ArrayBuildState *state = NULL;
	ArrayIterator it = array_create_iterator(array, 0, NULL);
	Datum		element;
	bool		isnull;

	while (array_iterate(it, &element, &isnull))
	{
		Datum		value;

		if (isnull)
			continue;
		value = plain_value(arg, element, &isnull);
		if (isnull || !append_tokens(fcinfo, &state, arg, value))
			PG_RETURN_NULL();
	}
	array_free_iterator(it);
	return array_result(state);
}
