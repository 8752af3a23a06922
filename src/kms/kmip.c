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
#include "kms/ttlv.h"

#define FORMAT				1
#define TAG_BYTES			16
#define NONCE_BYTES			12
#define NONCE_MAX_BYTES		64
#define DEFAULT_PORT		5696	/* IANA: kmip */

/* KMIP 1.4, section 9.1.3.1: tags */
#define TAG_ATTRIBUTE				0x420008
#define TAG_ATTRIBUTE_NAME			0x42000A
#define TAG_ATTRIBUTE_VALUE			0x42000B
#define TAG_AUTHENTICATION			0x42000C
#define TAG_BATCH_COUNT				0x42000D
#define TAG_BATCH_ITEM				0x42000F
#define TAG_BLOCK_CIPHER_MODE		0x420011
#define TAG_CREDENTIAL				0x420023
#define TAG_CREDENTIAL_TYPE			0x420024
#define TAG_CREDENTIAL_VALUE		0x420025
#define TAG_CRYPTOGRAPHIC_ALGORITHM 0x420028
#define TAG_CRYPTOGRAPHIC_PARAMETERS 0x42002B
#define TAG_IV_COUNTER_NONCE		0x42003D
#define TAG_MAXIMUM_ITEMS			0x42004F
#define TAG_NAME					0x420053
#define TAG_NAME_TYPE				0x420054
#define TAG_NAME_VALUE				0x420055
#define TAG_OBJECT_TYPE				0x420057
#define TAG_OPERATION				0x42005C
#define TAG_PROTOCOL_VERSION		0x420069
#define TAG_PROTOCOL_VERSION_MAJOR	0x42006A
#define TAG_PROTOCOL_VERSION_MINOR	0x42006B
#define TAG_REQUEST_HEADER			0x420077
#define TAG_REQUEST_MESSAGE			0x420078
#define TAG_REQUEST_PAYLOAD			0x420079
#define TAG_RESPONSE_MESSAGE		0x42007B
#define TAG_RESPONSE_PAYLOAD		0x42007C
#define TAG_RESULT_MESSAGE			0x42007D
#define TAG_RESULT_REASON			0x42007E
#define TAG_RESULT_STATUS			0x42007F
#define TAG_STATE					0x42008D
#define TAG_UNIQUE_IDENTIFIER		0x420094
#define TAG_USERNAME				0x420099
#define TAG_PASSWORD				0x4200A1
#define TAG_DATA					0x4200C2
#define TAG_RANDOM_IV				0x4200C5
#define TAG_IV_LENGTH				0x4200CD
#define TAG_TAG_LENGTH				0x4200CE
#define TAG_AEAD_ADDITIONAL_DATA	0x4200FE
#define TAG_AEAD_TAG				0x4200FF
#define TAG_ATTRIBUTES				0x420125	/* since 2.0 */

/* Section 9.1.3.2: enumerations */
#define OPERATION_LOCATE			0x08
#define OPERATION_GET_ATTRIBUTES	0x0B
#define OPERATION_ENCRYPT			0x1F
#define OPERATION_DECRYPT			0x20
#define MODE_GCM					0x09
#define ALGORITHM_AES				0x03
#define OBJECT_SYMMETRIC_KEY		0x02
#define NAME_UNINTERPRETED_TEXT		0x01
#define STATE_ACTIVE				0x02
#define CREDENTIAL_USERNAME			0x01
#define STATUS_SUCCESS				0x00
#define STATUS_PENDING				0x02

/* ----------
 * Options
 * ----------
 */

/* "host:port, [::1]:port, host" as URLs, for libcurl */
List *
pgseal_kmip_bases(const PgsealKmsServer *server)
{
	List	   *list = NIL;
	char	   *copy = pstrdup(pgseal_kms_option(server, "address"));
	char	   *state;

	for (char *part = strtok_r(copy, ", ", &state); part; part = strtok_r(NULL, ", ", &state))
	{
		const char *host_end = part[0] == '[' ? strchr(part, ']') : part;

		list = lappend(list, host_end && strchr(host_end, ':') != NULL ?
					   psprintf("https://%s", part) :
					   psprintf("https://%s:%d", part, DEFAULT_PORT));
	}
	return list;
}

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
						 DEFAULT_PORT)));
}

/* A unique identifier must fit where it is kept between operations */
static void
check_key(const char *name, const char *value)
{
	pgseal_check_not_empty(name, value);
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

	pgseal_check_choice(name, value, choices);
}

#define USE_FILE \
	"Put it into a file that only the server's operating system user can read and name that in the option \"password_file\"."

