/*-------------------------------------------------------------------------
 *
 * http.c
 *	  One HTTP exchange that a query cancel interrupts.
 *
 * libcurl's multi interface runs inside the backend's own wait: libcurl says
 * which sockets it needs (on_socket) and when it wants to be called again
 * (on_timer), a WaitEventSet waits for those, the latch and postmaster death.
 * So pg_cancel_backend(), pg_terminate_backend() and statement_timeout act at
 * once.  The multi handle lives as long as the backend and keeps two idle
 * connections; the easy handle lives for one exchange.
 *
 * Rules that keep libcurl and PostgreSQL apart:
 *
 * - libcurl is loaded (libcurl.c) and initialized by the first exchange of a
 *	 backend, never in the postmaster, and never cleaned up: other extensions may
 *	 use it too.
 * - Its callbacks never ereport(): they write to buffers of fixed size and
 *	 return an error when those are full.
 * - Signals are blocked while libcurl runs, since the threads that it starts
 *	 to resolve names inherit the mask: none of them may run our handlers.
 * - CURLOPT_QUICK_EXIT (7.87): a name that is still being resolved doesn't hold up
 *	 the cancel.
 * - No redirects, no .netrc, no proxy from the environment, no protocol but
 *	 HTTP: a token goes to the host it is meant for or nowhere.
 *
 * What is ours (header list, buffers) is wiped, and so is what libcurl has
 * received, in its own buffer; its send buffer, with the token of the request,
 * can't be.  OpenSSL is told to wipe decrypted records (crypto.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "base/http.h"
#include "base/libcurl.h"

#define MAX_SOCKETS			8	/* two for a connect to both IP versions, one
								 * for the resolver; the rest is room */
#define MAX_IDLE_CONNECTIONS 2
#define MAX_IDLE_SECONDS	30
#define MIN_CONNECT_MS		250
#define USER_AGENT			"pgseal"

typedef struct Exchange
{
	CURL	   *easy;
	struct curl_slist *headers;
	char		error[CURL_ERROR_SIZE];
	bool		too_large;

	PgsealHttpResponse *response;
	size_t		headers_len;

	/* what libcurl asks us to wait for */
	struct
	{
		curl_socket_t fd;
		int			what;		/* CURL_POLL_IN, _OUT, _INOUT */
	}			sockets[MAX_SOCKETS];
	int			num_sockets;
	bool		sockets_changed;
	bool		too_many_sockets;
	bool		timer_set;
	TimestampTz timer_at;
	WaitEventSet *wait_set;
} Exchange;

/* Belong to this backend; NULL before its first exchange */
static const PgsealLibcurl *curl = NULL;
static CURLM *multi = NULL;

/* The exchange that multi's callbacks serve */
static Exchange *current = NULL;

static sigset_t signals_before;

static void
block_signals(void)
{
	sigset_t	all;

	/* a fault must still be able to kill the process */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, SIGTRAP);
	sigprocmask(SIG_SETMASK, &all, &signals_before);
}

static void
unblock_signals(void)
{
	sigprocmask(SIG_SETMASK, &signals_before, NULL);
}

/*
 * libcurl's callbacks.  None may ereport.
 */

static size_t
on_body(char *data, size_t size, size_t num, void *arg)
{
	Exchange   *exchange = arg;
	PgsealHttpResponse *response = exchange->response;
	size_t		len = size * num;

	if (len > PGSEAL_HTTP_MAX_BODY - response->body_len)
	{
		exchange->too_large = true;
		return 0;
	}
	memcpy(response->body + response->body_len, data, len);
	response->body_len += len;

	/* data lies in libcurl's receive buffer, which nobody else would wipe */
	pgseal_wipe(data, len);
	return len;
}

static size_t
on_header(char *data, size_t size, size_t num, void *arg)
{
	Exchange   *exchange = arg;
	char	   *headers = exchange->response->headers;
	size_t		len = size * num;
	size_t		line_len = len;

	while (line_len > 0 && (data[line_len - 1] == '\r' || data[line_len - 1] == '\n'))
		line_len--;

	/* a status line: what came before belongs to an interim response */
	if (line_len >= 5 && memcmp(data, "HTTP/", 5) == 0)
		exchange->headers_len = 0;
	if (line_len + 2 > PGSEAL_HTTP_MAX_HEADERS_BYTES - exchange->headers_len)
	{
		exchange->too_large = true;
		return 0;
	}
	if (line_len > 0)
	{
		memcpy(headers + exchange->headers_len, data, line_len);
		headers[exchange->headers_len + line_len] = '\0';
		exchange->headers_len += line_len + 1;
	}
	headers[exchange->headers_len] = '\0';
	return len;
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	Exchange   *exchange = current;
	int			i;

	if (exchange == NULL)
		return 0;				/* an idle connection is being closed */

	for (i = 0; i < exchange->num_sockets; i++)
	{
		if (exchange->sockets[i].fd == fd)
			break;
	}
	exchange->sockets_changed = true;
	if (what == CURL_POLL_REMOVE)
	{
		if (i < exchange->num_sockets)
			exchange->sockets[i] = exchange->sockets[--exchange->num_sockets];
		return 0;
	}
	if (i == MAX_SOCKETS)
	{
		exchange->too_many_sockets = true;
		return -1;
	}
	if (i == exchange->num_sockets)
		exchange->num_sockets++;
	exchange->sockets[i].fd = fd;
	exchange->sockets[i].what = what;
	return 0;
}

