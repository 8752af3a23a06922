/*-------------------------------------------------------------------------
 *
 * vault_login.c
 *	  Tokens for vault_transit.
 *
 * https://developer.hashicorp.com/vault/api-docs/auth
 *
 * token_file reads a token that someone else renews (Vault Agent, a cron job):
 * every minute, and at once when the token is refused.  The other methods log
 * in; the token is renewed at two thirds of its life, and when renewing comes
 * to its end (the token's maximum TTL), there is a new login.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kms/vault.h"

#define SECRET_MAX_BYTES		(PGSEAL_CREDENTIAL_TOKEN_BYTES - 1)
#define TOKEN_FILE_SECONDS		60
#define KUBERNETES_JWT_FILE		"/var/run/secrets/kubernetes.io/serviceaccount/token"

/* A renewal that gains less is at the end of the token's maximum TTL */
#define RENEWAL_MIN_SECONDS		60

static const char *
auth_method(const PgsealKmsServer *server)
{
	return pgseal_kms_option_or(server, "auth_method", "token_file");
}

/* secret: what the method takes from a file, a secret id or a JWT; "" with cert */
static void
build_login(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
			const char *secret)
{
	const char *method = auth_method(server);
	bool		approle = strcmp(method, "approle") == 0;
	bool		cert = strcmp(method, "cert") == 0;
	const char *role = pgseal_kms_option(server, approle ? "role_id" : "role");
	PgsealSecretString path;
	PgsealSecretString *body = &out_request->body;

	pgseal_secmem_init(&path);
	pgseal_secmem_append(&path, "/v1/auth/");
	pgseal_secmem_append_urlencoded(&path, pgseal_kms_option_or(server, "auth_mount", method), "/");
	pgseal_secmem_append(&path, "/login");
	pgseal_vault_begin(out_request, server, "POST", path.data, NULL);

	pgseal_secmem_append(body, "{");
	if (role)
	{
		pgseal_secmem_append(body, approle ? "\"role_id\":" : cert ? "\"name\":" : "\"role\":");
		pgseal_secmem_append_json(body, role);
	}
	if (!cert)
	{
		pgseal_secmem_append(body, approle ? ",\"secret_id\":" : ",\"jwt\":");
		pgseal_secmem_append_json(body, secret);
	}
	pgseal_secmem_append(body, "}");
}

static void
build_renewal(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
			  const char *token)
{
	pgseal_vault_begin(out_request, server, "POST", "/v1/auth/token/renew-self", token);
	pgseal_secmem_append(&out_request->body, "{}");
}

PgsealVerdict
pgseal_vault_read_login(void *out_credential, PgsealKmsError *out_error,
						const PgsealHttpResponse *response, const void *now)
{
	PgsealCredential *credential = out_credential;
	PgsealJson *json;
	int64		lease_seconds;

	if (response->status != 200)
	{
		PgsealVerdict verdict = pgseal_vault_judge_error(out_error, response);

		if (verdict == PGSEAL_VERDICT_RELOGIN || verdict == PGSEAL_VERDICT_REFUSED)
			return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, out_error->code,
									  pstrdup(out_error->detail),
									  "Check the options of the login, and that the role exists and its secret or token has not expired.");
		return verdict;
	}
	json = pgseal_json_parse(response->body, response->body_len);
	if (json == NULL ||
		!pgseal_kms_set_field(credential->token, sizeof(credential->token),
							  pgseal_json_string(json, "auth.client_token")) ||
		!pgseal_json_int64(json, "auth.lease_duration", &lease_seconds) ||
		lease_seconds < 0 || credential->token[0] == '\0')
		return pgseal_kms_verdict_malformed(out_error);
	if (lease_seconds == 0)
	{
		credential->expires_at = 0;
		credential->refresh_at = PG_INT64_MAX;
	}
	else
		pgseal_kms_set_lifetime(credential, *(const int64 *) now, Min(lease_seconds, PG_INT32_MAX));
	credential->renewable = pgseal_json_true(json, "auth.renewable");
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
read_token_file(PgsealCredential *out_credential, PgsealKmsCall *call)
{
	char	   *token = pgseal_kms_read_secret_file(call->error,
													pgseal_kms_option(call->server, "token_file"),
													SECRET_MAX_BYTES);

	if (token == NULL)
		return PGSEAL_VERDICT_REFUSED;
	if (token[0] == '\0' ||
		!pgseal_kms_set_field(out_credential->token, sizeof(out_credential->token), token))
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "file",
								  "The token's file is empty or has several lines.",
								  "See the option \"token_file\".");
	out_credential->expires_at = 0;
	out_credential->refresh_at = call->now + TOKEN_FILE_SECONDS;
	return PGSEAL_VERDICT_OK;
}

PgsealVerdict
pgseal_vault_login(PgsealCredential *out_credential, const PgsealCredential *old,
				   PgsealKmsCall *call)
{
	const PgsealKmsServer *server = call->server;
	const char *method = auth_method(server);
	const char *path = NULL;
	char	   *secret = pstrdup("");
	PgsealHttpRequest request;

	if (strcmp(method, "token_file") == 0)
		return read_token_file(out_credential, call);

	if (old && old->renewable)
	{
		PgsealVerdict verdict;

		build_renewal(&request, server, old->token);
		verdict = pgseal_kms_send(call, out_credential, &request, pgseal_vault_read_login,
								  &call->now);
		if (verdict == PGSEAL_VERDICT_RETRY || verdict == PGSEAL_VERDICT_UNREACHABLE ||
			(verdict == PGSEAL_VERDICT_OK &&
			 (out_credential->expires_at == 0 ||
			  out_credential->expires_at - call->now >= RENEWAL_MIN_SECONDS)))
			return verdict;
		memset(out_credential, 0, sizeof(*out_credential));
	}

	if (strcmp(method, "approle") == 0)
		path = pgseal_kms_option(server, "secret_id_file");
	else if (strcmp(method, "cert") != 0)
		path = pgseal_kms_option_or(server, "jwt_file", KUBERNETES_JWT_FILE);
	if (path)
	{
		secret = pgseal_kms_read_secret_file(call->error, path, SECRET_MAX_BYTES);
		if (secret == NULL)
			return PGSEAL_VERDICT_REFUSED;
	}
	build_login(&request, server, secret);
	return pgseal_kms_send(call, out_credential, &request, pgseal_vault_read_login, &call->now);
}
