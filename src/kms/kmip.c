/*-------------------------------------------------------------------------
 *
 * kmip.c
 *	  The provider kmip: requests to a KMIP server (a hardware security module,
 *	  a key management appliance) and what it replies.
 *
 * Key Management Interoperability Protocol 1.4, 2.0 and 2.1:
 * https://docs.oasis-open.org/kmip/spec/v1.4/os/kmip-spec-v1.4-os.html
 * https://docs.oasis-open.org/kmip/kmip-spec/v2.1/os/kmip-spec-v2.1-os.html
 *
 * The master key is an AES key that never leaves the server: secrets are wrapped
 * by its Encrypt and unwrapped by its Decrypt, with AES-GCM, a nonce that the
 * server makes (as FIPS 140 wants it), and the context as additional
 * authenticated data.  (Authenticated encryption came with KMIP 1.4, so nothing
 * older will do: CBC would not notice a changed ciphertext.)
 *
 * What we keep as master key is the unique identifier of the key that encrypted.
 * With the option "key_name" that is the active key of this name at the time:
 * after Re-key the name belongs to the replacement, and rewrapping follows it.
 *
 * The wrapped key:
 *
 *	 offset	bytes
 *	 0		1	format, 1
 *	 1		1	n, length of the nonce
 *	 2		n	nonce
 *	 2 + n	16	GCM tag
 *	 18 + n	32	ciphertext
 *
 * No I/O here; who is asked first, and for what, is in kmip_login.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/compat.h"
#include "kms/kmip.h"
#include "kms/kmip_message.h"
#include "kms/ttlv.h"

#define FORMAT				1
#define TAG_BYTES			16
#define NONCE_BYTES			12
#define NONCE_MAX_BYTES		64

/*
 * Options
 */

static void
check_address(const char *name, const char *value)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[], ";

	if (strspn(value, allowed) != strlen(value) || strspn(value, ", ") == strlen(value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("Give host:port, such as kmip.example.com:%d, of one or, separated by commas, several servers.",
						 PGSEAL_KMIP_PORT)));
}

/* A unique identifier must fit where it is kept between operations */
static void
check_key(const char *name, const char *value)
{
	pgseal_kms_check_not_empty(name, value);
	if (strlen(value) >= PGSEAL_CREDENTIAL_ID_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errdetail("It must be shorter than %d bytes.", PGSEAL_CREDENTIAL_ID_BYTES)));
}

static void
check_version(const char *name, const char *value)
{
	static const char *const choices[] = {"1.4", "2.0", "2.1", NULL};

	pgseal_kms_check_choice(name, value, choices);
}

#define USE_FILE \
	"Put it into a file that only the server's operating system user can read and name that in the option \"password_file\"."

static const PgsealKmsOption options[] = {
	{"address", true, NULL, check_address},
	{"key_id", false, NULL, check_key},
	{"key_name", false, NULL, check_key},
	{"protocol_version", false, NULL, check_version},
	{"username", false, NULL, pgseal_kms_check_not_empty},
	{"password_file", false, NULL, pgseal_kms_check_path},
	{"ca_file", false, NULL, pgseal_kms_check_path},
	{"client_cert_file", true, NULL, pgseal_kms_check_path},
	{"client_key_file", false, NULL, pgseal_kms_check_path},
	{"password", false, USE_FILE},
	{NULL}
};

/* The credential has the key's identifier: no two keys share one */
static const char *const key_options[] = {NULL};

static void
validate(List *options_given)
{
	if ((pgseal_kms_find_option(options_given, "key_id") == NULL) ==
		(pgseal_kms_find_option(options_given, "key_name") == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("exactly one of the options \"key_id\" and \"key_name\" is required")));
	if (pgseal_kms_find_option(options_given, "password_file") != NULL &&
		pgseal_kms_find_option(options_given, "username") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"username\" is required with option \"password_file\"")));
}

/*
 * Requests
 */

static void
append_parameters(PgsealSecretString *body, bool encrypt)
{
	size_t		parameters = pgseal_ttlv_begin(body, TAG_CRYPTOGRAPHIC_PARAMETERS);

	pgseal_ttlv_enumeration(body, TAG_BLOCK_CIPHER_MODE, MODE_GCM);
	pgseal_ttlv_enumeration(body, TAG_CRYPTOGRAPHIC_ALGORITHM, ALGORITHM_AES);
	if (encrypt)
	{
		pgseal_ttlv_boolean(body, TAG_RANDOM_IV, true);
		pgseal_ttlv_integer(body, TAG_IV_LENGTH, NONCE_BYTES);
	}
	pgseal_ttlv_integer(body, TAG_TAG_LENGTH, TAG_BYTES);
	pgseal_ttlv_end(body, parameters);
}

