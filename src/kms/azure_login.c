/*-------------------------------------------------------------------------
 *
 * azure_login.c
 *	  Tokens for azure_key_vault.
 *
 * https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
 * https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 *
 * A client secret from a file, a workload identity's federated token (AKS), or
 * the machine's managed identity.  A token is asked for one resource, which
 * must belong to the vault: it is derived from the vault's own host name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "kms/azure.h"
#include "kms/oauth.h"

#define TOKEN_MAX_BYTES		(PGSEAL_CREDENTIAL_TOKEN_BYTES - 1)
#define AUTHORITY			"https://login.microsoftonline.com"
#define IMDS_BASE			"http://169.254.169.254"
#define ASSERTION_TYPE		"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/* The vaults' host names of each cloud, and what their tokens are for */
static const struct
{
	const char *suffix;
	const char *resource;
}			resources[] = {
	{".vault.azure.net", "https://vault.azure.net"},
	{".managedhsm.azure.net", "https://managedhsm.azure.net"},
	{".vault.azure.cn", "https://vault.azure.cn"},
	{".vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net"}
};

static const char *
env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

const char *
pgseal_azure_resource(const char *vault_url)
{
	size_t		len = strlen(vault_url);

	for (int i = 0; i < lengthof(resources); i++)
	{
		size_t		suffix_len = strlen(resources[i].suffix);

		if (len > suffix_len &&
			pg_strcasecmp(vault_url + len - suffix_len, resources[i].suffix) == 0)
			return resources[i].resource;
	}
	return NULL;
}

/* The validator has seen to it that one of both is known */
static const char *
resource(const PgsealKmsServer *server)
{
	return pgseal_kms_option_or(server, "resource",
								pgseal_azure_resource(pgseal_kms_option(server, "vault_url")));
}

/* secret: what the file holds; is_assertion: a federated token rather than a client secret */
static void
build_client_login(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
				   const char *tenant_id, const char *client_id,
				   const char *secret, bool is_assertion)
{
	const char *authority = pgseal_kms_option_or(server, "authority_host", env("AZURE_AUTHORITY_HOST"));
	size_t		len;

	if (authority == NULL)
		authority = AUTHORITY;
	len = strlen(authority);
	if (len > 0 && authority[len - 1] == '/')
		authority = pnstrdup(authority, len - 1);

	pgseal_kms_request_init(out_request, server, "POST", authority);
	out_request->path = psprintf("/%s/oauth2/v2.0/token", tenant_id);
	pgseal_oauth_begin_form(out_request);
	pgseal_oauth_append(out_request, "grant_type", "client_credentials");
	pgseal_oauth_append(out_request, "client_id", client_id);
	pgseal_oauth_append(out_request, "scope", psprintf("%s/.default", resource(server)));
	if (is_assertion)
		pgseal_oauth_append(out_request, "client_assertion_type", ASSERTION_TYPE);
	pgseal_oauth_append(out_request, is_assertion ? "client_assertion" : "client_secret", secret);
}

static void
build_managed_identity(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
					   const char *base)
{
	const char *client_id = pgseal_kms_option(server, "client_id");
	PgsealSecretString path;

	/* no proxy, no TLS: the service is on the machine */
	memset(out_request, 0, sizeof(*out_request));
	pgseal_secmem_init(&path);
	pgseal_secmem_append(&path, "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=");
	pgseal_secmem_append_urlencoded(&path, resource(server), "");
	if (client_id)
	{
		pgseal_secmem_append(&path, "&client_id=");
		pgseal_secmem_append_urlencoded(&path, client_id, "");
	}
	out_request->method = "GET";
	out_request->base = base;
	out_request->path = path.data;
	out_request->plain_allowed = true;
	pgseal_http_add_header(out_request, "Metadata", "true");
}

PgsealVerdict
pgseal_azure_login(PgsealCredential *out_credential, const PgsealCredential *old,
				   PgsealKmsCall *call)
{
	const PgsealKmsServer *server = call->server;
	const char *source = pgseal_kms_option_or(server, "credentials", "auto");
	const char *secret_file = pgseal_kms_option(server, "client_secret_file");
	const char *token_file = pgseal_kms_option_or(server, "federated_token_file",
												  env("AZURE_FEDERATED_TOKEN_FILE"));
	const char *tenant_id = pgseal_kms_option_or(server, "tenant_id", env("AZURE_TENANT_ID"));
	const char *client_id = pgseal_kms_option_or(server, "client_id", env("AZURE_CLIENT_ID"));
	bool		any = strcmp(source, "auto") == 0;
	bool		with_secret = strcmp(source, "client_secret") == 0 || (any && secret_file);
	bool		with_token = strcmp(source, "workload_identity") == 0 ||
		(any && !with_secret && token_file);
	const char *path = with_secret ? secret_file : token_file;
	PgsealHttpRequest request;
	char	   *secret;

	if (!with_secret && !with_token)
	{
		const char *base = env("AZURE_POD_IDENTITY_AUTHORITY_HOST");

		build_managed_identity(&request, server, base ? base : IMDS_BASE);
		return pgseal_kms_send(call, out_credential, &request, pgseal_oauth_read_token,
							   &call->now);
	}
	if (path == NULL || tenant_id == NULL || client_id == NULL)
		return pgseal_kms_verdict(call->error, PGSEAL_VERDICT_REFUSED, "credentials",
								  "The tenant, the client or the file with its secret or token is not known.",
								  "Set the options \"tenant_id\", \"client_id\" and \"client_secret_file\" or \"federated_token_file\".");
	secret = pgseal_kms_read_secret_file(call->error, path, TOKEN_MAX_BYTES);
	if (secret == NULL)
		return PGSEAL_VERDICT_REFUSED;
	build_client_login(&request, server, tenant_id, client_id, secret, with_token);
	return pgseal_kms_send(call, out_credential, &request, pgseal_oauth_read_token, &call->now);
}
