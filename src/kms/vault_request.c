/*-------------------------------------------------------------------------
 *
 * vault_request.c
 *	  What requests to Vault have in common, those of the login and all others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "kms/vault.h"

List *
pgseal_vault_addresses(const char *value)
{
	List	   *list = NIL;
	char	   *copy = pstrdup(value);
	char	   *state;

	for (char *part = strtok_r(copy, ", ", &state); part; part = strtok_r(NULL, ", ", &state))
	{
		size_t		len = strlen(part);

		if (part[len - 1] == '/')
			part[len - 1] = '\0';
		list = lappend(list, part);
	}
	return list;
}

List *
pgseal_vault_bases(const PgsealKmsServer *server)
{
	return pgseal_vault_addresses(pgseal_kms_option(server, "address"));
}

void
pgseal_vault_begin(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
				   const char *method, const char *path, const char *token)
{
	const char *namespace = pgseal_kms_option(server, "namespace");

	pgseal_kms_request_init(out_request, server, method, linitial(pgseal_vault_bases(server)));
	out_request->path = path;

	/* some agents and proxies insist on it */
	pgseal_http_add_header(out_request, "X-Vault-Request", "true");
	if (namespace)
		pgseal_http_add_header(out_request, "X-Vault-Namespace", namespace);
	if (token)
		pgseal_http_add_secret_header(out_request, "X-Vault-Token", token);
	if (strcmp(method, "POST") == 0)
	{
		pgseal_http_add_header(out_request, "Content-Type", "application/json");
		pgseal_secmem_init(&out_request->body);
	}
}

/* Errors are sentences; what in them tells one from the other */
static const struct
{
	const char *text;
	PgsealVerdict verdict;
	const char *code;
	const char *hint;
}			error_texts[] = {
	{"sealed", PGSEAL_VERDICT_RETRY, "sealed", "Unseal Vault."},
	{"encryption key not found", PGSEAL_VERDICT_REFUSED, "key_not_found", "Check the options \"key_name\" and \"mount\"."},
	{"not supported for key type", PGSEAL_VERDICT_REFUSED, "key_type", PGSEAL_VAULT_MAKE_KEY},
	{"version is too new", PGSEAL_VERDICT_RETRY_ONCE, "version_too_new", "Was the key replaced by an older copy of it?"},
	{"disallowed by policy (too old)", PGSEAL_VERDICT_REFUSED, "version_too_old", "Lower the key's min_decryption_version, rewrap, and raise it again."},
	{"soft-deleted", PGSEAL_VERDICT_REFUSED, "key_deleted", "Restore the key with transit/keys/<name>/soft-delete-restore."},
	{"message authentication failed", PGSEAL_VERDICT_INVALID, "not_authentic", NULL},
	{"invalid ciphertext", PGSEAL_VERDICT_INVALID, "invalid_ciphertext", NULL},
	{"namespace", PGSEAL_VERDICT_REFUSED, "namespace", "Check the option \"namespace\"."},
	{"no handler for route", PGSEAL_VERDICT_REFUSED, "not_mounted", "Check the options \"mount\" and \"namespace\"."},
	{"unsupported path", PGSEAL_VERDICT_REFUSED, "not_mounted", "Check the options \"mount\" and \"namespace\"."}
};

PgsealVerdict
pgseal_vault_judge_error(PgsealKmsError *out_error, const PgsealHttpResponse *response)
{
	PgsealJson *json = pgseal_json_parse(response->body, response->body_len);
	const char *message = json ? pgseal_json_string(json, "errors.0") : NULL;
	int			status = response->status;

	/* 412: a replica that has not yet seen our token */
	if (status == 412)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RETRY_ONCE, "replica_lag", message, NULL);
	if (status == 403)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RELOGIN, "permission_denied", message,
								  "The token's policy must allow \"update\" on datakey/plaintext, encrypt, decrypt and rewrap and \"read\" on keys of the transit mount; or the token has expired.");
	if (status == 429)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RETRY, "throttled", message,
								  "Raise the rate limit quota of Vault, or \"pgseal.cache_ttl\".");
	for (int i = 0; message && i < lengthof(error_texts); i++)
	{
		if (strstr(message, error_texts[i].text) != NULL)
			return pgseal_kms_verdict(out_error, error_texts[i].verdict, error_texts[i].code,
									  message, error_texts[i].hint);
	}
	if (status == 404)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "not_found", message,
								  "Check the options \"key_name\", \"mount\" and \"namespace\".");
	/* 472 and 473: a standby that can't answer */
	if (pgseal_kms_status_is_transient(status) || status == 472 || status == 473)
		return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_RETRY, "unavailable", message, NULL);
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, "bad_request", message, NULL);
}
