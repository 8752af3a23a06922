/*-------------------------------------------------------------------------
 *
 * http_message.c
 *	  What stands in a request and in a response: headers, URLs, dates.
 *
 * Without libcurl and without I/O.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/http.h"

static void
add_header(PgsealHttpRequest *request, const char *name, const char *value, bool secret)
{
	PgsealHttpHeader *header;

	if (request->num_headers == PGSEAL_HTTP_NUM_HEADERS)
		elog(ERROR, "too many HTTP headers");
	header = &request->headers[request->num_headers++];
	header->name = name;
	header->value = value;
	header->secret = secret;
}

void
pgseal_http_add_header(PgsealHttpRequest *request, const char *name, const char *value)
{
	add_header(request, name, value, false);
}

void
pgseal_http_add_secret_header(PgsealHttpRequest *request, const char *name, const char *value)
{
	add_header(request, name, value, true);
}

void
pgseal_http_print(StringInfo out, const PgsealHttpRequest *request)
{
	appendStringInfo(out, "%s %s%s", request->method, request->base, request->path);
	for (int i = 0; i < request->num_headers; i++)
	{
		const PgsealHttpHeader *header = &request->headers[i];

		appendStringInfo(out, "\n%s: %s", header->name,
						 header->secret ? "[redacted]" : header->value);
	}
}

const char *
pgseal_http_header(const PgsealHttpResponse *response, const char *name)
{
	size_t		name_len = strlen(name);

	for (const char *line = response->headers; *line; line += strlen(line) + 1)
	{
		if (pg_strncasecmp(line, name, name_len) == 0 && line[name_len] == ':')
		{
			line += name_len + 1;
			return line + strspn(line, " \t");
		}
	}
	return NULL;
}

size_t
pgseal_http_origin_len(const char *url)
{
	size_t		scheme_len;
	size_t		host_len;

	if (strncmp(url, "https://", 8) == 0)
		scheme_len = 8;
	else if (strncmp(url, "http://", 7) == 0)
		scheme_len = 7;
	else
		return 0;
	host_len = strcspn(url + scheme_len, "/?#");
	if (host_len == 0 || memchr(url + scheme_len, '@', host_len) != NULL)
		return 0;
	return scheme_len + host_len;
}

bool
pgseal_http_is_loopback(const char *url)
{
	size_t		origin_len = pgseal_http_origin_len(url);
	const char *host = origin_len > 0 ? strstr(url, "://") + 3 : "";
	size_t		host_len = origin_len > 0 ? origin_len - (host - url) : 0;
	char		name[64];
	char	   *port;
	unsigned int octets[4];
	int			chars = 0;

	if (host_len == 0 || host_len >= sizeof(name))
		return false;
	memcpy(name, host, host_len);
	name[host_len] = '\0';
	if (strncmp(name, "[::1]", 5) == 0)
		return name[5] == '\0' || name[5] == ':';
	port = strchr(name, ':');
	if (port)
		*port = '\0';
	if (pg_strcasecmp(name, "localhost") == 0)
		return true;
	/* a name such as 127.0.0.1.example.org must not pass */
	return sscanf(name, "%3u.%3u.%3u.%3u%n", &octets[0], &octets[1], &octets[2], &octets[3],
				  &chars) == 4 && name[chars] == '\0' && octets[0] == 127;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar */
static int64
days_since_1970(int year, int month, int day)
{
	int			y = month <= 2 ? year - 1 : year;
	int			m = month <= 2 ? month + 9 : month - 3;

	return INT64CONST(365) * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

int64
pgseal_http_parse_date(const char *text)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	char		name[4];

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &year, &month, &day, &hour, &minute, &second) != 6)
	{
		const char *found;

		if (sscanf(text, "%*3s, %2d %3s %4d %2d:%2d:%2d", &day, name, &year,
				   &hour, &minute, &second) != 6)
			return 0;
		found = strstr(months, name);
		if (found == NULL || strlen(name) != 3 || (found - months) % 3 != 0)
			return 0;
		month = (found - months) / 3 + 1;
	}
	if (year < 1970 || year > 9999 || month < 1 || month > 12 || day < 1 || day > 31 ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
		return 0;
	return ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}
