/*-------------------------------------------------------------------------
 *
 * fuzz_replies.c
 *	  Mutation fuzzing of everything that reads what a KMS, a login service or
 *	  a file says.
 *
 * Each round takes a good or refusing reply, mutates it, and lets its reader
 * read it: of AWS, Vault, Azure and Google by JSON, of STS by XML, of metadata
 * services; of KMIP servers by TTLV; credentials files; the local keyring, whose checksum is made anew
 * in half of the rounds, as else nothing behind it would be reached.
 *
 * What must hold: a reader gives a verdict and never reports an error, and what it gives
 * with "ok" is within its limits.  See fuzz.h and backend.c.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "nodes/parsenodes.h"
#include "nodes/value.h"

#include "backend.h"
#include "base/crypto.h"
#include "kms/aws.h"
#include "kms/kmip.h"
#include "kms/ttlv.h"
#include "kms/local.h"
#include "kms/oauth.h"
#include "kms/remote.h"
#include "kms/vault.h"

#define NOW				INT64CONST(1440938160)
#define MAX_OPTIONS		3
#define MAX_SPLICE		200
#define LIKELY			"{}[]\",:\\=+/<> \n0123456789abcdefu\x80\xFF"

#define ARN				"arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define SECRET64		"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"
#define KID				"https://pii.vault.azure.net/keys/sealer/0123abcd"
#define GCP_KEY			"projects/p/locations/l/keyRings/r/cryptoKeys/sealer"
#define GCP_VERSION		GCP_KEY "/cryptoKeyVersions/3"

/* ---- replies to operations ---- */

typedef struct Reply
{
	const PgsealRemoteProvider *provider;
	PgsealKmsOpKind kind;
	const char *master_key;
	int			status;
	const char *body;
} Reply;

