/*-------------------------------------------------------------------------
 *
 * azure.c
 *	  The provider azure_key_vault: requests to Azure Key Vault or Managed HSM
 *	  and what they reply.
 *
 * https://learn.microsoft.com/rest/api/keyvault/keys
 *
 * The secret is made here and wrapped by an RSA key (RSA-OAEP-256) or, on
 * Managed HSM, an AES key (A256KW).  What they wrap doesn't say with which
 * version of the key, so the kid in the reply, "https://<vault>/keys/<name>/
 * <version>", is what we keep as master key, and unwrapping asks exactly that
 * one.  They bind no context; DESIGN.md, section 7, says what does.
 *
 * No I/O here; the login is in azure_login.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/compat.h"
#include "kms/azure.h"

#define API_VERSION			"?api-version=7.4"
#define DEFAULT_ALGORITHM	"RSA-OAEP-256"

/*
 * Options
 */

static void
refuse(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

/* The vault itself: tokens must not go to whatever host someone names */
static void
check_vault_url(const char *name, const char *value)
{
	pgseal_kms_check_url(name, value);
	if (value[pgseal_http_origin_len(value)] != '\0')
		refuse(name, value, "Give the vault's URL without a path, such as https://name.vault.azure.net.");
}

/* Letters, digits and hyphens: names of keys, their versions, tenants, clients */
static void
check_name(const char *name, const char *value)
{
	size_t		len = strlen(value);

	if (len == 0 || len > 127 ||
		strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") != len)
		refuse(name, value, "Letters, digits and hyphens are allowed.");
}

static void
check_algorithm(const char *name, const char *value)
{
	static const char *const choices[] = {"RSA-OAEP-256", "RSA-OAEP", "A256KW", "A192KW", "A128KW",
	NULL};

	pgseal_kms_check_choice(name, value, choices);
}

static void
check_credentials(const char *name, const char *value)
{
	static const char *const choices[] = {"auto", "client_secret", "workload_identity",
	"managed_identity", NULL};

	pgseal_kms_check_choice(name, value, choices);
}

#define USE_FILE \
	"Put it into a file that only the server's operating system user can read and name that in the option \"client_secret_file\", or use a managed or workload identity (option \"credentials\")."

static const PgsealKmsOption options[] = {
	{"vault_url", true, NULL, check_vault_url},
	{"key_name", true, NULL, check_name},
	{"algorithm", false, NULL, check_algorithm},
	{"credentials", false, NULL, check_credentials},
	{"tenant_id", false, NULL, check_name},
	{"client_id", false, NULL, check_name},
	{"client_secret_file", false, NULL, pgseal_kms_check_path},
	{"federated_token_file", false, NULL, pgseal_kms_check_path},
	{"authority_host", false, NULL, pgseal_kms_check_url},
	{"resource", false, NULL, pgseal_kms_check_url},
	PGSEAL_REMOTE_OPTIONS,
	{"client_secret", false, USE_FILE},
	{"access_token", false, USE_FILE},
	{NULL}
};

static const char *const key_options[] = {"key_name", "algorithm", NULL};

static void
validate(List *options_given)
{
	static const char *const urls[] = {"vault_url", "authority_host", NULL};

	/* a token for Azure's vaults goes to no other host */
	if (pgseal_azure_resource(pgseal_kms_find_option(options_given, "vault_url")) == NULL &&
		pgseal_kms_find_option(options_given, "resource") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"resource\" is required for a vault outside of Azure's own domains"),
				 errhint("Give what a token must be issued for to be sent to that host.")));
	pgseal_kms_check_plain_http(options_given, urls);
}

/*
 * Requests
 */

/* The path of a kid, if it lies in our vault; else NULL */
static const char *
kid_path(const PgsealKmsServer *server, const char *kid)
{
	const char *vault = pgseal_kms_option(server, "vault_url");
	size_t		len = pgseal_http_origin_len(kid);

	if (len != strlen(vault) || pg_strncasecmp(vault, kid, len) != 0 ||
		strncmp(kid + len, "/keys/", 6) != 0 || strpbrk(kid, "?#% \r\n") != NULL ||
		strstr(kid, "..") != NULL)
		return NULL;
	return kid + len;
}

