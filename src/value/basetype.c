/*-------------------------------------------------------------------------
 *
 * basetype.c
 *	  The base types that can be sealed: a further type is a row of
 *	  base_types[] and a line of sql/install/types.txt.
 *
 * The payload of an envelope is portable between machines, major versions and
 * database encodings.  It keeps what the value holds exactly (the scale of a
 * numeric, the cidr-ness of an inet); "canonical" is where values that the
 * base type calls equal become equal bytes, for hashes and blind indexes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>
#include <sys/socket.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inet.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/secret.h"
#include "value/basetype.h"

static void canonical_text(StringInfo out, Datum value, Oid collation);
static void canonical_float4(StringInfo out, Datum value, Oid collation);
static void canonical_float8(StringInfo out, Datum value, Oid collation);
static void canonical_numeric(StringInfo out, Datum value, Oid collation);
static void canonical_interval(StringInfo out, Datum value, Oid collation);
static void canonical_inet(StringInfo out, Datum value, Oid collation);
static void canonical_jsonb(StringInfo out, Datum value, Oid collation);

static const PgsealBaseType base_types[] =
{
	{1, "text", TEXTOID, PGSEAL_PAYLOAD_TEXT, 0, canonical_text},
	{2, "bytea", BYTEAOID, PGSEAL_PAYLOAD_BYTEA, 0, NULL},
	{3, "bool", BOOLOID, PGSEAL_PAYLOAD_FIXED, 1, NULL},
	{4, "int2", INT2OID, PGSEAL_PAYLOAD_FIXED, 2, NULL},
	{5, "int4", INT4OID, PGSEAL_PAYLOAD_FIXED, 4, NULL},
	{6, "int8", INT8OID, PGSEAL_PAYLOAD_FIXED, 8, NULL},
	{7, "float4", FLOAT4OID, PGSEAL_PAYLOAD_FIXED, 4, canonical_float4},
	{8, "float8", FLOAT8OID, PGSEAL_PAYLOAD_FIXED, 8, canonical_float8},
	{9, "numeric", NUMERICOID, PGSEAL_PAYLOAD_SEND, 0, canonical_numeric},
	{10, "date", DATEOID, PGSEAL_PAYLOAD_FIXED, 4, NULL},
	{11, "time", TIMEOID, PGSEAL_PAYLOAD_FIXED, 8, NULL},
	{12, "timestamp", TIMESTAMPOID, PGSEAL_PAYLOAD_FIXED, 8, NULL},
	{13, "timestamptz", TIMESTAMPTZOID, PGSEAL_PAYLOAD_FIXED, 8, NULL},
	{14, "interval", INTERVALOID, PGSEAL_PAYLOAD_SEND, 0, canonical_interval},
	{15, "uuid", UUIDOID, PGSEAL_PAYLOAD_SEND, 0, NULL},
	{16, "inet", INETOID, PGSEAL_PAYLOAD_SEND, 0, canonical_inet},
	{17, "jsonb", JSONBOID, PGSEAL_PAYLOAD_JSON, 0, canonical_jsonb},
};

#define NUM_TYPES lengthof(base_types)

/*
 * What this backend knows of the types; types[i] belongs to base_types[i].
 * Entries are static, so pointers to them stay good; an OID is InvalidOid while
 * it isn't known.
 */
static PgsealType types[NUM_TYPES];
static bool types_valid = false;

static void
forget_types(Datum arg, int cacheid, uint32 hashvalue)
{
	types_valid = false;
}

void
pgseal_basetype_init(void)
{
	CacheRegisterSyscacheCallback(TYPEOID, forget_types, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget_types, (Datum) 0);
}

static void
load_types(void)
{
	bool		installed = OidIsValid(pgseal_extension_oid());

	/* First, so that an invalidation that arrives meanwhile isn't lost */
	types_valid = true;
	for (int i = 0; i < NUM_TYPES; i++)
	{
		char		name[NAMEDATALEN];

		snprintf(name, sizeof(name), "encrypted_%s", base_types[i].name);
		types[i].oid = installed ?
			GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
							ObjectIdGetDatum(PG_CATALOG_NAMESPACE)) : InvalidOid;
	}
}

/*
 * With what is known of the base type: facts about a built-in type never
 * change, so they are looked up once, and only in a backend that uses the type.
 */
