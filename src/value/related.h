/*-------------------------------------------------------------------------
 *
 * related.h
 *	  How values of two related base types are compared.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RELATED_H
#define PGSEAL_RELATED_H

#include "postgres.h"
#include "fmgr.h"

/*
 * What compares values of these types, in their order, as PostgreSQL's operators
 * do: a btree's comparison.  False when there is none.
 */
extern bool pgseal_related_comparison(FmgrInfo *out_compare, Oid left, Oid right,
									  MemoryContext context);

#endif							/* PGSEAL_RELATED_H */
