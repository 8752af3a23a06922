/*-------------------------------------------------------------------------
 *
 * gcp_login.c
 *	  Tokens for gcp_kms.
 *
 * https://cloud.google.com/docs/authentication/application-default-credentials
 * https://google.aip.dev/auth/4112 (service account), 4115 (metadata server),
 * 4117 (workload identity federation)
 *
 * A file in Google's own format, of type service_account (a JWT signed with
 * its private key is exchanged for a token) or external_account (a token that
 * another identity provider leaves in a file is exchanged, and with it perhaps
 * a service account impersonated); or the machine's metadata server.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/crypto.h"
#include "kms/gcp.h"
#include "kms/oauth.h"

#define FILE_MAX_BYTES		PGSEAL_JSON_MAX_BYTES
#define SCOPE				"https://www.googleapis.com/auth/cloudkms"
#define JWT_SECONDS			3600
#define METADATA_BASE		"http://169.254.169.254"
#define METADATA_PATH		"/computeMetadata/v1/instance/service-accounts/default/token"

/* The machine's own service answers fast or not at all */
#define LOCAL_TIMEOUT_MS	2000

static const char *
env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

/* A POST to a URL that a file names; https:// or this machine only */
static bool
begin_post(PgsealHttpRequest *out_request, const PgsealKmsServer *server, const char *url)
{
	size_t		len = url ? pgseal_http_origin_len(url) : 0;

	if (len == 0)
		return false;
	pgseal_kms_request_init(out_request, server, "POST", pnstrdup(url, len));
	out_request->path = url[len] ? url + len : "/";
	return true;
}

/*
 * The token request of a service account, whose key file is given parsed.
 * False: a member is missing, or the private key can't be read.
 */