static const PgsealType *
known_type(int i)
{
	PgsealType *type = &types[i];
	const PgsealBaseType *base = &base_types[i];
	Oid			function;
	bool		is_varlena;

	if (!OidIsValid(type->oid))
		return NULL;
	if (type->base != NULL)
		return type;
	get_typlenbyval(base->oid, &type->len, &type->byval);
	getTypeBinaryOutputInfo(base->oid, &function, &is_varlena);
	fmgr_info_cxt(function, &type->send, TopMemoryContext);
	getTypeBinaryInputInfo(base->oid, &function, &type->input_param);
	fmgr_info_cxt(function, &type->receive, TopMemoryContext);
	fmgr_info_cxt(lookup_type_cache(base->oid, TYPECACHE_CMP_PROC)->cmp_proc,
				  &type->compare, TopMemoryContext);
	getTypeInputInfo(base->oid, &function, &type->input_param);
	fmgr_info_cxt(function, &type->input, TopMemoryContext);
	type->base = base;			/* last: not after an error */
	return type;
}

/* Looked up when first needed: does this database have the types? */
static bool
have_types(void)
{
	if (!types_valid)
		load_types();
	return OidIsValid(types[0].oid);
}

const PgsealType *
pgseal_type_by_oid(Oid encrypted_type)
{
	/* Statements about built-in types alone cost no lookup */
	if (encrypted_type < FirstNormalObjectId || !have_types())
		return NULL;
	for (int i = 0; i < NUM_TYPES; i++)
		if (types[i].oid == encrypted_type)
			return known_type(i);
	return NULL;
}

const PgsealType *
pgseal_type_by_code(uint8 code)
{
	if (!have_types())
		return NULL;
	for (int i = 0; i < NUM_TYPES; i++)
		if (base_types[i].code == code)
			return known_type(i);
	return NULL;
}

const PgsealType *
pgseal_type_by_base(Oid base_type)
{
	if (!have_types())
		return NULL;
	for (int i = 0; i < NUM_TYPES; i++)
		if (base_types[i].oid == base_type)
			return known_type(i);
	return NULL;
}

/*
 * Payloads
 */

static void
write_fixed(uint8 *out, Datum value, int width)
{
	uint64		bits = 0;

	switch (width)
	{
		case 1:
			bits = DatumGetUInt8(value);
			break;
		case 2:
			bits = DatumGetUInt16(value);
			break;
		case 4:
			bits = DatumGetUInt32(value);
			break;
		case 8:
			bits = (uint64) DatumGetInt64(value);
			break;
	}
	for (int i = width - 1; i >= 0; i--, bits >>= 8)
		out[i] = (uint8) bits;
}

static Datum
read_fixed(const uint8 *payload, int width)
{
	uint64		bits = 0;

	for (int i = 0; i < width; i++)
		bits = (bits << 8) | payload[i];
	switch (width)
	{
		case 1:
			return BoolGetDatum(bits != 0);
		case 2:
			return Int16GetDatum((int16) bits);
		case 4:
			return Int32GetDatum((int32) bits);
		default:
			return Int64GetDatum((int64) bits);
	}
}

/*
 * The characters in UTF-8.  *out_allocated is set when a conversion made a
 * copy.
 */
static const uint8 *
utf8_from_server(const char *text, size_t text_len, size_t *out_len, void **out_allocated)
{
	char	   *converted;

	*out_len = text_len;
	if (GetDatabaseEncoding() == PG_UTF8 || text_len == 0)
		return (const uint8 *) text;
	converted = pg_server_to_any(text, text_len, PG_UTF8);
	if (converted != text)
	{
		*out_allocated = converted;
		*out_len = strlen(converted);
	}
	return (const uint8 *) converted;
}

