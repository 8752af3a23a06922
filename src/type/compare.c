/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  Comparison and hashing of encrypted values.
 *
 * The operators compare opened values by the base type's own btree comparison,
 * so they mean what they mean for the base type, collations included.  Either
 * argument may be of the encrypted or of the base type, or of a relative of it
 * (value/related.h); which is read from the signature once per call site.
 *
 * Hashes are keyed (HMAC-SHA-256 of the canonical form under the index key of
 * the database's default key): they are stored in hash indexes and spill
 * files, and are the same in all tables, so that these can be joined.
 *
 * Comparing tells something about a value, so it needs the privilege, and so
 * does hashing: whether two hashes meet in a GROUP BY would answer a guess.
 * Only the upkeep of a hash index and the routing to hash partitions ask the owner
 * of the index or table for it instead of the user, because a role that only writes
 * must be able to insert (hash_caller.c).  In an index, a value whose key was
 * destroyed has the hash 0: nobody will look for it, but its row must stay one that
 * can be updated and restored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "port/pg_bswap.h"

#include "base/compat.h"
#include "type/constraint_caller.h"
#include "type/hash_caller.h"
#include "value/owner_usage.h"
#include "value/related.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_eq);
PG_FUNCTION_INFO_V1(pgseal_ne);
PG_FUNCTION_INFO_V1(pgseal_lt);
PG_FUNCTION_INFO_V1(pgseal_le);
PG_FUNCTION_INFO_V1(pgseal_gt);
PG_FUNCTION_INFO_V1(pgseal_ge);
PG_FUNCTION_INFO_V1(pgseal_cmp);
PG_FUNCTION_INFO_V1(pgseal_hash);
PG_FUNCTION_INFO_V1(pgseal_hash_extended);

/* What a call site compares; index 0 is the left argument */
typedef struct Operands
{
	const PgsealType *type;		/* of the encrypted one */
	const PgsealType *types[2]; /* NULL: it isn't encrypted */
	bool		sealed[2];		/* or of the base type */
	Oid			base[2];		/* what is compared */
	FmgrInfo   *compare;		/* NULL: not known yet */
	FmgrInfo	related;		/* it, where the two types differ */
	bool		knows_caller;	/* if it is a hash function */
	PgsealHashCaller caller;
	Oid			relation;		/* the index or partitioned table that calls */
	PgsealConstraint constraint;	/* of a comparison */
} Operands;

static const Operands *
operands(FunctionCallInfo fcinfo)
{
	Operands   *op = fcinfo->flinfo->fn_extra;

	if (op == NULL)
	{
		Oid		   *arguments;
		int			num_arguments;

		get_func_signature(fcinfo->flinfo->fn_oid, &arguments, &num_arguments);
		op = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Operands));
		for (int i = 0; i < 2 && i < num_arguments; i++)
		{
			op->types[i] = pgseal_type_by_oid(arguments[i]);
			op->sealed[i] = (op->types[i] != NULL);
			if (op->sealed[i])
				op->type = op->types[i];
			op->base[i] = op->sealed[i] ? op->types[i]->base->oid : arguments[i];
		}
		if (op->type == NULL)
			op->type = pgseal_type_by_base(arguments[0]);
		if (op->type == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("function %u compares no encrypted type",
							fcinfo->flinfo->fn_oid)));
		fcinfo->flinfo->fn_extra = op;
	}
	return op;
}

/* Those of a comparison, which must know how to do it */
static const Operands *
compared_operands(FunctionCallInfo fcinfo)
{
	Operands   *op = (Operands *) operands(fcinfo);

	if (op->compare != NULL)
		return op;
	if (op->base[0] != op->base[1] &&
		!pgseal_related_comparison(&op->related, op->base[0], op->base[1],
								   fcinfo->flinfo->fn_mcxt))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s cannot be compared with %s",
						format_type_be(op->base[0]), format_type_be(op->base[1]))));
	op->constraint = pgseal_constraint_caller(fcinfo->flinfo);
	op->compare = op->base[0] != op->base[1] ? &op->related : (FmgrInfo *) &op->type->compare;
	return op;
}

/* Those of a hash function, which must know who calls it */
static const Operands *
hash_operands(FunctionCallInfo fcinfo)
{
	Operands   *op = (Operands *) operands(fcinfo);

	if (!op->knows_caller)
	{
		op->caller = pgseal_hash_caller(fcinfo->flinfo, &op->relation);
		op->knows_caller = true;
	}
	return op;
}

/* The operand of a comparison as a value of the base type */
static Datum
operand(FunctionCallInfo fcinfo, const Operands *op, int i, bool *isnull)
{
	*isnull = false;
	if (!op->sealed[i])
		return PG_GETARG_DATUM(i);
	return pgseal_open_for_constraint(op->types[i], PG_GETARG_DATUM(i), op->constraint, isnull);
}