static bool
build_service_account(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
					  const PgsealJson *key_file, int64 now)
{
	const char *email = pgseal_json_string(key_file, "client_email");
	const char *key = pgseal_json_string(key_file, "private_key");
	const char *key_id = pgseal_json_string(key_file, "private_key_id");
	const char *token_uri = pgseal_json_string(key_file, "token_uri");
	uint8		signature[PGSEAL_RSA_SIGNATURE_MAX_BYTES];
	size_t		signature_len;
	PgsealSecretString part;
	PgsealSecretString jwt;

	if (email == NULL || key == NULL || !begin_post(out_request, server, token_uri))
		return false;

	/*
	 * RFC 7519: base64url(header) "." base64url(claims) "."
	 * base64url(signature)
	 */
	pgseal_secmem_init(&jwt);
	pgseal_secmem_init(&part);
	pgseal_secmem_append(&part, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
	if (key_id)
	{
		pgseal_secmem_append(&part, ",\"kid\":");
		pgseal_secmem_append_json(&part, key_id);
	}
	pgseal_secmem_append(&part, "}");
	pgseal_secmem_append_base64url(&jwt, (const uint8 *) part.data, part.len);
	pgseal_secmem_append(&jwt, ".");

	pgseal_secmem_init(&part);
	pgseal_secmem_append(&part, "{\"iss\":");
	pgseal_secmem_append_json(&part, email);
	pgseal_secmem_append(&part, ",\"scope\":\"" SCOPE "\",\"aud\":");
	pgseal_secmem_append_json(&part, token_uri);
	pgseal_secmem_append(&part, psprintf(",\"iat\":" INT64_FORMAT ",\"exp\":" INT64_FORMAT "}",
										 now, now + JWT_SECONDS));
	pgseal_secmem_append_base64url(&jwt, (const uint8 *) part.data, part.len);

	signature_len = pgseal_rs256_sign(signature, key, strlen(key),
									  (const uint8 *) jwt.data, jwt.len);
	if (signature_len == 0)
		return false;
	pgseal_secmem_append(&jwt, ".");
	pgseal_secmem_append_base64url(&jwt, signature, signature_len);

	pgseal_oauth_begin_form(out_request);
	pgseal_oauth_append(out_request, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
	pgseal_oauth_append(out_request, "assertion", jwt.data);
	return true;
}

/*
 * The token exchange of workload identity federation.  account: parsed file of
 * type external_account.  False: a member is missing.
 */
static bool
build_exchange(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
			   const PgsealJson *account, const char *subject_token)
{
	const char *audience = pgseal_json_string(account, "audience");
	const char *type = pgseal_json_string(account, "subject_token_type");

	if (audience == NULL || type == NULL ||
		!begin_post(out_request, server, pgseal_json_string(account, "token_url")))
		return false;
	pgseal_oauth_begin_form(out_request);
	pgseal_oauth_append(out_request, "grant_type",
						"urn:ietf:params:oauth:grant-type:token-exchange");
	pgseal_oauth_append(out_request, "audience", audience);
	pgseal_oauth_append(out_request, "scope", "https://www.googleapis.com/auth/cloud-platform");
	pgseal_oauth_append(out_request, "requested_token_type",
						"urn:ietf:params:oauth:token-type:access_token");
	pgseal_oauth_append(out_request, "subject_token_type", type);
	pgseal_oauth_append(out_request, "subject_token", subject_token);
	return true;
}

/* generateAccessToken: {"accessToken", "expireTime"} */
static PgsealVerdict
read_impersonation(void *out_credential, PgsealKmsError *out_error,
				   const PgsealHttpResponse *response, const void *now)
{
	PgsealCredential *credential = out_credential;
	PgsealJson *json = pgseal_json_parse(response->body, response->body_len);
	const char *expires = json ? pgseal_json_string(json, "expireTime") : NULL;
	int64		left = expires ? pgseal_http_parse_date(expires) - *(const int64 *) now : 0;

	if (response->status != 200)
		return pgseal_kms_verdict(out_error, pgseal_kms_status_is_transient(response->status) ?
								  PGSEAL_VERDICT_RETRY : PGSEAL_VERDICT_REFUSED,
								  json ? pgseal_json_string(json, "error.status") : NULL,
								  json ? pgseal_json_string(json, "error.message") : NULL,
								  "Grant the federated identity roles/iam.workloadIdentityUser on the service account.");
	if (left <= 0 ||
		!pgseal_kms_set_field(credential->token, sizeof(credential->token),
							  pgseal_json_string(json, "accessToken")))
		return pgseal_kms_verdict_malformed(out_error);
	pgseal_kms_set_lifetime(credential, *(const int64 *) now, left);
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
impersonate(PgsealCredential *credential, PgsealKmsCall *call, const char *url)
{
	PgsealCredential *impersonated = pgseal_secmem_alloc(sizeof(PgsealCredential));
	PgsealSecretString authorization;
	PgsealHttpRequest request;
	PgsealVerdict verdict;

	if (!begin_post(&request, call->server, url))
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "file",
								  "service_account_impersonation_url is not a URL.", NULL);
	pgseal_secmem_init(&authorization);
	pgseal_secmem_append(&authorization, "Bearer ");
	pgseal_secmem_append(&authorization, credential->token);
	pgseal_http_add_secret_header(&request, "Authorization", authorization.data);
	pgseal_http_add_header(&request, "Content-Type", "application/json");
	pgseal_secmem_init(&request.body);
	pgseal_secmem_append(&request.body, "{\"scope\":[\"" SCOPE "\"]}");
	verdict = pgseal_kms_send(call, impersonated, &request, read_impersonation, &call->now);
	if (verdict == PGSEAL_VERDICT_OK)
		memcpy(credential, impersonated, sizeof(*impersonated));
	return verdict;
}

/* The other identity provider's token; NULL: the error says why */
static const char *
read_subject_token(PgsealKmsCall *call, const PgsealJson *account)
{
	const char *path = pgseal_json_string(account, "credential_source.file");
	const char *format = pgseal_json_string(account, "credential_source.format.type");
	const char *field = pgseal_json_string(account,
										   "credential_source.format.subject_token_field_name");
	char	   *text;
	PgsealJson *json;
	const char *token;

	if (path == NULL)
	{
		(void) pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "file",
								  "The external account's token does not come from a file.",
								  "Only a credential_source with \"file\" is supported.");
		return NULL;
	}
	text = pgseal_kms_read_secret_file(call->error, path, FILE_MAX_BYTES);
	if (text == NULL || format == NULL || strcmp(format, "json") != 0)
		return text;
	json = pgseal_json_parse(text, strlen(text));
	token = json && field ? pgseal_json_string(json, field) : NULL;
	if (token == NULL)
		(void) pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "file",
								  psprintf("File \"%s\" has no such token.", path), NULL);
	return token;
}

