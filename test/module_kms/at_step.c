/*-------------------------------------------------------------------------
 *
 * at_step.c
 *	  Death of a process, or a full disk, at any step of its work on keyring files,
 *	  by LD_PRELOAD.
 *
 * A step is a call that changes files, before or after which somebody may see
 * the files: one that opens for writing, writes, syncs, renames or removes.
 * Counted are those in a directory keyring.d, and those on the cluster's memory
 * of its keyrings.
 *
 * The file named by PGSEAL_STEP_FILE holds a number and a word.  Each step of any
 * process takes one off the number, down to 1:
 *
 *	 kill	at 1, the caller kills itself before it does the step; then the number
 *			is 0
 *	 full	at 1, what would need space fails with ENOSPC, as long as the file
 *			says so
 *
 * At 0 nothing happens.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* May it go on?  If not, errno is ENOSPC. */
static bool
step(const char *path)
{
	const char *file = getenv("PGSEAL_STEP_FILE");
	char		content[24] = "";
	char		number[24];
	bool		full;
	int			left;
	int			fd;

	if (file == NULL ||
		(strstr(path, "/keyring.d") == NULL && strstr(path, "pgseal.keyrings") == NULL))
		return true;
	fd = (int) syscall(SYS_openat, AT_FDCWD, file, O_RDWR);
	if (fd < 0)
		return true;
	if (syscall(SYS_read, fd, content, sizeof(content) - 1) < 0)
		content[0] = '\0';
	left = atoi(content);
	full = strstr(content, "full") != NULL;
	if (left > 1 || (left == 1 && !full))
	{
		int			len = snprintf(number, sizeof(number), "%-8d", left - 1);

		(void) lseek(fd, 0, SEEK_SET);
		(void) syscall(SYS_write, fd, number, len);
	}
	syscall(SYS_close, fd);
	if (left != 1)
		return true;
	if (!full)
		kill(getpid(), SIGKILL);
	errno = ENOSPC;
	return false;
}

static bool
step_fd(int fd)
{
	char		link[64];
	char		path[4096];
	ssize_t		len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	return step(path);
}

int
open(const char *path, int flags,...)
{
	va_list		args;
	mode_t		mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) ? va_arg(args, mode_t) : 0;
	va_end(args);
	if ((flags & (O_WRONLY | O_RDWR)) && !step(path) && (flags & O_CREAT))
		return -1;
	return (int) syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int
open64(const char *path, int flags,...)
{
	va_list		args;
	mode_t		mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return open(path, flags, mode);
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	if (!step_fd(fd))
		return -1;
	return syscall(SYS_write, fd, bytes, len);
}

int
fsync(int fd)
{
	if (!step_fd(fd))
		return -1;
	return (int) syscall(SYS_fsync, fd);
}

int
rename(const char *from, const char *to)
{
	int			(*real) (const char *, const char *) =
		(int (*) (const char *, const char *)) dlsym(RTLD_NEXT, "rename");

	if (!step(to))
		return -1;
	return real(from, to);
}

int
unlink(const char *path)
{
	int			(*real) (const char *) = (int (*) (const char *)) dlsym(RTLD_NEXT, "unlink");

	(void) step(path);			/* frees space */
	return real(path);
}
