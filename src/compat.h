/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the PostgreSQL versions that pgseal supports
 *	  (15, 16, 17, 18).  No other file looks at PG_VERSION_NUM.
 *
 * Every file that defines an entry point (PG_FUNCTION_INFO_V1, PG_MODULE_MAGIC,
 * _PG_init, the main function of a background worker) includes this one, after
 * PostgreSQL's own headers.
 *
 * Layer 0.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COMPAT_H
#define PGSEAL_COMPAT_H

#include "postgres.h"
#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "pgseal needs PostgreSQL 15 or later"
#endif

/*
 * pgseal is compiled with -fvisibility=hidden.  Since 16 PostgreSQL exports the
 * entry points nevertheless; do for 15 what 16 does.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))

#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_,funcname)(void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_,funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = { 1 }; \
	return &my_finfo; \
} \
extern int no_such_variable

extern PGDLLEXPORT void _PG_init(void);
#endif

#endif							/* PGSEAL_COMPAT_H */