static PgsealVerdict
login_file(PgsealCredential *out_credential, PgsealKmsCall *call, const char *path)
{
	char	   *text = pgseal_kms_read_secret_file(call->error, path, FILE_MAX_BYTES);
	PgsealJson *json = text ? pgseal_json_parse(text, strlen(text)) : NULL;
	const char *type = json ? pgseal_json_string(json, "type") : NULL;
	const char *impersonation_url;
	const char *subject_token;
	PgsealHttpRequest request;
	PgsealVerdict verdict;

	if (text == NULL)
		return PGSEAL_VERDICT_REFUSED;
	if (type && strcmp(type, "service_account") == 0 &&
		build_service_account(&request, call->server, json, call->now))
		return pgseal_kms_send(call, out_credential, &request, pgseal_oauth_read_token,
							   &call->now);
	if (type == NULL || strcmp(type, "external_account") != 0)
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "file",
								  psprintf("File \"%s\" is not a usable key of a service account nor an external account.", path),
								  "Check the option \"credentials_file\".");

	subject_token = read_subject_token(call, json);
	if (subject_token == NULL)
		return PGSEAL_VERDICT_REFUSED;
	if (!build_exchange(&request, call->server, json, subject_token))
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "file",
								  psprintf("File \"%s\" lacks audience, subject_token_type or token_url.", path),
								  "Check the option \"credentials_file\".");
	verdict = pgseal_kms_send(call, out_credential, &request, pgseal_oauth_read_token, &call->now);
	impersonation_url = pgseal_json_string(json, "service_account_impersonation_url");
	if (verdict == PGSEAL_VERDICT_OK && impersonation_url)
		verdict = impersonate(out_credential, call, impersonation_url);
	return verdict;
}

/* A reply without this header comes from something else on that address */
static PgsealVerdict
read_metadata(void *out_credential, PgsealKmsError *out_error,
			  const PgsealHttpResponse *response, const void *now)
{
	const char *flavor = pgseal_http_header(response, "Metadata-Flavor");

	if (flavor == NULL || strcmp(flavor, "Google") != 0)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "metadata",
								  "What answers is not Google's metadata server.",
								  "See the option \"credentials\".");
	return pgseal_oauth_read_token(out_credential, out_error, response, now);
}

PgsealVerdict
pgseal_gcp_login(PgsealCredential *out_credential, const PgsealCredential *old,
				 PgsealKmsCall *call)
{
	const char *source = pgseal_kms_option_or(call->server, "credentials", "auto");
	const char *path = pgseal_kms_option_or(call->server, "credentials_file",
											env("GOOGLE_APPLICATION_CREDENTIALS"));
	const char *host = env("GCE_METADATA_HOST");
	PgsealHttpRequest request = {0};
	TimestampTz deadline = call->deadline;
	PgsealVerdict verdict;

	if (strcmp(source, "file") == 0 || (strcmp(source, "auto") == 0 && path))
	{
		if (path == NULL)
			return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "credentials",
									  "The credentials' file is not known.",
									  "Set the option \"credentials_file\".");
		return login_file(out_credential, call, path);
	}

	/* no proxy, no TLS: the service is on the machine */
	request.method = "GET";
	request.base = host ? psprintf("http://%s", host) : METADATA_BASE;
	request.path = METADATA_PATH;
	request.plain_allowed = true;
	pgseal_http_add_header(&request, "Metadata-Flavor", "Google");
	call->deadline = Min(deadline, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   LOCAL_TIMEOUT_MS));
	verdict = pgseal_kms_send(call, out_credential, &request, read_metadata, &call->now);
	call->deadline = deadline;
	return verdict;
}
