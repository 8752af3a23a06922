/*-------------------------------------------------------------------------
 *
 * signed_holders.h
 *	  Which tables need a key: for their values, or for their signatures; and which
 *	  are signed by two definitions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNED_HOLDERS_H
#define PGSEAL_SIGNED_HOLDERS_H

#include "value/find_sealed.h"

/* What pgseal_shape_holders() gives, and the tables whose rows are signed */
extern List *pgseal_signed_holders(void);

/* OIDs of all tables whose rows are signed, but of partitions with their tables */
extern List *pgseal_signed_tables(void);

/* A table of which two definitions stand */
typedef struct PgsealRedefined
{
	Oid			relid;			/* which has its own trigger: no partition */
	uint8		former;			/* number of the former definition */
} PgsealRedefined;

extern List *pgseal_signed_redefined(void);

/* A definition by which rows of some table are signed, as its trigger says it */
typedef struct PgsealToldDefinition
{
	char	   *key;
	char	   *table_label;
	char	   *number;
	char	  **columns;		/* of each: label, type label, name */
	int			num_columns;
} PgsealToldDefinition;

extern List *pgseal_signed_definitions(void);

#endif							/* PGSEAL_SIGNED_HOLDERS_H */
