/*-------------------------------------------------------------------------
 *
 * wrapping.c
 *	  The secrets behind key versions: made, wrapped, unwrapped, rewrapped.
 *
 * A version's wrapped bytes hold 32 bytes of secret, from which the key is
 * derived with HKDF-SHA-256, bound to the version's id and purpose: wrapped
 * bytes that were moved to another row or used for another purpose give a
 * different key, which opens nothing, also where the KMS binds no context.
 *
 * The secret is wrapped by the master key of a KMS or, for a child key, with
 * AES-256-GCM under a key that is derived from a version of its parent (by
 * backend_keys.c), so that a million child keys cost no KMS call of their own.
 *
 * So a key is made of a secret, and a child's secret opened with a key, one level
 * of parents deep: who has the keys says by pgseal_wrapping_init() how to ask.
 *
 * The wrapped bytes of a child: format (1), nonce (12), tag (16), secret (32);
 * id and purpose of the version are the additional authenticated data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "base/random.h"
#include "keys/wrapping.h"

#define CHILD_FORMAT			1
#define CHILD_NONCE_AT			1
#define CHILD_TAG_AT			(CHILD_NONCE_AT + PGSEAL_NONCE_BYTES)
#define CHILD_SECRET_AT			(CHILD_TAG_AT + PGSEAL_TAG_BYTES)
#define CHILD_BYTES				(CHILD_SECRET_AT + PGSEAL_KEY_BYTES)
#define CHILD_AAD_BYTES			(1 + sizeof(int64))

static PgsealWrapperOf wrapper_of;

void
pgseal_wrapping_init(PgsealWrapperOf of)
{
	wrapper_of = of;
}

static void
derive_key(uint8 out_key[PGSEAL_KEY_BYTES], const uint8 secret[PGSEAL_KEY_BYTES],
		   PgsealPurpose purpose, int64 id)
{
	static const char label[] = "pgseal key v1";
	uint8		info[sizeof(label) + 1 + sizeof(int64)];
	uint64		id_be = pg_hton64((uint64) id);

	memcpy(info, label, sizeof(label));
	info[sizeof(label)] = (uint8) purpose;
	memcpy(info + sizeof(label) + 1, &id_be, sizeof(id_be));
	if (!pgseal_hkdf_sha256(out_key, PGSEAL_KEY_BYTES, secret, PGSEAL_KEY_BYTES,
							NULL, 0, info, sizeof(info)))
	{
		pgseal_wipe((void *) out_key, PGSEAL_KEY_BYTES);
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not derive key")));
	}
}

static PgsealKmsContext
kms_context(const PgsealVersionRow *version)
{
	PgsealKmsContext context = {
		.key_name = pgseal_catalog_name_in_utf8(version->key),
		.purpose = version->purpose == PGSEAL_PURPOSE_DATA ? "data" : "index",
		.key_version_id = version->id
	};

	return context;
}

static bytea *
bytea_of(const uint8 *bytes, size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return result;
}

/*
 * Child keys
 */

static void
child_aad(uint8 out_aad[CHILD_AAD_BYTES], const PgsealVersionRow *version)
{
	uint64		id_be = pg_hton64((uint64) version->id);

	out_aad[0] = (uint8) version->purpose;
	memcpy(out_aad + 1, &id_be, sizeof(id_be));
}

static bytea *
child_wrap(const PgsealVersionRow *version, int64 parent_version,
		   const uint8 secret[PGSEAL_KEY_BYTES])
{
	PgsealAead *wrapper = wrapper_of(parent_version);
	uint8		bytes[CHILD_BYTES] = {CHILD_FORMAT};
	uint8		aad[CHILD_AAD_BYTES];

	child_aad(aad, version);
	if (!pgseal_random_nonce(bytes + CHILD_NONCE_AT) ||
		!pgseal_aead_seal(wrapper, bytes + CHILD_SECRET_AT, bytes + CHILD_TAG_AT,
						  bytes + CHILD_NONCE_AT, aad, sizeof(aad), secret, PGSEAL_KEY_BYTES))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not wrap key")));
	return bytea_of(bytes, sizeof(bytes));
}

static PgsealKmsStatus
child_unwrap(const PgsealVersionRow *version, uint8 out_secret[PGSEAL_KEY_BYTES],
			 PgsealKmsError *out_error)
{
	const uint8 *bytes = (uint8 *) VARDATA(version->wrapped);
	uint8		aad[CHILD_AAD_BYTES];

	child_aad(aad, version);
	if (VARSIZE(version->wrapped) - VARHDRSZ == CHILD_BYTES && bytes[0] == CHILD_FORMAT &&
		pgseal_aead_open(wrapper_of(version->parent_version), out_secret,
						 bytes + CHILD_NONCE_AT, bytes + CHILD_TAG_AT, aad, sizeof(aad),
						 bytes + CHILD_SECRET_AT, PGSEAL_KEY_BYTES))
		return PGSEAL_KMS_OK;
	strlcpy(out_error->operation, "unwrap", sizeof(out_error->operation));
	return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "child_key",
						   "The wrapped bytes of the child key do not open under its parent's key.",
						   NULL);
}

/*
 * Any key
 */

