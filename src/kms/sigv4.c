/*-------------------------------------------------------------------------
 *
 * sigv4.c
 *	  AWS Signature Version 4.
 *
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 *
 * Not libcurl's CURLOPT_AWS_SIGV4: its older versions sign wrongly in several
 * ways, none lets the time be corrected, and it leaves the secret key behind
 * in memory that is not wiped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "base/crypto.h"
#include "kms/sigv4.h"

#define ALGORITHM		"AWS4-HMAC-SHA256"
#define TERMINATOR		"aws4_request"
#define DATE_BYTES		8		/* "20150830", in front of the timestamp */
#define MAX_QUERY_PARTS 32
#define MAX_SEGMENTS	64

void
pgseal_sigv4_set_time(PgsealSigV4Scope *scope, int64 seconds_since_1970)
{
	time_t		seconds = seconds_since_1970;
	struct tm	utc;

	gmtime_r(&seconds, &utc);
	strftime(scope->timestamp, sizeof(scope->timestamp), "%Y%m%dT%H%M%SZ", &utc);
}

static void
append_hex(PgsealSecretString *string, const uint8 *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		char		hex[3];

		snprintf(hex, sizeof(hex), "%02x", bytes[i]);
		pgseal_secmem_append(string, hex);
	}
}

static void
append_sha256(PgsealSecretString *string, const char *data, size_t len)
{
	uint8		digest[PGSEAL_HASH_BYTES];

	/* a failure leaves zeroes: the signature will not match, nothing worse */
	(void) pgseal_sha256(digest, (const uint8 *) data, len);
	append_hex(string, digest, sizeof(digest));
}

