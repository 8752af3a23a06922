/*-------------------------------------------------------------------------
 *
 * seal.c
 *	  Datum to sealed value and back.
 *
 * Brings together the base type (which bytes), the keyring (which key) and
 * the envelope (how they lie).  Opened bytes live in the result or in a buffer
 * that is wiped; no message ever holds a value.
 *
 * Resealing opens a value without asking for the privilege, so that a role
 * that only writes can store a literal, which is sealed under the default key
 * before its column is known.  It must not be a way around the privilege
 * either: from another server than the target's, it takes USAGE there.  So it
 * does to the default key, from where anybody may go on to a server of theirs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_lzcompress.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "tcop/pquery.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/settings.h"
#include "value/seal.h"

/* TOAST would start to compress here (TOAST_TUPLE_TARGET, about 2 kB) */
#define COMPRESS_FROM_BYTES		2000

/* A compressed payload: four bytes of raw size, big endian, then pglz */
#define COMPRESSED_HEADER_BYTES 4

/* Opened payloads up to this size need no palloc */
#define SMALL_PAYLOAD_BYTES		256

bool		pgseal_value_opened = false;

/* What isn't all right is an error, or false if escontext takes it */
static bool
check_status(PgsealEnvelopeStatus status, int sqlstate_malformed, Node *escontext)
{
	switch (status)
	{
		case PGSEAL_ENVELOPE_OK:
			break;
		case PGSEAL_ENVELOPE_TRUNCATED:
			pgseal_ereturn(escontext, false,
						   (errcode(sqlstate_malformed),
							errmsg("malformed sealed value")));
		case PGSEAL_ENVELOPE_UNKNOWN_FORMAT:
		case PGSEAL_ENVELOPE_UNKNOWN_FLAG:
			pgseal_ereturn(escontext, false,
						   (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("sealed value has a format that this version of pgseal does not know")));
		case PGSEAL_ENVELOPE_NOT_AUTHENTIC:
			pgseal_ereturn(escontext, false,
						   (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("sealed value failed authentication")));
	}
	return true;
}

static void
report_status(PgsealEnvelopeStatus status, int sqlstate_malformed)
{
	(void) check_status(status, sqlstate_malformed, NULL);
}

static bool
check_type(const PgsealType *type, const PgsealEnvelope *envelope, Node *escontext)
{
	const PgsealType *sealed_type;

	if (envelope->type_code == type->base->code)
		return true;
	sealed_type = pgseal_type_by_code(envelope->type_code);
	if (sealed_type != NULL)
		pgseal_ereturn(escontext, false,
					   (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("sealed value is of type encrypted_%s, not encrypted_%s",
							   sealed_type->base->name, type->base->name)));
	pgseal_ereturn(escontext, false,
				   (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("sealed value is of a type that this version of pgseal does not know")));
}

bool
pgseal_value_check(const PgsealType *type, const uint8 *bytes, size_t len, int sqlstate,
				   Node *escontext)
{
	PgsealEnvelope envelope;

	return check_status(pgseal_envelope_parse(&envelope, bytes, len), sqlstate, escontext) &&
		check_type(type, &envelope, escontext);
}

static PgsealEnvelopeStatus
parse_header(PgsealEnvelope *out_envelope, Datum sealed)
{
	struct varlena *start = (struct varlena *) DatumGetPointer(sealed);
	PgsealEnvelopeStatus status;

	/* All that a valid value is at least; parse() wants to see the tag's room */
	if (VARATT_IS_EXTERNAL(start) || VARATT_IS_COMPRESSED(start))
		start = PG_DETOAST_DATUM_SLICE(sealed, 0, PGSEAL_ENVELOPE_OVERHEAD);
	status = pgseal_envelope_parse(out_envelope, (uint8 *) VARDATA_ANY(start),
								   VARSIZE_ANY_EXHDR(start));
	if (start != (struct varlena *) DatumGetPointer(sealed))
		pfree(start);
	return status;
}

void
pgseal_value_header(PgsealEnvelope *out_envelope, Datum sealed)
{
	report_status(parse_header(out_envelope, sealed), ERRCODE_DATA_CORRUPTED);
}

bool
pgseal_value_try_header(PgsealEnvelope *out_envelope, Datum sealed)
{
	return parse_header(out_envelope, sealed) == PGSEAL_ENVELOPE_OK;
}

/*
 * Sealing
 */

/*
 * A column of any key takes values that were sealed under one.  The default key
 * doesn't count: destroying a person's key must erase all that is theirs.
 */