const uint8 *
pgseal_type_encode(const PgsealType *type, Datum value, size_t *out_len,
				   uint8 buffer[8], void **out_allocated)
{
	const uint8 *payload = NULL;

	*out_allocated = NULL;
	switch (type->base->payload)
	{
		case PGSEAL_PAYLOAD_FIXED:
			write_fixed(buffer, value, type->base->width);
			*out_len = type->base->width;
			payload = buffer;
			break;

		case PGSEAL_PAYLOAD_TEXT:
		case PGSEAL_PAYLOAD_BYTEA:
			{
				struct varlena *packed = PG_DETOAST_DATUM_PACKED(value);

				if (packed != (struct varlena *) DatumGetPointer(value))
					*out_allocated = packed;
				payload = (uint8 *) VARDATA_ANY(packed);
				*out_len = VARSIZE_ANY_EXHDR(packed);
				if (type->base->payload == PGSEAL_PAYLOAD_TEXT)
					payload = utf8_from_server((const char *) payload, *out_len,
											   out_len, out_allocated);
				break;
			}

		case PGSEAL_PAYLOAD_JSON:
			{
				Jsonb	   *jsonb = DatumGetJsonbP(value);
				char	   *text = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));

				*out_allocated = text;
				payload = utf8_from_server(text, strlen(text), out_len, out_allocated);
				break;
			}

		case PGSEAL_PAYLOAD_SEND:
			{
				bytea	   *sent = SendFunctionCall((FmgrInfo *) &type->send, value);

				*out_allocated = sent;
				payload = (uint8 *) VARDATA(sent);
				*out_len = VARSIZE(sent) - VARHDRSZ;
				break;
			}
	}
	return payload;
}

/*
 * The characters in the server's encoding, terminated.  PostgreSQL's own conversion
 * would show those that it lacks in its error.
 */
static char *
server_from_utf8(const uint8 *payload, size_t len)
{
	int			encoding = GetDatabaseEncoding();
	size_t		room = len * MAX_CONVERSION_GROWTH + 1;
	char	   *text;

	if (encoding == PG_UTF8 || encoding == PG_SQL_ASCII)
		return pnstrdup((const char *) payload, len);
	if (room > INT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sealed value is too long for a conversion of its characters")));
	text = MemoryContextAllocHuge(CurrentMemoryContext, room);
	if (pg_do_encoding_conversion_buf(FindDefaultConversionProc(PG_UTF8, encoding), PG_UTF8,
									  encoding, (unsigned char *) payload, (int) len,
									  (unsigned char *) text, (int) room, true) != (int) len)
		ereport(ERROR,
				(errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
				 errmsg("sealed value has a character that encoding \"%s\" lacks",
						pg_encoding_to_char(encoding))));
	return text;
}

Datum
pgseal_type_decode(const PgsealType *type, const uint8 *payload, size_t len)
{
	switch (type->base->payload)
	{
		case PGSEAL_PAYLOAD_FIXED:
			if (len != type->base->width)
				break;
			return read_fixed(payload, type->base->width);

		case PGSEAL_PAYLOAD_BYTEA:
			return PointerGetDatum(cstring_to_text_with_len((const char *) payload, len));

		case PGSEAL_PAYLOAD_TEXT:
			if (GetDatabaseEncoding() != PG_UTF8 && len > 0)
				return PointerGetDatum(cstring_to_text(server_from_utf8(payload, len)));
			return PointerGetDatum(cstring_to_text_with_len((const char *) payload, len));

		case PGSEAL_PAYLOAD_JSON:
			return DirectFunctionCall1(jsonb_in, CStringGetDatum(server_from_utf8(payload, len)));

		case PGSEAL_PAYLOAD_SEND:
			{
				StringInfoData buf;
				Datum		value;

				/* Receive functions want a terminated, writable buffer */
				buf.data = palloc(len + 1);
				memcpy(buf.data, payload, len);
				buf.data[len] = '\0';
				buf.len = len;
				buf.maxlen = len + 1;
				buf.cursor = 0;
				value = ReceiveFunctionCall((FmgrInfo *) &type->receive, &buf,
											type->input_param, -1);
				pgseal_wipe(buf.data, len);
				pfree(buf.data);
				return value;
			}
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("sealed value has a payload of the wrong size")));
	return (Datum) 0;			/* not reached */
}

/*
 * Canonical forms
 */

/* Not asked for each value: a look-up of the collation costs more than a hash */
static bool
is_deterministic(Oid collation)
{
	return !OidIsValid(collation) || collation == DEFAULT_COLLATION_OID ||
		collation == C_COLLATION_OID || get_collation_isdeterministic(collation);
}

