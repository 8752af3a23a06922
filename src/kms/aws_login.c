/*-------------------------------------------------------------------------
 *
 * aws_login.c
 *	  Credentials for aws_kms.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
 *
 * The sources, in the order in which "auto" looks for one that is configured:
 * environment, shared files, web identity (EKS IRSA), container (ECS, EKS Pod
 * Identity), instance metadata (IMDSv2; never v1).  On top of any of them a
 * role may be assumed (option role_arn).  The environment is the postmaster's.
 *
 * Builders and readers are pure; login() strings them together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "utils/timestamp.h"

#include "kms/aws.h"
#include "kms/sigv4.h"

#define FILE_MAX_BYTES		(256 * 1024)
#define TOKEN_MAX_BYTES		(PGSEAL_CREDENTIAL_TOKEN_BYTES - 1)

/* Keys that come from a file or the environment are looked up this often */
#define STATIC_LOOKUP_SECONDS	60

/*
 * An identity service that can't renew hands out what it has: it is used on
 * for so long ("static stability").
 */
#define STALE_SECONDS		300

/* Services of the machine itself answer fast or not at all */
#define LOCAL_TIMEOUT_MS	2000

#define IMDS_BASE			"http://169.254.169.254"
#define IMDS_TOKEN_SECONDS	"21600"
#define IMDS_ROLES			"/latest/meta-data/iam/security-credentials/"
#define ECS_BASE			"http://169.254.170.2"

/* An environment variable; an empty one counts as unset */
static const char *
env(const char *name)
{
	const char *value = getenv(name);

	return value && value[0] ? value : NULL;
}

static PgsealVerdict
not_configured(PgsealKmsError *out_error, const char *code, const char *detail, const char *hint)
{
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_REFUSED, code, detail, hint);
}

/* Keys that don't expire by themselves, but may be replaced at their source */
static void
set_static_lifetime(PgsealCredential *credential, int64 now)
{
	credential->expires_at = 0;
	credential->refresh_at = now + STATIC_LOOKUP_SECONDS;
}

/*
 * Environment and shared files
 */

static PgsealVerdict
login_environment(PgsealCredential *out_credential, PgsealKmsCall *call)
{
	const char *token = env("AWS_SESSION_TOKEN");

	if (!pgseal_kms_set_field(out_credential->id, sizeof(out_credential->id),
							  env("AWS_ACCESS_KEY_ID")) ||
		!pgseal_kms_set_field(out_credential->secret, sizeof(out_credential->secret),
							  env("AWS_SECRET_ACCESS_KEY")) ||
		!pgseal_kms_set_field(out_credential->token, sizeof(out_credential->token),
							  token ? token : ""))
		return not_configured(call->error, "environment",
							  "AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is missing or too long.",
							  "Set them in the environment of the PostgreSQL server.");
	set_static_lifetime(out_credential, call->now);
	return PGSEAL_VERDICT_OK;
}

static char *
trim(char *text)
{
	char	   *end = text + strlen(text);

	while (end > text && strchr(" \t\r", end[-1]) != NULL)
		*--end = '\0';
	return text + strspn(text, " \t");
}

