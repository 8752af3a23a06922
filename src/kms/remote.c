/*-------------------------------------------------------------------------
 *
 * remote.c
 *	  What the providers reached by HTTP have in common.
 *
 * One operation (exchange()) goes: endpoint's circuit breaker, credential
 * (shared between backends, or login), request (pure), reply (pure), and,
 * depending on the verdict, once more with a new credential or a corrected
 * clock.  Every HTTP exchange, also of a login, goes through
 * pgseal_kms_send(), which has the one retry loop with the one predicate.
 * All of it together takes at most pgseal.kms_timeout.
 *
 * Everything that an operation allocates, secrets included, lies in a memory
 * context of its own that is deleted however the operation ends; secret memory
 * is wiped by that (secmem.h).  Results are copied out to the caller's context.
 *
 * Nobody waits here under a lock.  Interrupts are processed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "commands/defrem.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "base/settings.h"
#include "kms/counters.h"
#include "kms/credentials.h"
#include "kms/remote.h"

#define BACKOFF_FIRST_MS	100
#define BACKOFF_MAX_MS		2000
#define BACKOFF_DOUBLINGS	5
#define ATTEMPT_MIN_MS		1000

/* With less time left, no other attempt: the error of the last tells more */
#define ATTEMPT_WORTH_MS	50
#define MAX_REDIRECTS		2

/*
 * Sending
 */

/* The retry predicate.  A refusal is never retried. */
static bool
worth_a_retry(PgsealVerdict verdict, int attempt)
{
	return verdict == PGSEAL_VERDICT_RETRY ||
		(verdict == PGSEAL_VERDICT_RETRY_ONCE && attempt == 0);
}

/* Milliseconds until the call's time is up; 0 when it is */
static long
time_left(const PgsealKmsCall *call)
{
	return TimestampDifferenceMilliseconds(pgseal_clock(), call->deadline);
}

