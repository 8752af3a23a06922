/*-------------------------------------------------------------------------
 *
 * registry.c
 *	  Which key management services there are, and calling them.
 *
 * A provider fills in PgsealKmsProvider and is listed in providers[]
 * here; nothing else knows which ones exist.  This file
 *
 *	- finds the provider of a foreign server;
 *	- calls the provider, and makes up generate() and rewrap() where it has
 *	  none of its own.
 *
 * What providers need themselves is in option.c and error.c, which know no
 * provider.
 *
 * Secrets: a provider may throw an error at any time (query cancel, out of
 * memory), so every call that puts a secret somewhere is wrapped in PG_TRY and
 * wipes it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "base/no_core_dump.h"
#include "kms/counters.h"
#include "kms/kms.h"
#include "kms/remote.h"

static const PgsealKmsProvider *const providers[] = {
	&pgseal_kms_local,
	&pgseal_kms_aws.base,
	&pgseal_kms_vault.base,
	&pgseal_kms_azure.base,
	&pgseal_kms_gcp.base,
	&pgseal_kms_kmip.base
};

/*
 * Servers
 */

const PgsealKmsProvider *
pgseal_kms_provider(const char *wrapper_name)
{
	for (int i = 0; i < lengthof(providers); i++)
	{
		if (strcmp(providers[i]->name, wrapper_name) == 0)
			return providers[i];
	}
	return NULL;
}

PgsealKmsServer *
pgseal_kms_server(const char *name, bool missing_ok)
{
	ForeignServer *foreign = GetForeignServerByName(name, missing_ok);
	ForeignDataWrapper *wrapper;
	PgsealKmsServer *server;

	if (foreign == NULL)
		return NULL;

	wrapper = GetForeignDataWrapper(foreign->fdwid);
	server = palloc0(sizeof(PgsealKmsServer));
	server->oid = foreign->serverid;
	server->name = foreign->servername;
	server->options = foreign->options;
	server->provider = pgseal_kms_provider(wrapper->fdwname);

	if (server->provider == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign server \"%s\" does not stand for a master key", name),
				 errdetail("Its foreign-data wrapper \"%s\" is not one of pgseal's.",
						   wrapper->fdwname)));
	return server;
}

/*
 * Operations
 */

static void
begin(PgsealKmsTimer *out_timer, PgsealKmsError *out_error, const PgsealKmsServer *server,
	  const char *operation)
{
	/*
	 * Secrets, master keys and logins are on their way through this process's
	 * memory
	 */
	pgseal_no_core_dump();
	memset(out_error, 0, sizeof(*out_error));
	pgseal_kms_counters_begin(out_timer, server, operation);
}

/* Names the operation in the error, unless the provider named its own */
static PgsealKmsStatus
finish(const PgsealKmsTimer *timer, PgsealKmsStatus status, PgsealKmsError *error)
{
	if (status == PGSEAL_KMS_OK)
		memset(error, 0, sizeof(*error));
	else if (error->operation[0] == '\0')
		strlcpy(error->operation, pgseal_kms_counters_operation(timer->operation),
				sizeof(error->operation));
	pgseal_kms_counters_end(timer, status, error);
	return status;
}

/* A provider must keep its promise on sizes: catalog and callers rely on it */
static PgsealKmsStatus
check_wrapped(PgsealKmsStatus status, const PgsealKmsWrapped *wrapped, PgsealKmsError *out_error)
{
	if (status == PGSEAL_KMS_OK && (wrapped->len == 0 || wrapped->len > PGSEAL_WRAPPED_MAX_BYTES))
		return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "wrapped_size",
							   psprintf("The wrapped key has %zu bytes, expected are 1 to %d.",
										wrapped->len, PGSEAL_WRAPPED_MAX_BYTES), NULL);
	return status;
}

PgsealKmsStatus
pgseal_kms_generate(const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
					PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
					const PgsealKmsContext *context, bool may_initialize)
{
	PgsealKmsTimer timer;
	PgsealKmsStatus status;

	begin(&timer, out_error, server, "generate");
	PG_TRY();
	{
		if (server->provider->generate)
			status = server->provider->generate(server, out_secret, out_wrapped,
												out_error, context);
		else if (pgseal_random(out_secret, PGSEAL_KEY_BYTES))
			status = server->provider->wrap(server, out_wrapped, out_error, context,
											out_secret, may_initialize);
		else
			status = pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "random",
									 "The random number generator failed.", NULL);
		status = check_wrapped(status, out_wrapped, out_error);
	}
	PG_CATCH();
	{
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (status != PGSEAL_KMS_OK)
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_wrap(const PgsealKmsServer *server,
				PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
				const PgsealKmsContext *context,
				const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize)
{
	PgsealKmsTimer timer;
	PgsealKmsStatus status;

	begin(&timer, out_error, server, "wrap");
	status = server->provider->wrap(server, out_wrapped, out_error, context, secret,
									may_initialize);
	status = check_wrapped(status, out_wrapped, out_error);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_unwrap(const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
				  PgsealKmsError *out_error, const PgsealKmsContext *context,
				  const uint8 *wrapped, size_t wrapped_len, const char *master_key)
{
	PgsealKmsTimer timer;
	PgsealKmsStatus status;

	begin(&timer, out_error, server, "unwrap");
	PG_TRY();
	{
		status = server->provider->unwrap(server, out_secret, out_error, context,
										  wrapped, wrapped_len, master_key);
	}
	PG_CATCH();
	{
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (status != PGSEAL_KMS_OK)
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_rewrap(const PgsealKmsServer *server,
				  PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
				  const PgsealKmsContext *context,
				  const uint8 *wrapped, size_t wrapped_len, const char *master_key)
{
	const PgsealKmsProvider *provider = server->provider;
	PgsealKmsTimer timer;
	PgsealKmsStatus status;
	uint8		secret[PGSEAL_KEY_BYTES];

	begin(&timer, out_error, server, "rewrap");
	if (provider->rewrap &&
		(provider->can_rewrap == NULL || provider->can_rewrap(server, master_key)))
		status = provider->rewrap(server, out_wrapped, out_error, context,
								  wrapped, wrapped_len, master_key);
	else
	{
		PG_TRY();
		{
			status = provider->unwrap(server, secret, out_error, context,
									  wrapped, wrapped_len, master_key);
			if (status == PGSEAL_KMS_OK)
				status = provider->wrap(server, out_wrapped, out_error, context,
										secret, false);
		}
		PG_FINALLY();
		{
			pgseal_wipe(secret, sizeof(secret));
		}
		PG_END_TRY();
	}
	status = check_wrapped(status, out_wrapped, out_error);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_describe(const PgsealKmsServer *server, PgsealKmsDescription *out_description,
					PgsealKmsError *out_error)
{
	PgsealKmsTimer timer;

	begin(&timer, out_error, server, "describe");
	return finish(&timer, server->provider->describe(server, out_description, out_error),
				  out_error);
}

bool
pgseal_kms_is_uninitialized(const PgsealKmsServer *server)
{
	return server->provider->is_uninitialized && server->provider->is_uninitialized(server);
}
