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
 * key's foreign server.  PostgreSQL itself computes them when it maintains an
 * index or a generated column, also for a role that may only write: the planner
 * support function marks the call in such a stored expression (it is simplified
 * outside any query, and its argument is a column), and a marked call asks for
 * no privilege.  Whoever makes such an expression needs the privilege (stored_tokens.c),
 * so nobody can set one up as an oracle.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "search/stored_tokens.h"
#include "value/index_token.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_blind_index);
PG_FUNCTION_INFO_V1(pgseal_blind_index_bits);
PG_FUNCTION_INFO_V1(pgseal_blind_index_of_plaintext);
PG_FUNCTION_INFO_V1(pgseal_tokens);
PG_FUNCTION_INFO_V1(pgseal_tokens_of_array);
PG_FUNCTION_INFO_V1(pgseal_token);
PG_FUNCTION_INFO_V1(pgseal_blind_index_support);

/* The mark of a stored expression; no parser gives it to this function */
#define STORED_EXPRESSION_FORMAT	COERCE_IMPLICIT_CAST

/* What a call site knows of its first argument */
typedef struct Argument
{
	const PgsealType *type;
	bool		sealed;			/* or of the base type */
	PgsealAccess access;
} Argument;

static bool
is_stored_expression(FunctionCallInfo fcinfo)
{
	Node	   *expr = fcinfo->flinfo->fn_expr;

	return expr != NULL && IsA(expr, FuncExpr) &&
		((FuncExpr *) expr)->funcformat == STORED_EXPRESSION_FORMAT;
}

static const Argument *
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
		argument->access = is_stored_expression(fcinfo) ?
			PGSEAL_ACCESS_INTERNAL : PGSEAL_ACCESS_CHECKED;
		fcinfo->flinfo->fn_extra = argument;
	}
	return argument;
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
	pgseal_token_canonical(&canonical, arg->type, value, form->normalizer, PG_GET_COLLATION());
	key = pgseal_keyring_index(key_hash, arg->access);
	token = key ? pgseal_token_make(key, arg->type, form, &canonical) : NULL;
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
	const Argument *arg = argument(fcinfo);
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
	value = pgseal_value_open(arg->type, PG_GETARG_DATUM(0), arg->access, &isnull);
	return isnull ? NULL : token_of(fcinfo, arg, value, key_hash, form);
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
	pgseal_token_check_bits(form.bits);
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

	pgseal_token_check_bits(form.bits);
	token = token_of_sealed(fcinfo, &form);
	if (token == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BYTEA_P(token);
}

/* blind_index(plaintext, key [, normalizer [, bits]]) */
Datum
pgseal_blind_index_of_plaintext(PG_FUNCTION_ARGS)
{
	const Argument *arg = argument(fcinfo);
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
	pgseal_token_check_bits(form.bits);
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

/*
 * Appends the tokens under all index keys in use, newest first; false when the
 * user may not know them
 */
static bool
append_tokens(FunctionCallInfo fcinfo, ArrayBuildState **state, const Argument *arg, Datum value)
{
	bool		allowed = true;
	PgsealTokenForm form = {text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_INT32(3)};
	StringInfoData canonical;
	List	   *versions = pgseal_keyring_index_versions(PG_GETARG_INT32(1));
	ListCell   *lc;

	initStringInfo(&canonical);
	pgseal_token_canonical(&canonical, arg->type, value, form.normalizer, PG_GET_COLLATION());
	foreach(lc, versions)
	{
		PgsealVersionRow *version = lfirst(lc);
		PgsealKey  *key = pgseal_keyring_index_version(version->id, arg->access);

		allowed = (key != NULL);
		if (!allowed)
			break;
		*state = accumArrayResult(*state,
								  PointerGetDatum(pgseal_token_make(key, arg->type, &form, &canonical)),
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
	PgsealTokenForm form = {text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_INT32(3)};
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

/* Marks the call in a stored expression, see above */
Datum
pgseal_blind_index_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestSimplify *simplify = (SupportRequestSimplify *) request;
	FuncExpr   *marked;
	Node	   *column;

	if (!IsA(request, SupportRequestSimplify) || simplify->root != NULL ||
		simplify->fcall->funcformat == STORED_EXPRESSION_FORMAT)
		PG_RETURN_POINTER(NULL);
	column = linitial(simplify->fcall->args);
	if (IsA(column, RelabelType))	/* of a domain */
		column = (Node *) ((RelabelType *) column)->arg;
	/* What a column of any key holds, its owner may have no right to */
	if (!IsA(column, Var) ||
		pgseal_stored_typmod(linitial(simplify->fcall->args)) == PGSEAL_TYPMOD_ANY)
		PG_RETURN_POINTER(NULL);
	marked = makeNode(FuncExpr);
	memcpy(marked, simplify->fcall, sizeof(FuncExpr));
	marked->funcformat = STORED_EXPRESSION_FORMAT;
	PG_RETURN_POINTER(marked);
}
