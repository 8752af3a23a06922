/*-------------------------------------------------------------------------
 *
 * copying.h
 *	  The COPY FROM that runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COPYING_H
#define PGSEAL_COPYING_H

/*
 * The innermost: the memory context that it began in, and its
 * table.  log/redact.c keeps it.
 */
typedef struct PgsealCopying
{
	MemoryContext context;
	Oid			table;
	bool		passed_unseen;	/* a constraint didn't look at a value */
} PgsealCopying;

extern PgsealCopying pgseal_copying;

#endif							/* PGSEAL_COPYING_H */