bool
pgseal_aws_read_profile(PgsealCredential *out_credential, char *text, const char *profile,
						bool in_config)
{
	bool		inside = false;
	bool		has_id = false;
	bool		has_secret = false;
	char	   *state;

	for (char *line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
	{
		char	   *value;
		char	   *name = trim(line);

		if (name[0] == '#' || name[0] == ';')
			continue;
		if (name[0] == '[')
		{
			name = trim(name + 1);
			name[strcspn(name, "]")] = '\0';
			if (in_config && strncmp(name, "profile", 7) == 0 && strchr(" \t", name[7]) && name[7])
				name += 7;
			inside = strcmp(trim(name), profile) == 0;
			continue;
		}
		value = strchr(name, '=');
		if (!inside || value == NULL)
			continue;
		*value++ = '\0';
		name = trim(name);
		value = trim(value);
		if (strcmp(name, "aws_access_key_id") == 0)
			has_id = pgseal_kms_set_field(out_credential->id, sizeof(out_credential->id), value);
		else if (strcmp(name, "aws_secret_access_key") == 0)
			has_secret = pgseal_kms_set_field(out_credential->secret,
											  sizeof(out_credential->secret), value);
		else if (strcmp(name, "aws_session_token") == 0 &&
				 !pgseal_kms_set_field(out_credential->token, sizeof(out_credential->token), value))
			return false;
	}
	return has_id && has_secret && out_credential->id[0] && out_credential->secret[0];
}

/* Option, environment, or in the home directory; NULL if none of them tells */
static const char *
shared_file(const PgsealKmsServer *server, const char *option, const char *variable,
			const char *home_name)
{
	const char *path = pgseal_kms_option_or(server, option, env(variable));

	return path ? path : env("HOME") ? psprintf("%s/.aws/%s", env("HOME"), home_name) : NULL;
}

static PgsealVerdict
login_file(PgsealCredential *out_credential, PgsealKmsCall *call)
{
	const PgsealKmsServer *server = call->server;
	const char *profile = pgseal_kms_option_or(server, "profile", env("AWS_PROFILE"));
	const char *paths[2] = {
		shared_file(server, "credentials_file", "AWS_SHARED_CREDENTIALS_FILE", "credentials"),
		shared_file(server, "config_file", "AWS_CONFIG_FILE", "config")
	};

	if (profile == NULL)
		profile = "default";
	for (int i = 0; i < lengthof(paths); i++)
	{
		char	   *text = paths[i] ?
			pgseal_kms_read_secret_file(call->error, paths[i], FILE_MAX_BYTES) : NULL;

		if (text && pgseal_aws_read_profile(out_credential, text, profile, i == 1))
		{
			set_static_lifetime(out_credential, call->now);
			return PGSEAL_VERDICT_OK;
		}
	}
	return not_configured(call->error, "file",
						  psprintf("No keys for profile \"%s\" in \"%s\" or \"%s\".", profile,
								   paths[0] ? paths[0] : "", paths[1] ? paths[1] : ""),
						  "Check the options \"profile\" and \"credentials_file\" and that the file can be read; profiles with role_arn, sso or credential_process are not followed (see option \"role_arn\").");
}

/*
 * STS: web identity and assumed roles
 *
 * https://docs.aws.amazon.com/STS/latest/APIReference/
 */

static void
append_parameter(PgsealSecretString *body, const char *name, const char *value)
{
	pgseal_secmem_append(body, body->len > 0 ? "&" : "");
	pgseal_secmem_append(body, name);
	pgseal_secmem_append(body, "=");
	pgseal_secmem_append_urlencoded(body, value, "");
}

static void
begin_sts(PgsealHttpRequest *out_request, const PgsealKmsServer *server, const char *action,
		  const char *role_arn)
{
	const char *session = pgseal_kms_option_or(server, "role_session_name", env("AWS_ROLE_SESSION_NAME"));

	pgseal_kms_request_init(out_request, server, "POST",
							pgseal_aws_endpoint(server, "sts_endpoint", "sts"));
	pgseal_http_add_header(out_request, "Content-Type",
						   "application/x-www-form-urlencoded; charset=utf-8");
	pgseal_secmem_init(&out_request->body);
	append_parameter(&out_request->body, "Action", action);
	append_parameter(&out_request->body, "Version", "2011-06-15");
	append_parameter(&out_request->body, "RoleArn", role_arn);
	append_parameter(&out_request->body, "RoleSessionName", session ? session : "pgseal");
}

void
pgseal_aws_build_assume_role(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
							 const PgsealCredential *credential, int64 now)
{
	const char *external_id = pgseal_kms_option(server, "external_id");

	begin_sts(out_request, server, "AssumeRole", pgseal_kms_option(server, "role_arn"));
	if (external_id)
		append_parameter(&out_request->body, "ExternalId", external_id);
	pgseal_sigv4_sign(out_request, credential, pgseal_aws_region(server), "sts", now);
}

void
pgseal_aws_build_web_identity(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
							  const char *role_arn, const char *token)
{
	begin_sts(out_request, server, "AssumeRoleWithWebIdentity", role_arn);
	append_parameter(&out_request->body, "WebIdentityToken", token);
}

/* The text of the first element of that name; NULL if there is none */
static char *
xml_text(const char *xml, const char *name)
{
	char	   *open = psprintf("<%s>", name);
	char	   *close = psprintf("</%s>", name);
	const char *start = strstr(xml, open);
	const char *end = start ? strstr(start, close) : NULL;

	return end ? pgseal_secmem_copy(start + strlen(open), end - start - strlen(open)) : NULL;
}

/* Sets a life that ends at a time that a service wrote */
static bool
set_expiration(PgsealCredential *credential, int64 now, const char *expiration)
{
	int64		expires_at = expiration ? pgseal_http_parse_date(expiration) : 0;

	if (expires_at == 0)
		return false;
	pgseal_kms_set_lifetime(credential, now, expires_at > now ? expires_at - now : STALE_SECONDS);
	return true;
}

static bool
set_all(PgsealCredential *credential, const char *id, const char *secret, const char *token)
{
	return pgseal_kms_set_field(credential->id, sizeof(credential->id), id) &&
		pgseal_kms_set_field(credential->secret, sizeof(credential->secret), secret) &&
		pgseal_kms_set_field(credential->token, sizeof(credential->token), token);
}

PgsealVerdict
pgseal_aws_read_sts(void *out_credential, PgsealKmsError *out_error,
					const PgsealHttpResponse *response, const void *now)
{
	PgsealCredential *credential = out_credential;
	const char *xml = response->body;

	if (response->status != 200)
	{
		PgsealVerdict verdict = pgseal_aws_judge_error(out_error, response->status,
													   xml_text(xml, "Code"),
													   xml_text(xml, "Message"));

		if (strcmp(out_error->code, "AccessDenied") == 0)
			strlcpy(out_error->hint, "Check the role's trust policy, and that the caller is allowed sts:AssumeRole.",
					sizeof(out_error->hint));
		return verdict;
	}
	if (!set_all(credential, xml_text(xml, "AccessKeyId"), xml_text(xml, "SecretAccessKey"),
				 xml_text(xml, "SessionToken")) ||
		!set_expiration(credential, *(const int64 *) now, xml_text(xml, "Expiration")))
		return pgseal_kms_verdict_malformed(out_error);
	return PGSEAL_VERDICT_OK;
}

static PgsealVerdict
login_web_identity(PgsealCredential *out_credential, PgsealKmsCall *call)
{
	const PgsealKmsServer *server = call->server;
	const char *path = pgseal_kms_option_or(server, "web_identity_token_file",
											env("AWS_WEB_IDENTITY_TOKEN_FILE"));
	const char *role_arn = pgseal_kms_option_or(server, "web_identity_role_arn", env("AWS_ROLE_ARN"));
	PgsealHttpRequest request;
	char	   *token;

	if (path == NULL || role_arn == NULL)
		return not_configured(call->error, "web_identity", "The token's file or the role is not known.",
							  "Set the options \"web_identity_token_file\" and \"web_identity_role_arn\", or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN in the environment of the PostgreSQL server.");
	token = pgseal_kms_read_secret_file(call->error, path, TOKEN_MAX_BYTES);
	if (token == NULL)
		return PGSEAL_VERDICT_REFUSED;
	pgseal_aws_build_web_identity(&request, server, role_arn, token);
	return pgseal_kms_send(call, out_credential, &request, pgseal_aws_read_sts, &call->now);
}

static PgsealVerdict
assume_role(PgsealCredential *credential, PgsealKmsCall *call)
{
	PgsealHttpRequest request;
	PgsealCredential *assumed = pgseal_secmem_alloc(sizeof(PgsealCredential));
	PgsealVerdict verdict;

	pgseal_aws_build_assume_role(&request, call->server, credential, call->now);
	verdict = pgseal_kms_send(call, assumed, &request, pgseal_aws_read_sts, &call->now);
	if (verdict == PGSEAL_VERDICT_OK)
		memcpy(credential, assumed, sizeof(*assumed));
	return verdict;
}

/*
 * Identity services of the machine: container and instance metadata
 */

/* The same reply, by the same names, from all of them */
PgsealVerdict
pgseal_aws_read_metadata(void *out_credential, PgsealKmsError *out_error,
						 const PgsealHttpResponse *response, const void *now)
{
	PgsealJson *json;

	if (response->status != 200)
		return pgseal_kms_verdict(out_error, pgseal_kms_status_is_transient(response->status) ?
								  PGSEAL_VERDICT_RETRY : PGSEAL_VERDICT_REFUSED, "metadata",
								  "The machine's identity service gives no credentials.",
								  "Check that the instance or the container has a role.");
	json = pgseal_json_parse(response->body, response->body_len);
	if (json == NULL ||
		!set_all(out_credential, pgseal_json_string(json, "AccessKeyId"),
				 pgseal_json_string(json, "SecretAccessKey"), pgseal_json_string(json, "Token")) ||
		!set_expiration(out_credential, *(const int64 *) now,
						pgseal_json_string(json, "Expiration")))
		return pgseal_kms_verdict_malformed(out_error);
	return PGSEAL_VERDICT_OK;
}

/* A reply that is one line of text: a token, a role's name */
static PgsealVerdict
read_line(void *out_line, PgsealKmsError *out_error, const PgsealHttpResponse *response,
		  const void *arg)
{
	char	  **line = out_line;

	if (response->status != 200 || response->body_len == 0 ||
		response->body_len > TOKEN_MAX_BYTES)
		return pgseal_kms_verdict(out_error, pgseal_kms_status_is_transient(response->status) ?
								  PGSEAL_VERDICT_RETRY : PGSEAL_VERDICT_REFUSED, "imds",
								  "The instance metadata service gives no credentials.",
								  "Check that the instance has a role; from within a container its hop limit must be 2.");
	*line = pgseal_secmem_copy(response->body, strcspn(response->body, "\r\n"));
	return PGSEAL_VERDICT_OK;
}

/* No proxy, no client certificate, no TLS: the service is on the machine. */
static void
init_local_request(PgsealHttpRequest *out_request, const char *method, const char *base,
				   const char *path)
{
	memset(out_request, 0, sizeof(*out_request));
	out_request->method = method;
	out_request->base = base;
	out_request->path = path;
	out_request->plain_allowed = true;
}

static PgsealVerdict
login_imds(PgsealCredential *out_credential, PgsealKmsCall *call)
{
	const char *disabled = env("AWS_EC2_METADATA_DISABLED");
	const char *base = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	PgsealHttpRequest request;
	PgsealSecretString path;
	PgsealVerdict verdict;
	char	   *token;
	char	   *role;

	if (disabled && pg_strcasecmp(disabled, "true") == 0)
		return not_configured(call->error, "credentials", "No source of AWS credentials is configured.",
							  "See the option \"credentials\".");
	if (base == NULL)
		base = IMDS_BASE;
	init_local_request(&request, "PUT", base, "/latest/api/token");
	pgseal_http_add_header(&request, "X-aws-ec2-metadata-token-ttl-seconds", IMDS_TOKEN_SECONDS);
	verdict = pgseal_kms_send(call, &token, &request, read_line, NULL);
	if (verdict != PGSEAL_VERDICT_OK)
		return verdict;

	init_local_request(&request, "GET", base, IMDS_ROLES);
	pgseal_http_add_secret_header(&request, "X-aws-ec2-metadata-token", token);
	verdict = pgseal_kms_send(call, &role, &request, read_line, NULL);
	if (verdict != PGSEAL_VERDICT_OK)
		return verdict;

	pgseal_secmem_init(&path);
	pgseal_secmem_append(&path, IMDS_ROLES);
	pgseal_secmem_append_urlencoded(&path, role, "");
	request.path = path.data;
	return pgseal_kms_send(call, out_credential, &request, pgseal_aws_read_metadata, &call->now);
}

/* The hosts to which a container's credentials URI may lead in plain HTTP */
static bool
is_container_host(const char *uri)
{
	static const char *const bases[] = {ECS_BASE, "http://169.254.170.23", "http://[fd00:ec2::23]"};
	size_t		origin_len = pgseal_http_origin_len(uri);

	for (int i = 0; i < lengthof(bases); i++)
	{
		size_t		len = strlen(bases[i]);

		if (strncmp(uri, bases[i], len) == 0 && (origin_len == len || uri[len] == ':'))
			return true;
	}
	return pgseal_http_is_loopback(uri) || strncmp(uri, "https://", 8) == 0;
}

static PgsealVerdict
login_container(PgsealCredential *out_credential, PgsealKmsCall *call)
{
	const char *relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *token_file = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	PgsealHttpRequest request;

	if (relative)
		init_local_request(&request, "GET", ECS_BASE, relative);
	else if (full && is_container_host(full))
	{
		size_t		origin_len = pgseal_http_origin_len(full);

		init_local_request(&request, "GET", pnstrdup(full, origin_len),
						   full[origin_len] ? full + origin_len : "/");
	}
	else
		return not_configured(call->error, "container",
							  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set, or lead elsewhere than to the machine or https://.",
							  NULL);
	if (token_file)
	{
		token = pgseal_kms_read_secret_file(call->error, token_file, TOKEN_MAX_BYTES);
		if (token == NULL)
			return PGSEAL_VERDICT_REFUSED;
	}
	if (token && strpbrk(token, "\r\n") != NULL)
		return not_configured(call->error, "container", "The authorization token has several lines.", NULL);
	if (token)
		pgseal_http_add_secret_header(&request, "Authorization", token);
	return pgseal_kms_send(call, out_credential, &request, pgseal_aws_read_metadata, &call->now);
}

/*
 * The chain
 */

typedef PgsealVerdict (*Login) (PgsealCredential *out_credential, PgsealKmsCall *call);

static bool
shared_file_exists(const PgsealKmsServer *server)
{
	const char *paths[2] = {
		shared_file(server, "credentials_file", "AWS_SHARED_CREDENTIALS_FILE", "credentials"),
		shared_file(server, "config_file", "AWS_CONFIG_FILE", "config")
	};

	return (paths[0] && access(paths[0], R_OK) == 0) || (paths[1] && access(paths[1], R_OK) == 0);
}

static Login
choose(const PgsealKmsServer *server)
{
	const char *source = pgseal_kms_option_or(server, "credentials", "auto");
	bool		any = strcmp(source, "auto") == 0;
	bool		wants_profile = pgseal_kms_option(server, "profile") ||
		pgseal_kms_option(server, "credentials_file") || env("AWS_PROFILE");
	bool		wants_identity = pgseal_kms_option(server, "web_identity_token_file") ||
		env("AWS_WEB_IDENTITY_TOKEN_FILE");

	if (strcmp(source, "environment") == 0 ||
		(any && !wants_profile && env("AWS_ACCESS_KEY_ID") && env("AWS_SECRET_ACCESS_KEY")))
		return login_environment;
	if (strcmp(source, "file") == 0 ||
		(any && (wants_profile || (!wants_identity && shared_file_exists(server)))))
		return login_file;
	if (strcmp(source, "web_identity") == 0 || (any && wants_identity))
		return login_web_identity;
	if (strcmp(source, "container") == 0 ||
		(any && (env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
				 env("AWS_CONTAINER_CREDENTIALS_FULL_URI"))))
		return login_container;
	return login_imds;
}

PgsealVerdict
pgseal_aws_login(PgsealCredential *out_credential, const PgsealCredential *old,
				 PgsealKmsCall *call)
{
	Login		login = choose(call->server);
	TimestampTz deadline = call->deadline;
	PgsealVerdict verdict;

	if (login == login_imds || login == login_container)
		call->deadline = Min(deadline, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
																   LOCAL_TIMEOUT_MS));
	verdict = login(out_credential, call);
	call->deadline = deadline;

	if (verdict == PGSEAL_VERDICT_OK && pgseal_kms_option(call->server, "role_arn"))
		verdict = assume_role(out_credential, call);
	return verdict;
}
