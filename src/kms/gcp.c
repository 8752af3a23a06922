/*-------------------------------------------------------------------------
 *
 * gcp.c
 *	  The provider gcp_kms: requests to Google Cloud KMS and what it replies.
 *
 * https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys
 *
 * The secret is made here and wrapped; the context goes along as additional
 * authenticated data.  What we keep as master key is the name of the key's
 * version that wrapped; unwrapping asks the key, which finds the version.
 * CRC32C guards both ways: Google says whether it got what we sent, we check
 * what it sends; damage is worth another try.
 *
 * No I/O here; the login is in gcp_login.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "port/pg_crc32c.h"

#include "base/compat.h"
#include "kms/gcp.h"

#define DEFAULT_ENDPOINT	"https://cloudkms.googleapis.com"
#define VERSION_PART		"/cryptoKeyVersions/"

/*
 * Options
 */

/* projects/P/locations/L/keyRings/R/cryptoKeys/K */
static void
check_key_name(const char *name, const char *value)
{
	static const char *const parts[] = {"projects", "locations", "keyRings", "cryptoKeys"};
	const char *c = value;
	bool		good = true;

	for (int i = 0; good && i < lengthof(parts); i++)
	{
		size_t		len = strlen(parts[i]);
		size_t		name_len;

		good = strncmp(c, parts[i], len) == 0 && c[len] == '/';
		if (!good)
			break;
		c += len + 1;
		name_len = strspn(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.:");
		good = name_len > 0 && c[name_len] == (i == lengthof(parts) - 1 ? '\0' : '/') &&
			c[0] != '.';
		c += name_len + 1;
	}
	if (!good)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("Give the key's full name, without a version: projects/P/locations/L/keyRings/R/cryptoKeys/K.")));
}

static void
check_credentials(const char *name, const char *value)
{
	static const char *const choices[] = {"auto", "file", "metadata", NULL};

	pgseal_kms_check_choice(name, value, choices);
}

#define USE_FILE \
	"Put it into a file that only the server's operating system user can read and name that in the option \"credentials_file\", or use the machine's service account (credentials 'metadata')."

static const PgsealKmsOption options[] = {
	{"key_name", true, NULL, check_key_name},
	{"endpoint", false, NULL, pgseal_kms_check_url},
	{"credentials", false, NULL, check_credentials},
	{"credentials_file", false, NULL, pgseal_kms_check_path},
	PGSEAL_REMOTE_OPTIONS,
	{"credentials_json", false, USE_FILE},
	{"private_key", false, USE_FILE},
	{"access_token", false, USE_FILE},
	{NULL}
};

static const char *const key_options[] = {"key_name", NULL};

static void
validate(List *options_given)
{
	static const char *const urls[] = {"endpoint", NULL};

	pgseal_kms_check_plain_http(options_given, urls);
}

/*
 * Requests
 */

static uint32
crc32c(const void *data, size_t len)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, data, len);
	FIN_CRC32C(crc);
	return crc;
}

/* "name":"<base64>","nameCrc32c":"<decimal>" */
static void
append_guarded(PgsealSecretString *body, const char *name, const uint8 *bytes, size_t len)
{
	pgseal_secmem_append(body, body->len == 0 ? "{\"" : ",\"");
	pgseal_secmem_append(body, name);
	pgseal_secmem_append(body, "\":\"");
	pgseal_secmem_append_base64(body, bytes, len);
	pgseal_secmem_append(body, psprintf("\",\"%sCrc32c\":\"%u\"", name, crc32c(bytes, len)));
}

