/*-------------------------------------------------------------------------
 *
 * parameters.c
 *	  Parameters are of the types that a plain column's would be.
 *
 * In INSERT INTO t (n) VALUES ($1), PostgreSQL infers that $1 is of the column's
 * type.  No driver knows an encrypted type's OID or its binary form, and text sent
 * for it would be looked at for whether it is a sealed value.  So where a type is
 * inferred to be an encrypted one, the statement is analyzed once more, with that
 * parameter declared to be of the base type.
 *
 * That is what PostgreSQL itself does, from the same types, when it analyzes a
 * prepared statement again after DDL; so both give the same query, and it is that
 * of a client which declares the base type: what finds indexes for such values
 * (lookup.c, unopen.c) finds them for these.  Changing the first query's Param
 * nodes would have to agree with it in each context that there is.
 *
 * Where the statement can't be analyzed so, as with a call of a function that takes
 * an encrypted value, the parameter keeps the encrypted type; likewise where the
 * client names that itself, in PREPARE or the Parse message, and where sealed values
 * go in or out by parameters and results: with pgseal.sealed_input = on or
 * pgseal.transparent = off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_param.h"
#include "parser/parse_type.h"
#include "port/pg_bswap.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "statement/analyze_again.h"
#include "statement/parameters.h"
#include "value/basetype.h"

/* Statements that are remembered; with more, any may be one that was forgotten */
#define MAX_REMEMBERED			10000

/* A statement with more is analyzed with all of them plain, or none */
#define MAX_TRIED_ONE_BY_ONE	100

/* Hashes of the texts of statements with parameters that were made plain */
static HTAB *remembered = NULL;

static uint64
text_hash(const char *text)
{
	return hash_bytes_extended((const unsigned char *) text, strlen(text), 0);
}

