/*-------------------------------------------------------------------------
 *
 * aws.c
 *	  The provider aws_kms: requests to AWS KMS and what it replies.
 *
 * https://docs.aws.amazon.com/kms/latest/APIReference/
 *
 * JSON 1.1 over POST, signed (sigv4.c).  Every reply names the key by its ARN.
 * What we keep as master key is that ARN, with "#" and the id of the key
 * material behind it where the reply has one: so a rotation of the key shows,
 * also one of an alias that now means another key.  Decrypt and ReEncrypt are
 * told the ARN they must use, and the reply must say the same.
 *
 * No I/O here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"

#include "base/compat.h"
#include "kms/aws.h"
#include "kms/sigv4.h"

#define KEY_ID_MAX_BYTES 2048
#define MASTER_KEY_SEPARATOR '#'

/*
 * Options
 */

static void
refuse_key_id(const char *name, const char *value)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("Give a key id, an alias such as alias/name, or the ARN of either, such as arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab.")));
}

static void
check_key_id(const char *name, const char *value)
{
	char	   *resource = pgseal_aws_arn_field(value, 5);
	size_t		len = strlen(value);

	if (len == 0 || len > KEY_ID_MAX_BYTES ||
		strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:/_-") != len)
		refuse_key_id(name, value);
	if (strncmp(value, "arn:", 4) == 0)
	{
		if (resource == NULL || strcmp(pgseal_aws_arn_field(value, 2), "kms") != 0 ||
			pgseal_aws_arn_field(value, 3)[0] == '\0' || strlen(pgseal_aws_arn_field(value, 4)) != 12 ||
			(strncmp(resource, "key/", 4) != 0 && strncmp(resource, "alias/", 6) != 0) ||
			strchr(resource, '/')[1] == '\0')
			refuse_key_id(name, value);
	}
	else if (strchr(value, ':') != NULL ||
			 (strchr(value, '/') != NULL && (strncmp(value, "alias/", 6) != 0 || len == 6)))
		refuse_key_id(name, value);
}

static void
check_role_arn(const char *name, const char *value)
{
	char	   *resource = pgseal_aws_arn_field(value, 5);

	if (resource == NULL || strcmp(pgseal_aws_arn_field(value, 2), "iam") != 0 ||
		strncmp(resource, "role/", 5) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("Give a role's ARN, such as arn:aws:iam::111122223333:role/name.")));
}

static void
check_region(const char *name, const char *value)
{
	size_t		len = strlen(value);

	/* it becomes part of a host name */
	if (len == 0 || len > 32 || strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("Give a region's name, such as eu-west-1.")));
}

static void
check_credentials(const char *name, const char *value)
{
	static const char *const choices[] = {"auto", "environment", "file", "web_identity",
	"container", "imds", NULL};

	pgseal_kms_check_choice(name, value, choices);
}

#define USE_INSTEAD \
	"Use an identity of the machine (option \"credentials\": web_identity, container, imds), a file (option \"credentials_file\"), or the server's environment."

static const PgsealKmsOption options[] = {
	{"key_id", true, NULL, check_key_id},
	{"region", false, NULL, check_region},
	{"endpoint", false, NULL, pgseal_kms_check_url},
	{"fips", false, NULL, pgseal_kms_check_bool},
	{"credentials", false, NULL, check_credentials},
	{"profile", false, NULL, pgseal_kms_check_not_empty},
	{"credentials_file", false, NULL, pgseal_kms_check_path},
	{"config_file", false, NULL, pgseal_kms_check_path},
	{"web_identity_token_file", false, NULL, pgseal_kms_check_path},
	{"web_identity_role_arn", false, NULL, check_role_arn},
	{"role_arn", false, NULL, check_role_arn},
	{"role_session_name", false, NULL, pgseal_kms_check_not_empty},
	{"external_id", false, NULL, pgseal_kms_check_not_empty},
	{"sts_endpoint", false, NULL, pgseal_kms_check_url},
	PGSEAL_REMOTE_OPTIONS,
	{"access_key_id", false, USE_INSTEAD},
	{"secret_access_key", false, USE_INSTEAD},
	{"session_token", false, USE_INSTEAD},
	{NULL}
};

static const char *const key_options[] = {"key_id", NULL};

static void
validate(List *options_given)
{
	static const char *const urls[] = {"endpoint", "sts_endpoint", NULL};

	pgseal_kms_check_plain_http(options_given, urls);
}

/*
 * Requests
 */

