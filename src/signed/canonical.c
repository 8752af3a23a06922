/*-------------------------------------------------------------------------
 *
 * canonical.c
 *	  The bytes of a value that a row's signature covers.
 *
 * They are the same wherever and whenever the value is looked at: after a dump
 * was restored elsewhere, by another major version of PostgreSQL, under any
 * locale, time zone or client encoding.  So there is no OID, column number or
 * padding in them, and characters are UTF-8.
 *
 *	 value		N | E lp(sealed bytes) | P lp(bytes)
 *	 bytes		of a base type: those that pgseal seals (basetype.c)
 *				of an array: dimensions, then the length and lower bound of each,
 *				then each element as a value
 *				of a composite type: columns, then each as a value
 *				of any other: what the type's send function writes
 *	 lp(x)		4 bytes, the length of x, then x; all numbers are big endian
 *
 * A domain is its base type.  Types that are nothing but the OID of another
 * object have no such bytes and are refused, and so are those without a send
 * function.  Send functions of ranges call that of the subtype, so ranges of
 * arrays or composite types, in whose binary form there are OIDs, are refused.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "signed/canonical.h"
#include "value/basetype.h"

PG_FUNCTION_INFO_V1(pgseal_canonical_bytes);

typedef enum CanonicalKind
{
	CANONICAL_SEALED,
	CANONICAL_BASE,				/* one of the types that can be sealed */
	CANONICAL_SEND,
	CANONICAL_ARRAY,
	CANONICAL_ROW
} CanonicalKind;

struct PgsealCanonical
{
	CanonicalKind kind;
	Oid			type;			/* not a domain */
	const PgsealType *base;		/* BASE */
	FmgrInfo	send;			/* SEND */
	Oid			element;		/* ARRAY */
	int16		len;
	bool		byval;
	char		align;
	TupleDesc	desc;			/* ROW */
	PgsealCanonical **members;	/* ARRAY, ranges: one; ROW: by column, NULL:
								 * dropped */
	int			num_members;
};

/*
 * Types
 */

static bool
is_name_of_object(Oid type)
{
	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return true;
		default:
			return false;
	}
}

static void
refuse_type(Oid type, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("column \"%s\" of type %s cannot be signed", column, format_type_be(type)),
			 errdetail("Its values have no form that is the same in every database."),
			 errhint("Leave the column out of the list of signed columns.")));
}

static Oid
send_function(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Oid			function = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		function = ((Form_pg_type) GETSTRUCT(tuple))->typsend;
		ReleaseSysCache(tuple);
	}
	return function;
}

static PgsealCanonical *
canonical_of_row(PgsealCanonical *canonical, Oid type, int32 typmod, const char *column)
{
	canonical->kind = CANONICAL_ROW;
	canonical->desc = lookup_rowtype_tupdesc_copy(type, typmod);
	canonical->num_members = canonical->desc->natts;
	canonical->members = palloc0(Max(canonical->desc->natts, 1) * sizeof(PgsealCanonical *));
	for (int i = 0; i < canonical->desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(canonical->desc, i);

		if (!attribute->attisdropped)
			canonical->members[i] = pgseal_canonical_of_type(attribute->atttypid,
															 attribute->atttypmod, column);
	}
	return canonical;
}

static void
set_member(PgsealCanonical *canonical, PgsealCanonical *member)
{
	canonical->num_members = 1;
	canonical->members = palloc(sizeof(PgsealCanonical *));
	canonical->members[0] = member;
}

static PgsealCanonical *
canonical_of_range(PgsealCanonical *canonical, Oid type, const char *column)
{
	Oid			range = get_typtype(type) == TYPTYPE_MULTIRANGE ?
		get_multirange_range(type) : type;
	PgsealCanonical *subtype = pgseal_canonical_of_type(get_range_subtype(range), -1, column);

	if (subtype->kind != CANONICAL_BASE && subtype->kind != CANONICAL_SEND)
		refuse_type(type, column);
	set_member(canonical, subtype);
	canonical->kind = CANONICAL_SEND;
	fmgr_info(send_function(type), &canonical->send);
	return canonical;
}