static const Reply replies[] = {
	{&pgseal_kms_aws, PGSEAL_KMS_OP_WRAP, NULL, 200, "{\"CiphertextBlob\":\"AQID\",\"KeyId\":\"" ARN "\",\"KeyMaterialId\":\"abc\"}"},
	{&pgseal_kms_aws, PGSEAL_KMS_OP_GENERATE, NULL, 200, "{\"CiphertextBlob\":\"AQID\",\"Plaintext\":\"" SECRET64 "=\",\"KeyId\":\"" ARN "\"}"},
	{&pgseal_kms_aws, PGSEAL_KMS_OP_UNWRAP, ARN "#m1", 200, "{\"Plaintext\":\"" SECRET64 "=\",\"KeyId\":\"" ARN "\"}"},
	{&pgseal_kms_aws, PGSEAL_KMS_OP_REWRAP, ARN, 200, "{\"CiphertextBlob\":\"AQID\",\"KeyId\":\"" ARN "\",\"DestinationKeyMaterialId\":\"d\"}"},
	{&pgseal_kms_aws, PGSEAL_KMS_OP_DESCRIBE, NULL, 200, "{\"KeyMetadata\":{\"Arn\":\"" ARN "\",\"KeyState\":\"Enabled\",\"KeyUsage\":\"ENCRYPT_DECRYPT\",\"CurrentKeyMaterialId\":\"d\"}}"},
	{&pgseal_kms_aws, PGSEAL_KMS_OP_UNWRAP, ARN, 400, "{\"__type\":\"com.amazonaws.kms#InvalidSignatureException\",\"message\":\"Signature expired: caf\xC3\xA9 \\u00e9\"}"},
	{&pgseal_kms_vault, PGSEAL_KMS_OP_WRAP, NULL, 200, "{\"data\":{\"ciphertext\":\"vault:v3:AQID\",\"key_version\":3}}"},
	{&pgseal_kms_vault, PGSEAL_KMS_OP_GENERATE, NULL, 200, "{\"data\":{\"ciphertext\":\"vault:v3:AQID\",\"plaintext\":\"" SECRET64 "=\"}}"},
	{&pgseal_kms_vault, PGSEAL_KMS_OP_UNWRAP, "pii:v3", 200, "{\"data\":{\"plaintext\":\"" SECRET64 "=\"}}"},
	{&pgseal_kms_vault, PGSEAL_KMS_OP_REWRAP, "pii:v3", 200, "{\"data\":{\"ciphertext\":\"vault:v4:AQID\"}}"},
	{&pgseal_kms_vault, PGSEAL_KMS_OP_DESCRIBE, NULL, 200, "{\"data\":{\"name\":\"pii\",\"type\":\"aes256-gcm96\",\"latest_version\":12,\"supports_encryption\":true,\"derived\":true,\"keys\":{\"1\":1,\"2\":[1,{}]}}}"},
	{&pgseal_kms_vault, PGSEAL_KMS_OP_UNWRAP, "pii:v3", 400, "{\"errors\":[\"invalid ciphertext: version is too new\"]}"},
	{&pgseal_kms_azure, PGSEAL_KMS_OP_WRAP, NULL, 200, "{\"kid\":\"" KID "\",\"value\":\"-_-_\"}"},
	{&pgseal_kms_azure, PGSEAL_KMS_OP_UNWRAP, KID, 200, "{\"kid\":\"" KID "\",\"value\":\"" SECRET64 "\"}"},
	{&pgseal_kms_azure, PGSEAL_KMS_OP_DESCRIBE, NULL, 200, "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"RSA\"},\"attributes\":{\"enabled\":true}}"},
	{&pgseal_kms_azure, PGSEAL_KMS_OP_UNWRAP, KID, 403, "{\"error\":{\"code\":\"Forbidden\",\"message\":\"why\",\"innererror\":{\"code\":\"KeyDisabled\"}}}"},
	{&pgseal_kms_gcp, PGSEAL_KMS_OP_WRAP, NULL, 200, "{\"name\":\"" GCP_VERSION "\",\"ciphertext\":\"AQID\",\"ciphertextCrc32c\":\"4046516766\",\"verifiedPlaintextCrc32c\":true,\"verifiedAdditionalAuthenticatedDataCrc32c\":true}"},
	{&pgseal_kms_gcp, PGSEAL_KMS_OP_UNWRAP, GCP_VERSION, 200, "{\"plaintext\":\"" SECRET64 "=\",\"plaintextCrc32c\":\"2514221871\"}"},
	{&pgseal_kms_gcp, PGSEAL_KMS_OP_DESCRIBE, NULL, 200, "{\"purpose\":\"ENCRYPT_DECRYPT\",\"primary\":{\"name\":\"" GCP_VERSION "\",\"state\":\"ENABLED\"}}"},
	{&pgseal_kms_gcp, PGSEAL_KMS_OP_UNWRAP, GCP_VERSION, 400, "{\"error\":{\"code\":400,\"status\":\"FAILED_PRECONDITION\",\"message\":\"state is: DESTROY_SCHEDULED\"}}"}
};

/* ---- replies to logins ---- */

typedef struct Login
{
	PgsealJudge read;
	int			status;
	const char *body;
} Login;

static const Login logins[] = {
	{pgseal_aws_read_sts, 200, "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>s/1</SecretAccessKey><SessionToken>t+1==</SessionToken><Expiration>2015-08-30T13:36:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"},
	{pgseal_aws_read_sts, 403, "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"},
	{pgseal_aws_read_metadata, 200, "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA2\",\"SecretAccessKey\":\"s2\",\"Token\":\"t2\",\"Expiration\":\"2015-08-30T12:46:00Z\"}"},
	{pgseal_vault_read_login, 200, "{\"auth\":{\"client_token\":\"s.token\",\"lease_duration\":3600,\"renewable\":true}}"},
	{pgseal_vault_read_login, 400, "{\"errors\":[\"invalid role or secret ID\"]}"},
	{pgseal_oauth_read_token, 200, "{\"token_type\":\"Bearer\",\"access_token\":\"eyJ.x.y\",\"expires_in\":\"3599\"}"},
	{pgseal_oauth_read_token, 400, "{\"error\":\"invalid_grant\",\"error_description\":\"Check your iat and exp values\"}"}
};

