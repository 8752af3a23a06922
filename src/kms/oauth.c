/*-------------------------------------------------------------------------
 *
 * oauth.c
 *	  Bearer tokens (RFC 6749), as Azure and Google give them.
 *
 * Pure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kms/oauth.h"

/* A token that is taken from a cache of the service may be nearly used up */
#define MIN_SECONDS		1
#define MAX_SECONDS		SECS_PER_DAY

PgsealVerdict
pgseal_oauth_read_token(void *out_credential, PgsealKmsError *out_error,
						const PgsealHttpResponse *response, const void *now)
{
	PgsealCredential *credential = out_credential;
	PgsealJson *json = pgseal_json_parse(response->body, response->body_len);
	int64		seconds;

	if (response->status != 200)
	{
		const char *code = json ? pgseal_json_string(json, "error") : NULL;
		const char *message = json ? pgseal_json_string(json, "error_description") : NULL;

		/* the machine's identity service says 404 and 410 while it starts */
		if (pgseal_kms_status_is_transient(response->status) || response->status == 404 ||
			response->status == 410)
			return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RETRY, code, message, NULL);

		/* Google, about the times in a JWT that we signed */
		if (message && strstr(message, "iat and exp") != NULL)
			return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_SKEWED, code, message,
									  "Set the machine's clock.");
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, code, message,
								  "Check the identity's name and secret or token, and that it has not expired.");
	}
	if (json == NULL ||
		!pgseal_kms_set_field(credential->token, sizeof(credential->token),
							  pgseal_json_string(json, "access_token")) ||
		credential->token[0] == '\0' ||
		!pgseal_json_int64(json, "expires_in", &seconds))
		return pgseal_kms_verdict_malformed(out_error);
	pgseal_kms_set_lifetime(credential, *(const int64 *) now,
							Min(Max(seconds, MIN_SECONDS), MAX_SECONDS));
	return PGSEAL_VERDICT_OK;
}

void
pgseal_oauth_begin_form(PgsealHttpRequest *request)
{
	pgseal_http_add_header(request, "Content-Type", "application/x-www-form-urlencoded");
	pgseal_secmem_init(&request->body);
}

void
pgseal_oauth_append(PgsealHttpRequest *request, const char *name, const char *value)
{
	pgseal_secmem_append(&request->body, request->body.len > 0 ? "&" : "");
	pgseal_secmem_append(&request->body, name);
	pgseal_secmem_append(&request->body, "=");
	pgseal_secmem_append_urlencoded(&request->body, value, "");
}
