/*-------------------------------------------------------------------------
 *
 * set_clock.c
 *	  Somebody sets the time of day, by LD_PRELOAD.
 *
 * The file named by PGSEAL_CLOCK_FILE says by how many seconds it is off.  By
 * PGSEAL_CLOCK_LATE seconds the clock that is read more cheaply is late, which is a few
 * milliseconds otherwise.
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long
offset(void)
{
	const char *file = getenv("PGSEAL_CLOCK_FILE");
	char		content[32] = "";
	int			fd = file ? open(file, O_RDONLY) : -1;

	if (fd < 0)
		return 0;
	if (read(fd, content, sizeof(content) - 1) < 0)
		content[0] = '\0';
	close(fd);
	return atol(content);
}

int
clock_gettime(clockid_t which, struct timespec *out)
{
	int			result = (int) syscall(SYS_clock_gettime, which, out);

	if (result == 0 && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
		out->tv_sec += offset();
	if (result == 0 && which == CLOCK_MONOTONIC_COARSE && getenv("PGSEAL_CLOCK_LATE"))
		out->tv_sec -= atol(getenv("PGSEAL_CLOCK_LATE"));
	return result;
}

int
gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return -1;
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