static void
build(PgsealHttpRequest *out_request, const PgsealKmsServer *server, const PgsealKmsOp *op,
	  const PgsealCredential *credential, int64 now)
{
	const char *key_name = pgseal_kms_option(server, "key_name");
	bool		wrap = op->kind == PGSEAL_KMS_OP_WRAP;
	PgsealSecretString authorization;
	PgsealSecretString path;
	const char *aad;

	/* the key that wrapped, whatever the option says by now */
	if (op->kind == PGSEAL_KMS_OP_UNWRAP)
	{
		const char *version = strstr(op->master_key, VERSION_PART);

		if (version)
			key_name = pnstrdup(op->master_key, version - op->master_key);
	}
	pgseal_kms_request_init(out_request, server, op->kind == PGSEAL_KMS_OP_DESCRIBE ? "GET" : "POST",
							pgseal_kms_option_or(server, "endpoint", DEFAULT_ENDPOINT));
	pgseal_secmem_init(&path);
	pgseal_secmem_append(&path, "/v1/");
	pgseal_secmem_append_urlencoded(&path, key_name, "/:");

	pgseal_secmem_init(&authorization);
	pgseal_secmem_append(&authorization, "Bearer ");
	pgseal_secmem_append(&authorization, credential->token);
	pgseal_http_add_secret_header(out_request, "Authorization", authorization.data);

	if (op->kind != PGSEAL_KMS_OP_DESCRIBE)
	{
		pgseal_secmem_append(&path, wrap ? ":encrypt" : ":decrypt");
		pgseal_http_add_header(out_request, "Content-Type", "application/json");
		pgseal_secmem_init(&out_request->body);
		if (wrap)
			append_guarded(&out_request->body, "plaintext", op->secret, PGSEAL_KEY_BYTES);
		else
			append_guarded(&out_request->body, "ciphertext", op->wrapped, op->wrapped_len);
		aad = pgseal_kms_context_json(op->context);
		append_guarded(&out_request->body, "additionalAuthenticatedData",
					   (const uint8 *) aad, strlen(aad));
		pgseal_secmem_append(&out_request->body, "}");
	}
	out_request->path = path.data;
}

/*
 * Replies
 */

/* What to do about a version in the state that the text names */
static const char *
state_hint(const char *text)
{
	return text && strstr(text, "DESTROY_SCHEDULED") ?
		"Restore the key's version in Cloud KMS before it is destroyed, and enable it." :
		"Enable the key's version in Cloud KMS.";
}

/* https://cloud.google.com/kms/docs/reference/rest/v1/Code */
static PgsealVerdict
judge_error(PgsealKmsError *out_error, const PgsealHttpResponse *response,
			const PgsealJson *json, const PgsealKmsOp *op)
{
	const char *code = json ? pgseal_json_string(json, "error.status") : NULL;
	const char *message = json ? pgseal_json_string(json, "error.message") : NULL;

	if (response->status == 401)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RELOGIN, code, message,
								  "Check the service account's key.");
	if (pgseal_kms_status_is_transient(response->status))
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RETRY, code, message,
								  response->status == 429 ?
								  "Raise the project's quota of Cloud KMS, or \"pgseal.cache_ttl\"." : NULL);
	if (code && strcmp(code, "INVALID_ARGUMENT") == 0 && op->kind == PGSEAL_KMS_OP_UNWRAP)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_INVALID, code, message, NULL);
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, code, message,
							  code == NULL ? NULL :
							  strcmp(code, "PERMISSION_DENIED") == 0 ?
							  "Grant the service account roles/cloudkms.cryptoKeyEncrypterDecrypter and roles/cloudkms.viewer on the key." :
							  strcmp(code, "FAILED_PRECONDITION") == 0 ? state_hint(message) :
							  strcmp(code, "NOT_FOUND") == 0 ? "Check the option \"key_name\"." : NULL);
}

/* A blob with its checksum, at most size bytes; its length, or -1 */
static int
read_guarded(uint8 *out_bytes, size_t size, const PgsealJson *json, const char *name)
{
	const char *text = pgseal_json_string(json, name);
	int64		crc;
	int			len;

	if (text == NULL || !pgseal_json_int64(json, psprintf("%sCrc32c", name), &crc))
		return -1;
	len = pgseal_secmem_decode_base64(out_bytes, size, text);
	if (len >= 0 && crc32c(out_bytes, len) != crc)
	{
		pgseal_wipe(out_bytes, size);
		return -1;
	}
	return len;
}

