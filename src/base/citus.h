/*-------------------------------------------------------------------------
 *
 * citus.h
 *	  What is known of Citus: its tables, its connections.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_H
#define PGSEAL_CITUS_H

#include "postgres.h"

/* Is its library loaded? */
extern bool pgseal_citus_is_loaded;

/* Is it planning a query that goes to other nodes?  They look for indexes themselves. */
extern bool pgseal_citus_plans;

/*
 * What is running, and the innermost error context that it was started under: what
 * calls the parser or an input function under the same one is that itself, and not a
 * function of users that it has called.
 */
typedef struct PgsealRunning
{
	enum
	{
		PGSEAL_RUNNING_NOTHING, /* a message of the client's is being read */
		PGSEAL_RUNNING_STATEMENT,
		PGSEAL_RUNNING_CITUS_PARSER,	/* Citus parses what it, or another
										 * node, has made */
		PGSEAL_RUNNING_CITUS_READER /* and reads what other nodes sent */
	}			what;
	const struct ErrorContextCallback *context;
} PgsealRunning;

extern PgsealRunning pgseal_running;

extern void pgseal_citus_init(void);

/* Is the client of this session another node? */
extern bool pgseal_citus_is_client(void);

/* Does another node run a command of a user's in this session? */
extern bool pgseal_citus_is_command(void);

/* Is it installed in this database? */
extern bool pgseal_citus_is_installed(void);

/* Is it a distributed, reference or local table of Citus? */
extern bool pgseal_is_citus_table(Oid relid);

#endif							/* PGSEAL_CITUS_H */
