/*-------------------------------------------------------------------------
 *
 * libcurl.h
 *	  libcurl's functions, of a library that is loaded when they are first needed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_LIBCURL_H
#define PGSEAL_LIBCURL_H

#include "postgres.h"

/* Else some functions are macros that call them by name */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/* All that http.c calls: curl_easy_init() and so on */
#define PGSEAL_LIBCURL_FUNCTIONS(X) \
	X(easy_cleanup) \
	X(easy_getinfo) \
	X(easy_init) \
	X(easy_recv) \
	X(easy_send) \
	X(easy_setopt) \
	X(easy_strerror) \
	X(global_init) \
	X(multi_add_handle) \
	X(multi_info_read) \
	X(multi_init) \
	X(multi_remove_handle) \
	X(multi_setopt) \
	X(multi_socket_action) \
	X(slist_append) \
	X(slist_free_all) \
	X(version_info)

#define PGSEAL_LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
typedef struct PgsealLibcurl
{
	PGSEAL_LIBCURL_FUNCTIONS(PGSEAL_LIBCURL_MEMBER)
} PgsealLibcurl;

#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

/* NULL, with a sentence, if the library can't be loaded */
extern const PgsealLibcurl *pgseal_libcurl(char *out_detail, size_t out_detail_size);

#endif							/* PGSEAL_LIBCURL_H */
