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

#include "utils/wait_event.h"

/* What -fvisibility=hidden shall not hide; PostgreSQL 16 defines it so itself */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

/* A wait event with a name of its own, or "Extension" before PostgreSQL 17 */
#if PG_VERSION_NUM >= 170000
#define pgseal_wait_event(name) WaitEventExtensionNew(name)
#else
#define pgseal_wait_event(name) PG_WAIT_EXTENSION
#endif

#endif							/* PGSEAL_COMPAT_H */
