/*-------------------------------------------------------------------------
 *
 * large_pages.c
 *	  A machine with pages of 64 kB, by LD_PRELOAD.
 *
 * sysconf() says so, mappings begin at such a page, and madvise() of a range that
 * doesn't fails.  Each call by which memory is locked or left out of core dumps
 * is noted in the file PGSEAL_PAGES_FILE: where in a page it begins, how long it is.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE	65536

static void
note(const char *call, const void *address, size_t len)
{
	const char *file = getenv("PGSEAL_PAGES_FILE");
	char		line[128];
	int			fd = file ? open(file, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;

	if (fd < 0)
		return;
	len = snprintf(line, sizeof(line), "%s %zu %zu\n", call, (size_t) address % PAGE, len);
	(void) !write(fd, line, len);
	close(fd);
}

long
sysconf(int name)
{
	long		(*real) (int) = (long (*) (int)) dlsym(RTLD_NEXT, "sysconf");

	return name == _SC_PAGESIZE ? PAGE : real(name);
}

void *
mmap(void *address, size_t len, int protection, int flags, int fd, off_t offset)
{
	void	   *(*real) (void *, size_t, int, int, int, off_t) =
		(void *(*) (void *, size_t, int, int, int, off_t)) dlsym(RTLD_NEXT, "mmap");
	char	   *mapped;
	size_t		before;

	if (address != NULL || !(flags & MAP_ANONYMOUS))
		return real(address, len, protection, flags, fd, offset);
	mapped = real(NULL, len + PAGE, protection, flags, fd, offset);
	if (mapped == MAP_FAILED)
		return mapped;
	before = (PAGE - (uintptr_t) mapped % PAGE) % PAGE;
	if (before > 0)
		munmap(mapped, before);
	munmap(mapped + before + len, PAGE - before);
	return mapped + before;
}

int
mlock(const void *address, size_t len)
{
	int			(*real) (const void *, size_t) =
		(int (*) (const void *, size_t)) dlsym(RTLD_NEXT, "mlock");

	note("mlock", address, len);
	return real(address, len);
}

int
madvise(void *address, size_t len, int advice)
{
	int			(*real) (void *, size_t, int) =
		(int (*) (void *, size_t, int)) dlsym(RTLD_NEXT, "madvise");

	if (advice == MADV_DONTDUMP)
		note("madvise", address, len);
	if (advice == MADV_DONTDUMP && (uintptr_t) address % PAGE != 0)
	{
		errno = EINVAL;
		return -1;
	}
	return real(address, len, advice);
}
