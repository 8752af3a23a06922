/*-------------------------------------------------------------------------
 *
 * http.h
 *	  One HTTP exchange that a query cancel interrupts.
 *
 * Or one of another protocol over TLS, whose messages say how long they are.
 * http.c is the only file that includes libcurl.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_HTTP_H
#define PGSEAL_HTTP_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/secmem.h"

/*
 * Largest reply.  The services' own limits lie far below, but for Vault's
 * description of a key with thousands of versions (json.h).
 */
#define PGSEAL_HTTP_MAX_BODY	(64 * 1024)
#define PGSEAL_HTTP_MAX_HEADERS_BYTES	(16 * 1024)
#define PGSEAL_HTTP_NUM_HEADERS 16

typedef struct PgsealHttpHeader
{
	const char *name;
	const char *value;
	bool		secret;			/* never shown, see pgseal_http_print() */
} PgsealHttpHeader;

/*
 * How many bytes a reply has of which len have come; 0 while that can't be told.
 * Must not ereport.
 */
typedef size_t (*PgsealMessageLength) (const char *bytes, size_t len);

/*
 * A request.  Whoever builds one does no I/O.  Strings live in the context
 * that the request was made in; secret ones in secret memory.
 */
typedef struct PgsealHttpRequest
{
	const char *method;
	const char *base;			/* "https://host:port", also with a path */
	const char *path;			/* "/..." with the query, already encoded */
	PgsealHttpHeader headers[PGSEAL_HTTP_NUM_HEADERS];
	int			num_headers;
	PgsealSecretString body;	/* data is NULL when there is none */

	/*
	 * NULL: HTTP.  Else the body is sent over TLS as it is, and the reply is
	 * its first message; method (a word for the log), path and headers aren't
	 * sent, and the response has status 0 and no headers.
	 */
	PgsealMessageLength message_len;

	bool		plain_allowed;	/* http:// will do */
	const char *ca_file;		/* NULL: the system's */
	const char *client_cert_file;	/* NULL: none; PEM */
	const char *client_key_file;	/* NULL: in client_cert_file */
	const char *proxy;			/* NULL: none; the environment is ignored */
} PgsealHttpRequest;

typedef struct PgsealHttpResponse
{
	int			status;
	char	   *body;			/* secret memory, NUL behind it */
	size_t		body_len;
	char	   *headers;		/* lines of "Name: value", each with a NUL; an
								 * empty one ends them */
} PgsealHttpResponse;

typedef enum PgsealHttpResult
{
	PGSEAL_HTTP_OK,				/* there is a response, of whatever status */
	PGSEAL_HTTP_UNREACHABLE,	/* no address, connection refused or lost */
	PGSEAL_HTTP_TIMEOUT,
	PGSEAL_HTTP_TLS,			/* certificates do not verify, or no handshake */
	PGSEAL_HTTP_TOO_LARGE,		/* reply exceeds a limit */
	PGSEAL_HTTP_NO_LIBRARY,		/* libcurl can't be loaded */
	PGSEAL_HTTP_BROKEN			/* libcurl refuses: bad URL, unreadable file */
} PgsealHttpResult;

/* value is not copied */
extern void pgseal_http_add_header(PgsealHttpRequest *request, const char *name,
								   const char *value);
extern void pgseal_http_add_secret_header(PgsealHttpRequest *request, const char *name,
										  const char *value);

/* Method, URL and headers for the log; secrets and the body are left out. */
extern void pgseal_http_print(StringInfo out, const PgsealHttpRequest *request);

/*
 * Sends the request and waits for the reply.  out_detail gets one sentence
 * when there is none.  Processes interrupts: may ereport().  Redirects are not
 * followed.  Hold no lock.
 */
extern PgsealHttpResult pgseal_http_send(PgsealHttpResponse *out_response,
										 char *out_detail, size_t out_detail_size,
										 const PgsealHttpRequest *request,
										 int timeout_ms);

/* What a backend that waits for a KMS shows in pg_stat_activity */
extern uint32 pgseal_http_wait_event(void);

/* The value of a response's header (any case), or NULL */
extern const char *pgseal_http_header(const PgsealHttpResponse *response, const char *name);

/* "https://host[:port]" in front of a URL: its length, or 0 if it isn't one */
extern size_t pgseal_http_origin_len(const char *url);

/* Is the URL's host this machine (127.0.0.0/8, ::1, localhost)? */
extern bool pgseal_http_is_loopback(const char *url);

/*
 * Seconds since 1970 of an HTTP date (RFC 9110, 5.6.7) or of an ISO 8601 time
 * in UTC ("2026-08-18T15:43:05Z", fractions ignored); 0 when it is neither.
 */
extern int64 pgseal_http_parse_date(const char *text);

#endif							/* PGSEAL_HTTP_H */
