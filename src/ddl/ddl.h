/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  What happens when tables with encrypted columns are made or changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_DDL_H
#define PGSEAL_DDL_H

#include "postgres.h"

extern void pgseal_ddl_init(void);

#endif							/* PGSEAL_DDL_H */
