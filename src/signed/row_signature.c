/*-------------------------------------------------------------------------
 *
 * row_signature.c
 *	  The type row_signature: who has signed a row, and the signature.
 *
 *	 offset	bytes
 *	 0		1	format (1 = HMAC-SHA-256, of which the first 128 bits)
 *	 1		8	key version id, big endian
 *	 9		1	which definition of the table's signed columns
 *	 10		8	counter of the row's changes, big endian
 *	 18		16	MAC
 *
 * The text form is pgsig:1: and the bytes in base64 (RFC 4648 section 4).  A
 * signature is no secret and says nothing of the row without the key.
 *
 * Signatures are compared by their bytes: SELECT DISTINCT, UNION and EXCEPT of whole
 * rows need that, and replication of tables without a key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "signed/row_signature.h"
#include "value/envelope.h"

PG_FUNCTION_INFO_V1(pgseal_signature_in);
PG_FUNCTION_INFO_V1(pgseal_signature_out);
PG_FUNCTION_INFO_V1(pgseal_signature_recv);
PG_FUNCTION_INFO_V1(pgseal_signature_send);
PG_FUNCTION_INFO_V1(pgseal_signature_eq);
PG_FUNCTION_INFO_V1(pgseal_signature_ne);
PG_FUNCTION_INFO_V1(pgseal_signature_lt);
PG_FUNCTION_INFO_V1(pgseal_signature_le);
PG_FUNCTION_INFO_V1(pgseal_signature_gt);
PG_FUNCTION_INFO_V1(pgseal_signature_ge);
PG_FUNCTION_INFO_V1(pgseal_signature_cmp);
PG_FUNCTION_INFO_V1(pgseal_signature_hash);

#define TEXT_PREFIX					"pgsig:1:"

StaticAssertDecl(sizeof(PgsealSignature) == 34, "a signature has no padding");

static int64
read_int64(const uint8 *bytes)
{
	uint64		number_be;

	memcpy(&number_be, bytes, sizeof(number_be));
	return (int64) pg_ntoh64(number_be);
}

int64
pgseal_signature_key_version(const PgsealSignature *signature)
{
	return read_int64(signature->key_version_id);
}

int64
pgseal_signature_counter(const PgsealSignature *signature)
{
	return read_int64(signature->counter);
}

Oid
pgseal_signature_type(void)
{
	if (!OidIsValid(pgseal_extension_oid()))
		return InvalidOid;
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("row_signature"),
						   ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
}

/* row_signature_in(cstring) */
Datum
pgseal_signature_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	size_t		prefix_len = strlen(TEXT_PREFIX);
	char	   *envelope_text;
	uint8	   *bytes;
	int			len = -1;

	/* The same base64 as in a sealed value */
	if (strncmp(text, TEXT_PREFIX, prefix_len) == 0)
	{
		envelope_text = psprintf("%s%s", PGSEAL_TEXT_PREFIX, text + prefix_len);
		bytes = palloc0(Max(strlen(envelope_text), sizeof(PgsealSignature)));
		len = pgseal_envelope_from_text(bytes, envelope_text);
	}
	if (len != sizeof(PgsealSignature) || bytes[0] != PGSEAL_SIGNATURE_FORMAT)
		pgseal_ereturn(fcinfo->context, (Datum) 0,
					   (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("invalid input syntax for type row_signature"),
						errdetail("A signature is made when a row is written; as input, only one that was printed is taken.")));
	PG_RETURN_POINTER(bytes);
}

/* row_signature_out(row_signature) */
Datum
pgseal_signature_out(PG_FUNCTION_ARGS)
{
	PgsealSignature *signature = DatumGetSignature(PG_GETARG_DATUM(0));
	char	   *envelope_text = palloc(pgseal_envelope_text_size(sizeof(PgsealSignature)));

	pgseal_envelope_to_text(envelope_text, (uint8 *) signature, sizeof(PgsealSignature));
	PG_RETURN_CSTRING(psprintf("%s%s", TEXT_PREFIX, envelope_text + strlen(PGSEAL_TEXT_PREFIX)));
}

/* row_signature_recv(internal) */
Datum
pgseal_signature_recv(PG_FUNCTION_ARGS)
{
	StringInfo	message = (StringInfo) PG_GETARG_POINTER(0);
	PgsealSignature *signature = palloc(sizeof(PgsealSignature));

	pq_copymsgbytes(message, (char *) signature, sizeof(PgsealSignature));
	if (signature->format != PGSEAL_SIGNATURE_FORMAT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary input for type row_signature")));
	PG_RETURN_POINTER(signature);
}

/* row_signature_send(row_signature) */
Datum
pgseal_signature_send(PG_FUNCTION_ARGS)
{
	StringInfoData message;

	pq_begintypsend(&message);
	pq_sendbytes(&message, (char *) DatumGetPointer(PG_GETARG_DATUM(0)), sizeof(PgsealSignature));
	PG_RETURN_BYTEA_P(pq_endtypsend(&message));
}

static int
compare(FunctionCallInfo fcinfo)
{
	return memcmp(DatumGetPointer(PG_GETARG_DATUM(0)), DatumGetPointer(PG_GETARG_DATUM(1)),
				  sizeof(PgsealSignature));
}

/* All of these: (row_signature, row_signature) */
Datum
pgseal_signature_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) == 0);
}

Datum
pgseal_signature_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) != 0);
}

Datum
pgseal_signature_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) < 0);
}

Datum
pgseal_signature_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) <= 0);
}

Datum
pgseal_signature_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) > 0);
}

Datum
pgseal_signature_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare(fcinfo) >= 0);
}

Datum
pgseal_signature_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare(fcinfo));
}

/* row_signature_hash(row_signature) */
Datum
pgseal_signature_hash(PG_FUNCTION_ARGS)
{
	return hash_any((unsigned char *) DatumGetPointer(PG_GETARG_DATUM(0)), sizeof(PgsealSignature));
}