static void
sleep_interruptibly(long milliseconds)
{
	TimestampTz until = TimestampTzPlusMilliseconds(pgseal_clock(), milliseconds);

	for (;;)
	{
		long		left = TimestampDifferenceMilliseconds(pgseal_clock(), until);

		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 left, pgseal_http_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Full jitter; the server's own wish is the least */
static long
backoff(int attempt, const PgsealHttpResponse *response)
{
	long		limit = Min(BACKOFF_FIRST_MS << Min(attempt, BACKOFF_DOUBLINGS), BACKOFF_MAX_MS);
	const char *retry_after = response->headers ?
		pgseal_http_header(response, "Retry-After") : NULL;
	long		pause = pg_prng_double(&pg_global_prng_state) * limit;

	if (retry_after != NULL && *retry_after >= '0' && *retry_after <= '9')
		pause += Min(strtol(retry_after, NULL, 10), SECS_PER_DAY) * 1000;
	return pause;
}

/* The KMS's clock, and its id of the request (AWS, Azure, Google) */
static void
note_headers(PgsealKmsCall *call, const PgsealHttpResponse *response)
{
	PgsealKmsError *error = call->error;
	const char *date = pgseal_http_header(response, "Date");
	static const char *const names[] = {"x-amzn-RequestId", "x-ms-request-id", "x-request-id"};

	call->server_time = date ? pgseal_http_parse_date(date) : 0;
	for (int i = 0; i < lengthof(names) && error->request_id[0] == '\0'; i++)
	{
		const char *value = pgseal_http_header(response, names[i]);

		if (value != NULL)
			strlcpy(error->request_id, value, sizeof(error->request_id));
	}
	for (char *c = error->request_id; *c; c++)
	{
		if (*c <= ' ' || *c > '~')
			*c = '?';
	}
}

/*
 * A 307 from one node of a cluster to another: only to an address that the
 * server's options name.
 */
static bool
follow_redirect(PgsealKmsCall *call, PgsealHttpRequest *request,
				const PgsealHttpResponse *response)
{
	const char *location = pgseal_http_header(response, "Location");
	size_t		origin_len = location ? pgseal_http_origin_len(location) : 0;
	ListCell   *cell;

	if (response->status != 307 || origin_len == 0)
		return false;
	foreach(cell, call->bases)
	{
		const char *base = lfirst(cell);

		if (strlen(base) == origin_len && pg_strncasecmp(base, location, origin_len) == 0)
		{
			request->base = base;
			return true;
		}
	}
	return false;
}

/* One exchange.  Half of what is left, so that there is time for another. */
static PgsealVerdict
send_once(PgsealKmsCall *call, PgsealHttpResponse *response, void *out_result,
		  const PgsealHttpRequest *request, PgsealJudge judge, const void *judge_arg)
{
	PgsealKmsError *error = call->error;
	long		left = time_left(call);
	char		detail[sizeof(error->detail)] = "";
	PgsealHttpResult result;

	if (message_level_is_interesting(DEBUG2))
	{
		StringInfoData text;

		initStringInfo(&text);
		pgseal_http_print(&text, request);
		elog(DEBUG2, "pgseal: %s", text.data);
	}

	result = pgseal_http_send(response, detail, sizeof(detail), request,
							  left / 2 > ATTEMPT_MIN_MS ? left / 2 : Max(left, 1));
	error->http_status = response->status;
	error->code[0] = error->request_id[0] = error->detail[0] = error->hint[0] = '\0';

	switch (result)
	{
		case PGSEAL_HTTP_OK:
			note_headers(call, response);
			elog(DEBUG2, "pgseal: HTTP status %d, request id \"%s\"",
				 response->status, error->request_id);
			return judge(out_result, error, response, judge_arg);
		case PGSEAL_HTTP_UNREACHABLE:
			return pgseal_kms_verdict(error, PGSEAL_VERDICT_RETRY, "connection", detail, NULL);
		case PGSEAL_HTTP_TIMEOUT:
			return pgseal_kms_verdict(error, PGSEAL_VERDICT_RETRY, "timeout", detail,
									  "Check the network, or raise \"pgseal.kms_timeout\".");
		case PGSEAL_HTTP_TLS:
			return pgseal_kms_verdict(error, PGSEAL_VERDICT_UNREACHABLE, "tls", detail,
									  "Check the name in the URL, the options \"ca_file\" and \"client_cert_file\", and the server's certificate.");
		case PGSEAL_HTTP_TOO_LARGE:
			return pgseal_kms_verdict(error, PGSEAL_VERDICT_UNREACHABLE, "reply_size", detail, NULL);
		case PGSEAL_HTTP_NO_LIBRARY:
			return pgseal_kms_verdict(error, PGSEAL_VERDICT_UNREACHABLE, "libcurl", detail,
									  "Debian has it in the package libcurl4, or libcurl4t64.");
		case PGSEAL_HTTP_BROKEN:
			break;
	}
	return pgseal_kms_verdict(error, PGSEAL_VERDICT_INVALID, "request", detail,
							  "Check the URLs and files in the server's options.");
}

PgsealVerdict
pgseal_kms_send(PgsealKmsCall *call, void *out_result, PgsealHttpRequest *request,
				PgsealJudge judge, const void *judge_arg)
{
	int			redirects = 0;

	for (int attempt = 0;; attempt++)
	{
		PgsealHttpResponse response;
		PgsealVerdict verdict;
		long		pause;

		/* a cluster: another node each time */
		if (attempt > 0 && call->bases != NIL)
			request->base = list_nth(call->bases, attempt % list_length(call->bases));

		for (;;)
		{
			verdict = send_once(call, &response, out_result, request, judge, judge_arg);
			if (response.status < 300 || response.status > 399)
				break;
			if (redirects++ >= MAX_REDIRECTS || !follow_redirect(call, request, &response))
				return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_UNREACHABLE, "redirect",
										  "The service redirects to a place that it may not redirect to.",
										  call->bases == NIL ? NULL :
										  "Name every host of the cluster in the option \"address\", separated by commas.");
		}
		if (!worth_a_retry(verdict, attempt))
			return verdict;

		pause = backoff(attempt, &response);
		if (pause + ATTEMPT_WORTH_MS >= time_left(call))
			return verdict;
		elog(DEBUG1, "pgseal: server \"%s\" gave no usable answer (HTTP status %d, code \"%s\"), trying again in %ld ms",
			 call->server->name, call->error->http_status, call->error->code, pause);
		pgseal_kms_counters_retry();
		sleep_interruptibly(pause);
	}
}

static PgsealKmsStatus
status_of(PgsealVerdict verdict)
{
	switch (verdict)
	{
		case PGSEAL_VERDICT_OK:
			return PGSEAL_KMS_OK;
		case PGSEAL_VERDICT_RETRY:
		case PGSEAL_VERDICT_UNREACHABLE:
			return PGSEAL_KMS_UNREACHABLE;
		case PGSEAL_VERDICT_RELOGIN:
		case PGSEAL_VERDICT_SKEWED:
		case PGSEAL_VERDICT_REFUSED:
			return PGSEAL_KMS_REFUSED;
		case PGSEAL_VERDICT_RETRY_ONCE:
		case PGSEAL_VERDICT_INVALID:
			break;
	}
	return PGSEAL_KMS_INVALID;
}

/*
 * Credentials
 */

static const PgsealRemoteProvider *
remote_provider(const PgsealKmsServer *server)
{
	return (const PgsealRemoteProvider *) server->provider;
}

/*
 * Servers with the same options, but for those that name the key, share a
 * credential: it comes from the same place.
 */
static bool
credential_key(uint8 out_key[PGSEAL_CREDENTIAL_KEY_BYTES], const PgsealKmsServer *server)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	appendBinaryStringInfo(&text, server->provider->name, strlen(server->provider->name) + 1);
	foreach(cell, server->options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);
		const char *value = defGetString(option);
		const char *const *key_option = remote_provider(server)->key_options;

		while (*key_option && strcmp(*key_option, option->defname) != 0)
			key_option++;
		if (*key_option)
			continue;
		appendBinaryStringInfo(&text, option->defname, strlen(option->defname) + 1);
		appendBinaryStringInfo(&text, value, strlen(value) + 1);
	}
	return pgseal_sha256(out_key, (const uint8 *) text.data, text.len);
}

