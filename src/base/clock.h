/*-------------------------------------------------------------------------
 *
 * clock.h
 *	  A clock that only goes on.
 *
 * How long a key may be used, when to ask again, until when to wait: none of that may
 * change because somebody sets the time of day.  Put back by a day, it would have a
 * key live a day longer, and a failure be remembered for as long.
 *
 * The same in all processes of a machine, and to be compared with nothing but
 * itself; 0 is long before all.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CLOCK_H
#define PGSEAL_CLOCK_H

#include "postgres.h"

#include <time.h>

#include "datatype/timestamp.h"
#include "utils/timestamp.h"

/* So that on a machine that was just started, 0 is long ago as well */
#define PGSEAL_CLOCK_START		USECS_PER_DAY

static inline TimestampTz
pgseal_clock_read(clockid_t which)
{
	struct timespec now;

	if (clock_gettime(which, &now) != 0)
		return GetCurrentTimestamp();
	return PGSEAL_CLOCK_START + now.tv_sec * USECS_PER_SEC + now.tv_nsec / 1000;
}

static inline TimestampTz
pgseal_clock(void)
{
	return pgseal_clock_read(CLOCK_MONOTONIC);
}

/* The same, read more cheaply, a few milliseconds late */
static inline TimestampTz
pgseal_clock_coarse(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
	return pgseal_clock_read(CLOCK_MONOTONIC_COARSE);
#else
	return pgseal_clock();
#endif
}

/*
 * For people: how far the time of day is ahead of this clock, to be read once for all
 * times that are shown together (else their order could change), and a time of day
 */
static inline TimestampTz
pgseal_clock_lead(void)
{
	return GetCurrentTimestamp() - pgseal_clock();
}

static inline TimestampTz
pgseal_clock_time(TimestampTz clock, TimestampTz lead)
{
	return clock == 0 || TIMESTAMP_NOT_FINITE(clock) ? clock : clock + lead;
}

#endif							/* PGSEAL_CLOCK_H */