/* RFC 3986, 5.2.4: without dot segments and empty segments, encoded once more */
static void
append_path(PgsealSecretString *string, const char *path, size_t path_len)
{
	char	   *copy = pnstrdup(path, path_len);
	char	   *segments[MAX_SEGMENTS];
	int			num_segments = 0;
	bool		ends_with_slash = path_len > 0 && path[path_len - 1] == '/';
	char	   *state;

	for (char *segment = strtok_r(copy, "/", &state); segment; segment = strtok_r(NULL, "/", &state))
	{
		if (strcmp(segment, "..") == 0)
			num_segments = Max(num_segments - 1, 0);
		else if (strcmp(segment, ".") != 0 && num_segments < MAX_SEGMENTS)
			segments[num_segments++] = segment;
	}
	for (int i = 0; i < num_segments; i++)
	{
		pgseal_secmem_append(string, "/");
		pgseal_secmem_append_urlencoded(string, segments[i], "");
	}
	if (num_segments == 0 || ends_with_slash)
		pgseal_secmem_append(string, "/");
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Sorted "name=value" pairs; what is encoded already stays as it is */
static void
append_query(PgsealSecretString *string, const char *query)
{
	char	   *copy = pstrdup(query);
	char	   *parts[MAX_QUERY_PARTS];
	int			num_parts = 0;
	char	   *state;

	for (char *part = strtok_r(copy, "&", &state); part && num_parts < MAX_QUERY_PARTS;
		 part = strtok_r(NULL, "&", &state))
	{
		PgsealSecretString encoded;
		char	   *equals = strchr(part, '=');

		if (equals)
			*equals = '\0';
		pgseal_secmem_init(&encoded);
		pgseal_secmem_append_urlencoded(&encoded, part, "%");
		pgseal_secmem_append(&encoded, "=");
		pgseal_secmem_append_urlencoded(&encoded, equals ? equals + 1 : "", "%");
		parts[num_parts++] = encoded.data;
	}
	qsort(parts, num_parts, sizeof(char *), compare_strings);
	for (int i = 0; i < num_parts; i++)
	{
		pgseal_secmem_append(string, i > 0 ? "&" : "");
		pgseal_secmem_append(string, parts[i]);
	}
}

/* Without white space at the ends; inside, runs of it count as one space */
static void
append_header_value(PgsealSecretString *string, const char *value)
{
	bool		pending = false;
	bool		any = false;

	for (; *value; value++)
	{
		if (strchr(" \t", *value) != NULL)
			pending = true;
		else
		{
			if (pending && any)
				pgseal_secmem_append(string, " ");
			pgseal_secmem_append_bytes(string, value, 1);
			pending = false;
			any = true;
		}
	}
}

/* The headers by name, those of one name in their order; ties don't move. */
static int
sort_headers(const PgsealHttpHeader **sorted, const PgsealHttpRequest *request)
{
	for (int i = 0; i < request->num_headers; i++)
	{
		int			at = i;

		while (at > 0 && pg_strcasecmp(sorted[at - 1]->name, request->headers[i].name) > 0)
		{
			sorted[at] = sorted[at - 1];
			at--;
		}
		sorted[at] = &request->headers[i];
	}
	return request->num_headers;
}

static void
append_lower(PgsealSecretString *string, const char *text)
{
	for (; *text; text++)
	{
		char		lower = pg_ascii_tolower((unsigned char) *text);

		pgseal_secmem_append_bytes(string, &lower, 1);
	}
}

static void
append_signed_headers(PgsealSecretString *string, const PgsealHttpRequest *request)
{
	const PgsealHttpHeader *sorted[PGSEAL_HTTP_NUM_HEADERS];
	int			num = sort_headers(sorted, request);

	for (int i = 0; i < num; i++)
	{
		if (i > 0 && pg_strcasecmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			continue;
		pgseal_secmem_append(string, i > 0 ? ";" : "");
		append_lower(string, sorted[i]->name);
	}
}

char *
pgseal_sigv4_canonical_request(const PgsealHttpRequest *request)
{
	const PgsealHttpHeader *sorted[PGSEAL_HTTP_NUM_HEADERS];
	int			num = sort_headers(sorted, request);
	const char *query = strchr(request->path, '?');
	PgsealSecretString text;

	pgseal_secmem_init(&text);
	pgseal_secmem_append(&text, request->method);
	pgseal_secmem_append(&text, "\n");
	append_path(&text, request->path, query ? query - request->path : strlen(request->path));
	pgseal_secmem_append(&text, "\n");
	append_query(&text, query ? query + 1 : "");
	for (int i = 0; i < num; i++)
	{
		if (i > 0 && pg_strcasecmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			pgseal_secmem_append(&text, ",");
		else
		{
			pgseal_secmem_append(&text, "\n");
			append_lower(&text, sorted[i]->name);
			pgseal_secmem_append(&text, ":");
		}
		append_header_value(&text, sorted[i]->value);
	}
	pgseal_secmem_append(&text, "\n\n");
	append_signed_headers(&text, request);
	pgseal_secmem_append(&text, "\n");
	append_sha256(&text, request->body.data ? request->body.data : "", request->body.len);
	return text.data;
}

static void
append_scope(PgsealSecretString *string, const PgsealSigV4Scope *scope)
{
	pgseal_secmem_append_bytes(string, scope->timestamp, DATE_BYTES);
	pgseal_secmem_append(string, "/");
	pgseal_secmem_append(string, scope->region);
	pgseal_secmem_append(string, "/");
	pgseal_secmem_append(string, scope->service);
	pgseal_secmem_append(string, "/" TERMINATOR);
}

char *
pgseal_sigv4_string_to_sign(const char *canonical_request, const PgsealSigV4Scope *scope)
{
	PgsealSecretString text;

	pgseal_secmem_init(&text);
	pgseal_secmem_append(&text, ALGORITHM "\n");
	pgseal_secmem_append(&text, scope->timestamp);
	pgseal_secmem_append(&text, "\n");
	append_scope(&text, scope);
	pgseal_secmem_append(&text, "\n");
	append_sha256(&text, canonical_request, strlen(canonical_request));
	return text.data;
}

/* mac = HMAC(mac or secret, text): one step of the derivation */
static bool
derive(uint8 *mac, const uint8 *key, size_t key_len, const char *text, size_t text_len)
{
	uint8		next[PGSEAL_HASH_BYTES];
	bool		ok = pgseal_hmac_once(next, key, key_len, (const uint8 *) text, text_len);

	memcpy(mac, next, PGSEAL_HASH_BYTES);
	pgseal_wipe(next, sizeof(next));
	return ok;
}

char *
pgseal_sigv4_authorization(const PgsealHttpRequest *request, const PgsealCredential *credential,
						   const PgsealSigV4Scope *scope)
{
	char	   *to_sign = pgseal_sigv4_string_to_sign(pgseal_sigv4_canonical_request(request), scope);
	PgsealSecretString first_key;
	PgsealSecretString text;
	uint8		mac[PGSEAL_HASH_BYTES];
	bool		ok;

	pgseal_secmem_init(&first_key);
	pgseal_secmem_append(&first_key, "AWS4");
	pgseal_secmem_append(&first_key, credential->secret);

	ok = derive(mac, (uint8 *) first_key.data, first_key.len, scope->timestamp, DATE_BYTES) &&
		derive(mac, mac, sizeof(mac), scope->region, strlen(scope->region)) &&
		derive(mac, mac, sizeof(mac), scope->service, strlen(scope->service)) &&
		derive(mac, mac, sizeof(mac), TERMINATOR, strlen(TERMINATOR)) &&
		derive(mac, mac, sizeof(mac), to_sign, strlen(to_sign));

	pgseal_secmem_init(&text);
	pgseal_secmem_append(&text, ALGORITHM " Credential=");
	pgseal_secmem_append(&text, credential->id);
	pgseal_secmem_append(&text, "/");
	append_scope(&text, scope);
	pgseal_secmem_append(&text, ", SignedHeaders=");
	append_signed_headers(&text, request);
	pgseal_secmem_append(&text, ", Signature=");
	append_hex(&text, mac, sizeof(mac));
	pgseal_wipe(mac, sizeof(mac));
	return ok ? text.data : NULL;
}

/* What libcurl would send as Host: without the scheme's own port */
static char *
host_of(const char *base)
{
	size_t		origin_len = pgseal_http_origin_len(base);
	const char *host = strstr(base, "://") + 3;
	bool		tls = strncmp(base, "https:", 6) == 0;
	char	   *copy = pnstrdup(host, origin_len - (host - base));
	char	   *port = strrchr(copy, ':');

	if (port && strcmp(port, tls ? ":443" : ":80") == 0)
		*port = '\0';
	return copy;
}

void
pgseal_sigv4_sign(PgsealHttpRequest *request, const PgsealCredential *credential,
				  const char *region, const char *service, int64 now)
{
	PgsealSigV4Scope scope = {.region = region, .service = service};
	char	   *authorization;

	pgseal_sigv4_set_time(&scope, now);
	pgseal_http_add_header(request, "Host", host_of(request->base));
	pgseal_http_add_header(request, "X-Amz-Date", pstrdup(scope.timestamp));
	if (credential->token[0])
		pgseal_http_add_secret_header(request, "X-Amz-Security-Token", credential->token);

	/* unsigned, the request will be refused with a clear code */
	authorization = pgseal_sigv4_authorization(request, credential, &scope);
	if (authorization)
		pgseal_http_add_secret_header(request, "Authorization", authorization);
}
