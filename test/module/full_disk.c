/*-------------------------------------------------------------------------
 *
 * full_disk.c
 *	  A disk that is full when files of the server would grow, by LD_PRELOAD.
 *
 * The file named by PGSEAL_FULL_DISK holds a number and a part of a path.  Each call
 * of any process by which a file grows whose path has that part takes one off the
 * number, down to 1; at 1 they fail, as long as the file says so: with ENOSPC, or by
 * turns after half of the bytes.  At 0 nothing happens.
 *
 * Built by the tests that use it, not with the module.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* May the file that has this path grow? */
static bool
has_space(const char *path)
{
	const char *file = getenv("PGSEAL_FULL_DISK");
	char		content[1024] = "";
	char		part[sizeof(content)] = "";
	char		number[24];
	int			left = 0;
	int			fd;

	if (file == NULL)
		return true;
	fd = (int) syscall(SYS_openat, AT_FDCWD, file, O_RDWR);
	if (fd < 0)
		return true;
	if (syscall(SYS_read, fd, content, sizeof(content) - 1) <= 0 ||
		sscanf(content, "%d %1000s", &left, part) != 2 || strstr(path, part) == NULL)
		left = 0;
	if (left > 1)
	{
		int			len = snprintf(number, sizeof(number), "%-8d", left - 1);

		(void) lseek(fd, 0, SEEK_SET);
		(void) syscall(SYS_write, fd, number, len);
	}
	(void) syscall(SYS_close, fd);
	return left != 1;
}

static bool
may_grow(int fd, off_t end)
{
	char		link[64];
	char		path[4096];
	struct stat status;
	ssize_t		len;

	if (fstat(fd, &status) != 0 || end <= status.st_size)
		return true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	return has_space(path);
}

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	static int	failures;

	if (!may_grow(fd, offset + (off_t) len))
	{
		/* What half a block leaves behind isn't the caller's */
		if (len > 1 && failures++ % 2 == 1)
			return syscall(SYS_pwrite64, fd, bytes, len / 2, offset);
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwrite64, fd, bytes, len, offset);
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	return pwrite(fd, bytes, len, offset);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int num, off_t offset)
{
	off_t		len = 0;

	for (int i = 0; i < num; i++)
		len += (off_t) parts[i].iov_len;
	if (!may_grow(fd, offset + len))
	{
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_pwritev, fd, parts, num, offset, 0);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int num, off64_t offset)
{
	return pwritev(fd, parts, num, offset);
}

int
posix_fallocate(int fd, off_t offset, off_t len)
{
	if (!may_grow(fd, offset + len))
		return ENOSPC;
	return syscall(SYS_fallocate, fd, 0, offset, len) == 0 ? 0 : errno;
}

int
posix_fallocate64(int fd, off64_t offset, off64_t len)
{
	return posix_fallocate(fd, offset, len);
}
