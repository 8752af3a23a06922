/*-------------------------------------------------------------------------
 *
 * libcurl.c
 *	  Loads libcurl.
 *
 * Who has his keys in the local keyring calls no service, so the server starts
 * without libcurl: it isn't linked, but loaded by the first process that calls a
 * KMS.  It is the one that uses OpenSSL, as PostgreSQL does (Debian has another
 * beside it, whose TLS library wouldn't wipe what it has decrypted).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>

#include "base/libcurl.h"

#ifdef __APPLE__
#define LIBRARY		"libcurl.4.dylib"
#else
#define LIBRARY		"libcurl.so.4"
#endif

#define LOAD(name) \
	if ((functions.name = dlsym(library, "curl_" #name)) == NULL) \
		missing = "curl_" #name;

const PgsealLibcurl *
pgseal_libcurl(char *out_detail, size_t out_detail_size)
{
	static PgsealLibcurl functions;
	const char *missing = NULL;
	void	   *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
	{
		snprintf(out_detail, out_detail_size,
				 "%s could not be loaded: install libcurl on the server's machine.", LIBRARY);
		return NULL;
	}
	PGSEAL_LIBCURL_FUNCTIONS(LOAD);
	if (missing == NULL)
		return &functions;
	snprintf(out_detail, out_detail_size, "%s has no function %s: it is too old.", LIBRARY, missing);
	dlclose(library);
	return NULL;
}