static const char profiles[] =
"# c\n[default]\naws_access_key_id = A1\naws_secret_access_key=S1\n\n[ two ]\r\n"
"aws_access_key_id=A2\r\naws_secret_access_key = S=2 \r\naws_session_token = T2\n"
"[profile default]\naws_access_key_id=A3\naws_secret_access_key=S3\n";

/* Lines; an empty one ends them */
static const char headers[] =
"HTTP/1.1 400 Bad\0Date: Sun, 30 Aug 2015 12:36:00 GMT\0x-amzn-RequestId: abc\0"
"x-amzn-ErrorType: DisabledException:http://x\0Retry-After: 3\0";

static char keyring[1024];

/* False while FuzzStart() looks whether the seeds are what they should be */
static bool mutating = false;

static PgsealKmsServer *
MakeServer(const PgsealRemoteProvider *provider)
{
	static const char *const options[][2] = {
		{"key_id", ARN}, {"key_name", "pii"}, {"vault_url", "https://pii.vault.azure.net"}
	};
	PgsealKmsServer *server = palloc0(sizeof(PgsealKmsServer));
	List	   *list = palloc0(sizeof(List));

	list->type = T_List;
	list->elements = palloc0(lengthof(options) * sizeof(ListCell));
	for (int i = 0; i < lengthof(options); i++)
	{
		DefElem    *def = palloc0(sizeof(DefElem));
		String	   *value = palloc0(sizeof(String));

		value->type = T_String;
		value->sval = pstrdup(i != 1 ? options[i][1] :
							  provider == &pgseal_kms_azure ? "sealer" :
							  provider == &pgseal_kms_gcp ? GCP_KEY : options[i][1]);
		def->type = T_DefElem;
		def->defname = pstrdup(options[i][0]);
		def->arg = (Node *) value;
		list->elements[list->length++].ptr_value = def;
	}
	server->name = pstrdup("pii");
	server->provider = &provider->base;
	server->options = list;
	return server;
}

/*
 * text, mutated or, in some rounds, as it is; sometimes with a piece of it
 * repeated many times, for the limits.  The result is a palloc'd string.
 */
static char *
MutatedText(const char *text, size_t *out_len)
{
	size_t		len = strlen(text);
	size_t		piece = mutating && len > 0 && Random(16) == 0 ? 1 + Random(Min(len, MAX_SPLICE)) : 0;
	size_t		times = piece > 0 ? Random(PGSEAL_HTTP_MAX_BODY / piece + 2) : 0;
	size_t		at = Random(len - piece + 1);
	char	   *longer = malloc(len + piece * times + MAX_MUTATIONS + 1);
	char	   *result;

	CHECK(longer != NULL);
	memcpy(longer, text, at);
	for (size_t i = 0; i < times; i++)
		memcpy(longer + at + i * piece, text + at, piece);
	memcpy(longer + at + piece * times, text + at, len - at);
	len += piece * times;
	if (mutating && Random(8) > 0)
		len = Mutate((uint8 *) longer, len, LIKELY);
	len = Min(len, PGSEAL_HTTP_MAX_BODY);
	result = pnstrdup(longer, len);
	free(longer);
	*out_len = strlen(result);
	return result;
}

static PgsealHttpResponse *
MakeResponse(int status, const char *body)
{
	PgsealHttpResponse *response = palloc0(sizeof(PgsealHttpResponse));

	response->status = !mutating || Random(8) > 0 ? status : 200 + Random(400);
	response->body = MutatedText(body, &response->body_len);
	response->headers = memcpy(palloc(sizeof(headers)), headers, sizeof(headers));
	(void) pgseal_http_header(response, "x-amzn-requestid");
	return response;
}

