/*-------------------------------------------------------------------------
 *
 * kms_test.c
 *	  The operations of kms.h as SQL functions, for tests.
 *
 * Secrets come and go as bytea here, which pgseal itself never does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/settings.h"
#include "kms/kms.h"
#include "kms/local.h"
#include "kms/credentials.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(kms_generate);
PG_FUNCTION_INFO_V1(kms_wrap);
PG_FUNCTION_INFO_V1(kms_unwrap);
PG_FUNCTION_INFO_V1(kms_rewrap);
PG_FUNCTION_INFO_V1(kms_describe);
PG_FUNCTION_INFO_V1(kms_rotate);
PG_FUNCTION_INFO_V1(kms_report);
PG_FUNCTION_INFO_V1(kms_keyring_may_be);

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	pgseal_settings_init();
	pgseal_credentials_init();
}

static char *
text_arg(FunctionCallInfo fcinfo, int n)
{
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static bytea *
to_bytea(const uint8 *bytes, size_t len)
{
	bytea	   *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	memcpy(VARDATA(result), bytes, len);
	return result;
}

/* The first four arguments of most functions: server, key_name, purpose, id */
static PgsealKmsServer *
key_args(FunctionCallInfo fcinfo, PgsealKmsContext *out_context)
{
	out_context->key_name = text_arg(fcinfo, 1);
	out_context->purpose = text_arg(fcinfo, 2);
	out_context->key_version_id = PG_GETARG_INT64(3);
	return pgseal_kms_server(text_arg(fcinfo, 0), false);
}

static void
check(PgsealKmsStatus status, const PgsealKmsServer *server, const PgsealKmsError *error)
{
	if (status != PGSEAL_KMS_OK)
		pgseal_kms_report(ERROR, status, server->provider->name, server->name, error);
}

static Datum
return_row(FunctionCallInfo fcinfo, Datum *values)
{
	TupleDesc	desc;
	bool		nulls[3] = {false, false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

Datum
kms_generate(PG_FUNCTION_ARGS)
{
	PgsealKmsContext context;
	PgsealKmsServer *server = key_args(fcinfo, &context);
	PgsealKmsWrapped wrapped;
	PgsealKmsError error;
	uint8		secret[PGSEAL_KEY_BYTES];
	Datum		values[3];

	check(pgseal_kms_generate(server, secret, &wrapped, &error, &context, PG_GETARG_BOOL(4)),
		  server, &error);
	values[0] = PointerGetDatum(to_bytea(secret, sizeof(secret)));
	values[1] = PointerGetDatum(to_bytea(wrapped.bytes, wrapped.len));
	values[2] = CStringGetTextDatum(wrapped.master_key);
	return return_row(fcinfo, values);
}

Datum
kms_wrap(PG_FUNCTION_ARGS)
{
	PgsealKmsContext context;
	PgsealKmsServer *server = key_args(fcinfo, &context);
	bytea	   *secret = PG_GETARG_BYTEA_PP(5);
	PgsealKmsWrapped wrapped;
	PgsealKmsError error;
	Datum		values[2];

	if (VARSIZE_ANY_EXHDR(secret) != PGSEAL_KEY_BYTES)
		elog(ERROR, "secret must have %d bytes", PGSEAL_KEY_BYTES);
	check(pgseal_kms_wrap(server, &wrapped, &error, &context, (uint8 *) VARDATA_ANY(secret),
						  PG_GETARG_BOOL(4)),
		  server, &error);
	values[0] = PointerGetDatum(to_bytea(wrapped.bytes, wrapped.len));
	values[1] = CStringGetTextDatum(wrapped.master_key);
	return return_row(fcinfo, values);
}

Datum
kms_unwrap(PG_FUNCTION_ARGS)
{
	PgsealKmsContext context;
	PgsealKmsServer *server = key_args(fcinfo, &context);
	bytea	   *wrapped = PG_GETARG_BYTEA_PP(4);
	PgsealKmsError error;
	PgsealKmsStatus status;
	uint8		secret[PGSEAL_KEY_BYTES];

	memset(secret, 0xAA, sizeof(secret));
	status = pgseal_kms_unwrap(server, secret, &error, &context, (uint8 *) VARDATA_ANY(wrapped),
							   VARSIZE_ANY_EXHDR(wrapped), text_arg(fcinfo, 5));
	for (int i = 0; status != PGSEAL_KMS_OK && i < sizeof(secret); i++)
	{
		if (secret[i] != 0)
			elog(ERROR, "a failed unwrap did not wipe its output");
	}
	check(status, server, &error);
	PG_RETURN_BYTEA_P(to_bytea(secret, sizeof(secret)));
}

Datum
kms_rewrap(PG_FUNCTION_ARGS)
{
	PgsealKmsContext context;
	PgsealKmsServer *server = key_args(fcinfo, &context);
	bytea	   *old = PG_GETARG_BYTEA_PP(4);
	PgsealKmsWrapped wrapped;
	PgsealKmsError error;
	Datum		values[2];

	check(pgseal_kms_rewrap(server, &wrapped, &error, &context, (uint8 *) VARDATA_ANY(old),
							VARSIZE_ANY_EXHDR(old), text_arg(fcinfo, 5)),
		  server, &error);
	values[0] = PointerGetDatum(to_bytea(wrapped.bytes, wrapped.len));
	values[1] = CStringGetTextDatum(wrapped.master_key);
	return return_row(fcinfo, values);
}

Datum
kms_describe(PG_FUNCTION_ARGS)
{
	PgsealKmsServer *server = pgseal_kms_server(text_arg(fcinfo, 0), false);
	PgsealKmsDescription description;
	PgsealKmsError error;
	Datum		values[2];

	check(pgseal_kms_describe(server, &description, &error), server, &error);
	values[0] = CStringGetTextDatum(description.newest_master_key ?
									description.newest_master_key : "");
	values[1] = CStringGetTextDatum(description.detail);
	return return_row(fcinfo, values);
}

/* kms_keyring_may_be(owner, mode, server) */
Datum
kms_keyring_may_be(PG_FUNCTION_ARGS)
{
	uid_t		owner = PG_GETARG_INT32(0);
	uid_t		server = PG_GETARG_INT32(2);

	PG_RETURN_BOOL(pgseal_keyring_file_owner_may_be(owner, server) &&
				   pgseal_keyring_file_mode_is_safe(PG_GETARG_INT32(1), owner, server));
}

Datum
kms_rotate(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(pgseal_kms_local_rotate(pgseal_kms_server(text_arg(fcinfo, 0), false)));
}

Datum
kms_report(PG_FUNCTION_ARGS)
{
	PgsealKmsError error = {.http_status = PG_GETARG_INT32(2)};

	strlcpy(error.operation, text_arg(fcinfo, 1), sizeof(error.operation));
	strlcpy(error.request_id, text_arg(fcinfo, 4), sizeof(error.request_id));
	pgseal_kms_report(ERROR,
					  pgseal_kms_fail(&error, PG_GETARG_INT32(0), text_arg(fcinfo, 3),
									  text_arg(fcinfo, 5), text_arg(fcinfo, 6)),
					  "aws_kms", "pii", &error);
	PG_RETURN_VOID();
}
