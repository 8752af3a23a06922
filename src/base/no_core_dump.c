/*-------------------------------------------------------------------------
 *
 * no_core_dump.c
 *	  What pgseal asks of the operating system for a process that holds keys.
 *
 * Cipher contexts and opened values lie in ordinary memory, where a core dump
 * would find them.  RLIMIT_CORE does not bind a core_pattern that is a pipe
 * (core(5)); a process that is not "dumpable" (prctl(2)) leaves no core at all
 * and can't be read through /proc/PID/mem or ptrace() by its own user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef __linux__
#include <sys/prctl.h>
#else
#include <sys/resource.h>
#endif

#include "base/no_core_dump.h"
#include "base/settings.h"

void
pgseal_no_core_dump(void)
{
	static bool done = false;

	if (done || pgseal_core_dumps)
		return;
#ifdef __linux__
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		ereport(WARNING,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not forbid core dumps of this process: %m")));
#else
	{
		struct rlimit none = {0, 0};

		if (setrlimit(RLIMIT_CORE, &none) != 0)
			ereport(WARNING,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("could not forbid core dumps of this process: %m")));
	}
#endif
	done = true;
}