static PgsealVerdict
damaged(PgsealKmsError *out_error)
{
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RETRY, "crc32c",
							  "The data was damaged on its way: a checksum does not match.", NULL);
}

/* Is it a version of the key? */
static bool
is_version_of(const char *version, const char *key_name)
{
	size_t		len = strlen(key_name);

	return strncmp(version, key_name, len) == 0 &&
		strncmp(version + len, VERSION_PART, strlen(VERSION_PART)) == 0;
}

static PgsealVerdict
read_description(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealJson *json,
				 const char *key_name)
{
	const char *purpose = pgseal_json_string(json, "purpose");
	const char *version = pgseal_json_string(json, "primary.name");
	const char *state = pgseal_json_string(json, "primary.state");

	if (purpose && strcmp(purpose, "ENCRYPT_DECRYPT") != 0)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, purpose,
								  "The key is for another purpose.",
								  "Make the key with purpose ENCRYPT_DECRYPT.");
	if (version == NULL || state == NULL)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "no_primary",
								  "The key has no primary version.",
								  "Set a primary version of the key.");
	if (!is_version_of(version, key_name))
		return pgseal_kms_verdict_other_key(out_error, version);
	if (strcmp(state, "ENABLED") != 0)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, state,
								  psprintf("The primary version %s is in state %s.", version, state),
								  state_hint(state));
	out_reply->master_key = pstrdup(version);
	out_reply->detail = psprintf("The primary version %s is enabled.", version);
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
read_reply(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealHttpResponse *response,
		   const PgsealKmsServer *server, const PgsealKmsOp *op)
{
	const char *key_name = pgseal_kms_option(server, "key_name");
	PgsealJson *json = pgseal_json_parse(response->body, response->body_len);
	const char *version;
	int			len;

	if (response->status != 200)
		return judge_error(out_error, response, json, op);
	if (json == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	if (op->kind == PGSEAL_KMS_OP_DESCRIBE)
		return read_description(out_reply, out_error, json, key_name);

	if (op->kind == PGSEAL_KMS_OP_UNWRAP)
	{
		len = read_guarded(out_reply->secret, PGSEAL_KEY_BYTES, json, "plaintext");
		if (len < 0)
			return damaged(out_error);
		if (len != PGSEAL_KEY_BYTES)
			return pgseal_kms_verdict_malformed(out_error);
		return PGSEAL_VERDICT_OK;
	}

	version = pgseal_json_string(json, "name");
	if (version == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	if (!is_version_of(version, key_name))
		return pgseal_kms_verdict_other_key(out_error, version);
	len = read_guarded(out_reply->wrapped, sizeof(out_reply->wrapped), json, "ciphertext");
	if (len <= 0 || !pgseal_json_true(json, "verifiedPlaintextCrc32c") ||
		!pgseal_json_true(json, "verifiedAdditionalAuthenticatedDataCrc32c"))
		return damaged(out_error);
	out_reply->wrapped_len = len;
	out_reply->master_key = pstrdup(version);
	return PGSEAL_VERDICT_OK;
}

const PgsealRemoteProvider pgseal_kms_gcp = {
	.base = {
		.name = "gcp_kms",
		.options = options,
		.validate = validate,
		.wrap = pgseal_remote_wrap,
		.unwrap = pgseal_remote_unwrap,
		.describe = pgseal_remote_describe,
	},
	.key_options = key_options,
	.build = build,
	.read = read_reply,
	.login = pgseal_gcp_login,
};

PG_FUNCTION_INFO_V1(pgseal_gcp_kms_validator);
Datum
pgseal_gcp_kms_validator(PG_FUNCTION_ARGS)
{
	pgseal_kms_validate(&pgseal_kms_gcp.base, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