/*
 * Under a nondeterministic collation different strings may be equal.  Core's
 * own hash functions know how (by the collation's sort keys); two of 64 bits
 * with different seeds stand for the string.
 */
static void
canonical_text(StringInfo out, Datum value, Oid collation)
{
	for (int64 seed = 1; seed <= 2; seed++)
	{
		Datum		hash = DirectFunctionCall2Coll(hashtextextended, collation, value,
												   Int64GetDatum(seed));

		pq_sendint64(out, DatumGetInt64(hash));
	}
}

/* All NaNs are equal, and so are both zeroes (float8_cmp_internal). */
static void
append_float(StringInfo out, double number)
{
	uint64		bits;

	if (isnan(number))
		number = get_float8_nan();
	else if (number == 0)
		number = 0;
	memcpy(&bits, &number, sizeof(bits));
	pq_sendint64(out, bits);
}

static void
canonical_float4(StringInfo out, Datum value, Oid collation)
{
	append_float(out, DatumGetFloat4(value));
}

static void
canonical_float8(StringInfo out, Datum value, Oid collation)
{
	append_float(out, DatumGetFloat8(value));
}

/* 1.5 = 1.50: the shortest decimal form, as text. */
static void
canonical_numeric(StringInfo out, Datum value, Oid collation)
{
	Datum		trimmed = DirectFunctionCall1(numeric_trim_scale, value);

	appendStringInfoString(out, DatumGetCString(DirectFunctionCall1(numeric_out, trimmed)));
}

/* interval_cmp_value(): a month is 30 days, a day 24 hours. */
static void
canonical_interval(StringInfo out, Datum value, Oid collation)
{
	Interval   *span = DatumGetIntervalP(value);
	int64		days = (int64) span->month * DAYS_PER_MONTH + span->day +
		span->time / USECS_PER_DAY;
	int64		usecs = span->time % USECS_PER_DAY;

	if (usecs < 0)
	{
		usecs += USECS_PER_DAY;
		days -= 1;
	}
	pq_sendint64(out, days);
	pq_sendint64(out, usecs);
}

/* network_eq() looks at family, address and mask, not at inet against cidr. */
static void
canonical_inet(StringInfo out, Datum value, Oid collation)
{
	inet	   *address = DatumGetInetPP(value);

	pq_sendbyte(out, ip_family(address));
	pq_sendbyte(out, ip_bits(address));
	appendBinaryStringInfo(out, (char *) ip_addr(address), ip_addrsize(address));
}

/* Objects are sorted and without duplicates; what is left is 1.0 = 1.00. */
static void
canonical_jsonb(StringInfo out, Datum value, Oid collation)
{
	Jsonb	   *jsonb = DatumGetJsonbP(value);
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	item;

	while ((token = JsonbIteratorNext(&it, &item, false)) != WJB_DONE)
	{
		pq_sendbyte(out, token);
		if (token == WJB_BEGIN_ARRAY)
			pq_sendbyte(out, item.val.array.rawScalar);
		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;

		pq_sendbyte(out, item.type);
		switch (item.type)
		{
			case jbvString:
				{
					size_t		len;
					void	   *allocated = NULL;
					const uint8 *utf8 = utf8_from_server(item.val.string.val,
														 item.val.string.len,
														 &len, &allocated);

					pq_sendint32(out, len);
					appendBinaryStringInfo(out, (const char *) utf8, len);
					break;
				}
			case jbvNumeric:
				canonical_numeric(out, NumericGetDatum(item.val.numeric), InvalidOid);
				pq_sendbyte(out, 0);
				break;
			case jbvBool:
				pq_sendbyte(out, item.val.boolean);
				break;
			default:
				break;
		}
	}
}

const uint8 *
pgseal_type_canonical(const PgsealType *type, Datum value, Oid collation,
					  size_t *out_len, uint8 buffer[8], void **out_allocated)
{
	StringInfoData canonical;

	if (type->base->canonical == NULL ||
		(type->base->payload == PGSEAL_PAYLOAD_TEXT && is_deterministic(collation)))
		return pgseal_type_encode(type, value, out_len, buffer, out_allocated);

	initStringInfo(&canonical);
	type->base->canonical(&canonical, value, collation);
	*out_len = canonical.len;
	*out_allocated = canonical.data;
	return (uint8 *) canonical.data;
}