static void
report_keyless(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("value for a column of any key must be sealed under one"),
			 errhint("Use pgseal.seal(value, key).")));
}

/* NULL when it would not get smaller.  The caller wipes and frees. */
static uint8 *
compress_payload(const uint8 *payload, size_t len, size_t *out_len)
{
	uint8	   *compressed;
	uint32		raw_be = pg_hton32((uint32) len);
	int32		n;

	if (!pgseal_compression || len < COMPRESS_FROM_BYTES || len > MaxAllocSize / 2)
		return NULL;
	compressed = palloc(COMPRESSED_HEADER_BYTES + PGLZ_MAX_OUTPUT(len));
	n = pglz_compress((const char *) payload, (int32) len,
					  (char *) compressed + COMPRESSED_HEADER_BYTES, PGLZ_strategy_default);
	if (n < 0)
	{
		pfree(compressed);
		return NULL;
	}
	memcpy(compressed, &raw_be, sizeof(raw_be));
	*out_len = COMPRESSED_HEADER_BYTES + n;
	return compressed;
}

static struct varlena *
seal_payload(const PgsealType *type, const uint8 *payload, size_t len, int32 typmod)
{
	PgsealKey  *key;
	PgsealEnvelope envelope;
	uint8	   *compressed;
	struct varlena *result;
	bool		sealed;

	if (typmod == PGSEAL_TYPMOD_ANY)
		report_keyless();
	key = pgseal_keyring_seal(typmod);
	compressed = compress_payload(payload, len, &len);
	if (len > MaxAllocSize - VARHDRSZ - PGSEAL_ENVELOPE_OVERHEAD)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value is too large to be sealed")));

	envelope.type_code = type->base->code;
	envelope.compressed = (compressed != NULL);
	envelope.key_version_id = key->id;
	result = palloc(VARHDRSZ + PGSEAL_ENVELOPE_OVERHEAD + len);
	SET_VARSIZE(result, VARHDRSZ + PGSEAL_ENVELOPE_OVERHEAD + len);
	sealed = pgseal_envelope_seal(key->aead, (uint8 *) VARDATA(result), &envelope,
								  compressed ? compressed : payload, len);
	if (compressed != NULL)
	{
		pgseal_wipe(compressed, len);
		pfree(compressed);
	}
	if (!sealed)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not seal value")));
	return result;
}

struct varlena *
pgseal_value_seal(const PgsealType *type, Datum value, int32 typmod)
{
	uint8		buffer[8];
	void	   *allocated;
	size_t		len;
	const uint8 *payload = pgseal_type_encode(type, value, &len, buffer, &allocated);
	struct varlena *sealed = seal_payload(type, payload, len, typmod);

	if (allocated != NULL)
	{
		pgseal_wipe((void *) payload, len);
		pfree(allocated);
	}
	return sealed;
}

struct varlena *
pgseal_value_seal_chars(const PgsealType *type, const char *chars, size_t len, int32 typmod)
{
	char	   *utf8 = (char *) chars;
	struct varlena *sealed;

	if (GetDatabaseEncoding() != PG_UTF8 && len > 0)
	{
		utf8 = pg_server_to_any(chars, len, PG_UTF8);
		if (utf8 != chars)
			len = strlen(utf8);
	}
	sealed = seal_payload(type, (uint8 *) utf8, len, typmod);
	if (utf8 != chars)
	{
		pgseal_wipe(utf8, len);
		pfree(utf8);
	}
	return sealed;
}

/*
 * Opening
 */

/* The value of an opened, compressed payload */
static Datum
decode_compressed(const PgsealType *type, const uint8 *payload, size_t len)
{
	uint32		raw_be;
	size_t		raw_len;
	uint8	   *raw;
	Datum		value;

	if (len < COMPRESSED_HEADER_BYTES)
		report_status(PGSEAL_ENVELOPE_TRUNCATED, ERRCODE_DATA_CORRUPTED);
	memcpy(&raw_be, payload, sizeof(raw_be));
	raw_len = pg_ntoh32(raw_be);
	raw = palloc(raw_len);
	if (pglz_decompress((const char *) payload + COMPRESSED_HEADER_BYTES,
						len - COMPRESSED_HEADER_BYTES, (char *) raw, raw_len, true) != raw_len)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("sealed value could not be decompressed")));
	value = pgseal_type_decode(type, raw, raw_len);
	pgseal_wipe(raw, raw_len);
	pfree(raw);
	return value;
}

