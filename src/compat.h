/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the PostgreSQL versions that pgseal supports
 *	  (15, 16, 17, 18).  No other file looks at PG_VERSION_NUM.
 *
 * Layer 0.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COMPAT_H
#define PGSEAL_COMPAT_H

#include "postgres.h"

#if PG_VERSION_NUM < 150000
#error "pgseal needs PostgreSQL 15 or later"
#endif

#endif							/* PGSEAL_COMPAT_H */
