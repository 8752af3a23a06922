/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  What calls to key management services came to, for pgseal.stat_kms.
 *
 * See counters.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COUNTERS_H
#define PGSEAL_COUNTERS_H

#include "postgres.h"
#include "portability/instr_time.h"

#include "kms/kms.h"

/* generate, wrap, unwrap, rewrap, describe, login */
#define PGSEAL_STAT_OPERATIONS	6

/* An operation's calls at one server */
typedef struct PgsealKmsStat
{
	int64		calls;			/* begun; those that are none of the next four
								 * were interrupted or are under way */
	int64		succeeded;
	int64		unreachable;
	int64		refused;
	int64		invalid;
	int64		retries;
	double		total_ms;		/* of those that succeeded; so are the next */
	double		min_ms;
	double		max_ms;
	double		last_ms;
	TimestampTz last_success;	/* 0: none */
	TimestampTz last_failure;	/* 0: none */
	PgsealKmsStatus last_failure_status;
	char		last_code[sizeof(((PgsealKmsError *) 0)->code)];
} PgsealKmsStat;

typedef struct PgsealKmsServerStats
{
	Oid			server;
	TimestampTz since;
	PgsealKmsStat operations[PGSEAL_STAT_OPERATIONS];
} PgsealKmsServerStats;

/* A call under way */
typedef struct PgsealKmsTimer
{
	Oid			server;
	int			operation;
	TimestampTz begun_at;
	instr_time	begun;
	uint64		retries_before;
} PgsealKmsTimer;

/* _PG_init: installs the shared memory hooks */
extern void pgseal_kms_counters_init(void);

extern void pgseal_kms_counters_begin(PgsealKmsTimer *out_timer, const PgsealKmsServer *server,
									  const char *operation);
extern void pgseal_kms_counters_end(const PgsealKmsTimer *timer, PgsealKmsStatus status,
									const PgsealKmsError *error);

/* An exchange has to be repeated */
extern void pgseal_kms_counters_retry(void);

/* The servers of this database: palloc'd, their number is returned. */
extern int	pgseal_kms_counters_servers(PgsealKmsServerStats **out_stats);

/* "generate" and so on */
extern const char *pgseal_kms_counters_operation(int i);

/* Forgets those of one server of this database, or of all (InvalidOid). */
extern void pgseal_kms_counters_reset(Oid server);

#endif							/* PGSEAL_COUNTERS_H */
