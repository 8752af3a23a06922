/*-------------------------------------------------------------------------
 *
 * kmip_message.c
 *	  Messages of KMIP: what encloses every request and reply; finding the key by its name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kms/kmip.h"
#include "kms/kmip_message.h"

/*
 * Requests
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
					   psprintf("https://%s:%d", part, PGSEAL_KMIP_PORT));
	}
	return list;
}

static bool
is_version_2(const PgsealKmsServer *server)
{
	return pgseal_kms_option_or(server, "protocol_version", "1.4")[0] == '2';
}

static void
append_header(PgsealSecretString *body, const PgsealKmsServer *server, const char *password)
{
	const char *version = pgseal_kms_option_or(server, "protocol_version", "1.4");
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

PgsealKmipMessage
pgseal_kmip_begin(PgsealHttpRequest *out_request, const PgsealKmsServer *server, uint32 operation,
				  const char *password)
{
	PgsealKmipMessage message = {&out_request->body};

	pgseal_kms_request_init(out_request, server, "KMIP", linitial(pgseal_kmip_bases(server)));
	out_request->message_len = pgseal_ttlv_message_len;
	pgseal_secmem_init(message.body);
	message.message = pgseal_ttlv_begin(message.body, TAG_REQUEST_MESSAGE);
	append_header(message.body, server, password);
	message.item = pgseal_ttlv_begin(message.body, TAG_BATCH_ITEM);
	pgseal_ttlv_enumeration(message.body, TAG_OPERATION, operation);
	message.payload = pgseal_ttlv_begin(message.body, TAG_REQUEST_PAYLOAD);
	return message;
}

void
pgseal_kmip_end(const PgsealKmipMessage *message)
{
	pgseal_ttlv_end(message->body, message->payload);
	pgseal_ttlv_end(message->body, message->item);
	pgseal_ttlv_end(message->body, message->message);
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
	PgsealKmipMessage message = pgseal_kmip_begin(out_request, server, OPERATION_LOCATE, password);

	/* two, to see that there is but one */
	pgseal_ttlv_integer(message.body, TAG_MAXIMUM_ITEMS, 2);
	append_attributes(message.body, pgseal_kms_option(server, "key_name"), is_version_2(server));
	pgseal_kmip_end(&message);
}

/*
 * Replies
 */

/*
 * An identifier that no server gives a key.  (An empty one would mean, to some,
 * the key of whatever operation was before.)
 */
#define NO_KEY			"(not exactly one active key has the name)"

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
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "operation_pending",
								  "The server wants to be asked again for the result, which pgseal does not do.", NULL);
	if (!pgseal_ttlv_get_enumeration(&reason, pgseal_ttlv_member(&item, TAG_RESULT_REASON)))
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "operation_failed", text, NULL);
	for (int i = 0; i < lengthof(reasons); i++)
	{
		if (reasons[i].reason == reason)
			return pgseal_kms_verdict(out_error, reasons[i].verdict, reasons[i].code, text,
									  reasons[i].hint);
	}
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED,
							  psprintf("result_reason_0x%X", reason), text, NULL);
}

/* The payload of the reply's one batch item */
PgsealVerdict
pgseal_kmip_read_payload(PgsealTtlv *out_payload, PgsealKmsError *out_error, const PgsealHttpResponse *response)
{
	PgsealTtlv	message;
	PgsealTtlv	item;
	uint32		status;

	memset(out_payload, 0, sizeof(*out_payload));
	if (!pgseal_ttlv_parse(&message, (const uint8 *) response->body, response->body_len) ||
		message.tag != TAG_RESPONSE_MESSAGE)
		return pgseal_kms_verdict_malformed(out_error);
	item = pgseal_ttlv_member(&message, TAG_BATCH_ITEM);
	if (!pgseal_ttlv_get_enumeration(&status, pgseal_ttlv_member(&item, TAG_RESULT_STATUS)))
		return pgseal_kms_verdict_malformed(out_error);
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
	PgsealVerdict verdict = pgseal_kmip_read_payload(&payload, out_error, response);
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
			!pgseal_kms_set_field(credential->id, sizeof(credential->id), pgseal_ttlv_get_text(item)))
			return pgseal_kms_verdict_malformed(out_error);
	}
	if (found != 1)
		strlcpy(credential->id, NO_KEY, sizeof(credential->id));
	return PGSEAL_VERDICT_OK;
}
