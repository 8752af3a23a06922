/*-------------------------------------------------------------------------
 *
 * owner_usage.h
 *	  The privilege for what is stored of a value besides it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_OWNER_USAGE_H
#define PGSEAL_OWNER_USAGE_H

#include "postgres.h"

/* Who owns this table or index; InvalidOid when there is none */
extern Oid	pgseal_relation_owner(Oid relation);

/* 42501 unless this owner of the relation has USAGE on the server */
extern void pgseal_check_owner_usage(Oid relation, Oid owner, Oid server);

#endif							/* PGSEAL_OWNER_USAGE_H */
