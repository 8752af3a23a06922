/*-------------------------------------------------------------------------
 *
 * early.c
 *	  Lets the address sanitizer start before libgpg-error does.
 *
 * Preloaded with libasan.  PostgreSQL's libraries pull in libgpg-error, whose
 * constructor calls bindtextdomain(); that calls malloc() under a lock, and the
 * sanitizer, which starts with the first malloc(), wants the same lock.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>

char *bindtextdomain(const char *domain, const char *directory);

char *
bindtextdomain(const char *domain, const char *directory)
{
	void	   *volatile first = malloc(1);
	char	   *(*real) (const char *, const char *) =
		(char *(*) (const char *, const char *)) dlsym(RTLD_NEXT, "bindtextdomain");

	free(first);
	return real(domain, directory);
}
