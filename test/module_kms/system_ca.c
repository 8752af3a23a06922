/*-------------------------------------------------------------------------
 *
 * system_ca.c
 *	  Another directory of the system's certificate authorities, by LD_PRELOAD.
 *
 * What is read from /etc/ssl/certs is read from the directory PGSEAL_SYSTEM_CA.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *
redirect(const char *path, char *buffer, size_t size)
{
	static const char system_directory[] = "/etc/ssl/certs/";
	const char *directory = getenv("PGSEAL_SYSTEM_CA");
	size_t		len = sizeof(system_directory) - 1;

	if (directory == NULL || strncmp(path, system_directory, len) != 0)
		return path;
	snprintf(buffer, size, "%s/%s", directory, path + len);
	return buffer;
}

FILE *
fopen(const char *path, const char *mode)
{
	FILE	   *(*real) (const char *, const char *) =
		(FILE * (*) (const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
	char		buffer[4096];

	return real(redirect(path, buffer, sizeof(buffer)), mode);
}

FILE *
fopen64(const char *path, const char *mode)
{
	return fopen(path, mode);
}

int
stat(const char *path, struct stat *out)
{
	int			(*real) (const char *, struct stat *) =
		(int (*) (const char *, struct stat *)) dlsym(RTLD_NEXT, "stat");
	char		buffer[4096];

	return real(redirect(path, buffer, sizeof(buffer)), out);
}