/* Are the opened bytes the inside of the result's varlena, as they are? */
static inline bool
payload_is_varlena(const PgsealType *type)
{
	return type->base->payload == PGSEAL_PAYLOAD_BYTEA ||
		(type->base->payload == PGSEAL_PAYLOAD_TEXT && GetDatabaseEncoding() == PG_UTF8);
}

static Datum
open_envelope(const PgsealType *type, PgsealKey *key, const PgsealEnvelope *envelope,
			  const uint8 *bytes, size_t len)
{
	size_t		payload_len = len - PGSEAL_ENVELOPE_OVERHEAD;
	uint8		small[SMALL_PAYLOAD_BYTES];
	uint8	   *payload = small;
	Datum		value;

	if (payload_is_varlena(type) && !envelope->compressed)
	{
		struct varlena *result = palloc(VARHDRSZ + payload_len);

		SET_VARSIZE(result, VARHDRSZ + payload_len);
		report_status(pgseal_envelope_open(key->aead, (uint8 *) VARDATA(result), bytes, len),
					  ERRCODE_DATA_CORRUPTED);
		return PointerGetDatum(result);
	}

	if (payload_len > sizeof(small))
		payload = palloc(payload_len);
	report_status(pgseal_envelope_open(key->aead, payload, bytes, len), ERRCODE_DATA_CORRUPTED);
	value = envelope->compressed ?
		decode_compressed(type, payload, payload_len) :
		pgseal_type_decode(type, payload, payload_len);
	pgseal_wipe(payload, payload_len);
	if (payload != small)
		pfree(payload);
	return value;
}

Datum
pgseal_value_open(const PgsealType *type, Datum sealed, PgsealAccess access, bool *out_isnull)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(sealed);
	const uint8 *bytes = (uint8 *) VARDATA_ANY(packed);
	size_t		len = VARSIZE_ANY_EXHDR(packed);
	PgsealEnvelope envelope;
	PgsealKey  *key;
	Datum		value = (Datum) 0;

	report_status(pgseal_envelope_parse(&envelope, bytes, len), ERRCODE_DATA_CORRUPTED);
	(void) check_type(type, &envelope, NULL);
	key = pgseal_keyring_open(envelope.key_version_id, access);
	*out_isnull = (key == NULL);
	if (key != NULL)
	{
		pgseal_value_opened = true;
		value = open_envelope(type, key, &envelope, bytes, len);
	}
	if (packed != (struct varlena *) DatumGetPointer(sealed))
		pfree(packed);
	return value;
}

/*
 * Resealing
 */

/* Sealed on its way, by the default key or one of this backend's own? */
static bool
is_on_its_way(const PgsealKeyInfo *info)
{
	static int32 default_hash = 0;

	if (default_hash == 0)
		default_hash = pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY);
	return info->ephemeral || info->key_hash == default_hash;
}

static void
check_reseal(const PgsealKeyInfo *source, int32 typmod)
{
	Oid			server = source->server;
	bool		on_its_way = is_on_its_way(source);
	const PgsealKeyInfo *target;
	AclResult	result;

	if (on_its_way)
		return;
	/* From the default key anybody may go on to a server of theirs */
	target = pgseal_keyring_info(pgseal_keyring_seal(typmod)->id);
	if (target->server == server && !is_on_its_way(target))
		return;
	result = pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, GetForeignServer(server)->servername);
}

struct varlena *
pgseal_value_reseal(const PgsealType *type, struct varlena *sealed, int32 typmod)
{
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;
	struct varlena *result;
	Datum		value;
	bool		isnull;
	bool		leaves;

	if (typmod == PGSEAL_TYPMOD_NONE)
		return sealed;
	pgseal_value_header(&envelope, PointerGetDatum(sealed));
	info = pgseal_keyring_info(envelope.key_version_id);

	if (typmod == PGSEAL_TYPMOD_ANY && is_on_its_way(info))
		report_keyless();

	/*
	 * Nothing may store a value under a key that dies with this session, or
	 * under one that may be destroyed because no value was left, or that was
	 * rolled back.
	 */
	leaves = info->ephemeral || info->lost || (info->retired && !info->destroyed);

	/* '*' keeps the key, but not such a version */
	if (typmod == PGSEAL_TYPMOD_ANY && leaves)
		typmod = info->key_hash;

	if (!leaves &&
		(typmod == PGSEAL_TYPMOD_ANY || !info->known || info->key_hash == typmod))
		return sealed;

	/*
	 * Within its key it need not be decoded, which the database's encoding
	 * may not allow
	 */
	if (!info->ephemeral && info->key_hash == typmod)
	{
		result = pgseal_value_renew(PointerGetDatum(sealed));
		if (result != NULL)
			return result;
	}

	check_reseal(info, typmod);
	value = pgseal_value_open(type, PointerGetDatum(sealed), PGSEAL_ACCESS_INTERNAL, &isnull);
	result = pgseal_value_seal(type, value, typmod);
	if (!type->byval)
	{
		if (type->len == -1)
			pgseal_wipe(VARDATA_ANY(DatumGetPointer(value)),
						VARSIZE_ANY_EXHDR(DatumGetPointer(value)));
		pfree(DatumGetPointer(value));
	}
	return result;
}

