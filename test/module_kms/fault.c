/*-------------------------------------------------------------------------
 *
 * fault.c
 *	  Faults in writing a keyring, by LD_PRELOAD.
 *
 * The file named by PGSEAL_FAULT_FILE says which one: "kill" (SIGKILL where a
 * temporary file would be renamed), "enospc" (its second half isn't written),
 * "fsync" (its fsync fails), "slow" (its fsync takes a while).  Only files named *.keyring.tmp are touched.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Longer than it takes to start some sessions */
#define SLOW_USECS	200000

static int
is_temp(const char *path)
{
	static const char suffix[] = ".keyring.tmp";
	size_t		len = strlen(path);

	return len >= sizeof(suffix) - 1 && strcmp(path + len - (sizeof(suffix) - 1), suffix) == 0;
}

static int
is_temp_fd(int fd)
{
	char		link[64];
	char		path[4096];
	ssize_t		len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0)
		return 0;
	path[len] = '\0';
	return is_temp(path);
}

static int
fault_is(const char *name)
{
	const char *file = getenv("PGSEAL_FAULT_FILE");
	char		content[16] = "";
	int			fd = file ? open(file, O_RDONLY) : -1;

	if (fd < 0)
		return 0;
	if (syscall(SYS_read, fd, content, sizeof(content) - 1) < 0)
		content[0] = '\0';
	close(fd);
	return strcmp(content, name) == 0;
}

int
rename(const char *from, const char *to)
{
	int			(*real) (const char *, const char *) =
		(int (*) (const char *, const char *)) dlsym(RTLD_NEXT, "rename");

	if (is_temp(from) && fault_is("kill"))
		kill(getpid(), SIGKILL);
	return real(from, to);
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	if (is_temp_fd(fd) && fault_is("enospc"))
	{
		/* Half of it fits, like on a disk that gets full */
		if (lseek(fd, 0, SEEK_CUR) > 0)
		{
			errno = ENOSPC;
			return -1;
		}
		len /= 2;
	}
	return syscall(SYS_write, fd, bytes, len);
}

int
fsync(int fd)
{
	if (is_temp_fd(fd) && fault_is("fsync"))
	{
		errno = EIO;
		return -1;
	}
	if (is_temp_fd(fd) && fault_is("slow"))
		usleep(SLOW_USECS);
	return syscall(SYS_fsync, fd);
}