/* Also on FATAL, hence not a PG_CATCH */
static void
abandon_login(int code, Datum key)
{
	pgseal_credential_abandon((const uint8 *) DatumGetPointer(key));
}

static PgsealVerdict
get_credential(PgsealCredential *out_credential, uint64 *out_version, PgsealKmsCall *call,
			   const uint8 *key)
{
	PgsealVerdict verdict = PGSEAL_VERDICT_OK;
	PgsealCredential *fresh;
	PgsealKmsTimer timer;

	switch (pgseal_credential_get(key, out_credential, out_version, &verdict, call->error,
								  call->now, call->deadline))
	{
		case PGSEAL_CREDENTIAL_HIT:
			return PGSEAL_VERDICT_OK;
		case PGSEAL_CREDENTIAL_FAILED:
			return verdict;
		case PGSEAL_CREDENTIAL_CLAIMED:
			break;
	}

	fresh = pgseal_secmem_alloc(sizeof(PgsealCredential));
	strlcpy(call->error->operation, "login", sizeof(call->error->operation));
	pgseal_kms_counters_begin(&timer, call->server, "login");
	PG_ENSURE_ERROR_CLEANUP(abandon_login, PointerGetDatum(key));
	{
		verdict = remote_provider(call->server)->login(fresh,
													   *out_version != 0 ? out_credential : NULL,
													   call);
	}
	PG_END_ENSURE_ERROR_CLEANUP(abandon_login, PointerGetDatum(key));
	pgseal_kms_counters_end(&timer, status_of(verdict), call->error);

	if (verdict == PGSEAL_VERDICT_SKEWED)
	{
		/* The caller corrects the clock and comes again at once */
		pgseal_credential_abandon(key);
		return verdict;
	}
	if (verdict != PGSEAL_VERDICT_OK)
	{
		pgseal_credential_fail(key, verdict, call->error);

		/* one that was only to be replaced ahead of time still works */
		if (*out_version == 0)
			return verdict;
	}
	else
	{
		memcpy(out_credential, fresh, sizeof(*fresh));
		*out_version = pgseal_credential_publish(key, fresh);
	}
	call->error->operation[0] = '\0';
	return PGSEAL_VERDICT_OK;
}

/*
 * One operation
 */

typedef struct ReadArg
{
	const PgsealKmsServer *server;
	const PgsealKmsOp *op;
} ReadArg;

static PgsealVerdict
judge_reply(void *out_result, PgsealKmsError *out_error, const PgsealHttpResponse *response,
			const void *arg)
{
	const ReadArg *read = arg;

	memset(out_result, 0, sizeof(PgsealKmsReply));
	return remote_provider(read->server)->read(out_result, out_error, response,
											   read->server, read->op);
}

static PgsealVerdict
exchange(PgsealKmsCall *call, PgsealKmsReply *out_reply, const PgsealKmsOp *op)
{
	const PgsealRemoteProvider *provider = remote_provider(call->server);
	PgsealCredential *credential = pgseal_secmem_alloc(sizeof(PgsealCredential));
	uint8		key[PGSEAL_CREDENTIAL_KEY_BYTES];
	ReadArg		read = {call->server, op};
	bool		logged_in_again = false;
	bool		clock_corrected = false;

	if (!credential_key(key, call->server))
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_UNREACHABLE, "digest", NULL, NULL);
	if (!pgseal_endpoint_allowed(key))
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_UNREACHABLE, "circuit_open",
								  "Recent operations got no answer; it will be asked again in a few seconds.",
								  NULL);
	for (;;)
	{
		PgsealHttpRequest request;
		PgsealVerdict verdict;
		uint64		version;

		call->now = (int64) time(NULL) + pgseal_endpoint_clock_offset(key);
		verdict = get_credential(credential, &version, call, key);
		if (verdict == PGSEAL_VERDICT_OK)
		{
			provider->build(&request, call->server, op, credential, call->now);
			verdict = pgseal_kms_send(call, out_reply, &request, judge_reply, &read);
		}
		if (verdict == PGSEAL_VERDICT_RELOGIN && !logged_in_again)
		{
			logged_in_again = true;
			pgseal_credential_forget(key, version);
		}
		else if (verdict == PGSEAL_VERDICT_SKEWED && !clock_corrected && call->server_time != 0)
		{
			clock_corrected = true;
			pgseal_endpoint_set_clock_offset(key, call->server_time - (int64) time(NULL));
		}
		else
		{
			pgseal_endpoint_answered(key, verdict != PGSEAL_VERDICT_RETRY &&
									 verdict != PGSEAL_VERDICT_UNREACHABLE);
			return verdict;
		}
	}
}

