/*-------------------------------------------------------------------------
 *
 * census.h
 *	  Where values are that key versions have sealed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CENSUS_H
#define PGSEAL_CENSUS_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

typedef struct PgsealCensus
{
	int64		values;			/* stored in tables */
	int			columns;		/* in which they are */
	int			constants;		/* objects of the database's schema */
	int			unseen;			/* tables that could not be looked into */
	int			sharded;		/* tables of Citus: rows on other nodes */
	char	   *places;			/* one line for each of these, or "" */
} PgsealCensus;

/*
 * Looks for values sealed by the key versions (of one key, num ids) in all
 * tables that may hold them, under a lock of this mode that is kept, and in
 * stored expressions: defaults, views, functions, constraints.
 */
extern void pgseal_census_take(PgsealCensus *out_census, int32 key_hash,
							   const int64 *ids, int num, LOCKMODE lockmode);

#endif							/* PGSEAL_CENSUS_H */