/* Terminated, and nothing in it that a terminal or a log would obey */
static void
CheckField(const char *field, size_t size)
{
	CHECK(memchr(field, '\0', size) != NULL);
	for (const char *c = field; *c; c++)
		CHECK((uint8) *c >= ' ' && *c != 0x7F);
}

static void
CheckError(const PgsealKmsError *error)
{
	CheckField(error->code, sizeof(error->code));
	CheckField(error->detail, sizeof(error->detail));
	CheckField(error->hint, sizeof(error->hint));
	CheckField(error->request_id, sizeof(error->request_id));
}

static bool
ReadReply(const Reply *seed)
{
	PgsealKmsContext context = {"payroll", "data", 42};
	PgsealKmsOp op = {seed->kind, &context, .master_key = seed->master_key};
	PgsealKmsReply *reply = palloc0(sizeof(PgsealKmsReply));
	PgsealKmsError error = {0};
	PgsealVerdict verdict = seed->provider->read(reply, &error,
												 MakeResponse(seed->status, seed->body),
												 MakeServer(seed->provider), &op);

	CHECK(verdict >= PGSEAL_VERDICT_OK && verdict <= PGSEAL_VERDICT_INVALID);
	CheckError(&error);
	if (verdict != PGSEAL_VERDICT_OK)
		return false;
	CHECK(reply->wrapped_len <= PGSEAL_WRAPPED_MAX_BYTES);
	if (seed->kind == PGSEAL_KMS_OP_DESCRIBE)
		CHECK(reply->detail != NULL);
	else if (seed->kind != PGSEAL_KMS_OP_UNWRAP)
		CHECK(reply->wrapped_len > 0 && reply->master_key != NULL);
	return true;
}

/* ---- KMIP: bytes, not text ---- */

static const PgsealKmsOpKind kmip_kinds[] = {PGSEAL_KMS_OP_WRAP, PGSEAL_KMS_OP_UNWRAP, PGSEAL_KMS_OP_DESCRIBE};

/* A good reply to each operation, with what the others need besides */
static PgsealSecretString
KmipReply(void)
{
	static const uint8 bytes[PGSEAL_KEY_BYTES] = {1, 2, 3};
	PgsealSecretString out;
	size_t		message;
	size_t		item;
	size_t		payload;
	size_t		attribute;

	pgseal_secmem_init(&out);
	message = pgseal_ttlv_begin(&out, 0x42007B);
	item = pgseal_ttlv_begin(&out, 0x42000F);
	pgseal_ttlv_enumeration(&out, 0x42007F, 0);
	payload = pgseal_ttlv_begin(&out, 0x42007C);
	pgseal_ttlv_text(&out, 0x420094, "7");
	pgseal_ttlv_bytes(&out, 0x4200C2, bytes, PGSEAL_KEY_BYTES);
	pgseal_ttlv_bytes(&out, 0x42003D, bytes, 12);
	pgseal_ttlv_bytes(&out, 0x4200FF, bytes, 16);
	attribute = pgseal_ttlv_begin(&out, 0x420008);
	pgseal_ttlv_text(&out, 0x42000A, "State");
	pgseal_ttlv_enumeration(&out, 0x42000B, 2);
	pgseal_ttlv_end(&out, attribute);
	pgseal_ttlv_end(&out, payload);
	pgseal_ttlv_end(&out, item);
	pgseal_ttlv_end(&out, message);
	return out;
}