PgsealCanonical *
pgseal_canonical_of_type(Oid type, int32 typmod, const char *column)
{
	PgsealCanonical *canonical = palloc0(sizeof(PgsealCanonical));
	Oid			element;

	type = getBaseTypeAndTypmod(type, &typmod);
	canonical->type = type;
	if (pgseal_type_by_oid(type) != NULL)
	{
		canonical->kind = CANONICAL_SEALED;
		return canonical;
	}
	/* The same bytes in memory, and characters */
	canonical->base = pgseal_type_by_base(type == VARCHAROID || type == BPCHAROID ? TEXTOID : type);
	if (canonical->base != NULL)
	{
		canonical->kind = CANONICAL_BASE;
		return canonical;
	}
	element = get_element_type(type);
	if (OidIsValid(element))
	{
		canonical->kind = CANONICAL_ARRAY;
		canonical->element = element;
		get_typlenbyvalalign(element, &canonical->len, &canonical->byval, &canonical->align);
		set_member(canonical, pgseal_canonical_of_type(element, typmod, column));
		return canonical;
	}
	if (get_typtype(type) == TYPTYPE_COMPOSITE)
		return canonical_of_row(canonical, type, typmod, column);
	if (get_typtype(type) == TYPTYPE_RANGE || get_typtype(type) == TYPTYPE_MULTIRANGE)
		return canonical_of_range(canonical, type, column);
	if (is_name_of_object(type) || get_typtype(type) == TYPTYPE_PSEUDO ||
		!OidIsValid(send_function(type)))
		refuse_type(type, column);
	canonical->kind = CANONICAL_SEND;
	fmgr_info(send_function(type), &canonical->send);
	return canonical;
}

bool
pgseal_canonical_uses(const PgsealCanonical *canonical, Oid type)
{
	if (canonical->type == type)
		return true;
	for (int i = 0; i < canonical->num_members; i++)
		if (canonical->members[i] != NULL && pgseal_canonical_uses(canonical->members[i], type))
			return true;
	return false;
}

/*
 * Values
 */

static void
append_number(StringInfo out, uint32 number)
{
	uint32		number_be = pg_hton32(number);

	appendBinaryStringInfo(out, (const char *) &number_be, sizeof(number_be));
}

/* A length of 4 bytes, big endian, and the bytes */
static void
append_bytes(StringInfo out, const void *bytes, size_t len)
{
	append_number(out, (uint32) len);
	appendBinaryStringInfo(out, bytes, (int) len);
}

void
pgseal_canonical_append_name(StringInfo out, const char *name)
{
	char	   *utf8 = GetDatabaseEncoding() == PG_SQL_ASCII ? unconstify(char *, name) :
		pg_server_to_any(name, strlen(name), PG_UTF8);

	append_bytes(out, utf8, strlen(utf8));
}

/* Its characters go to the client in the client's encoding, so that is UTF-8 meanwhile */
static bytea *
send_value(FmgrInfo *send, Datum value)
{
	int			encoding = pg_get_client_encoding();
	int			wanted = GetDatabaseEncoding() == PG_SQL_ASCII ? PG_SQL_ASCII : PG_UTF8;
	bytea	   *sent = NULL;

	if (encoding == wanted)
		return SendFunctionCall(send, value);
	if (PrepareClientEncoding(wanted) < 0 || SetClientEncoding(wanted) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("characters cannot be converted to UTF-8")));
	PG_TRY();
	{
		sent = SendFunctionCall(send, value);
	}
	PG_FINALLY();
	{
		(void) SetClientEncoding(encoding);
	}
	PG_END_TRY();
	return sent;
}

