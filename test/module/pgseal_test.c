/*-------------------------------------------------------------------------
 *
 * pgseal_test.c
 *	  The lower layers of pgseal as SQL functions, for the tests only.
 *
 * Keys are plain SQL arguments here, which pgseal itself never allows: this
 * module must not be installed where there is anything to protect.
 *
 * Preloaded, it draws one nonce in the postmaster, so that every backend
 * inherits a filled nonce pool: just what must not be used after a fork.
 *
 *-------------------------------------------------------------------------
 */
#include "base/compat.h"

#include <sys/wait.h>
#include <unistd.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "value/envelope.h"

PG_MODULE_MAGIC;

/* What an output buffer holds before the call under test */
#define UNTOUCHED	0xA5

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	uint8		nonce[PGSEAL_NONCE_BYTES];

	if (process_shared_preload_libraries_in_progress && !pgseal_random_nonce(nonce))
		elog(ERROR, "could not draw a nonce");
}

static bytea *
NewBytea(size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memset(VARDATA(result), UNTOUCHED, len);
	return result;
}

static uint8 *
BytesOf(const bytea *value)
{
	return (uint8 *) VARDATA_ANY(value);
}

/* An argument of fixed size */
static uint8 *
FixedArg(const bytea *value, size_t len)
{
	if (VARSIZE_ANY_EXHDR(value) != len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument must have %zu bytes", len)));
	return BytesOf(value);
}

static PgsealAead *
NewAead(const bytea *key)
{
	PgsealAead *aead = pgseal_aead_new(FixedArg(key, PGSEAL_KEY_BYTES));

	if (aead == NULL)
		elog(ERROR, "pgseal_aead_new failed");
	return aead;
}

/* A failing function must have zeroed its output */
static void
CheckZeroed(const bytea *output)
{
	for (size_t i = 0; i < VARSIZE_ANY_EXHDR(output); i++)
	{
		if (BytesOf(output)[i] != 0)
			elog(ERROR, "output is not zero after a failure");
	}
}

PG_FUNCTION_INFO_V1(aead_seal);
Datum
aead_seal(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	uint8	   *nonce = FixedArg(PG_GETARG_BYTEA_PP(1), PGSEAL_NONCE_BYTES);
	bytea	   *aad = PG_GETARG_BYTEA_PP(2);
	bytea	   *plaintext = PG_GETARG_BYTEA_PP(3);
	size_t		len = VARSIZE_ANY_EXHDR(plaintext);
	bytea	   *result = NewBytea(len + PGSEAL_TAG_BYTES);
	PgsealAead *aead = NewAead(key);
	bool		ok;

	ok = pgseal_aead_seal(aead, BytesOf(result), BytesOf(result) + len, nonce,
						  BytesOf(aad), VARSIZE_ANY_EXHDR(aad),
						  BytesOf(plaintext), len);
	pgseal_aead_free(aead);
	if (!ok)
		elog(ERROR, "pgseal_aead_seal failed");
	PG_RETURN_BYTEA_P(result);
}

PG_FUNCTION_INFO_V1(aead_open);
Datum
aead_open(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	uint8	   *nonce = FixedArg(PG_GETARG_BYTEA_PP(1), PGSEAL_NONCE_BYTES);
	bytea	   *aad = PG_GETARG_BYTEA_PP(2);
	bytea	   *sealed = PG_GETARG_BYTEA_PP(3);
	size_t		sealed_len = VARSIZE_ANY_EXHDR(sealed);
	size_t		len = Max(sealed_len, PGSEAL_TAG_BYTES) - PGSEAL_TAG_BYTES;
	bytea	   *result;
	PgsealAead *aead;
	bool		ok;

	if (sealed_len < PGSEAL_TAG_BYTES)
		PG_RETURN_NULL();
	result = NewBytea(len);
	aead = NewAead(key);

	ok = pgseal_aead_open(aead, BytesOf(result), nonce, BytesOf(sealed) + len,
						  BytesOf(aad), VARSIZE_ANY_EXHDR(aad),
						  BytesOf(sealed), len);
	pgseal_aead_free(aead);
	if (ok)
		PG_RETURN_BYTEA_P(result);
	CheckZeroed(result);
	PG_RETURN_NULL();
}

/* Computes twice with the same context: its key must survive the first use */
PG_FUNCTION_INFO_V1(hmac);
Datum
hmac(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	bytea	   *prefix = PG_GETARG_BYTEA_PP(1);
	bytea	   *data = PG_GETARG_BYTEA_PP(2);
	bytea	   *first = NewBytea(PGSEAL_HASH_BYTES);
	bytea	   *second = NewBytea(PGSEAL_HASH_BYTES);
	PgsealHmac *ctx = pgseal_hmac_new(BytesOf(key), VARSIZE_ANY_EXHDR(key));
	bool		ok;

	ok = ctx != NULL &&
		pgseal_hmac(ctx, BytesOf(first),
					BytesOf(prefix), VARSIZE_ANY_EXHDR(prefix),
					BytesOf(data), VARSIZE_ANY_EXHDR(data)) &&
		pgseal_hmac(ctx, BytesOf(second),
					BytesOf(prefix), VARSIZE_ANY_EXHDR(prefix),
					BytesOf(data), VARSIZE_ANY_EXHDR(data));
	pgseal_hmac_free(ctx);
	if (!ok)
		elog(ERROR, "pgseal_hmac failed");
	if (memcmp(BytesOf(first), BytesOf(second), PGSEAL_HASH_BYTES) != 0)
		elog(ERROR, "the second MAC of the same input differs");
	PG_RETURN_BYTEA_P(first);
}

PG_FUNCTION_INFO_V1(hkdf);
Datum
hkdf(PG_FUNCTION_ARGS)
{
	bytea	   *ikm = PG_GETARG_BYTEA_PP(0);
	bytea	   *salt = PG_GETARG_BYTEA_PP(1);
	bytea	   *info = PG_GETARG_BYTEA_PP(2);
	bytea	   *result = NewBytea(PG_GETARG_INT32(3));

	if (pgseal_hkdf_sha256(BytesOf(result), PG_GETARG_INT32(3),
						   BytesOf(ikm), VARSIZE_ANY_EXHDR(ikm),
						   BytesOf(salt), VARSIZE_ANY_EXHDR(salt),
						   BytesOf(info), VARSIZE_ANY_EXHDR(info)))
		PG_RETURN_BYTEA_P(result);
	CheckZeroed(result);
	PG_RETURN_NULL();
}

PG_FUNCTION_INFO_V1(sha256);
Datum
sha256(PG_FUNCTION_ARGS)
{
	bytea	   *data = PG_GETARG_BYTEA_PP(0);
	bytea	   *result = NewBytea(PGSEAL_HASH_BYTES);

	if (!pgseal_sha256(BytesOf(result), BytesOf(data), VARSIZE_ANY_EXHDR(data)))
		elog(ERROR, "pgseal_sha256 failed");
	PG_RETURN_BYTEA_P(result);
}

PG_FUNCTION_INFO_V1(random_bytes);
Datum
random_bytes(PG_FUNCTION_ARGS)
{
	bytea	   *result = NewBytea(PG_GETARG_INT32(0));

	if (!pgseal_random(BytesOf(result), PG_GETARG_INT32(0)))
		elog(ERROR, "pgseal_random failed");
	PG_RETURN_BYTEA_P(result);
}

PG_FUNCTION_INFO_V1(equal_bytes);
Datum
equal_bytes(PG_FUNCTION_ARGS)
{
	bytea	   *a = PG_GETARG_BYTEA_PP(0);
	bytea	   *b = PG_GETARG_BYTEA_PP(1);

	PG_RETURN_BOOL(pgseal_equal(BytesOf(a), FixedArg(b, VARSIZE_ANY_EXHDR(a)),
								VARSIZE_ANY_EXHDR(a)));
}

static void
PutNonce(ReturnSetInfo *rsinfo, const uint8 nonce[PGSEAL_NONCE_BYTES])
{
	bytea	   *value = NewBytea(PGSEAL_NONCE_BYTES);
	Datum		datum = PointerGetDatum(value);
	bool		isnull = false;

	memcpy(VARDATA(value), nonce, PGSEAL_NONCE_BYTES);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &datum, &isnull);
	pfree(value);
}