static PgsealKmsStatus
unwrap(const PgsealVersionRow *version, uint8 out_secret[PGSEAL_KEY_BYTES],
	   PgsealKmsError *out_error)
{
	PgsealKmsContext context = kms_context(version);

	if (version->parent_version != 0)
		return child_unwrap(version, out_secret, out_error);
	return pgseal_kms_unwrap(pgseal_kms_server(version->server, false), out_secret, out_error,
							 &context, (uint8 *) VARDATA(version->wrapped),
							 VARSIZE(version->wrapped) - VARHDRSZ, version->master_key);
}

PgsealKmsStatus
pgseal_wrapping_fetch(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
					  PgsealKmsError *out_error)
{
	uint8		secret[PGSEAL_KEY_BYTES];
	PgsealKmsStatus status = unwrap(version, secret, out_error);

	if (status == PGSEAL_KMS_OK)
		derive_key(out_key, secret, version->purpose, version->id);
	else
		pgseal_wipe(out_key, PGSEAL_KEY_BYTES);
	pgseal_wipe(secret, sizeof(secret));
	return status;
}

static int64
random_id(void)
{
	int64		id = 0;

	while (id == 0)
		pgseal_random_bytes(&id, sizeof(id));
	return id;
}

static void
make_child(PgsealVersionRow *version)
{
	uint8		secret[PGSEAL_KEY_BYTES];

	PG_TRY();
	{
		pgseal_random_bytes(secret, sizeof(secret));
		version->wrapped = child_wrap(version, version->parent_version, secret);
		version->master_key = NULL;
	}
	PG_FINALLY();
	{
		pgseal_wipe(secret, sizeof(secret));
	}
	PG_END_TRY();
}

void
pgseal_wrapping_make(PgsealVersionRow *version)
{
	bool		may_initialize = !pgseal_catalog_server_in_use(version->server);
	PgsealKmsContext context;
	PgsealKmsWrapped wrapped = {0};
	PgsealKmsError error = {0};
	uint8		secret[PGSEAL_KEY_BYTES];
	PgsealKmsStatus status;

	version->id = random_id();
	if (version->parent_version != 0)
	{
		make_child(version);
		return;
	}
	context = kms_context(version);
	status = pgseal_kms_generate(pgseal_kms_server(version->server, false), secret, &wrapped,
								 &error, &context, may_initialize);
	pgseal_wipe(secret, sizeof(secret));
	if (status != PGSEAL_KMS_OK)
		pgseal_wrapping_report(ERROR, status, version->server, &error);
	version->master_key = wrapped.master_key;
	version->wrapped = bytea_of(wrapped.bytes, wrapped.len);
}

/* Wraps a version's secret for its new place; *out is the row as it will be */
static PgsealKmsStatus
wrap_anew(PgsealVersionRow *out, const PgsealVersionRow *version,
		  const uint8 secret[PGSEAL_KEY_BYTES], PgsealKmsError *out_error)
{
	PgsealKmsContext context = kms_context(version);
	PgsealKmsWrapped wrapped = {0};
	PgsealKmsServer *server;
	PgsealKmsStatus status;

	if (out->parent_version != 0)
	{
		out->wrapped = child_wrap(version, out->parent_version, secret);
		return PGSEAL_KMS_OK;
	}
	server = pgseal_kms_server(out->server, false);
	if (strcmp(out->server, version->server) == 0)
		status = pgseal_kms_rewrap(server, &wrapped, out_error, &context,
								   (uint8 *) VARDATA(version->wrapped),
								   VARSIZE(version->wrapped) - VARHDRSZ, version->master_key);
	else
		status = pgseal_kms_wrap(server, &wrapped, out_error, &context, secret,
								 !pgseal_catalog_server_in_use(out->server));
	if (status == PGSEAL_KMS_OK)
	{
		out->wrapped = bytea_of(wrapped.bytes, wrapped.len);
		out->master_key = wrapped.master_key;
	}
	return status;
}

PgsealKmsStatus
pgseal_wrapping_rewrap(PgsealVersionRow *version, const char *server, int64 parent_version,
					   PgsealKmsError *out_error)
{
	PgsealVersionRow anew = *version;
	uint8		old_secret[PGSEAL_KEY_BYTES];
	uint8		new_secret[PGSEAL_KEY_BYTES];
	volatile PgsealKmsStatus status;

	anew.server = pstrdup(server);
	anew.parent_version = parent_version;
	PG_TRY();
	{
		status = unwrap(version, old_secret, out_error);
		if (status == PGSEAL_KMS_OK)
			status = wrap_anew(&anew, version, old_secret, out_error);
		if (status == PGSEAL_KMS_OK)
			status = unwrap(&anew, new_secret, out_error);
		if (status == PGSEAL_KMS_OK && !pgseal_equal(old_secret, new_secret, PGSEAL_KEY_BYTES))
		{
			strlcpy(out_error->operation, "rewrap", sizeof(out_error->operation));
			status = pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "verification",
									 "What was wrapped anew does not unwrap to the same secret.",
									 NULL);
		}
	}
	PG_FINALLY();
	{
		pgseal_wipe(old_secret, sizeof(old_secret));
		pgseal_wipe(new_secret, sizeof(new_secret));
	}
	PG_END_TRY();

	if (status == PGSEAL_KMS_OK)
		*version = anew;
	return status;
}

void
pgseal_wrapping_report(int elevel, PgsealKmsStatus status, const char *server,
					   const PgsealKmsError *error)
{
	pgseal_kms_report(elevel, status, pgseal_kms_server(server, false)->provider->name, server,
					  error);
}