/* False: these bytes are nothing that read_wrapped() made */
static bool
append_wrapped(PgsealSecretString *body, const uint8 *wrapped, size_t len, const char *context)
{
	size_t		nonce_len = len > 2 ? wrapped[1] : 0;

	if (len != 2 + nonce_len + TAG_BYTES + PGSEAL_KEY_BYTES || wrapped[0] != FORMAT ||
		nonce_len > NONCE_MAX_BYTES)
		return false;
	pgseal_ttlv_bytes(body, TAG_DATA, wrapped + 2 + nonce_len + TAG_BYTES, PGSEAL_KEY_BYTES);
	pgseal_ttlv_bytes(body, TAG_IV_COUNTER_NONCE, wrapped + 2, nonce_len);
	pgseal_ttlv_bytes(body, TAG_AEAD_ADDITIONAL_DATA, (const uint8 *) context, strlen(context));
	pgseal_ttlv_bytes(body, TAG_AEAD_TAG, wrapped + 2 + nonce_len, TAG_BYTES);
	return true;
}

static void
build(PgsealHttpRequest *out_request, const PgsealKmsServer *server, const PgsealKmsOp *op,
	  const PgsealCredential *credential, int64 now)
{
	bool		wrap = op->kind == PGSEAL_KMS_OP_WRAP;
	bool		unwrap = op->kind == PGSEAL_KMS_OP_UNWRAP;
	PgsealKmipMessage message = pgseal_kmip_begin(out_request, server,
												  wrap ? OPERATION_ENCRYPT :
												  unwrap ? OPERATION_DECRYPT : OPERATION_GET_ATTRIBUTES,
												  credential->secret);
	const char *context = op->context ? pgseal_kms_context_json(op->context) : NULL;

	pgseal_ttlv_text(message.body, TAG_UNIQUE_IDENTIFIER,
					 unwrap ? op->master_key : credential->id);
	if (wrap || unwrap)
		append_parameters(message.body, wrap);
	if (wrap)
	{
		pgseal_ttlv_bytes(message.body, TAG_DATA, op->secret, PGSEAL_KEY_BYTES);
		pgseal_ttlv_bytes(message.body, TAG_AEAD_ADDITIONAL_DATA, (const uint8 *) context,
						  strlen(context));
	}
	/* what isn't ours goes out as it is, for the server to refuse */
	if (unwrap && !append_wrapped(message.body, op->wrapped, op->wrapped_len, context))
		pgseal_ttlv_bytes(message.body, TAG_DATA, op->wrapped, op->wrapped_len);
	pgseal_kmip_end(&message);
}

/*
 * Replies
 */

static PgsealVerdict
read_wrapped(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealTtlv *payload,
			 const char *key)
{
	uint8	   *out = out_reply->wrapped;
	size_t		nonce_len = 0;
	size_t		tag_len = 0;
	size_t		data_len = 0;
	const uint8 *nonce = pgseal_ttlv_get_bytes(&nonce_len,
											   pgseal_ttlv_member(payload, TAG_IV_COUNTER_NONCE),
											   NONCE_MAX_BYTES);
	const uint8 *tag = pgseal_ttlv_get_bytes(&tag_len, pgseal_ttlv_member(payload, TAG_AEAD_TAG),
											 TAG_BYTES);
	const uint8 *data = pgseal_ttlv_get_bytes(&data_len, pgseal_ttlv_member(payload, TAG_DATA),
											  PGSEAL_KEY_BYTES);

	if (data_len != PGSEAL_KEY_BYTES)
		return pgseal_kms_verdict_malformed(out_error);
	if (nonce_len < NONCE_BYTES || tag_len != TAG_BYTES)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "not_authenticated",
								  "The reply has no nonce or no authentication tag.", NEEDS_GCM);
	*out++ = FORMAT;
	*out++ = (uint8) nonce_len;
	memcpy(out, nonce, nonce_len);
	memcpy(out + nonce_len, tag, TAG_BYTES);
	memcpy(out + nonce_len + TAG_BYTES, data, PGSEAL_KEY_BYTES);
	out_reply->wrapped_len = 2 + nonce_len + TAG_BYTES + PGSEAL_KEY_BYTES;
	out_reply->master_key = pstrdup(key);
	return PGSEAL_VERDICT_OK;
}