PG_FUNCTION_INFO_V1(nonces);
Datum
nonces(PG_FUNCTION_ARGS)
{
	uint8		nonce[PGSEAL_NONCE_BYTES];

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int i = 0; i < PG_GETARG_INT32(0); i++)
	{
		if (!pgseal_random_nonce(nonce))
			elog(ERROR, "pgseal_random_nonce failed");
		PutNonce((ReturnSetInfo *) fcinfo->resultinfo, nonce);
	}
	PG_RETURN_NULL();
}

/* The child does nothing but draw and write: it shares our open files */
static void
WriteNonces(int fd, int count)
{
	uint8		nonce[PGSEAL_NONCE_BYTES];

	for (int i = 0; i < count; i++)
	{
		if (!pgseal_random_nonce(nonce) ||
			write(fd, nonce, sizeof(nonce)) != sizeof(nonce))
			_exit(1);
	}
	_exit(0);
}

PG_FUNCTION_INFO_V1(nonces_of_fork);
Datum
nonces_of_fork(PG_FUNCTION_ARGS)
{
	uint8		nonce[PGSEAL_NONCE_BYTES];
	int			fds[2];
	int			received = 0;
	int			exit_status = -1;
	pid_t		child;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (pipe(fds) != 0 || (child = fork()) < 0)
		elog(ERROR, "could not fork: %m");
	if (child == 0)
		WriteNonces(fds[1], PG_GETARG_INT32(0));

	close(fds[1]);
	/* 12 bytes are written to a pipe at once or not at all (PIPE_BUF) */
	while (read(fds[0], nonce, sizeof(nonce)) == sizeof(nonce))
	{
		PutNonce((ReturnSetInfo *) fcinfo->resultinfo, nonce);
		received++;
	}
	close(fds[0]);
	waitpid(child, &exit_status, 0);
	if (exit_status != 0 || received != PG_GETARG_INT32(0))
		elog(ERROR, "the forked process failed after %d nonces", received);
	PG_RETURN_NULL();
}