static const PgsealKmsOption options[] = {
	{"address", true, NULL, check_address},
	{"key_id", false, NULL, check_key},
	{"key_name", false, NULL, check_key},
	{"protocol_version", false, NULL, check_version},
	{"username", false, NULL, pgseal_check_not_empty},
	{"password_file", false, NULL, pgseal_check_path},
	{"ca_file", false, NULL, pgseal_check_path},
	{"client_cert_file", true, NULL, pgseal_check_path},
	{"client_key_file", false, NULL, pgseal_check_path},
	{"password", false, USE_FILE},
	{NULL}
};

/* The credential has the key's identifier: no two keys share one */
static const char *const key_options[] = {NULL};

static void
validate(List *options_given)
{
	if ((pgseal_find_option(options_given, "key_id") == NULL) ==
		(pgseal_find_option(options_given, "key_name") == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("exactly one of the options \"key_id\" and \"key_name\" is required")));
	if (pgseal_find_option(options_given, "password_file") != NULL &&
		pgseal_find_option(options_given, "username") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"username\" is required with option \"password_file\"")));
}

/* ----------
 * Requests
 * ----------
 */
static bool
is_version_2(const PgsealKmsServer *server)
{
	return pgseal_option(server, "protocol_version", "1.4")[0] == '2';
}

static void
append_header(PgsealSecretString *body, const PgsealKmsServer *server, const char *password)
{
	const char *version = pgseal_option(server, "protocol_version", "1.4");
	const char *username = pgseal_kms_option(server, "username");
	size_t		header = pgseal_ttlv_begin(body, TAG_REQUEST_HEADER);
	size_t		protocol = pgseal_ttlv_begin(body, TAG_PROTOCOL_VERSION);

	pgseal_ttlv_integer(body, TAG_PROTOCOL_VERSION_MAJOR, version[0] - '0');
	pgseal_ttlv_integer(body, TAG_PROTOCOL_VERSION_MINOR, version[2] - '0');
	pgseal_ttlv_end(body, protocol);
	if (username)
	{
		size_t		authentication = pgseal_ttlv_begin(body, TAG_AUTHENTICATION);
		size_t		credential = pgseal_ttlv_begin(body, TAG_CREDENTIAL);
		size_t		value;

		pgseal_ttlv_enumeration(body, TAG_CREDENTIAL_TYPE, CREDENTIAL_USERNAME);
		value = pgseal_ttlv_begin(body, TAG_CREDENTIAL_VALUE);
		pgseal_ttlv_text(body, TAG_USERNAME, username);
		if (password[0] != '\0')
			pgseal_ttlv_text(body, TAG_PASSWORD, password);
		pgseal_ttlv_end(body, value);
		pgseal_ttlv_end(body, credential);
		pgseal_ttlv_end(body, authentication);
	}
	pgseal_ttlv_integer(body, TAG_BATCH_COUNT, 1);
	pgseal_ttlv_end(body, header);
}

/* Where the structures that enclose a payload begin */
typedef struct Message
{
	PgsealSecretString *body;
	size_t		message;
	size_t		item;
	size_t		payload;
} Message;

static Message
begin_message(PgsealHttpRequest *out_request, const PgsealKmsServer *server, uint32 operation,
			  const char *password)
{
	Message		message = {&out_request->body};

	pgseal_request_init(out_request, server, "KMIP", linitial(pgseal_kmip_bases(server)));
	out_request->message_len = pgseal_ttlv_message_len;
	pgseal_secmem_init(message.body);
	message.message = pgseal_ttlv_begin(message.body, TAG_REQUEST_MESSAGE);
	append_header(message.body, server, password);
	message.item = pgseal_ttlv_begin(message.body, TAG_BATCH_ITEM);
	pgseal_ttlv_enumeration(message.body, TAG_OPERATION, operation);
	message.payload = pgseal_ttlv_begin(message.body, TAG_REQUEST_PAYLOAD);
	return message;
}

static void
end_message(const Message *message)
{
	pgseal_ttlv_end(message->body, message->payload);
	pgseal_ttlv_end(message->body, message->item);
	pgseal_ttlv_end(message->body, message->message);
}

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
	Message		message = begin_message(out_request, server,
										wrap ? OPERATION_ENCRYPT :
										unwrap ? OPERATION_DECRYPT : OPERATION_GET_ATTRIBUTES,
										credential->secret);
	const char *context = op->context ? pgseal_context_json(op->context) : NULL;

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
	end_message(&message);
}