static void
remember(const char *source)
{
	uint64		hash = text_hash(source);

	if (remembered == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(uint64), .entrysize = sizeof(uint64), .hcxt = TopMemoryContext};

		remembered = hash_create("pgseal statements with parameters", 64, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (hash_get_num_entries(remembered) < MAX_REMEMBERED)
		(void) hash_search(remembered, &hash, HASH_ENTER, NULL);
}

bool
pgseal_parameters_hold_values(const char *source)
{
	uint64		hash;

	if (remembered == NULL || source == NULL)
		return false;
	hash = text_hash(source);
	return hash_get_num_entries(remembered) >= MAX_REMEMBERED ||
		hash_search(remembered, &hash, HASH_FIND, NULL) != NULL;
}

/* Are the types of parameters inferred in this analysis? */
static bool
infers_types(ParseState *pstate)
{
	static CoerceParamHook inferring = NULL;

	if (pstate->p_coerce_param_hook == NULL)
		return false;
	if (inferring == NULL)
	{
		ParseState *other = make_parsestate(NULL);
		Oid		   *types = NULL;
		int			num_types = 0;

		setup_parse_variable_parameters(other, &types, &num_types);
		inferring = other->p_coerce_param_hook;
		free_parsestate(other);
	}
	return pstate->p_coerce_param_hook == inferring;
}

/* What a plain column's would be; InvalidOid unless the type is an encrypted one */
static Oid
plain_type(Oid type)
{
	const PgsealType *encrypted;
	Oid			element;

	/* The built-in types of most statements cost no lookup */
	if (type < FirstNormalObjectId)
		return InvalidOid;
	type = getBaseType(type);
	encrypted = pgseal_type_by_oid(type);
	if (encrypted != NULL)
		return encrypted->base->oid;
	element = get_element_type(type);
	if (!OidIsValid(element))
		return InvalidOid;
	encrypted = pgseal_type_by_oid(getBaseType(element));
	return encrypted != NULL ? get_array_type(encrypted->base->oid) : InvalidOid;
}

/*
 * How many types the client's Parse message declares, and where they are.  The text of
 * the statement lies in the message, which goes on with their number (16 bits) and them
 * (32 bits each, zero where the type is left open).  Only where the text had to be
 * converted to the database's encoding, it is a copy.
 */
static int
declared_types(const char *text, const char **out_types)
{
	const char *after = text + strlen(text) + 1;
	uint16		num_types;

	if (pg_get_client_encoding() != GetDatabaseEncoding())
		return 0;
	memcpy(&num_types, after, sizeof(num_types));
	*out_types = after + sizeof(num_types);
	return pg_ntoh16(num_types);
}

/* Whoever declares one as unknown leaves it open, too. */
static bool
is_declared(const PrepareStmt *prepare, const char *types, int parameter)
{
	Oid			type;

	if (prepare != NULL)
		type = typenameTypeId(NULL, list_nth_node(TypeName, prepare->argtypes, parameter));
	else
	{
		memcpy(&type, types + sizeof(type) * parameter, sizeof(type));
		type = pg_ntoh32(type);
	}
	return OidIsValid(type) && type != UNKNOWNOID;
}

/*
 * Sets out_plain of each parameter that was inferred to be of an encrypted type, and
 * is not named (declared) by the statement or its message.  How many are there?
 */
static int
find_inferred(ParseState *pstate, const PrepareStmt *prepare, const Oid *types, int num_types,
			  Oid *out_plain)
{
	const char *declared = NULL;
	int			num_declared = prepare != NULL ? list_length(prepare->argtypes) :
		declared_types(pstate->p_sourcetext, &declared);
	int			num_plain = 0;

	for (int i = 0; i < num_types; i++)
	{
		out_plain[i] = InvalidOid;
		/* PostgreSQL is about to say that it could not determine one */
		if (types[i] == InvalidOid || types[i] == UNKNOWNOID)
			return 0;
		if (i < num_declared && is_declared(prepare, declared, i))
			continue;
		out_plain[i] = plain_type(types[i]);
		num_plain += OidIsValid(out_plain[i]) ? 1 : 0;
	}
	return num_plain;
}

/* The types and how many there are */
typedef struct FixedTypes
{
	const Oid  *types;
	int			number;
} FixedTypes;

/* PgsealParameterSetup */
static void
set_fixed(ParseState *pstate, void *context)
{
	FixedTypes *fixed = context;

	setup_parse_fixed_parameters(pstate, fixed->types, fixed->number);
}

static Query *
try_analyze(ParseState *pstate, RawStmt *raw, const Oid *types, int num_types)
{
	FixedTypes	fixed = {types, num_types};

	return pgseal_analyze_again(pstate, raw, set_fixed, &fixed);
}

/* With as many of the parameters plain as it can be analyzed with; types is changed to these. */
static Query *
analyze_one_by_one(ParseState *pstate, RawStmt *raw, Oid *types, const Oid *plain, int num_types)
{
	Query	   *query = NULL;

	for (int i = 0; i < num_types; i++)
	{
		Oid			inferred = types[i];
		Query	   *with;

		if (!OidIsValid(plain[i]))
			continue;
		types[i] = plain[i];
		with = try_analyze(pstate, raw, types, num_types);
		if (with != NULL)
			query = with;
		else
			types[i] = inferred;
	}
	return query;
}

static void
say_nothing(const char *setting)
{
	(void) set_config_option(setting, "error", PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
							 0, false);
}

/* The query with plain parameters, if there can be one; types is changed to theirs. */
static Query *
analyze_plain(ParseState *pstate, RawStmt *raw, Oid *types, const Oid *plain, int num_types,
			  int num_plain)
{
	Oid		   *all = palloc(sizeof(Oid) * num_types);
	Query	   *query;

	for (int i = 0; i < num_types; i++)
		all[i] = OidIsValid(plain[i]) ? plain[i] : types[i];
	query = try_analyze(pstate, raw, all, num_types);
	if (query != NULL)
		memcpy(types, all, sizeof(Oid) * num_types);
	else if (num_plain > 1 && num_plain <= MAX_TRIED_ONE_BY_ONE)
		query = analyze_one_by_one(pstate, raw, types, plain, num_types);
	return query;
}

Oid *
pgseal_parameters_declared(ParseState *pstate, const PrepareStmt *prepare, int *out_number)
{
	PgsealInferredParams *inferred = pstate->p_ref_hook_state;
	const char *message = NULL;
	int			num_declared;
	Oid		   *types;

	if (!infers_types(pstate) ||
		(prepare == NULL &&
		 (pstate->p_sourcetext != debug_query_string || MyBackendType != B_BACKEND)))
		return NULL;
	num_declared = prepare != NULL ? list_length(prepare->argtypes) :
		declared_types(pstate->p_sourcetext, &message);
	*out_number = *inferred->numParams;
	types = palloc0(sizeof(Oid) * Max(*out_number, 1));
	for (int i = 0; i < *out_number && i < num_declared; i++)
		if (is_declared(prepare, message, i))
			types[i] = (*inferred->paramTypes)[i];
	return types;
}

void
pgseal_parameters_plain(ParseState *pstate, Query *query, const PrepareStmt *prepare, RawStmt *raw)
{
	int			nest_level;
	PgsealInferredParams *inferred;
	Oid		   *plain;
	int			num_types;
	int			num_plain;
	Query	   *again;

	if (!pgseal_transparent || pgseal_sealed_input == PGSEAL_SEALED_INPUT_ON ||
		!infers_types(pstate))
		return;
	if (prepare == NULL &&
		(pstate->p_sourcetext != debug_query_string || MyBackendType != B_BACKEND))
		return;
	inferred = pstate->p_ref_hook_state;
	num_types = *inferred->numParams;
	if (num_types == 0)
		return;
	plain = palloc(sizeof(Oid) * num_types);
	num_plain = find_inferred(pstate, prepare, *inferred->paramTypes, num_types, plain);
	if (num_plain == 0)
		return;
	if (raw == NULL)
		raw = pgseal_parsed_again(pstate, query, prepare);
	if (raw == NULL)
		return;

	/* Whatever there is to say has been said by the first analysis */
	nest_level = NewGUCNestLevel();
	say_nothing("client_min_messages");
	say_nothing("log_min_messages");
	again = analyze_plain(pstate, raw, *inferred->paramTypes, plain, num_types, num_plain);
	AtEOXact_GUC(true, nest_level);
	if (again == NULL)
		return;

	remember(pstate->p_sourcetext);
	/* Whoever counts statements has computed it from the same text */
	again->queryId = query->queryId;
	*query = *again;
}