void
pgseal_value_check_known(Datum sealed, int32 typmod)
{
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;

	if (typmod == PGSEAL_TYPMOD_NONE || IsBinaryUpgrade)
		return;
	pgseal_value_header(&envelope, sealed);
	info = pgseal_keyring_info(envelope.key_version_id);
	/* A dump of INSERT statements may bring rows before their keys */
	if (!info->known && !info->lost && !info->ephemeral &&
		pgseal_sealed_input != PGSEAL_SEALED_INPUT_ON)
		pgseal_keyring_unknown_version(envelope.key_version_id);
}

/*
 * Any type
 */

/*
 * Opens a sealed datum of any type as far as its payload, which the caller
 * wipes and frees.  NULL when it is malformed, of another format, without a
 * usable key, or not authentic.
 */
static uint8 *
open_payload(PgsealEnvelope *out_envelope, size_t *out_len, Datum sealed)
{
	struct varlena *packed = PG_DETOAST_DATUM_PACKED(sealed);
	const uint8 *bytes = (uint8 *) VARDATA_ANY(packed);
	size_t		len = VARSIZE_ANY_EXHDR(packed);
	const PgsealKeyInfo *info;
	PgsealKey  *key;
	uint8	   *payload = NULL;

	if (pgseal_envelope_parse(out_envelope, bytes, len) == PGSEAL_ENVELOPE_OK)
	{
		info = pgseal_keyring_info(out_envelope->key_version_id);
		if ((info->known || info->lost) && !info->destroyed &&
			info->purpose == PGSEAL_PURPOSE_DATA)
		{
			key = pgseal_keyring_open(out_envelope->key_version_id, PGSEAL_ACCESS_INTERNAL);
			*out_len = len - PGSEAL_ENVELOPE_OVERHEAD;
			payload = palloc(*out_len + 1);
			if (pgseal_envelope_open(key->aead, payload, bytes, len) != PGSEAL_ENVELOPE_OK)
			{
				pfree(payload);
				payload = NULL;
			}
		}
	}
	if (packed != (struct varlena *) DatumGetPointer(sealed))
		pfree(packed);
	return payload;
}

struct varlena *
pgseal_value_renew(Datum sealed)
{
	PgsealEnvelope envelope;
	size_t		len;
	uint8	   *payload = open_payload(&envelope, &len, sealed);
	struct varlena *volatile result = NULL;

	if (payload == NULL)
		return NULL;
	PG_TRY();
	{
		int32		key_hash = pgseal_keyring_info(envelope.key_version_id)->key_hash;
		PgsealKey  *key = pgseal_keyring_seal(key_hash);

		envelope.key_version_id = key->id;
		result = palloc(VARHDRSZ + PGSEAL_ENVELOPE_OVERHEAD + len);
		SET_VARSIZE(result, VARHDRSZ + PGSEAL_ENVELOPE_OVERHEAD + len);
		if (!pgseal_envelope_seal(key->aead, (uint8 *) VARDATA(result), &envelope, payload, len))
			ereport(ERROR,
					(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
					 errmsg("could not seal value")));
	}
	PG_FINALLY();
	{
		pgseal_wipe(payload, len);
		pfree(payload);
	}
	PG_END_TRY();
	return result;
}

bool
pgseal_value_is_sound(const PgsealType *type, Datum sealed)
{
	PgsealEnvelope envelope;
	size_t		len;
	uint8	   *payload = open_payload(&envelope, &len, sealed);

	if (payload == NULL)
		return false;
	pgseal_wipe(payload, len);
	pfree(payload);
	return envelope.type_code == type->base->code;
}

/*
 * An error is reported before its transaction ends.  A procedure that commits
 * goes on with what it has opened.
 */
static void
end_of_transaction(XactEvent event, void *arg)
{
	if (ActivePortal == NULL &&
		event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PRE_PREPARE &&
		event != XACT_EVENT_PARALLEL_PRE_COMMIT)
		pgseal_value_opened = false;
}

void
pgseal_value_init(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
}