static int
on_timer(CURLM *multi_arg, long timeout_ms, void *arg)
{
	if (current != NULL)
	{
		current->timer_set = timeout_ms >= 0;
		current->timer_at = pgseal_clock() + timeout_ms * INT64CONST(1000);
	}
	return 0;
}

static CURLcode
on_tls_context(CURL *easy, void *tls_context, void *arg)
{
	pgseal_tls_cleanse(tls_context);
	return CURLE_OK;
}

/*
 * One exchange
 */

static bool
ensure_multi(void)
{
	if (multi != NULL)
		return true;
	if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return false;
	multi = curl->multi_init();
	if (multi == NULL)
		return false;
	curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) MAX_IDLE_CONNECTIONS);
	return true;
}

static bool
add_headers(Exchange *exchange, const PgsealHttpRequest *request)
{
	for (int i = 0; i < request->num_headers; i++)
	{
		PgsealSecretString line;
		struct curl_slist *longer;

		pgseal_secmem_init(&line);
		pgseal_secmem_append(&line, request->headers[i].name);
		pgseal_secmem_append(&line, ": ");
		pgseal_secmem_append(&line, request->headers[i].value);
		longer = curl->slist_append(exchange->headers, line.data);
		if (longer == NULL)
			return false;
		exchange->headers = longer;
	}
	return curl->easy_setopt(exchange->easy, CURLOPT_HTTPHEADER, exchange->headers) == CURLE_OK;
}

/* Sets all options.  False: one of them, or memory, failed. */
static bool
prepare_easy(Exchange *exchange, const char *url, const PgsealHttpRequest *request,
			 int timeout_ms)
{
	CURL	   *easy = exchange->easy;
	bool		ok = true;

#define SET(option, value) \
	do { if (curl->easy_setopt(easy, option, value) != CURLE_OK) ok = false; } while (0)

	SET(CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, request->plain_allowed ? "https,http" : "https");
#else
	SET(CURLOPT_PROTOCOLS, (long) (CURLPROTO_HTTPS | (request->plain_allowed ? CURLPROTO_HTTP : 0)));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
	SET(CURLOPT_QUICK_EXIT, 1L);
#endif
	SET(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_USERAGENT, USER_AGENT);
	SET(CURLOPT_ERRORBUFFER, exchange->error);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_VERBOSE, 0L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
	SET(CURLOPT_PROXY, request->proxy ? request->proxy : "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_MAXAGE_CONN, (long) MAX_IDLE_SECONDS);
	SET(CURLOPT_TIMEOUT_MS, (long) timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long) Max(timeout_ms / 2, MIN_CONNECT_MS));

	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	/* other TLS libraries pass something else than an SSL_CTX */
	if (strncmp(curl->version_info(CURLVERSION_NOW)->ssl_version, "OpenSSL/", 8) == 0)
		SET(CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
	if (request->ca_file)
	{
		SET(CURLOPT_CAINFO, request->ca_file);
		SET(CURLOPT_CAPATH, NULL);	/* in place of the system's, not besides
									 * them */
	}
	if (request->client_cert_file)
	{
		SET(CURLOPT_SSLCERT, request->client_cert_file);
		SET(CURLOPT_SSLKEY, request->client_key_file ?
			request->client_key_file : request->client_cert_file);
	}

	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, exchange);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, exchange);

	if (request->body.data)
	{
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body.len);
		SET(CURLOPT_POSTFIELDS, request->body.data);
	}
	SET(CURLOPT_CUSTOMREQUEST, request->method);
	if (request->message_len)
	{
		SET(CURLOPT_CONNECT_ONLY, 1L);
		SET(CURLOPT_SSL_ENABLE_ALPN, 0L);
	}
#undef SET

	return ok && add_headers(exchange, request);
}

uint32
pgseal_http_wait_event(void)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = pgseal_wait_event("PgsealKms");
	return wait_event;
}

