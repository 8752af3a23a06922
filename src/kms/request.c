/*-------------------------------------------------------------------------
 *
 * request.c
 *	  What builders, readers and option tables of the remote providers share.
 *
 * Declared in remote.h.  No network here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "kms/remote.h"

/* Not more often than this, if the life is that long */
#define REFRESH_MIN_SECONDS		30

/*
 * Verdicts
 */

PgsealVerdict
pgseal_kms_verdict(PgsealKmsError *out_error, PgsealVerdict verdict,
				   const char *code, const char *detail, const char *hint)
{
	(void) pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, code, detail, hint);
	return verdict;
}

PgsealVerdict
pgseal_kms_verdict_malformed(PgsealKmsError *out_error)
{
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_UNREACHABLE, "malformed_reply",
							  "The reply is not what the service is documented to answer.",
							  "Check that the server's options name the service itself and not, for example, a proxy's login page.");
}

PgsealVerdict
pgseal_kms_verdict_other_key(PgsealKmsError *out_error, const char *key)
{
	return pgseal_kms_verdict(out_error, PGSEAL_VERDICT_INVALID, "wrong_key",
							  psprintf("The reply is about key %s.", key), NULL);
}

bool
pgseal_kms_status_is_transient(int status)
{
	return status == 408 || status == 429 || (status >= 500 && status <= 599);
}

/*
 * Options
 */

const char *
pgseal_kms_find_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0)
			return defGetString(option);
	}
	return NULL;
}

const char *
pgseal_kms_option_or(const PgsealKmsServer *server, const char *name, const char *default_value)
{
	const char *value = pgseal_kms_option(server, name);

	return value ? value : default_value;
}

bool
pgseal_kms_option_bool(const PgsealKmsServer *server, const char *name)
{
	const char *value = pgseal_kms_option(server, name);
	bool		result = false;

	return value && parse_bool(value, &result) && result;
}

static void
refuse_value(const char *name, const char *value, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errhint("%s", hint)));
}

void
pgseal_kms_check_path(const char *name, const char *value)
{
	if (!is_absolute_path(value))
		refuse_value(name, value, "Give the absolute path of a file that the server's operating system user can read.");

	/* What is in the file goes to a host that other options name */
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", name),
				 errdetail("Only roles with privileges of role \"%s\" may set it.",
						   "pg_read_server_files")));
}

void
pgseal_kms_check_bool(const char *name, const char *value)
{
	bool		result;

	if (!parse_bool(value, &result))
		refuse_value(name, value, "Valid values are: true, false.");
}

void
pgseal_kms_check_not_empty(const char *name, const char *value)
{
	if (value[0] == '\0')
		refuse_value(name, value, "The value must not be empty.");
}

void
pgseal_kms_check_choice(const char *name, const char *value, const char *const *choices)
{
	StringInfoData text;

	initStringInfo(&text);
	for (const char *const *choice = choices; *choice; choice++)
	{
		if (strcmp(*choice, value) == 0)
			return;
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", *choice);
	}
	refuse_value(name, value, psprintf("Valid values are: %s.", text.data));
}

/* Without the value, and without the statement: a password may be in it */
static void
refuse_url(const char *name, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errhidestmt(true),
			 errmsg("invalid value for option \"%s\"", name),
			 errhint("%s", hint)));
}

/*
 * One URL: origin and perhaps a path, no user, query or fragment (a password
 * could hide there).
 */
static bool
url_is_good(const char *url)
{
	for (const char *c = url; *c; c++)
	{
		if (*c <= ' ' || *c > '~' || strchr("?#@\"<>\\^`{|}", *c) != NULL)
			return false;
	}
	return pgseal_http_origin_len(url) > 0;
}

void
pgseal_kms_check_url(const char *name, const char *value)
{
	if (!url_is_good(value))
		refuse_url(name, "Give a URL such as https://kms.example.com:8443, without user, password or query.");
}

void
pgseal_kms_check_proxy(const char *name, const char *value)
{
	if (!url_is_good(value))
		refuse_url(name, "Give a URL such as http://proxy.example.com:3128, without user or password.");
}