static void
append_base(StringInfo out, const PgsealType *base, Datum value)
{
	uint8		buffer[8];
	void	   *allocated;
	size_t		len;
	const uint8 *bytes = pgseal_type_encode(base, value, &len, buffer, &allocated);

	append_bytes(out, bytes, len);
	if (allocated != NULL)
		pfree(allocated);
}

static void
append_varlena(StringInfo out, struct varlena *value)
{
	struct varlena *whole = PG_DETOAST_DATUM_PACKED(PointerGetDatum(value));

	append_bytes(out, VARDATA_ANY(whole), VARSIZE_ANY_EXHDR(whole));
	if (whole != value)
		pfree(whole);
}

static void
append_array(StringInfo out, PgsealCanonical *canonical, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;
	bool	   *nulls;
	int			num;

	append_number(out, ARR_NDIM(array));
	for (int i = 0; i < ARR_NDIM(array); i++)
	{
		append_number(out, ARR_DIMS(array)[i]);
		append_number(out, ARR_LBOUND(array)[i]);
	}
	deconstruct_array(array, canonical->element, canonical->len, canonical->byval,
					  canonical->align, &elements, &nulls, &num);
	for (int i = 0; i < num; i++)
		pgseal_canonical_append(out, canonical->members[0], elements[i], nulls[i]);
}

static void
append_row(StringInfo out, PgsealCanonical *canonical, Datum value)
{
	TupleDesc	desc = canonical->desc;
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_data = header, .t_len = HeapTupleHeaderGetDatumLength(header)};
	Datum	   *columns = palloc(desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(desc->natts * sizeof(bool));
	int			num = 0;

	heap_deform_tuple(&tuple, desc, columns, nulls);
	for (int i = 0; i < desc->natts; i++)
		if (canonical->members[i] != NULL)
			num++;
	append_number(out, num);
	for (int i = 0; i < desc->natts; i++)
		if (canonical->members[i] != NULL)
			pgseal_canonical_append(out, canonical->members[i], columns[i], nulls[i]);
}

/* Bytes whose length is known only when they are there */
static void
append_nested(StringInfo out, PgsealCanonical *canonical, Datum value)
{
	int			begin = out->len;
	uint32		len_be;

	append_number(out, 0);
	if (canonical->kind == CANONICAL_ARRAY)
		append_array(out, canonical, value);
	else
		append_row(out, canonical, value);
	len_be = pg_hton32((uint32) (out->len - begin - sizeof(len_be)));
	memcpy(out->data + begin, &len_be, sizeof(len_be));
}

void
pgseal_canonical_append(StringInfo out, PgsealCanonical *canonical, Datum value, bool isnull)
{
	if (isnull)
	{
		appendStringInfoChar(out, 'N');
		return;
	}
	appendStringInfoChar(out, canonical->kind == CANONICAL_SEALED ? 'E' : 'P');
	switch (canonical->kind)
	{
		case CANONICAL_SEALED:
			append_varlena(out, (struct varlena *) DatumGetPointer(value));
			break;
		case CANONICAL_BASE:
			append_base(out, canonical->base, value);
			break;
		case CANONICAL_SEND:
			append_varlena(out, (struct varlena *) send_value(&canonical->send, value));
			break;
		case CANONICAL_ARRAY:
		case CANONICAL_ROW:
			append_nested(out, canonical, value);
			break;
	}
}

/* canonical_bytes(anyelement) → bytea, for those who compute signatures elsewhere */
Datum
pgseal_canonical_bytes(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	StringInfoData out;
	bytea	   *result;

	initStringInfo(&out);
	pgseal_canonical_append(&out, pgseal_canonical_of_type(type, -1, "value"),
							PG_GETARG_DATUM(0), PG_ARGISNULL(0));
	result = palloc(VARHDRSZ + out.len);
	SET_VARSIZE(result, VARHDRSZ + out.len);
	memcpy(VARDATA(result), out.data, out.len);
	PG_RETURN_BYTEA_P(result);
}
