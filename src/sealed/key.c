/*-------------------------------------------------------------------------
 *
 * key.c
 *	  A row's values as the bytes of a key of a sealed index, and their order.
 *
 * The order is that of the base type under the index's collation, whatever the
 * value: what has a fixed size is stored so that memcmp() gives it, characters
 * are compared by the collation, the rest by the base type's own function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "base/compat.h"
#include "sealed/access.h"
#include "sealed/sealed.h"
#include "sealed/terms.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_sealed_pattern_cmp);
PG_FUNCTION_INFO_V1(pgseal_sealed_trigrams);
PG_FUNCTION_INFO_V1(pgseal_sealed_paths);

/* A key of at most this length is decoded on the stack */
#define SMALL_KEY_BYTES		1536

/* A value by its bytes, aligned, with room for a varlena's header */
typedef union ValueBuffer
{
	int64		align;
	char		bytes[VARHDRSZ + SMALL_KEY_BYTES];
} ValueBuffer;

/* Support function of sealed_text_pattern_ops: the order of bytes */
Datum
pgseal_sealed_pattern_cmp(PG_FUNCTION_ARGS)
{
	bool		isnull[2];
	const PgsealType *type = pgseal_type_by_base(TEXTOID);
	Datum		values[2];

	for (int i = 0; i < 2; i++)
	{
		values[i] = pgseal_value_open(type, PG_GETARG_DATUM(i), PGSEAL_ACCESS_CHECKED, &isnull[i]);
		if (isnull[i])
			PG_RETURN_NULL();
	}
	PG_RETURN_DATUM(DirectFunctionCall2(bttext_pattern_cmp, values[0], values[1]));
}

/* Support functions of classes of terms: by them one knows what a column holds */
Datum
pgseal_sealed_trigrams(PG_FUNCTION_ARGS)
{
	PG_RETURN_VOID();
}

Datum
pgseal_sealed_paths(PG_FUNCTION_ARGS)
{
	PG_RETURN_VOID();
}

static PgsealSealedTerms
terms_of_class(Relation index, int column)
{
	if (!OidIsValid(index_getprocid(index, column + 1, PGSEAL_SEALED_TERMS_PROC)))
		return PGSEAL_SEALED_WHOLE;
	return index_getprocinfo(index, column + 1, PGSEAL_SEALED_TERMS_PROC)->fn_addr == pgseal_sealed_paths ?
		PGSEAL_SEALED_PATHS : PGSEAL_SEALED_TRIGRAMS;
}

bool
pgseal_sealed_is_ordered(Relation index)
{
	return terms_of_class(index, 0) == PGSEAL_SEALED_WHOLE;
}

bool
pgseal_sealed_is_for_patterns(Relation index)
{
	return pgseal_sealed_is_ordered(index) &&
		index_getprocinfo(index, 1, PGSEAL_SEALED_COMPARE_PROC)->fn_addr == pgseal_sealed_pattern_cmp;
}