static void
append_member(PgsealSecretString *body, const char *name, const char *value)
{
	pgseal_secmem_append(body, body->len == 0 ? "{" : ",");
	pgseal_secmem_append_json(body, name);
	pgseal_secmem_append(body, ":");
	pgseal_secmem_append_json(body, value);
}

static void
append_blob(PgsealSecretString *body, const char *name, const uint8 *bytes, size_t len)
{
	pgseal_secmem_append(body, body->len == 0 ? "{" : ",");
	pgseal_secmem_append_json(body, name);
	pgseal_secmem_append(body, ":\"");
	pgseal_secmem_append_base64(body, bytes, len);
	pgseal_secmem_append(body, "\"");
}

static void
append_context(PgsealSecretString *body, const char *name, const PgsealKmsContext *context)
{
	pgseal_secmem_append(body, ",");
	pgseal_secmem_append_json(body, name);
	pgseal_secmem_append(body, ":");
	pgseal_secmem_append(body, pgseal_kms_context_json(context));
}

/* The ARN within what we keep as master key */
static char *
arn_of(const char *master_key)
{
	return pnstrdup(master_key, strcspn(master_key, "#"));
}

static void
build(PgsealHttpRequest *out_request, const PgsealKmsServer *server, const PgsealKmsOp *op,
	  const PgsealCredential *credential, int64 now)
{
	const char *key_id = pgseal_kms_option(server, "key_id");
	PgsealSecretString *body = &out_request->body;
	const char *action = NULL;

	pgseal_kms_request_init(out_request, server, "POST",
							pgseal_aws_endpoint(server, "endpoint", "kms"));
	pgseal_secmem_init(body);
	switch (op->kind)
	{
		case PGSEAL_KMS_OP_WRAP:
			action = "TrentService.Encrypt";
			append_member(body, "KeyId", key_id);
			append_blob(body, "Plaintext", op->secret, PGSEAL_KEY_BYTES);
			append_context(body, "EncryptionContext", op->context);
			break;
		case PGSEAL_KMS_OP_GENERATE:
			action = "TrentService.GenerateDataKey";
			append_member(body, "KeyId", key_id);
			append_member(body, "KeySpec", "AES_256");
			append_context(body, "EncryptionContext", op->context);
			break;
		case PGSEAL_KMS_OP_UNWRAP:
			action = "TrentService.Decrypt";
			append_member(body, "KeyId", arn_of(op->master_key));
			append_blob(body, "CiphertextBlob", op->wrapped, op->wrapped_len);
			append_context(body, "EncryptionContext", op->context);
			break;
		case PGSEAL_KMS_OP_REWRAP:
			action = "TrentService.ReEncrypt";
			append_member(body, "SourceKeyId", arn_of(op->master_key));
			append_member(body, "DestinationKeyId", key_id);
			append_blob(body, "CiphertextBlob", op->wrapped, op->wrapped_len);
			append_context(body, "SourceEncryptionContext", op->context);
			append_context(body, "DestinationEncryptionContext", op->context);
			break;
		case PGSEAL_KMS_OP_DESCRIBE:
			action = "TrentService.DescribeKey";
			append_member(body, "KeyId", key_id);
			break;
	}
	pgseal_secmem_append(body, "}");

	pgseal_http_add_header(out_request, "Content-Type", "application/x-amz-json-1.1");
	pgseal_http_add_header(out_request, "X-Amz-Target", action);
	pgseal_sigv4_sign(out_request, credential, pgseal_aws_region(server), "kms", now);
}

/*
 * Replies
 */

/* Is arn the key that the option key_id names, as far as that can be told? */
static bool
is_key_asked_for(const char *arn, const char *key_id)
{
	const char *resource = pgseal_aws_arn_field(arn, 5);
	const char *asked = key_id;

	if (resource == NULL || strncmp(resource, "key/", 4) != 0)
		return false;
	if (strncmp(key_id, "arn:", 4) == 0)
	{
		asked = pgseal_aws_arn_field(key_id, 5);
		if (strncmp(asked, "key/", 4) == 0)
			return strcmp(arn, key_id) == 0;
	}
	return strncmp(asked, "alias/", 6) == 0 || strcmp(resource + 4, asked) == 0;
}

static char *
master_key_of(const char *arn, const char *material_id)
{
	return material_id ? psprintf("%s%c%s", arn, MASTER_KEY_SEPARATOR, material_id) : pstrdup(arn);
}

/* A blob of exactly (exact) or at most size bytes; its length, or 0 */
static size_t
read_blob(uint8 *out_bytes, size_t size, const PgsealJson *json, const char *path, bool exact)
{
	const char *text = pgseal_json_string(json, path);
	int			len = text ? pgseal_secmem_decode_base64(out_bytes, size, text) : -1;

	return len > 0 && (!exact || len == size) ? len : 0;
}