static bool
ReadKmip(PgsealKmsOpKind kind)
{
	PgsealSecretString good = KmipReply();
	uint8	   *bytes = malloc(good.len + MAX_MUTATIONS);
	PgsealHttpResponse response = {0};
	PgsealKmsContext context = {"payroll", "data", 42};
	PgsealKmsOp op = {kind, &context, .master_key = "7"};
	PgsealKmsReply *reply = palloc0(sizeof(PgsealKmsReply));
	PgsealCredential *credential = palloc0(sizeof(PgsealCredential));
	PgsealKmsServer *server = MakeServer(&pgseal_kms_kmip);
	PgsealKmsError error = {0};
	PgsealVerdict verdict;

	CHECK(bytes != NULL);
	memcpy(bytes, good.data, good.len);
	response.body_len = mutating ? Mutate(bytes, good.len, "\x01\x05\x07\x08\x42\x10\x20\xFF") : good.len;
	(void) pgseal_ttlv_message_len((char *) bytes, response.body_len);
	/* as http.c gives it: exactly this long, then a NUL */
	response.body = palloc0(response.body_len + 1);
	memcpy(response.body, bytes, response.body_len);
	free(bytes);

	/* "7" is the identifier here: not what the options of the others say */
	((String *) ((DefElem *) server->options->elements[0].ptr_value)->arg)->sval = pstrdup("7");
	verdict = pgseal_kmip_read_locate(credential, &error, &response, NULL);
	CheckError(&error);
	CHECK(memchr(credential->id, '\0', sizeof(credential->id)) != NULL);
	verdict = pgseal_kms_kmip.read(reply, &error, &response, server, &op);
	CHECK(verdict >= PGSEAL_VERDICT_OK && verdict <= PGSEAL_VERDICT_INVALID);
	CheckError(&error);
	CHECK(reply->wrapped_len <= PGSEAL_WRAPPED_MAX_BYTES);
	if (verdict == PGSEAL_VERDICT_OK && kind == PGSEAL_KMS_OP_WRAP)
		CHECK(reply->wrapped_len > 0 && strcmp(reply->master_key, "7") == 0);
	return verdict == PGSEAL_VERDICT_OK;
}

static void
CheckCredentialField(const char *field, size_t size)
{
	CHECK(memchr(field, '\0', size) != NULL);
	CHECK(strpbrk(field, "\r\n") == NULL);
}

static void
CheckCredential(const PgsealCredential *credential)
{
	CheckCredentialField(credential->id, sizeof(credential->id));
	CheckCredentialField(credential->secret, sizeof(credential->secret));
	CheckCredentialField(credential->token, sizeof(credential->token));
	CHECK(credential->expires_at == 0 || credential->refresh_at <= credential->expires_at);
}

static bool
ReadLogin(const Login *seed)
{
	PgsealCredential *credential = palloc0(sizeof(PgsealCredential));
	PgsealKmsError error = {0};
	int64		now = NOW;
	PgsealVerdict verdict = seed->read(credential, &error, MakeResponse(seed->status, seed->body),
									   &now);

	CheckError(&error);
	if (verdict == PGSEAL_VERDICT_OK)
		CheckCredential(credential);
	return verdict == PGSEAL_VERDICT_OK;
}

static bool
ReadProfile(void)
{
	PgsealCredential *credential = palloc0(sizeof(PgsealCredential));
	size_t		len;
	bool		found = pgseal_aws_read_profile(credential, MutatedText(profiles, &len),
												Random(2) ? "default" : "two", Random(2));

	if (found)
		CheckCredential(credential);
	return found;
}

/* Puts the right checksum behind the first len bytes */
static void
AppendChecksum(char *text, size_t len)
{
	uint8		digest[PGSEAL_HASH_BYTES];

	CHECK(pgseal_sha256(digest, (uint8 *) text, len));
	memcpy(text + len, "checksum ", 9);
	for (int i = 0; i < PGSEAL_HASH_BYTES; i++)
		snprintf(text + len + 9 + 2 * i, 3, "%02x", digest[i]);
	strcpy(text + len + 9 + 2 * PGSEAL_HASH_BYTES, "\n");
}