void
pgseal_sealed_describe_column(PgsealSealedColumn *out_column, Relation index, int column)
{
	Oid			input = index->rd_opcintype[column];
	int16		option = index->rd_indoption[column];
	const PgsealType *type = pgseal_type_by_oid(input);
	bool		is_pattern;

	out_column->encrypted = (type != NULL);
	if (type == NULL)
		type = pgseal_type_by_base(input);
	if (type == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a sealed index has no columns of type %s", format_type_be(input))));
	out_column->type = type;
	out_column->collation = index->rd_indcollation[column];
	out_column->descending = (option & INDOPTION_DESC) != 0;
	out_column->nulls_first = (option & INDOPTION_NULLS_FIRST) != 0;
	out_column->terms = terms_of_class(index, column);
	is_pattern = out_column->terms == PGSEAL_SEALED_TRIGRAMS ||
		(out_column->terms == PGSEAL_SEALED_WHOLE &&
		 index_getprocinfo(index, column + 1, PGSEAL_SEALED_COMPARE_PROC)->fn_addr == pgseal_sealed_pattern_cmp);
	if (is_pattern && OidIsValid(out_column->collation) &&
		!get_collation_isdeterministic(out_column->collation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a sealed index for patterns cannot have a nondeterministic collation")));
	if (out_column->terms != PGSEAL_SEALED_WHOLE)
		out_column->order = PGSEAL_SEALED_BY_BYTES;
	else if (type->base->payload == PGSEAL_PAYLOAD_TEXT)
		out_column->order = is_pattern || out_column->collation == C_COLLATION_OID ?
			PGSEAL_SEALED_BY_BYTES : PGSEAL_SEALED_BY_COLLATION;
	else if (type->base->payload == PGSEAL_PAYLOAD_SEND && type->base->oid != UUIDOID)
		out_column->order = PGSEAL_SEALED_BY_FUNCTION;
	else
		out_column->order = PGSEAL_SEALED_BY_BYTES;
}

/*
 * Values as bytes
 */

static bool
is_signed(const PgsealType *type)
{
	return type->base->oid != BOOLOID;
}

static bool
is_float(const PgsealType *type)
{
	return type->base->oid == FLOAT4OID || type->base->oid == FLOAT8OID;
}

/* Bytes of a fixed-width value from its big-endian ones, and back: memcmp() sorts them. */
static void
make_sortable(const PgsealType *type, uint8 *bytes)
{
	int			width = type->base->width;

	if (is_float(type) && (bytes[0] & 0x80) != 0)
		for (int i = 0; i < width; i++)
			bytes[i] = ~bytes[i];
	else if (is_signed(type))
		bytes[0] ^= 0x80;
}

static void
undo_sortable(const PgsealType *type, uint8 *bytes)
{
	int			width = type->base->width;

	if (is_float(type) && (bytes[0] & 0x80) == 0)
		for (int i = 0; i < width; i++)
			bytes[i] = ~bytes[i];
	else if (is_signed(type))
		bytes[0] ^= 0x80;
}

/* All zeroes are equal, and so are all NaN (float8_cmp_internal) */
static Datum
one_float(const PgsealType *type, Datum value)
{
	if (type->base->oid == FLOAT4OID)
	{
		float4		number = DatumGetFloat4(value);

		return Float4GetDatum(isnan(number) ? get_float4_nan() : number == 0 ? 0 : number);
	}
	if (type->base->oid == FLOAT8OID)
	{
		float8		number = DatumGetFloat8(value);

		return Float8GetDatum(isnan(number) ? get_float8_nan() : number == 0 ? 0 : number);
	}
	return value;
}

/*
 * Appends the bytes of a value of the base type.
 */
static void
append_value(StringInfo out, const PgsealSealedColumn *column, Datum value)
{
	const PgsealType *type = column->type;

	if (type->base->payload == PGSEAL_PAYLOAD_FIXED)
	{
		uint8		buffer[8];
		size_t		len;
		void	   *allocated;

		(void) pgseal_type_encode(type, one_float(type, value), &len, buffer, &allocated);
		make_sortable(type, buffer);
		appendBinaryStringInfo(out, (char *) buffer, len);
	}
	else if (type->len > 0)
		appendBinaryStringInfo(out, DatumGetPointer(value), type->len);
	else
	{
		struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);

		appendBinaryStringInfo(out, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
		if (packed != (struct varlena *) DatumGetPointer(value))
		{
			pgseal_wipe(packed, VARSIZE_ANY(packed));
			pfree(packed);
		}
	}
}

/* The value of the base type that bytes of a key stand for; in buffer, or palloc'd */
static Datum
read_value(const PgsealSealedColumn *column, const uint8 *bytes, int len, ValueBuffer *buffer)
{
	const PgsealType *type = column->type;

	if (type->base->payload == PGSEAL_PAYLOAD_FIXED)
	{
		uint8		fixed[8];

		memcpy(fixed, bytes, len);
		undo_sortable(type, fixed);
		return pgseal_type_decode(type, fixed, len);
	}
	else
	{
		char	   *start = len <= SMALL_KEY_BYTES ? buffer->bytes : palloc(VARHDRSZ + len);

		if (type->len > 0)
			memcpy(start, bytes, len);
		else
		{
			SET_VARSIZE(start, VARHDRSZ + len);
			memcpy(start + VARHDRSZ, bytes, len);
		}
		return PointerGetDatum(start);
	}
}

/*
 * Keys
 */

static void
append_len(StringInfo out, uint32 len)
{
	for (; len >= 0x80; len >>= 7)
		appendStringInfoCharMacro(out, (char) (0x80 | (len & 0x7F)));
	appendStringInfoCharMacro(out, (char) len);
}

int
pgseal_sealed_next_column(const uint8 **key)
{
	const uint8 *p = *key;
	uint32		len = 0;
	int			shift = 0;

	for (; (*p & 0x80) != 0 && shift < 28; shift += 7)
		len |= (uint32) (*p++ & 0x7F) << shift;
	len |= (uint32) *p++ << shift;
	*key = p;
	return (int) len - 1;
}

int
pgseal_sealed_key_len(const PgsealSealedIndex *index, const uint8 *key)
{
	const uint8 *p = key;

	for (int i = 0; i < index->num_columns; i++)
	{
		int			len = pgseal_sealed_next_column(&p);

		if (len > 0)
			p += len;
	}
	return p - key;
}

/* A row must stay one that can be updated and restored when a value's key is gone. */
static bool
is_destroyed(Datum sealed)
{
	PgsealEnvelope envelope;

	return pgseal_value_try_header(&envelope, sealed) &&
		pgseal_keyring_info(envelope.key_version_id)->destroyed;
}

/* Opens a value; false when its key was destroyed */
static bool
open_value(const PgsealSealedColumn *column, Datum *value)
{
	bool		denied;

	if (!column->encrypted)
		return true;
	if (is_destroyed(*value))
		return false;
	*value = pgseal_value_open(column->type, *value, PGSEAL_ACCESS_INTERNAL, &denied);
	return true;
}

static void
wipe_opened(const PgsealSealedColumn *column, Datum value)
{
	if (!column->encrypted || column->type->len != -1)
		return;
	pgseal_wipe(DatumGetPointer(value), VARSIZE_ANY(DatumGetPointer(value)));
	pfree(DatumGetPointer(value));
}

/* The keys of all terms of the value */
static bool
encode_terms(StringInfo out_key, const PgsealSealedColumn *column, Datum value, bool isnull)
{
	PgsealTerms terms = {0};

	if (isnull)
	{
		append_len(out_key, 0);
		return true;
	}
	if (!open_value(column, &value))
		return false;
	pgseal_terms_of_value(&terms, column, value);
	wipe_opened(column, value);
	for (int i = 0; i < terms.num; i++)
		pgseal_term_key(out_key, terms.terms[i]);
	pgseal_wipe(terms.terms, sizeof(uint32) * terms.max);
	pfree(terms.terms);
	return true;
}

bool
pgseal_sealed_encode_value(StringInfo out, const PgsealSealedColumn *column, Datum value)
{
	if (!open_value(column, &value))
		return false;
	append_value(out, column, value);
	wipe_opened(column, value);
	return true;
}

bool
pgseal_sealed_encode(StringInfo out_key, const PgsealSealedIndex *index, Relation relation,
					 const Datum *values, const bool *isnull)
{
	if (index->columns[0].terms != PGSEAL_SEALED_WHOLE)
		return encode_terms(out_key, &index->columns[0], values[0], isnull[0]);
	for (int i = 0; i < index->num_columns; i++)
	{
		StringInfoData bytes;

		if (isnull[i])
		{
			append_len(out_key, 0);
			continue;
		}
		initStringInfo(&bytes);
		if (!pgseal_sealed_encode_value(&bytes, &index->columns[i], values[i]))
			return false;
		append_len(out_key, bytes.len + 1);
		appendBinaryStringInfo(out_key, bytes.data, bytes.len);
		pgseal_wipe(bytes.data, bytes.len);
		pfree(bytes.data);
	}
	if (out_key->len > index->max_key_bytes)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %d bytes is too long for sealed index \"%s\" (at most %d)",
						out_key->len, RelationGetRelationName(relation), index->max_key_bytes),
				 index->slots > 1 ?
				 errhint("Make it WITH (node_size = 8192), or use blind_index() for equality.") :
				 errhint("Use blind_index() for equality, sealed_trgm_ops for patterns.")));
	return true;
}

