/*-------------------------------------------------------------------------
 *
 * vault.c
 *	  The provider vault_transit: requests to the transit engine of HashiCorp
 *	  Vault or OpenBao, and what it replies.
 *
 * https://developer.hashicorp.com/vault/api-docs/secret/transit
 * https://openbao.org/api-docs/secret/transit/
 *
 * The wrapped key is the engine's own text "vault:v3:...".  What we keep as
 * master key is "name:v3".  The encryption context goes along as "context":
 * a key made with derived=true binds it, any other ignores it.  (The engine's
 * associated_data is not used: Vault's rewrap doesn't take it.)
 *
 * No I/O here; the login is in vault_login.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/compat.h"
#include "kms/vault.h"

#define CIPHERTEXT_PREFIX	"vault:v"

/*
 * Options
 */

static void
check_addresses(const char *name, const char *value)
{
	List	   *list = pgseal_vault_addresses(value);
	ListCell   *cell;

	if (list == NIL)
		pgseal_kms_check_not_empty(name, "");
	foreach(cell, list)
		pgseal_kms_check_url(name, lfirst(cell));
}

/* It becomes part of a URL's path, but may have slashes (a mount) */
static void
check_path_part(const char *name, const char *value)
{
	pgseal_kms_check_not_empty(name, value);
	if (value[0] == '/' || strstr(value, "..") != NULL || strstr(value, "//") != NULL ||
		strpbrk(value, "\r\n") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("Give the name without a slash at its start.")));
}

static const char *const auth_methods[] = {"token_file", "approle", "kubernetes", "jwt", "cert",
NULL};

static void
check_auth_method(const char *name, const char *value)
{
	pgseal_kms_check_choice(name, value, auth_methods);
}

#define USE_FILE \
	"Put it into a file that only the server's operating system user can read and name that: option \"token_file\", or \"secret_id_file\" with auth_method 'approle'."

static const PgsealKmsOption options[] = {
	{"address", true, NULL, check_addresses},
	{"key_name", true, NULL, check_path_part},
	{"mount", false, NULL, check_path_part},
	{"namespace", false, NULL, check_path_part},
	{"auth_method", false, NULL, check_auth_method},
	{"auth_mount", false, NULL, check_path_part},
	{"token_file", false, NULL, pgseal_kms_check_path},
	{"role_id", false, NULL, pgseal_kms_check_not_empty},
	{"secret_id_file", false, NULL, pgseal_kms_check_path},
	{"role", false, NULL, pgseal_kms_check_not_empty},
	{"jwt_file", false, NULL, pgseal_kms_check_path},
	PGSEAL_REMOTE_OPTIONS,
	{"token", false, USE_FILE},
	{"secret_id", false, USE_FILE},
	{"password", false, USE_FILE},
	{"jwt", false, "Put it into a file and name that in the option \"jwt_file\"."},
	{NULL}
};

static const char *const key_options[] = {"key_name", "mount", NULL};

/* What each method can't do without */
static void
validate(List *options_given)
{
	static const char *const urls[] = {"address", NULL};
	static const struct
	{
		const char *method;
		const char *option;
	}			needs[] = {
		{"token_file", "token_file"},
		{"approle", "role_id"},
		{"approle", "secret_id_file"},
		{"kubernetes", "role"},
		{"jwt", "role"},
		{"jwt", "jwt_file"},
		{"cert", "client_cert_file"}
	};
	const char *method = pgseal_kms_find_option(options_given, "auth_method");

	if (method == NULL)
		method = "token_file";
	for (int i = 0; i < lengthof(needs); i++)
	{
		if (strcmp(needs[i].method, method) == 0 &&
			pgseal_kms_find_option(options_given, needs[i].option) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
					 errmsg("option \"%s\" is required with auth_method \"%s\"",
							needs[i].option, method)));
	}
	pgseal_kms_check_plain_http(options_given, urls);
}

/*
 * Requests
 */