static Datum
StatusText(PgsealEnvelopeStatus status)
{
	static const char *const names[] = {
		[PGSEAL_ENVELOPE_OK] = "ok",
		[PGSEAL_ENVELOPE_TRUNCATED] = "truncated",
		[PGSEAL_ENVELOPE_UNKNOWN_FORMAT] = "unknown format",
		[PGSEAL_ENVELOPE_UNKNOWN_FLAG] = "unknown flag",
		[PGSEAL_ENVELOPE_NOT_AUTHENTIC] = "not authentic",
	};

	return CStringGetTextDatum(names[status]);
}

/* The result of a function with OUT parameters */
static Datum
ResultRow(FunctionCallInfo fcinfo, Datum *values, bool *nulls)
{
	TupleDesc	desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

PG_FUNCTION_INFO_V1(envelope_parse);
Datum
envelope_parse(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	PgsealEnvelope envelope;
	Datum		values[4];
	bool		nulls[4] = {false};

	values[0] = StatusText(pgseal_envelope_parse(&envelope, BytesOf(bytes),
												 VARSIZE_ANY_EXHDR(bytes)));
	values[1] = Int32GetDatum(envelope.type_code);
	values[2] = BoolGetDatum(envelope.compressed);
	values[3] = Int64GetDatum(envelope.key_version_id);
	PG_RETURN_DATUM(ResultRow(fcinfo, values, nulls));
}

PG_FUNCTION_INFO_V1(envelope_seal);
Datum
envelope_seal(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	PgsealEnvelope envelope = {
		.type_code = PG_GETARG_INT32(1),
		.compressed = PG_GETARG_BOOL(2),
		.key_version_id = PG_GETARG_INT64(3)
	};
	bytea	   *payload = PG_GETARG_BYTEA_PP(4);
	size_t		len = VARSIZE_ANY_EXHDR(payload);
	bytea	   *result = NewBytea(len + PGSEAL_ENVELOPE_OVERHEAD);
	PgsealAead *aead = NewAead(key);
	bool		ok;

	ok = pgseal_envelope_seal(aead, BytesOf(result), &envelope, BytesOf(payload), len);
	pgseal_aead_free(aead);
	if (ok)
		PG_RETURN_BYTEA_P(result);
	CheckZeroed(result);
	PG_RETURN_NULL();
}

PG_FUNCTION_INFO_V1(envelope_open);
Datum
envelope_open(PG_FUNCTION_ARGS)
{
	bytea	   *key = PG_GETARG_BYTEA_PP(0);
	bytea	   *bytes = PG_GETARG_BYTEA_PP(1);
	size_t		len = VARSIZE_ANY_EXHDR(bytes);
	bytea	   *payload = NewBytea(Max(len, PGSEAL_ENVELOPE_OVERHEAD) - PGSEAL_ENVELOPE_OVERHEAD);
	PgsealAead *aead = NewAead(key);
	Datum		values[2];
	bool		nulls[2] = {false};

	values[0] = StatusText(pgseal_envelope_open(aead, BytesOf(payload), BytesOf(bytes), len));
	values[1] = PointerGetDatum(payload);
	pgseal_aead_free(aead);
	PG_RETURN_DATUM(ResultRow(fcinfo, values, nulls));
}

PG_FUNCTION_INFO_V1(envelope_is_text);
Datum
envelope_is_text(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(pgseal_envelope_is_text(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

PG_FUNCTION_INFO_V1(envelope_to_text);
Datum
envelope_to_text(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	size_t		size = pgseal_envelope_text_size(VARSIZE_ANY_EXHDR(bytes));
	char	   *form = palloc(size);

	pgseal_envelope_to_text(form, BytesOf(bytes), VARSIZE_ANY_EXHDR(bytes));
	if (strlen(form) + 1 != size)
		elog(ERROR, "pgseal_envelope_text_size is wrong");
	PG_RETURN_TEXT_P(cstring_to_text(form));
}

PG_FUNCTION_INFO_V1(envelope_from_text);
Datum
envelope_from_text(PG_FUNCTION_ARGS)
{
	char	   *form = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bytea	   *result = NewBytea(strlen(form));
	int			len = pgseal_envelope_from_text(BytesOf(result), form);

	if (len < 0)
		PG_RETURN_NULL();
	SET_VARSIZE(result, VARHDRSZ + len);
	PG_RETURN_BYTEA_P(result);
}