/* The attribute State of a Get Attributes reply, in the way of the version */
static bool
read_state(uint32 *out_state, const PgsealTtlv *payload)
{
	PgsealTtlv	attributes = pgseal_ttlv_member(payload, TAG_ATTRIBUTES);
	PgsealTtlv	item;
	size_t		position = 0;

	if (attributes.value != NULL)
		return pgseal_ttlv_get_enumeration(out_state, pgseal_ttlv_member(&attributes, TAG_STATE));
	while (pgseal_ttlv_next(&item, payload, &position))
	{
		char	   *name = item.tag == TAG_ATTRIBUTE ?
			pgseal_ttlv_get_text(pgseal_ttlv_member(&item, TAG_ATTRIBUTE_NAME)) : NULL;

		if (name && strcmp(name, "State") == 0)
			return pgseal_ttlv_get_enumeration(out_state,
											   pgseal_ttlv_member(&item, TAG_ATTRIBUTE_VALUE));
	}
	return false;
}

static PgsealVerdict
read_description(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealTtlv *payload,
				 const PgsealKmsServer *server, const char *key)
{
	static const char *const states[] = {"pre-active", "active", "deactivated", "compromised",
	"destroyed", "destroyed and compromised"};
	const char *key_name = pgseal_kms_option(server, "key_name");
	uint32		state;

	if (!read_state(&state, payload))
		return pgseal_kms_verdict_malformed(out_error);
	if (state != STATE_ACTIVE)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RELOGIN, "wrong_key_lifecycle_state",
								  psprintf("Key %s is %s.", key, state >= 1 && state <= lengthof(states) ?
										   states[state - 1] : "in an unknown state"),
								  CHECK_KEY);
	out_reply->master_key = pstrdup(key);
	out_reply->detail = key_name ?
		psprintf("The active key of name \"%s\" is %s.", key_name, key) :
		psprintf("Key %s is active.", key);
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
read_reply(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealHttpResponse *response,
		   const PgsealKmsServer *server, const PgsealKmsOp *op)
{
	PgsealTtlv	payload;
	PgsealVerdict verdict = pgseal_kmip_read_payload(&payload, out_error, response);
	const char *asked = op->kind == PGSEAL_KMS_OP_UNWRAP ? op->master_key :
		pgseal_kms_option(server, "key_id");
	const char *key;
	const uint8 *data;
	size_t		len = 0;

	if (verdict != PGSEAL_VERDICT_OK)
		return verdict;
	key = pgseal_ttlv_get_text(pgseal_ttlv_member(&payload, TAG_UNIQUE_IDENTIFIER));
	if (key == NULL || key[0] == '\0' || strlen(key) >= PGSEAL_CREDENTIAL_ID_BYTES)
		return pgseal_kms_verdict_malformed(out_error);
	if (asked && strcmp(key, asked) != 0)
		return pgseal_kms_verdict_other_key(out_error, key);
	switch (op->kind)
	{
		case PGSEAL_KMS_OP_WRAP:
			return read_wrapped(out_reply, out_error, &payload, key);
		case PGSEAL_KMS_OP_DESCRIBE:
			return read_description(out_reply, out_error, &payload, server, key);
		default:
			break;
	}
	data = pgseal_ttlv_get_bytes(&len, pgseal_ttlv_member(&payload, TAG_DATA), PGSEAL_KEY_BYTES);
	if (len != PGSEAL_KEY_BYTES)
		return pgseal_kms_verdict_malformed(out_error);
	memcpy(out_reply->secret, data, PGSEAL_KEY_BYTES);
	return PGSEAL_VERDICT_OK;
}

const PgsealRemoteProvider pgseal_kms_kmip = {
	.base = {
		.name = "kmip",
		.options = options,
		.validate = validate,
		.wrap = pgseal_remote_wrap,
		.unwrap = pgseal_remote_unwrap,
		.describe = pgseal_remote_describe,
	},
	.key_options = key_options,
	.build = build,
	.read = read_reply,
	.login = pgseal_kmip_login,
	.bases = pgseal_kmip_bases,
};

PG_FUNCTION_INFO_V1(pgseal_kmip_validator);
Datum
pgseal_kmip_validator(PG_FUNCTION_ARGS)
{
	pgseal_kms_validate(&pgseal_kms_kmip.base, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