/* Waits for what libcurl asked for, at most until the timer is due. */
static void
wait_and_drive(Exchange *exchange)
{
	WaitEvent	events[MAX_SOCKETS + 2];
	int			num_events;
	int			running;
	long		timeout_ms = -1;

	if (exchange->sockets_changed)
	{
		if (exchange->wait_set)
			FreeWaitEventSet(exchange->wait_set);
		exchange->wait_set = NULL;
		exchange->wait_set = pgseal_make_wait_event_set(MAX_SOCKETS + 2);
		AddWaitEventToSet(exchange->wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
		AddWaitEventToSet(exchange->wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
		for (int i = 0; i < exchange->num_sockets; i++)
		{
			int			what = exchange->sockets[i].what;

			AddWaitEventToSet(exchange->wait_set,
							  (what & CURL_POLL_IN ? WL_SOCKET_READABLE : 0) |
							  (what & CURL_POLL_OUT ? WL_SOCKET_WRITEABLE : 0),
							  exchange->sockets[i].fd, NULL, NULL);
		}
		exchange->sockets_changed = false;
	}

	if (exchange->timer_set)
		timeout_ms = TimestampDifferenceMilliseconds(pgseal_clock(), exchange->timer_at);

	num_events = WaitEventSetWait(exchange->wait_set, timeout_ms, events, lengthof(events),
								  pgseal_http_wait_event());
	for (int i = 0; i < num_events; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}
	CHECK_FOR_INTERRUPTS();

	block_signals();
	for (int i = 0; i < num_events; i++)
	{
		if (events[i].events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
			curl->multi_socket_action(multi, events[i].fd,
									  (events[i].events & WL_SOCKET_READABLE ? CURL_CSELECT_IN : 0) |
									  (events[i].events & WL_SOCKET_WRITEABLE ? CURL_CSELECT_OUT : 0),
									  &running);
	}
	if (exchange->timer_set && exchange->timer_at <= pgseal_clock())
	{
		exchange->timer_set = false;
		curl->multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	unblock_signals();
}

static bool
finished(Exchange *exchange, CURLcode *out_code)
{
	CURLMsg    *message;
	int			num_left;

	while ((message = curl->multi_info_read(multi, &num_left)) != NULL)
	{
		if (message->msg == CURLMSG_DONE && message->easy_handle == exchange->easy)
		{
			*out_code = message->data.result;
			return true;
		}
	}
	return false;
}

static void
end_exchange(Exchange *exchange)
{
	block_signals();
	if (exchange->easy)
	{
		curl->multi_remove_handle(multi, exchange->easy);
		curl->easy_cleanup(exchange->easy);
	}
	current = NULL;
	unblock_signals();

	if (exchange->wait_set)
		FreeWaitEventSet(exchange->wait_set);
	for (struct curl_slist *header = exchange->headers; header; header = header->next)
		pgseal_wipe(header->data, strlen(header->data));
	if (exchange->headers)
		curl->slist_free_all(exchange->headers);
}

/*
 * One exchange of another protocol, over libcurl's connection
 */

/* CURLE_OK, or that the time is up */
static CURLcode
wait_for_socket(curl_socket_t fd, int what, TimestampTz deadline)
{
	long		left = TimestampDifferenceMilliseconds(pgseal_clock(), deadline);

	if (left <= 0)
		return CURLE_OPERATION_TIMEDOUT;
	(void) WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT | what,
							 fd, left, pgseal_http_wait_event());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return CURLE_OK;
}

static CURLcode
send_message(Exchange *exchange, curl_socket_t fd, const PgsealSecretString *message,
			 TimestampTz deadline)
{
	CURLcode	code = CURLE_OK;

	for (size_t sent = 0; code == CURLE_OK && sent < message->len;)
	{
		size_t		num = 0;

		block_signals();
		code = curl->easy_send(exchange->easy, message->data + sent, message->len - sent, &num);
		unblock_signals();
		sent += num;
		if (code == CURLE_AGAIN)
			code = wait_for_socket(fd, WL_SOCKET_WRITEABLE, deadline);
	}
	return code;
}

static CURLcode
receive_message(Exchange *exchange, curl_socket_t fd, PgsealMessageLength message_len,
				TimestampTz deadline)
{
	PgsealHttpResponse *response = exchange->response;
	CURLcode	code = CURLE_OK;
	size_t		total = 0;

	while (code == CURLE_OK && (total == 0 || response->body_len < total))
	{
		size_t		num = 0;

		block_signals();
		code = curl->easy_recv(exchange->easy, response->body + response->body_len,
							   PGSEAL_HTTP_MAX_BODY - response->body_len, &num);
		unblock_signals();
		response->body_len += num;
		if (code == CURLE_AGAIN)
			code = wait_for_socket(fd, WL_SOCKET_READABLE, deadline);
		else if (code == CURLE_OK && num == 0)
			code = CURLE_GOT_NOTHING;
		total = message_len(response->body, response->body_len);
		if (total > PGSEAL_HTTP_MAX_BODY)
		{
			exchange->too_large = true;
			code = CURLE_FILESIZE_EXCEEDED;
		}
	}
	return code;
}

static CURLcode
converse(Exchange *exchange, const PgsealHttpRequest *request, TimestampTz deadline)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	CURLcode	code = curl->easy_getinfo(exchange->easy, CURLINFO_ACTIVESOCKET, &fd);

	if (code == CURLE_OK && fd == CURL_SOCKET_BAD)
		code = CURLE_COULDNT_CONNECT;
	if (code == CURLE_OK)
		code = send_message(exchange, fd, &request->body, deadline);
	if (code == CURLE_OK)
		code = receive_message(exchange, fd, request->message_len, deadline);
	return code;
}

static PgsealHttpResult
classify(const Exchange *exchange, CURLcode code)
{
	if (exchange->too_large)
		return PGSEAL_HTTP_TOO_LARGE;
	switch (code)
	{
		case CURLE_OK:
			return PGSEAL_HTTP_OK;
		case CURLE_OPERATION_TIMEDOUT:
			return PGSEAL_HTTP_TIMEOUT;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_CACERT_BADFILE:
		case CURLE_SSL_ISSUER_ERROR:
			return PGSEAL_HTTP_TLS;
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_URL_MALFORMAT:
		case CURLE_OUT_OF_MEMORY:
		case CURLE_BAD_FUNCTION_ARGUMENT:
			return PGSEAL_HTTP_BROKEN;
		default:
			return PGSEAL_HTTP_UNREACHABLE;
	}
}

/* The exchange that is prepared, until its end.  out_status: 0 if it isn't HTTP. */
static pg_noinline CURLcode
perform(Exchange *exchange, long *out_status, const PgsealHttpRequest *request, int timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(pgseal_clock(), timeout_ms);
	CURLcode	code = CURLE_FAILED_INIT;
	bool		ready;

	block_signals();
	current = exchange;
	ready = curl->multi_add_handle(multi, exchange->easy) == CURLM_OK;
	unblock_signals();
	while (ready && !exchange->too_many_sockets && !finished(exchange, &code))
		wait_and_drive(exchange);
	if (request->message_len == NULL)
		curl->easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, out_status);
	else if (code == CURLE_OK)
		code = converse(exchange, request, deadline);
	return code;
}

PgsealHttpResult
pgseal_http_send(PgsealHttpResponse *out_response, char *out_detail, size_t out_detail_size,
				 const PgsealHttpRequest *request, int timeout_ms)
{
	/* static: libcurl holds its address until end_exchange() */
	static Exchange exchange;
	char	   *url = psprintf("%s%s", request->base, request->path);
	CURLcode	code = CURLE_FAILED_INIT;
	PgsealHttpResult result;
	long		status = 0;

	Assert(current == NULL);
	memset(&exchange, 0, sizeof(exchange));
	memset(out_response, 0, sizeof(*out_response));
	out_response->body = pgseal_secmem_alloc(PGSEAL_HTTP_MAX_BODY + 1);
	out_response->headers = pgseal_secmem_alloc(PGSEAL_HTTP_MAX_HEADERS_BYTES);
	exchange.response = out_response;
	exchange.sockets_changed = true;
	if (curl == NULL && (curl = pgseal_libcurl(out_detail, out_detail_size)) == NULL)
		return PGSEAL_HTTP_NO_LIBRARY;

	PG_TRY();
	{
		bool		ready;

		block_signals();
		ready = ensure_multi() && (exchange.easy = curl->easy_init()) != NULL;
		unblock_signals();

		if (ready && prepare_easy(&exchange, url, request, timeout_ms))
			code = perform(&exchange, &status, request, timeout_ms);
	}
	PG_FINALLY();
	{
		end_exchange(&exchange);
	}
	PG_END_TRY();

	out_response->status = (int) status;
	result = classify(&exchange, code);
	if (result == PGSEAL_HTTP_TOO_LARGE)
		strlcpy(out_detail, "The reply is too large.", out_detail_size);
	else if (result != PGSEAL_HTTP_OK)
		snprintf(out_detail, out_detail_size, "%s.",
				 exchange.error[0] ? exchange.error : curl->easy_strerror(code));
	return result;
}