/* The attributes that a key to be located has, in the way of the version */
static void
append_attributes(PgsealSecretString *body, const char *key_name, bool version_2)
{
	static const struct
	{
		const char *name;
		uint32		tag;
		uint32		value;
	}			numbers[] = {
		{"State", TAG_STATE, STATE_ACTIVE},
		{"Object Type", TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY}
	};
	size_t		outer = pgseal_ttlv_begin(body, version_2 ? TAG_ATTRIBUTES : TAG_ATTRIBUTE);
	size_t		name;

	if (!version_2)
		pgseal_ttlv_text(body, TAG_ATTRIBUTE_NAME, "Name");
	name = pgseal_ttlv_begin(body, version_2 ? TAG_NAME : TAG_ATTRIBUTE_VALUE);
	pgseal_ttlv_text(body, TAG_NAME_VALUE, key_name);
	pgseal_ttlv_enumeration(body, TAG_NAME_TYPE, NAME_UNINTERPRETED_TEXT);
	pgseal_ttlv_end(body, name);
	for (int i = 0; i < lengthof(numbers); i++)
	{
		if (!version_2)
		{
			pgseal_ttlv_end(body, outer);
			outer = pgseal_ttlv_begin(body, TAG_ATTRIBUTE);
			pgseal_ttlv_text(body, TAG_ATTRIBUTE_NAME, numbers[i].name);
		}
		pgseal_ttlv_enumeration(body, version_2 ? numbers[i].tag : TAG_ATTRIBUTE_VALUE,
								numbers[i].value);
	}
	pgseal_ttlv_end(body, outer);
}

void
pgseal_kmip_build_locate(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
						 const char *password)
{
	Message		message = begin_message(out_request, server, OPERATION_LOCATE, password);

	/* two, to see that there is but one */
	pgseal_ttlv_integer(message.body, TAG_MAXIMUM_ITEMS, 2);
	append_attributes(message.body, pgseal_kms_option(server, "key_name"), is_version_2(server));
	end_message(&message);
}

/* ----------
 * Replies
 * ----------
 */

/*
 * An identifier that no server gives a key.  (An empty one would mean, to some,
 * the key of whatever operation was before.)
 */
#define NO_KEY			"(not exactly one active key has the name)"

#define CHECK_KEY		"Check the options \"key_id\" and \"key_name\", and that they mean exactly one active AES key, which this client may use."
#define NEEDS_GCM		"The server must do Encrypt and Decrypt with AES in GCM mode (KMIP 1.4 or later), and the key's usage mask must allow both."
#define CHECK_CLIENT	"Check the options \"client_cert_file\", \"username\" and \"password_file\", and what the server allows this client."
#define CHECK_VERSION	"Check the option \"protocol_version\"."

/* KMIP 2.1, section 11.49: result reasons */
static const struct
{
	uint32		reason;
	PgsealVerdict verdict;
	const char *code;
	const char *hint;
}			reasons[] = {
	/* the name may belong to another key by now */
	{0x01, PGSEAL_VERDICT_RELOGIN, "item_not_found", CHECK_KEY},
	{0x03, PGSEAL_VERDICT_RELOGIN, "authentication_not_successful", CHECK_CLIENT},
	{0x04, PGSEAL_VERDICT_REFUSED, "invalid_message", CHECK_VERSION},
	{0x05, PGSEAL_VERDICT_REFUSED, "operation_not_supported", NEEDS_GCM},
	{0x07, PGSEAL_VERDICT_REFUSED, "invalid_field", NEEDS_GCM},
	{0x08, PGSEAL_VERDICT_REFUSED, "feature_not_supported", NEEDS_GCM},
	{0x0A, PGSEAL_VERDICT_INVALID, "cryptographic_failure", NULL},
	{0x0B, PGSEAL_VERDICT_REFUSED, "illegal_operation", NEEDS_GCM},
	{0x0C, PGSEAL_VERDICT_RELOGIN, "permission_denied", CHECK_KEY},
	{0x0D, PGSEAL_VERDICT_REFUSED, "object_archived", "Recover the key from the archive."},
	{0x24, PGSEAL_VERDICT_REFUSED, "bad_cryptographic_parameters", NEEDS_GCM},
	{0x29, PGSEAL_VERDICT_REFUSED, "incompatible_cryptographic_usage_mask", NEEDS_GCM},
	{0x2A, PGSEAL_VERDICT_RETRY, "internal_server_error", NULL},
	{0x36, PGSEAL_VERDICT_RELOGIN, "object_destroyed", CHECK_KEY},
	{0x37, PGSEAL_VERDICT_RELOGIN, "object_not_found", CHECK_KEY},
	{0x39, PGSEAL_VERDICT_RELOGIN, "not_authorised", CHECK_CLIENT},
	{0x3A, PGSEAL_VERDICT_RETRY, "server_limit_exceeded", NULL},
	{0x3E, PGSEAL_VERDICT_REFUSED, "unsupported_cryptographic_parameters", NEEDS_GCM},
	{0x3F, PGSEAL_VERDICT_REFUSED, "unsupported_protocol_version", CHECK_VERSION},
	{0x43, PGSEAL_VERDICT_RELOGIN, "wrong_key_lifecycle_state", CHECK_KEY},
	{0x44, PGSEAL_VERDICT_RETRY, "protection_storage_unavailable", NULL},
	{0x100, PGSEAL_VERDICT_RETRY, "general_failure", NULL}
};