void
pgseal_kms_check_plain_http(List *options, const char *const *url_options)
{
	const char *allow_http = pgseal_kms_find_option(options, "allow_http");
	bool		allowed = false;

	if (allow_http)
		(void) parse_bool(allow_http, &allowed);
	for (; *url_options; url_options++)
	{
		const char *value = pgseal_kms_find_option(options, *url_options);
		const char *next = value ? strstr(value, "http://") : NULL;

		/* the value may be a list of URLs */
		for (; next && !allowed; next = strstr(next + 1, "http://"))
		{
			const char *end = strchr(next, ',');
			char	   *url = end ? pnstrdup(next, end - next) : pstrdup(next);

			if (!pgseal_http_is_loopback(url))
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						 errmsg("invalid value for option \"%s\": \"%s\"", *url_options, value),
						 errdetail("Over http:// anyone on the way could read the keys."),
						 errhint("Use https://. For tests only, set the option \"allow_http\" to true.")));
		}
	}
}

void
pgseal_kms_request_init(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
						const char *method, const char *base)
{
	memset(out_request, 0, sizeof(*out_request));
	out_request->method = method;
	out_request->base = base;
	out_request->path = "/";
	out_request->plain_allowed = pgseal_kms_option_bool(server, "allow_http") ||
		pgseal_http_is_loopback(base);
	out_request->ca_file = pgseal_kms_option(server, "ca_file");
	out_request->client_cert_file = pgseal_kms_option(server, "client_cert_file");
	out_request->client_key_file = pgseal_kms_option(server, "client_key_file");
	out_request->proxy = pgseal_kms_option(server, "proxy");
}

/*
 * Contexts, files, credentials
 */

char *
pgseal_kms_context_json(const PgsealKmsContext *context)
{
	PgsealSecretString json;
	char	   *name = pg_server_to_any(context->key_name, strlen(context->key_name), PG_UTF8);

	pgseal_secmem_init(&json);
	pgseal_secmem_append(&json, "{\"pgseal_key\":");
	pgseal_secmem_append_json(&json, name);
	pgseal_secmem_append(&json, ",\"pgseal_purpose\":");
	pgseal_secmem_append_json(&json, context->purpose);
	pgseal_secmem_append(&json, psprintf(",\"pgseal_key_version\":\"" INT64_FORMAT "\"}",
										 context->key_version_id));
	return json.data;
}

char *
pgseal_kms_read_secret_file(PgsealKmsError *out_error, const char *path, size_t max_bytes)
{
	char	   *content = pgseal_secmem_alloc(max_bytes + 2);
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY | O_NONBLOCK);
	ssize_t		len = -1;
	char	   *start;

	/* a file in /proc, or a pipe, may give less than asked for at a time */
	if (fd >= 0)
	{
		struct stat status;
		ssize_t		part;

		errno = EINVAL;
		if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
		{
			len = 0;
			while (len <= max_bytes &&
				   (part = read(fd, content + len, max_bytes + 1 - len)) != 0)
			{
				if (part < 0)
				{
					len = -1;
					break;
				}
				len += part;
			}
		}
	}
	if (len < 0 || len > max_bytes)
	{
		char	   *detail = len < 0 ?
			psprintf("Could not read file \"%s\": %s.", path, strerror(errno)) :
			psprintf("File \"%s\" is larger than %zu bytes.", path, max_bytes);

		(void) pgseal_kms_fail(out_error, PGSEAL_KMS_REFUSED, "file", detail,
							   "Check the server's options and the file's permissions.");
		content = NULL;
	}
	if (fd >= 0)
		CloseTransientFile(fd);
	if (content == NULL)
		return NULL;

	content[len] = '\0';
	while (len > 0 && strchr(" \t\r\n", content[len - 1]) != NULL)
		content[--len] = '\0';
	start = content + strspn(content, " \t\r\n");
	return start;
}

bool
pgseal_kms_set_field(char *out_field, size_t size, const char *value)
{
	/* what becomes part of a header must not end it */
	if (value == NULL || strlen(value) >= size || strpbrk(value, "\r\n") != NULL)
		return false;
	strlcpy(out_field, value, size);
	return true;
}

void
pgseal_kms_set_lifetime(PgsealCredential *credential, int64 now, int64 seconds)
{
	credential->expires_at = now + seconds;
	credential->refresh_at = now + Max(seconds * 2 / 3, Min(seconds, REFRESH_MIN_SECONDS));
}