/* "/v1/<mount>/<action>/<key>" */
static char *
transit_path(const PgsealKmsServer *server, const char *action, const char *key_name)
{
	PgsealSecretString path;

	pgseal_secmem_init(&path);
	pgseal_secmem_append(&path, "/v1/");
	pgseal_secmem_append_urlencoded(&path, pgseal_kms_option_or(server, "mount", "transit"), "/");
	pgseal_secmem_append(&path, "/");
	pgseal_secmem_append(&path, action);
	pgseal_secmem_append(&path, "/");
	pgseal_secmem_append_urlencoded(&path, key_name, "");
	return path.data;
}

/* The key's name within what we keep as master key */
static char *
name_of(const char *master_key)
{
	const char *version = strrchr(master_key, ':');

	return version ? pnstrdup(master_key, version - master_key) : pstrdup(master_key);
}

static void
append_base64_member(PgsealSecretString *body, const char *name, const uint8 *bytes, size_t len)
{
	pgseal_secmem_append(body, body->len == 0 ? "{" : ",");
	pgseal_secmem_append_json(body, name);
	pgseal_secmem_append(body, ":\"");
	pgseal_secmem_append_base64(body, bytes, len);
	pgseal_secmem_append(body, "\"");
}

static void
build(PgsealHttpRequest *out_request, const PgsealKmsServer *server, const PgsealKmsOp *op,
	  const PgsealCredential *credential, int64 now)
{
	const char *key_name = pgseal_kms_option(server, "key_name");
	PgsealSecretString *body = &out_request->body;
	const char *action = NULL;
	const char *context;

	switch (op->kind)
	{
		case PGSEAL_KMS_OP_WRAP:
			action = "encrypt";
			break;
		case PGSEAL_KMS_OP_GENERATE:
			action = "datakey/plaintext";
			break;
		case PGSEAL_KMS_OP_UNWRAP:
			action = "decrypt";
			key_name = name_of(op->master_key);
			break;
		case PGSEAL_KMS_OP_REWRAP:
			action = "rewrap";
			key_name = name_of(op->master_key);
			break;
		case PGSEAL_KMS_OP_DESCRIBE:
			pgseal_vault_begin(out_request, server, "GET", transit_path(server, "keys", key_name),
							   credential->token);
			return;
	}
	pgseal_vault_begin(out_request, server, "POST", transit_path(server, action, key_name),
					   credential->token);
	if (op->kind == PGSEAL_KMS_OP_WRAP)
		append_base64_member(body, "plaintext", op->secret, PGSEAL_KEY_BYTES);
	else if (op->kind == PGSEAL_KMS_OP_GENERATE)
		pgseal_secmem_append(body, "{\"bits\":256");
	else
	{
		pgseal_secmem_append(body, "{\"ciphertext\":");
		pgseal_secmem_append_json(body, pgseal_secmem_copy((const char *) op->wrapped,
														   op->wrapped_len));
	}
	context = pgseal_kms_context_json(op->context);
	append_base64_member(body, "context", (const uint8 *) context, strlen(context));
	pgseal_secmem_append(body, "}");
}

/*
 * Replies
 */

/* The version N of "vault:vN:..."; 0 when it is malformed */
static int64
ciphertext_version(const char *ciphertext)
{
	char	   *end;
	long long	version;

	if (strncmp(ciphertext, CIPHERTEXT_PREFIX, strlen(CIPHERTEXT_PREFIX)) != 0)
		return 0;
	errno = 0;
	version = strtoll(ciphertext + strlen(CIPHERTEXT_PREFIX), &end, 10);
	return errno == 0 && version > 0 && end[0] == ':' && end[1] != '\0' ? version : 0;
}