static void
build(PgsealHttpRequest *out_request, const PgsealKmsServer *server, const PgsealKmsOp *op,
	  const PgsealCredential *credential, int64 now)
{
	const char *key_path = psprintf("/keys/%s", pgseal_kms_option(server, "key_name"));
	const char *kid = op->master_key ? kid_path(server, op->master_key) : NULL;
	bool		wrap = op->kind == PGSEAL_KMS_OP_WRAP;
	bool		describe = op->kind == PGSEAL_KMS_OP_DESCRIBE;
	PgsealSecretString authorization;

	pgseal_kms_request_init(out_request, server, describe ? "GET" : "POST",
							pgseal_kms_option(server, "vault_url"));

	/*
	 * a kid of another vault can't be asked for: the newest version will
	 * refuse
	 */
	if (!wrap && !describe && kid)
		key_path = kid;
	out_request->path = psprintf("%s%s" API_VERSION, key_path,
								 describe ? "" : wrap ? "/wrapkey" : "/unwrapkey");

	pgseal_secmem_init(&authorization);
	pgseal_secmem_append(&authorization, "Bearer ");
	pgseal_secmem_append(&authorization, credential->token);
	pgseal_http_add_secret_header(out_request, "Authorization", authorization.data);
	if (describe)
		return;

	pgseal_http_add_header(out_request, "Content-Type", "application/json");
	pgseal_secmem_init(&out_request->body);
	pgseal_secmem_append(&out_request->body, "{\"alg\":");
	pgseal_secmem_append_json(&out_request->body,
							  pgseal_kms_option_or(server, "algorithm", DEFAULT_ALGORITHM));
	pgseal_secmem_append(&out_request->body, ",\"value\":\"");
	if (wrap)
		pgseal_secmem_append_base64url(&out_request->body, op->secret, PGSEAL_KEY_BYTES);
	else
		pgseal_secmem_append_base64url(&out_request->body, op->wrapped, op->wrapped_len);
	pgseal_secmem_append(&out_request->body, "\"}");
}

/*
 * Replies
 */

/* What the innermost code says beyond the outer one */
static const struct
{
	const char *code;
	const char *hint;
}			code_hints[] = {
	{"KeyDisabled", "Enable the key's version in Azure Key Vault."},
	{"KeyNotYetValid", "See the key's activation date."},
	{"KeyExpired", "See the key's expiration date."},
	{"ForbiddenByRbac", "Assign the role \"Key Vault Crypto Service Encryption User\" to the identity."},
	{"ForbiddenByPolicy", "Allow get, wrapKey and unwrapKey in the vault's access policy."},
	{"ForbiddenByFirewall", "Allow the machine's network in the vault's firewall."},
	{"ForbiddenByConnection", "Allow the machine's network in the vault's firewall, or use its private endpoint."},
	{"Forbidden", "Assign the role \"Key Vault Crypto Service Encryption User\" to the identity, and check that the key is enabled."},
	{"KeyNotFound", "Check the options \"vault_url\" and \"key_name\"; a deleted key can be recovered while soft-delete keeps it."},
	{"Throttled", "Ask for more capacity, or raise \"pgseal.cache_ttl\"."}
};

/* https://learn.microsoft.com/azure/key-vault/general/rest-error-codes */
static PgsealVerdict
judge_error(PgsealKmsError *out_error, const PgsealHttpResponse *response,
			const PgsealJson *json, const PgsealKmsOp *op)
{
	const char *message = json ? pgseal_json_string(json, "error.message") : NULL;
	const char *code = json ? pgseal_json_string(json, "error.innererror.code") : NULL;
	const char *hint = NULL;

	if (code == NULL && json)
		code = pgseal_json_string(json, "error.innerError.code");
	if (code == NULL && json)
		code = pgseal_json_string(json, "error.code");
	for (int i = 0; code && i < lengthof(code_hints); i++)
	{
		if (strcmp(code_hints[i].code, code) == 0)
			hint = code_hints[i].hint;
	}
	if (response->status == 401)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RELOGIN, code, message,
								  "Check the tenant, and the option \"resource\" for a cloud other than the public one.");
	if (pgseal_kms_status_is_transient(response->status))
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RETRY, code, message, hint);
	/* what can't be decrypted is a bad parameter */
	if (response->status == 400 && op->kind == PGSEAL_KMS_OP_UNWRAP)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_INVALID, code, message, hint);
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, code, message, hint);
}

