/*-------------------------------------------------------------------------
 *
 * aws_request.c
 *	  What requests to AWS KMS and to STS have in common.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kms/aws.h"

#define ARN_FIELDS		6

char *
pgseal_aws_arn_field(const char *arn, int field)
{
	if (strncmp(arn, "arn:", 4) != 0)
		return NULL;
	for (int i = 0; i < field; i++)
	{
		arn = strchr(arn, ':');
		if (arn == NULL)
			return NULL;
		arn++;
	}
	return field == ARN_FIELDS - 1 ? pstrdup(arn) : pnstrdup(arn, strcspn(arn, ":"));
}

const char *
pgseal_aws_region(const PgsealKmsServer *server)
{
	const char *region = pgseal_kms_option(server, "region");

	if (region == NULL)
		region = pgseal_aws_arn_field(pgseal_kms_option(server, "key_id"), 3);
	if (region == NULL)
		region = getenv("AWS_REGION");
	if (region == NULL || region[0] == '\0')
		region = getenv("AWS_DEFAULT_REGION");
	return region && region[0] ? region : "us-east-1";
}

const char *
pgseal_aws_endpoint(const PgsealKmsServer *server, const char *option, const char *service)
{
	const char *endpoint = pgseal_kms_option(server, option);
	const char *region = pgseal_aws_region(server);

	if (endpoint)
		return endpoint;
	return psprintf("https://%s%s.%s.amazonaws.com%s", service,
					pgseal_kms_option_bool(server, "fips") ? "-fips" : "", region,
					strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
}

/*
 * https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html and the
 * errors of each operation.  The HTTP status says little: throttling is a 400.
 * Codes come with and without "Exception" at the end.
 */
static const struct
{
	const char *code;
	PgsealVerdict verdict;
	const char *hint;
}			error_codes[] = {
	{"Throttling", PGSEAL_VERDICT_RETRY, "Raise the account's request quota of AWS KMS, or \"pgseal.cache_ttl\"."},
	{"Throttled", PGSEAL_VERDICT_RETRY},
	{"RequestThrottled", PGSEAL_VERDICT_RETRY},
	{"TooManyRequests", PGSEAL_VERDICT_RETRY},
	{"LimitExceeded", PGSEAL_VERDICT_RETRY},
	{"KMSInternal", PGSEAL_VERDICT_RETRY},
	{"InternalFailure", PGSEAL_VERDICT_RETRY},
	{"ServiceUnavailable", PGSEAL_VERDICT_RETRY},
	{"KeyUnavailable", PGSEAL_VERDICT_RETRY},
	{"DependencyTimeout", PGSEAL_VERDICT_RETRY},
	{"RequestTimeout", PGSEAL_VERDICT_RETRY},
	{"IDPCommunicationError", PGSEAL_VERDICT_RETRY},
	{"ExpiredToken", PGSEAL_VERDICT_RELOGIN, "The session token has expired and no newer one was found; check what renews it."},
	{"UnrecognizedClient", PGSEAL_VERDICT_RELOGIN, "AWS does not know the access key; check the credentials and the region."},
	{"InvalidClientTokenId", PGSEAL_VERDICT_RELOGIN, "AWS does not know the access key; check the credentials and the region."},
	{"RequestTimeTooSkewed", PGSEAL_VERDICT_SKEWED, "Set the machine's clock."},
	{"RequestExpired", PGSEAL_VERDICT_SKEWED, "Set the machine's clock."},
	{"InvalidSignature", PGSEAL_VERDICT_REFUSED, "The secret access key does not belong to the access key."},
	{"SignatureDoesNotMatch", PGSEAL_VERDICT_REFUSED, "The secret access key does not belong to the access key."},
	{"AccessDenied", PGSEAL_VERDICT_REFUSED, "Allow the caller kms:GenerateDataKey, kms:Encrypt, kms:Decrypt, kms:ReEncrypt* and kms:DescribeKey in the key's policy or an IAM policy."},
	{"Disabled", PGSEAL_VERDICT_REFUSED, "Enable the key in AWS KMS."},
	{"KMSInvalidState", PGSEAL_VERDICT_REFUSED, "If the key is pending deletion, cancel that with CancelKeyDeletion and enable the key."},
	{"NotFound", PGSEAL_VERDICT_REFUSED, "Check the options \"key_id\" and \"region\"; a key of another account needs its ARN."},
	{"InvalidKeyUsage", PGSEAL_VERDICT_REFUSED, "The key must be a symmetric one for ENCRYPT_DECRYPT."},
	{"InvalidIdentityToken", PGSEAL_VERDICT_REFUSED, "Check the web identity token's file and the role's trust policy."},
	{"InvalidCiphertext", PGSEAL_VERDICT_INVALID},
	{"IncorrectKey", PGSEAL_VERDICT_INVALID},
	{"InvalidArn", PGSEAL_VERDICT_REFUSED, "Check the option \"key_id\"."},
	{"Validation", PGSEAL_VERDICT_REFUSED}
};

PgsealVerdict
pgseal_aws_judge_error(PgsealKmsError *out_error, int http_status,
					   const char *code, const char *message)
{
	const char *hash;
	size_t		len;

	if (code == NULL)
		code = "";

	/* "com.amazonaws.kms#DisabledException", "DisabledException:http://..." */
	hash = strchr(code, '#');
	if (hash)
		code = hash + 1;
	len = strcspn(code, ":");
	if (len > strlen("Exception") &&
		strncmp(code + len - strlen("Exception"), "Exception", strlen("Exception")) == 0)
		len -= strlen("Exception");
	code = pnstrdup(code, strcspn(code, ":"));

	/*
	 * the signature's time: "Signature expired: ..." or "... not yet current:
	 * ..."
	 */
	if ((strncmp(code, "InvalidSignature", len) == 0 ||
		 strncmp(code, "SignatureDoesNotMatch", len) == 0) && len > 0 &&
		message && (strstr(message, "expired") || strstr(message, "not yet current")))
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_SKEWED, code, message,
								  "Set the machine's clock.");

	for (int i = 0; i < lengthof(error_codes); i++)
	{
		if (strlen(error_codes[i].code) == len && strncmp(error_codes[i].code, code, len) == 0)
			return pgseal_kms_verdict(out_error, error_codes[i].verdict, code, message,
									  error_codes[i].hint);
	}
	return pgseal_kms_verdict(out_error,
							  pgseal_kms_status_is_transient(http_status) ? PGSEAL_VERDICT_RETRY :
							  PGSEAL_VERDICT_REFUSED,
							  code, message, NULL);
}