/* https://docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html */
static PgsealVerdict
read_description(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealJson *json,
				 const char *key_id)
{
	const char *arn = pgseal_json_string(json, "KeyMetadata.Arn");
	const char *state = pgseal_json_string(json, "KeyMetadata.KeyState");
	const char *usage = pgseal_json_string(json, "KeyMetadata.KeyUsage");

	if (arn == NULL || state == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	if (strcmp(state, "Enabled") != 0)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, state,
								  psprintf("Key %s is in state %s.", arn, state),
								  strcmp(state, "PendingDeletion") == 0 ?
								  "Cancel the deletion with CancelKeyDeletion and enable the key." :
								  "Enable the key in AWS KMS.");
	if (usage && strcmp(usage, "ENCRYPT_DECRYPT") != 0)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, usage,
								  psprintf("Key %s is for %s.", arn, usage),
								  "The key must be a symmetric one for ENCRYPT_DECRYPT.");
	if (!is_key_asked_for(arn, key_id))
		return pgseal_kms_verdict_other_key(out_error, arn);
	out_reply->master_key = master_key_of(arn, pgseal_json_string(json, "KeyMetadata.CurrentKeyMaterialId"));
	out_reply->detail = psprintf("Key %s is enabled.", arn);
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
read_reply(PgsealKmsReply *out_reply, PgsealKmsError *out_error, const PgsealHttpResponse *response,
		   const PgsealKmsServer *server, const PgsealKmsOp *op)
{
	const char *key_id = pgseal_kms_option(server, "key_id");
	PgsealJson *json = pgseal_json_parse(response->body, response->body_len);
	const char *arn;
	const char *material_id;
	bool		right_key;

	if (response->status != 200)
	{
		const char *code = json ? pgseal_json_string(json, "__type") : NULL;
		const char *message = json ? pgseal_json_string(json, "message") : NULL;

		if (code == NULL)
			code = pgseal_http_header(response, "x-amzn-ErrorType");
		if (message == NULL && json)
			message = pgseal_json_string(json, "Message");
		return pgseal_aws_judge_error(out_error, response->status, code, message);
	}
	if (json == NULL)
		return pgseal_kms_verdict_malformed(out_error);
	if (op->kind == PGSEAL_KMS_OP_DESCRIBE)
		return read_description(out_reply, out_error, json, key_id);

	arn = pgseal_json_string(json, "KeyId");
	material_id = pgseal_json_string(json, op->kind == PGSEAL_KMS_OP_REWRAP ?
									 "DestinationKeyMaterialId" : "KeyMaterialId");
	if (arn == NULL)
		return pgseal_kms_verdict_malformed(out_error);

	right_key = op->kind == PGSEAL_KMS_OP_UNWRAP ?
		strcmp(arn, arn_of(op->master_key)) == 0 : is_key_asked_for(arn, key_id);
	if (!right_key)
		return pgseal_kms_verdict_other_key(out_error, arn);

	if ((op->kind == PGSEAL_KMS_OP_UNWRAP || op->kind == PGSEAL_KMS_OP_GENERATE) &&
		read_blob(out_reply->secret, PGSEAL_KEY_BYTES, json, "Plaintext", true) == 0)
		return pgseal_kms_verdict_malformed(out_error);
	if (op->kind != PGSEAL_KMS_OP_UNWRAP)
	{
		out_reply->wrapped_len = read_blob(out_reply->wrapped, sizeof(out_reply->wrapped),
										   json, "CiphertextBlob", false);
		out_reply->master_key = master_key_of(arn, material_id);
		if (out_reply->wrapped_len == 0)
			return pgseal_kms_verdict_malformed(out_error);
	}
	return PGSEAL_VERDICT_OK;
}

const PgsealRemoteProvider pgseal_kms_aws = {
	.base = {
		.name = "aws_kms",
		.options = options,
		.validate = validate,
		.wrap = pgseal_remote_wrap,
		.unwrap = pgseal_remote_unwrap,
		.generate = pgseal_remote_generate,
		.rewrap = pgseal_remote_rewrap,
		.describe = pgseal_remote_describe,
	},
	.key_options = key_options,
	.build = build,
	.read = read_reply,
	.login = pgseal_aws_login,
};

PG_FUNCTION_INFO_V1(pgseal_aws_kms_validator);
Datum
pgseal_aws_kms_validator(PG_FUNCTION_ARGS)
{
	pgseal_kms_validate(&pgseal_kms_aws.base, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}