/*
 * Order
 */

static int
compare_bytes(const uint8 *a, int a_len, const uint8 *b, int b_len)
{
	int			order = memcmp(a, b, Min(a_len, b_len));

	return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

int
pgseal_sealed_compare_values(const PgsealSealedColumn *column, const uint8 *a, int a_len,
							 const uint8 *b, int b_len)
{
	ValueBuffer a_buffer;
	ValueBuffer b_buffer;

	switch (column->order)
	{
		case PGSEAL_SEALED_BY_BYTES:
			return compare_bytes(a, a_len, b, b_len);
		case PGSEAL_SEALED_BY_COLLATION:
			return varstr_cmp((const char *) a, a_len, (const char *) b, b_len,
							  column->collation);
		case PGSEAL_SEALED_BY_FUNCTION:
			return DatumGetInt32(FunctionCall2Coll((FmgrInfo *) &column->type->compare,
												   column->collation,
												   read_value(column, a, a_len, &a_buffer),
												   read_value(column, b, b_len, &b_buffer)));
	}
	return 0;
}

static inline int
order_of_nulls(const PgsealSealedColumn *column, bool a_isnull, bool b_isnull)
{
	if (a_isnull == b_isnull)
		return 0;
	return a_isnull == column->nulls_first ? -1 : 1;
}

int
pgseal_sealed_compare(const PgsealSealedIndex *index, const uint8 *a, uint64 a_tid,
					  const uint8 *b, uint64 b_tid)
{
	for (int i = 0; i < index->num_columns; i++)
	{
		const PgsealSealedColumn *column = &index->columns[i];
		int			a_len = pgseal_sealed_next_column(&a);
		int			b_len = pgseal_sealed_next_column(&b);
		int			order;

		if (a_len < 0 || b_len < 0)
			order = order_of_nulls(column, a_len < 0, b_len < 0);
		else
		{
			order = pgseal_sealed_compare_values(column, a, a_len, b, b_len);
			if (column->descending)
				order = (order < 0) - (order > 0);
		}
		if (order != 0)
			return order;
		a += Max(a_len, 0);
		b += Max(b_len, 0);
	}
	return (a_tid > b_tid) - (a_tid < b_tid);
}

void
pgseal_sealed_make_probe(PgsealSealedProbe *out_probe, const PgsealSealedColumn *column,
						 Datum value)
{
	StringInfoData bytes;

	memset(out_probe, 0, sizeof(*out_probe));
	out_probe->value = value;
	if (column->order == PGSEAL_SEALED_BY_FUNCTION)
		return;
	initStringInfo(&bytes);
	append_value(&bytes, column, value);
	out_probe->bytes = (uint8 *) bytes.data;
	out_probe->len = bytes.len;
}

int
pgseal_sealed_compare_probe(const PgsealSealedColumn *column, const uint8 *bytes, int len,
							const PgsealSealedProbe *probe)
{
	ValueBuffer buffer;
	int			order;

	if (len < 0 || probe->isnull)
		return order_of_nulls(column, len < 0, probe->isnull);
	if (probe->bytes != NULL && column->order == PGSEAL_SEALED_BY_COLLATION)
		order = varstr_cmp((const char *) bytes, len, (const char *) probe->bytes, probe->len,
						   column->collation);
	else if (probe->bytes != NULL)
		order = compare_bytes(bytes, probe->is_prefix ? Min(len, probe->len) : len,
							  probe->bytes, probe->len);
	else
		order = DatumGetInt32(FunctionCall2Coll(probe->cross != NULL ? probe->cross :
												(FmgrInfo *) &column->type->compare,
												column->collation,
												read_value(column, bytes, len, &buffer),
												probe->value));
	return column->descending ? (order < 0) - (order > 0) : order;
}

int
pgseal_sealed_compare_bound(const PgsealSealedIndex *index, const uint8 *key,
							const PgsealSealedBound *bound)
{
	for (int i = 0; i < bound->num_columns; i++)
	{
		int			len = pgseal_sealed_next_column(&key);
		int			order = pgseal_sealed_compare_probe(&index->columns[i], key, len,
														&bound->probes[i]);

		if (order != 0)
			return order;
		key += Max(len, 0);
	}
	return -bound->side;
}