static bool
ReadKeyring(void)
{
	PgsealKeyring *read = pgseal_keyring_file_new();
	PgsealKmsError error = {0};
	size_t		len;
	char	   *text = MutatedText(keyring, &len);
	PgsealKmsStatus status;

	if (Random(2) && len < PGSEAL_KEYRING_MAX_BYTES - 100)
	{
		const char *checksum = strstr(text, "checksum ");

		len = checksum ? checksum - text : len;
		memcpy(read->text, text, len);
		AppendChecksum(read->text, len);
		len = strlen(read->text);
	}
	else
	{
		len = Min(len, PGSEAL_KEYRING_MAX_BYTES);
		memcpy(read->text, text, len);
	}
	read->text_len = len;
	status = pgseal_keyring_file_parse(read, &error, "a file");
	CheckError(&error);
	if (status == PGSEAL_KMS_OK)
	{
		CHECK(read->num_keys > 0 && read->num_keys <= PGSEAL_KEYRING_MAX_KEYS);
		for (int i = 0; i < read->num_keys; i++)
			CHECK(read->keys[i].version > 0);
	}
	pgseal_keyring_file_free(read);
	return status == PGSEAL_KMS_OK;
}

static bool
ReadDate(void)
{
	size_t		len;
	char	   *text = MutatedText(Random(2) ? "Sun, 30 Aug 2015 12:36:00 GMT" : "2015-08-30T12:36:00Z",
								   &len);
	int64		date = pgseal_http_parse_date(text);

	CHECK(date >= 0 && date < INT64CONST(10000) * 366 * SECS_PER_DAY);
	(void) pgseal_http_origin_len(text);
	(void) pgseal_http_is_loopback(text);
	return date > 0;
}

bool
FuzzRound(void)
{
	bool		accepted;

	switch (Random(10))
	{
		case 0:
			accepted = ReadKeyring();
			break;
		case 1:
			accepted = ReadProfile();
			break;
		case 2:
			accepted = ReadDate();
			break;
		case 8:
		case 9:
			accepted = ReadKmip(kmip_kinds[Random(lengthof(kmip_kinds))]);
			break;
		case 3:
		case 4:
			accepted = ReadLogin(&logins[Random(lengthof(logins))]);
			break;
		default:
			accepted = ReadReply(&replies[Random(lengthof(replies))]);
			break;
	}
	ResetMemory();
	return accepted;
}

/* Makes the keyring; without a mutation every good seed is accepted */
void
FuzzStart(void)
{
	size_t		len = 0;

	len += snprintf(keyring, sizeof(keyring), "pgseal keyring 1\n");
	for (int version = 1; version <= 2; version++)
	{
		static const char label[] = "pgseal keyring fingerprint";
		uint8		input[sizeof(label) - 1 + PGSEAL_KEY_BYTES];
		uint8		digest[PGSEAL_HASH_BYTES];

		/* base64 of 32 bytes 01 */
		memcpy(input, label, sizeof(label) - 1);
		memset(input + sizeof(label) - 1, 1, PGSEAL_KEY_BYTES);
		CHECK(pgseal_sha256(digest, input, sizeof(input)));
		len += snprintf(keyring + len, sizeof(keyring) - len, "%d 2026-01-31T12:00:00Z %s= ",
						version, SECRET64);
		for (int i = 0; i < PGSEAL_FINGERPRINT_BYTES; i++)
			len += snprintf(keyring + len, sizeof(keyring) - len, "%02x", digest[i]);
		len += snprintf(keyring + len, sizeof(keyring) - len, "\n");
	}
	AppendChecksum(keyring, len);

	for (int i = 0; i < lengthof(replies); i++)
		CHECK(ReadReply(&replies[i]) == (replies[i].status == 200));
	for (int i = 0; i < lengthof(logins); i++)
		CHECK(ReadLogin(&logins[i]) == (logins[i].status == 200));
	for (int i = 0; i < lengthof(kmip_kinds); i++)
		CHECK(ReadKmip(kmip_kinds[i]));
	CHECK(ReadProfile() && ReadDate() && ReadKeyring());
	ResetMemory();
	mutating = true;
}

void
FuzzEnd(void)
{
}