/*
 * Runs an operation in a context of its own.  The outputs that the operation
 * doesn't have are NULL.
 */
static PgsealKmsStatus
operate(const PgsealKmsServer *server, const PgsealKmsOp *op,
		uint8 *out_secret, PgsealKmsWrapped *out_wrapped, PgsealKmsDescription *out_description,
		PgsealKmsError *out_error)
{
	MemoryContext caller_context = CurrentMemoryContext;
	MemoryContext call_context = AllocSetContextCreate(caller_context, "pgseal kms call",
													   ALLOCSET_DEFAULT_SIZES);
	volatile PgsealVerdict verdict = PGSEAL_VERDICT_INVALID;

	PG_TRY();
	{
		PgsealKmsCall call = {.server = server, .error = out_error};
		PgsealKmsReply *reply;

		MemoryContextSwitchTo(call_context);
		call.deadline = TimestampTzPlusMilliseconds(pgseal_clock(), pgseal_kms_timeout);
		if (remote_provider(server)->bases)
			call.bases = remote_provider(server)->bases(server);
		reply = pgseal_secmem_alloc(sizeof(PgsealKmsReply));
		verdict = exchange(&call, reply, op);
		MemoryContextSwitchTo(caller_context);

		if (verdict == PGSEAL_VERDICT_OK && out_secret)
			memcpy(out_secret, reply->secret, PGSEAL_KEY_BYTES);
		if (verdict == PGSEAL_VERDICT_OK && out_wrapped)
		{
			out_wrapped->bytes = memcpy(palloc(reply->wrapped_len), reply->wrapped,
										reply->wrapped_len);
			out_wrapped->len = reply->wrapped_len;
			out_wrapped->master_key = pstrdup(reply->master_key);
		}
		if (verdict == PGSEAL_VERDICT_OK && out_description)
		{
			out_description->newest_master_key = reply->master_key ?
				pstrdup(reply->master_key) : NULL;
			out_description->detail = pstrdup(reply->detail);
		}
	}
	PG_FINALLY();
	{
		MemoryContextSwitchTo(caller_context);
		MemoryContextDelete(call_context);
	}
	PG_END_TRY();
	return status_of(verdict);
}

PgsealKmsStatus
pgseal_remote_wrap(const PgsealKmsServer *server, PgsealKmsWrapped *out_wrapped,
				   PgsealKmsError *out_error, const PgsealKmsContext *context,
				   const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize)
{
	PgsealKmsOp op = {PGSEAL_KMS_OP_WRAP, context, .secret = secret};

	return operate(server, &op, NULL, out_wrapped, NULL, out_error);
}

PgsealKmsStatus
pgseal_remote_unwrap(const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
					 PgsealKmsError *out_error, const PgsealKmsContext *context,
					 const uint8 *wrapped, size_t wrapped_len, const char *master_key)
{
	PgsealKmsOp op = {PGSEAL_KMS_OP_UNWRAP, context, NULL, wrapped, wrapped_len, master_key};

	return operate(server, &op, out_secret, NULL, NULL, out_error);
}

PgsealKmsStatus
pgseal_remote_generate(const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
					   PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
					   const PgsealKmsContext *context)
{
	PgsealKmsOp op = {PGSEAL_KMS_OP_GENERATE, context};

	return operate(server, &op, out_secret, out_wrapped, NULL, out_error);
}

PgsealKmsStatus
pgseal_remote_rewrap(const PgsealKmsServer *server, PgsealKmsWrapped *out_wrapped,
					 PgsealKmsError *out_error, const PgsealKmsContext *context,
					 const uint8 *wrapped, size_t wrapped_len, const char *master_key)
{
	PgsealKmsOp op = {PGSEAL_KMS_OP_REWRAP, context, NULL, wrapped, wrapped_len, master_key};

	return operate(server, &op, NULL, out_wrapped, NULL, out_error);
}

PgsealKmsStatus
pgseal_remote_describe(const PgsealKmsServer *server, PgsealKmsDescription *out_description,
					   PgsealKmsError *out_error)
{
	PgsealKmsOp op = {PGSEAL_KMS_OP_DESCRIBE};

	return operate(server, &op, NULL, NULL, out_description, out_error);
}