static PgsealVerdict
read_description(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealJson *json,
				 const char *key_name)
{
	const char *name = pgseal_json_string(json, "data.name");
	const char *type = pgseal_json_string(json, "data.type");
	int64		latest;

	if (type == NULL || !pgseal_json_int64(json, "data.latest_version", &latest))
		return pgseal_kms_verdict_malformed(out_error);
	if (name && strcmp(name, key_name) != 0)
		return pgseal_kms_verdict_other_key(out_error, psprintf("\"%s\"", name));
	if (pgseal_json_true(json, "data.soft_deleted"))
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "key_deleted",
								  psprintf("Key \"%s\" is deleted.", key_name),
								  "Restore the key with transit/keys/<name>/soft-delete-restore.");
	if (!pgseal_json_true(json, "data.supports_encryption"))
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "key_type",
								  psprintf("Key \"%s\" of type %s does not encrypt.", key_name, type),
								  PGSEAL_VAULT_MAKE_KEY);
	out_reply->master_key = psprintf("%s:v" INT64_FORMAT, key_name, latest);
	out_reply->detail = psprintf("Key \"%s\" is of type %s, its newest version is " INT64_FORMAT "; it %s.%s",
								 key_name, type, latest,
								 pgseal_json_true(json, "data.derived") ?
								 "binds each wrapped key to its context" :
								 "binds no context (derived is false)",
								 pgseal_json_true(json, "data.deletion_allowed") ?
								 " Its deletion is allowed." : "");
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
read_reply(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealHttpResponse *response,
		   const PgsealKmsServer *server, const PgsealKmsOp *op)
{
	PgsealJson *json;
	const char *key_name = pgseal_kms_option(server, "key_name");

	if (response->status != 200)
		return pgseal_vault_judge_error(out_error, response);
	json = pgseal_json_parse(response->body, response->body_len);
	if (json == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	if (op->kind == PGSEAL_KMS_OP_DESCRIBE)
		return read_description(out_reply, out_error, json, key_name);

	if (op->kind == PGSEAL_KMS_OP_UNWRAP || op->kind == PGSEAL_KMS_OP_GENERATE)
	{
		const char *plaintext = pgseal_json_string(json, "data.plaintext");

		if (plaintext == NULL ||
			pgseal_secmem_decode_base64(out_reply->secret, PGSEAL_KEY_BYTES,
										plaintext) != PGSEAL_KEY_BYTES)
			return pgseal_kms_verdict_malformed(out_error);
	}
	if (op->kind != PGSEAL_KMS_OP_UNWRAP)
	{
		const char *ciphertext = pgseal_json_string(json, "data.ciphertext");
		int64		version = ciphertext ? ciphertext_version(ciphertext) : 0;

		if (version == 0 || strlen(ciphertext) > sizeof(out_reply->wrapped))
			return pgseal_kms_verdict_malformed(out_error);
		out_reply->wrapped_len = strlen(ciphertext);
		memcpy(out_reply->wrapped, ciphertext, out_reply->wrapped_len);
		if (op->kind == PGSEAL_KMS_OP_REWRAP)
			key_name = name_of(op->master_key);
		out_reply->master_key = psprintf("%s:v" INT64_FORMAT, key_name, version);
	}
	return PGSEAL_VERDICT_OK;
}

/*
 * A token that may "create" makes a key with the first encryption under it: a
 * mistyped name would go unnoticed.  So the key must be there already.
 */
static PgsealKmsStatus
wrap_under_existing_key(const PgsealKmsServer *server, PgsealKmsWrapped *out_wrapped,
						PgsealKmsError *out_error, const PgsealKmsContext *context,
						const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize)
{
	PgsealKmsDescription description;
	PgsealKmsStatus status = pgseal_remote_describe(server, &description, out_error);

	return status != PGSEAL_KMS_OK ? status :
		pgseal_remote_wrap(server, out_wrapped, out_error, context, secret, may_initialize);
}

/* Vault wraps anew under the same key only, not under one that the server was given since */
static bool
can_rewrap(const PgsealKmsServer *server, const char *master_key)
{
	return strcmp(name_of(master_key), pgseal_kms_option(server, "key_name")) == 0;
}

const PgsealRemoteProvider pgseal_kms_vault = {
	.base = {
		.name = "vault_transit",
		.options = options,
		.validate = validate,
		.wrap = wrap_under_existing_key,
		.unwrap = pgseal_remote_unwrap,
		.generate = pgseal_remote_generate,
		.rewrap = pgseal_remote_rewrap,
		.can_rewrap = can_rewrap,
		.describe = pgseal_remote_describe,
	},
	.key_options = key_options,
	.build = build,
	.read = read_reply,
	.login = pgseal_vault_login,
	.bases = pgseal_vault_bases,
};

PG_FUNCTION_INFO_V1(pgseal_vault_transit_validator);
Datum
pgseal_vault_transit_validator(PG_FUNCTION_ARGS)
{
	pgseal_kms_validate(&pgseal_kms_vault.base, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