/* Less than, equal to or greater than zero; *isnull as value/seal.h */
static int32
compare(FunctionCallInfo fcinfo, bool *isnull)
{
	const Operands *op = compared_operands(fcinfo);
	Datum		left;
	Datum		right;
	int32		result;

	left = operand(fcinfo, op, 0, isnull);
	if (*isnull)
		return 0;
	right = operand(fcinfo, op, 1, isnull);
	if (*isnull)
		return 0;
	result = DatumGetInt32(FunctionCall2Coll(op->compare, PG_GET_COLLATION(), left, right));

	/* A sort calls this millions of times in one memory context */
	if (op->sealed[0] && !op->types[0]->byval)
		pfree(DatumGetPointer(left));
	if (op->sealed[1] && !op->types[1]->byval)
		pfree(DatumGetPointer(right));
	return result;
}

/* For the support functions of operator classes, which can't say NULL */
static void
report_denied(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to compare encrypted values")));
}

/*
 * NULL, or an error for C code that calls an operator itself, as array_position() and
 * EXCLUDE constraints do: that can't take NULL.  record_eq() and its like can, which
 * call what the type cache has.
 */
static Datum
no_answer(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_expr == NULL && fcinfo->flinfo->fn_mcxt != CacheMemoryContext)
		report_denied();
	PG_RETURN_NULL();
}

#define COMPARISON(name, operator) \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	bool		isnull; \
	int32		order = compare(fcinfo, &isnull); \
\
	if (isnull) \
		return no_answer(fcinfo); \
	PG_RETURN_BOOL(order operator 0); \
}

COMPARISON(pgseal_eq, ==)
COMPARISON(pgseal_ne, !=)
COMPARISON(pgseal_lt, <)
COMPARISON(pgseal_le, <=)
COMPARISON(pgseal_gt, >)
COMPARISON(pgseal_ge, >=)

/* Support function of the btree class */
Datum
pgseal_cmp(PG_FUNCTION_ARGS)
{
	bool		isnull;
	int32		order = compare(fcinfo, &isnull);

	if (isnull)
		report_denied();
	PG_RETURN_INT32(order);
}

static bool
is_destroyed(Datum sealed)
{
	PgsealEnvelope envelope;

	return pgseal_value_try_header(&envelope, sealed) &&
		pgseal_keyring_info(envelope.key_version_id)->destroyed;
}

/*
 * An index or partitions of one's own would answer guesses about values of others
 * that were put into them.  What a column of any key holds may be of any server.
 * Asked each time, as the call site lives as long as the relation cache's entry.
 */
static void
check_owner(const Operands *op, Datum sealed)
{
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;
	Oid			owner;

	if (!pgseal_value_try_header(&envelope, sealed))
		return;
	info = pgseal_keyring_info(envelope.key_version_id);
	owner = pgseal_relation_owner(op->relation);
	if (OidIsValid(info->server) && OidIsValid(owner))
		pgseal_check_owner_usage(op->relation, owner, info->server);
}

static uint64
hash_value(FunctionCallInfo fcinfo, const Operands *op, uint64 seed)
{
	bool		isnull = false;
	PgsealAccess access = op->caller == PGSEAL_HASH_QUERY ?
		PGSEAL_ACCESS_CHECKED : PGSEAL_ACCESS_INTERNAL;
	Datum		value = op->sealed[0] ?
		pgseal_value_open(op->type, PG_GETARG_DATUM(0), access, &isnull) : PG_GETARG_DATUM(0);
	PgsealKey  *key = op->caller == PGSEAL_HASH_QUERY ? pgseal_keyring_query_hash() :
		pgseal_keyring_index(PGSEAL_TYPMOD_NONE, PGSEAL_ACCESS_INTERNAL);
	uint8		prefix[1 + sizeof(uint64)];
	uint8		mac[PGSEAL_HASH_BYTES];
	uint64		hash;
	uint64		seed_be = pg_hton64(seed);
	const uint8 *data;
	size_t		len;
	uint8		buffer[8];
	void	   *allocated;

	if (isnull)
		report_denied();
	data = pgseal_type_canonical(op->type, value, PG_GET_COLLATION(), &len, buffer, &allocated);
	prefix[0] = op->type->base->code;
	memcpy(prefix + 1, &seed_be, sizeof(seed_be));
	if (!pgseal_hmac(key->hmac, mac, prefix, sizeof(prefix), data, len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute HMAC-SHA-256")));
	memcpy(&hash, mac, sizeof(hash));
	if (allocated != NULL)
	{
		pgseal_wipe((void *) data, len);
		pfree(allocated);
	}
	if (op->sealed[0] && !op->type->byval)
		pfree(DatumGetPointer(value));
	return pg_ntoh64(hash);
}

static uint64
hash_operand(FunctionCallInfo fcinfo, uint64 seed)
{
	const Operands *op = hash_operands(fcinfo);

	if (op->caller == PGSEAL_HASH_INDEX && op->sealed[0] && is_destroyed(PG_GETARG_DATUM(0)))
		return 0;
	if (op->caller != PGSEAL_HASH_QUERY && op->sealed[0])
		check_owner(op, PG_GETARG_DATUM(0));
	return hash_value(fcinfo, op, seed);
}

Datum
pgseal_hash(PG_FUNCTION_ARGS)
{
	/* The low half of the extended hash at seed 0, as hash classes must */
	PG_RETURN_INT32((int32) hash_operand(fcinfo, 0));
}

Datum
pgseal_hash_extended(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) hash_operand(fcinfo, (uint64) PG_GETARG_INT64(1)));
}