static PgsealVerdict
judge_failure(PgsealKmsError *out_error, uint32 status, PgsealTtlv item)
{
	char	   *text = pgseal_ttlv_get_text(pgseal_ttlv_member(&item, TAG_RESULT_MESSAGE));
	uint32		reason;

	if (status == STATUS_PENDING)
		return pgseal_verdict(out_error, PGSEAL_VERDICT_REFUSED, "operation_pending",
							  "The server wants to be asked again for the result, which pgseal does not do.", NULL);
	if (!pgseal_ttlv_get_enumeration(&reason, pgseal_ttlv_member(&item, TAG_RESULT_REASON)))
		return pgseal_verdict(out_error, PGSEAL_VERDICT_REFUSED, "operation_failed", text, NULL);
	for (int i = 0; i < lengthof(reasons); i++)
	{
		if (reasons[i].reason == reason)
			return pgseal_verdict(out_error, reasons[i].verdict, reasons[i].code, text,
								  reasons[i].hint);
	}
	return pgseal_verdict(out_error, PGSEAL_VERDICT_REFUSED,
						  psprintf("result_reason_0x%X", reason), text, NULL);
}

/* The payload of the reply's one batch item */
static PgsealVerdict
read_payload(PgsealTtlv *out_payload, PgsealKmsError *out_error, const PgsealHttpResponse *response)
{
	PgsealTtlv	message;
	PgsealTtlv	item;
	uint32		status;

	memset(out_payload, 0, sizeof(*out_payload));
	if (!pgseal_ttlv_parse(&message, (const uint8 *) response->body, response->body_len) ||
		message.tag != TAG_RESPONSE_MESSAGE)
		return pgseal_verdict_malformed(out_error);
	item = pgseal_ttlv_member(&message, TAG_BATCH_ITEM);
	if (!pgseal_ttlv_get_enumeration(&status, pgseal_ttlv_member(&item, TAG_RESULT_STATUS)))
		return pgseal_verdict_malformed(out_error);
	if (status != STATUS_SUCCESS)
		return judge_failure(out_error, status, item);
	*out_payload = pgseal_ttlv_member(&item, TAG_RESPONSE_PAYLOAD);
	return PGSEAL_VERDICT_OK;
}

PgsealVerdict
pgseal_kmip_read_locate(void *out_credential, PgsealKmsError *out_error,
						const PgsealHttpResponse *response, const void *arg)
{
	PgsealCredential *credential = out_credential;
	PgsealTtlv	payload;
	PgsealTtlv	item;
	PgsealVerdict verdict = read_payload(&payload, out_error, response);
	size_t		position = 0;
	int			found = 0;

	if (verdict == PGSEAL_VERDICT_RELOGIN)
		return PGSEAL_VERDICT_REFUSED;
	if (verdict != PGSEAL_VERDICT_OK)
		return verdict;
	while (pgseal_ttlv_next(&item, &payload, &position))
	{
		if (item.tag != TAG_UNIQUE_IDENTIFIER)
			continue;
		if (found++ == 0 &&
			!pgseal_set_field(credential->id, sizeof(credential->id), pgseal_ttlv_get_text(item)))
			return pgseal_verdict_malformed(out_error);
	}
	if (found != 1)
		strlcpy(credential->id, NO_KEY, sizeof(credential->id));
	return PGSEAL_VERDICT_OK;
}

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
		return pgseal_verdict_malformed(out_error);
	if (nonce_len < NONCE_BYTES || tag_len != TAG_BYTES)
		return pgseal_verdict(out_error, PGSEAL_VERDICT_REFUSED, "not_authenticated",
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
		return pgseal_verdict_malformed(out_error);
	if (state != STATE_ACTIVE)
		return pgseal_verdict(out_error, PGSEAL_VERDICT_RELOGIN, "wrong_key_lifecycle_state",
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
	PgsealVerdict verdict = read_payload(&payload, out_error, response);
	const char *asked = op->kind == PGSEAL_KMS_OP_UNWRAP ? op->master_key :
		pgseal_kms_option(server, "key_id");
	const char *key;
	const uint8 *data;
	size_t		len = 0;

	if (verdict != PGSEAL_VERDICT_OK)
		return verdict;
	key = pgseal_ttlv_get_text(pgseal_ttlv_member(&payload, TAG_UNIQUE_IDENTIFIER));
	if (key == NULL || key[0] == '\0' || strlen(key) >= PGSEAL_CREDENTIAL_ID_BYTES)
		return pgseal_verdict_malformed(out_error);
	if (asked && strcmp(key, asked) != 0)
		return pgseal_verdict(out_error, PGSEAL_VERDICT_INVALID, "wrong_key",
							  psprintf("The reply is about key %s.", key), NULL);
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
		return pgseal_verdict_malformed(out_error);
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