/* Is it a versioned kid of our vault and key? */
static bool
is_own_kid(const PgsealKmsServer *server, const char *kid)
{
	const char *path = kid_path(server, kid);
	const char *key_name = pgseal_kms_option(server, "key_name");
	size_t		len = strlen(key_name);

	return path && pg_strncasecmp(path + 6, key_name, len) == 0 &&
		path[6 + len] == '/' && path[6 + len + 1] != '\0' &&
		strchr(path + 6 + len + 1, '/') == NULL;
}

static PgsealVerdict
read_description(PgsealKmsReply *out_reply, PgsealKmsError *out_error,
				 const PgsealKmsServer *server, const PgsealJson *json)
{
	const char *kid = pgseal_json_string(json, "key.kid");
	const char *type = pgseal_json_string(json, "key.kty");

	if (kid == NULL || type == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	if (!is_own_kid(server, kid))
		return pgseal_kms_verdict_other_key(out_error, kid);
	if (!pgseal_json_true(json, "attributes.enabled"))
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "KeyDisabled",
								  psprintf("Key %s is disabled.", kid),
								  "Enable the key's version in Azure Key Vault.");
	out_reply->master_key = pstrdup(kid);
	out_reply->detail = psprintf("Key %s of type %s is enabled.", kid, type);
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
read_reply(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealHttpResponse *response,
		   const PgsealKmsServer *server, const PgsealKmsOp *op)
{
	PgsealJson *json = pgseal_json_parse(response->body, response->body_len);
	const char *kid;
	const char *value;
	bool		right_key;
	int			len;

	if (response->status != 200)
		return judge_error(out_error, response, json, op);
	if (json == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	if (op->kind == PGSEAL_KMS_OP_DESCRIBE)
		return read_description(out_reply, out_error, server, json);

	kid = pgseal_json_string(json, "kid");
	value = pgseal_json_string(json, "value");
	if (kid == NULL || value == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	right_key = op->kind == PGSEAL_KMS_OP_UNWRAP ?
		pg_strcasecmp(kid, op->master_key) == 0 : is_own_kid(server, kid);
	if (!right_key)
		return pgseal_kms_verdict_other_key(out_error, kid);

	if (op->kind == PGSEAL_KMS_OP_UNWRAP)
	{
		if (pgseal_secmem_decode_base64(out_reply->secret, PGSEAL_KEY_BYTES,
										value) != PGSEAL_KEY_BYTES)
			return pgseal_kms_verdict_malformed(out_error);
		return PGSEAL_VERDICT_OK;
	}
	len = pgseal_secmem_decode_base64(out_reply->wrapped, sizeof(out_reply->wrapped), value);
	if (len <= 0)
		return pgseal_kms_verdict_malformed(out_error);
	out_reply->wrapped_len = len;
	out_reply->master_key = pstrdup(kid);
	return PGSEAL_VERDICT_OK;
}

const PgsealRemoteProvider pgseal_kms_azure = {
	.base = {
		.name = "azure_key_vault",
		.options = options,
		.validate = validate,
		.wrap = pgseal_remote_wrap,
		.unwrap = pgseal_remote_unwrap,
		.describe = pgseal_remote_describe,
	},
	.key_options = key_options,
	.build = build,
	.read = read_reply,
	.login = pgseal_azure_login,
};

PG_FUNCTION_INFO_V1(pgseal_azure_key_vault_validator);
Datum
pgseal_azure_key_vault_validator(PG_FUNCTION_ARGS)
{
	pgseal_kms_validate(&pgseal_kms_azure.base, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
