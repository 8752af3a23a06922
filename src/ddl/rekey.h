/*-------------------------------------------------------------------------
 *
 * rekey.h
 *	  Puts columns that exist under another key.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REKEY_H
#define PGSEAL_REKEY_H

#include "nodes/pg_list.h"

/* Columns of one relation that are to be put under other keys */
typedef struct PgsealRekeying
{
	Oid			relation;		/* locked exclusively */
	List	   *attnums;
	List	   *typmods;
} PgsealRekeying;

/*
 * Changes type modifiers, all stored expressions that repeat them, and the values;
 * views and materialized views of the columns follow.  Takes a list of
 * PgsealRekeying.  Of a view only the modifiers are given.
 */
extern void pgseal_rekey(List *rekeyings);

#endif							/* PGSEAL_REKEY_H */
