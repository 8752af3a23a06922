/*-------------------------------------------------------------------------
 *
 * brin_networks.h
 *	  BRIN on networks, of columns that become encrypted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_BRIN_NETWORKS_H
#define PGSEAL_BRIN_NETWORKS_H

#include "postgres.h"
#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

/* The class of BRIN that keeps minimum and maximum of inet */
extern List *pgseal_brin_inet_minmax(void);

/* Is this column of the index, counted from 0, of that class? */
extern bool pgseal_brin_is_inet_minmax(Relation index, int column);

/*
 * Says in a notice that the index will no longer serve <<, >> and &&, as one on the encrypted
 * column doesn't, if it does so now.
 */
extern void pgseal_brin_announce_minmax(Relation index, AttrNumber attnum);

#endif							/* PGSEAL_BRIN_NETWORKS_H */
