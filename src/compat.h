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
#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "pgseal needs PostgreSQL 15 or later"
#endif

/*
 * Everything is compiled with -fvisibility=hidden; before 16 PostgreSQL's
 * macros don't exempt the functions that SQL calls.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, funcname) (void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_, funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int no_such_variable
#endif

#endif							/* PGSEAL_COMPAT_H */
