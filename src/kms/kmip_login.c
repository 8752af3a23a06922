/*-------------------------------------------------------------------------
 *
 * kmip_login.c
 *	  Which key of a KMIP server is meant, and as whom it is asked for.
 *
 * KMIP knows no login: every request brings what it needs.  What has to be found
 * out before is the password, which is in a file, and the identifier of the key
 * that has a name at this time.  Both are looked up every minute, and at once
 * when the server no longer takes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kms/kmip.h"

#define LIFE_SECONDS			60
#define PASSWORD_MAX_BYTES		(PGSEAL_CREDENTIAL_SECRET_BYTES - 1)

static PgsealVerdict
read_password(PgsealCredential *out_credential, PgsealKmsCall *call)
{
	const char *file = pgseal_kms_option(call->server, "password_file");
	char	   *password;

	if (file == NULL)
		return PGSEAL_VERDICT_OK;
	password = pgseal_kms_read_secret_file(call->error, file, PASSWORD_MAX_BYTES);
	if (password == NULL)
		return PGSEAL_VERDICT_REFUSED;
	if (password[0] == '\0' ||
		!pgseal_kms_set_field(out_credential->secret, sizeof(out_credential->secret), password))
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "file",
								  "The password's file is empty or has several lines.",
								  "See the option \"password_file\".");
	return PGSEAL_VERDICT_OK;
}

PgsealVerdict
pgseal_kmip_login(PgsealCredential *out_credential, const PgsealCredential *old,
				  PgsealKmsCall *call)
{
	const char *key_id = pgseal_kms_option(call->server, "key_id");
	PgsealVerdict verdict = read_password(out_credential, call);
	PgsealHttpRequest request;

	if (verdict == PGSEAL_VERDICT_OK && key_id == NULL)
	{
		pgseal_kmip_build_locate(&request, call->server, out_credential->secret);
		verdict = pgseal_kms_send(call, out_credential, &request, pgseal_kmip_read_locate, NULL);
	}
	else if (verdict == PGSEAL_VERDICT_OK)
		(void) pgseal_kms_set_field(out_credential->id, sizeof(out_credential->id), key_id);
	if (verdict == PGSEAL_VERDICT_OK)
		pgseal_kms_set_lifetime(out_credential, call->now, LIFE_SECONDS);
	return verdict;
}
