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

#include "catalog/pg_foreign_server.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

/* Privileges of all object classes are checked by one function since 16 */
#if PG_VERSION_NUM >= 160000
#define pgseal_server_aclcheck(server, role, mode) \
	object_aclcheck(ForeignServerRelationId, (server), (role), (mode))
#else
#define pgseal_server_aclcheck(server, role, mode) \
	pg_foreign_server_aclcheck((server), (role), (mode))
#endif

/* ExecutorRun lost an argument in 18 */
#if PG_VERSION_NUM >= 180000
#define PGSEAL_EXECUTOR_RUN_ARGS \
	QueryDesc *desc, ScanDirection direction, uint64 count
#define PGSEAL_EXECUTOR_RUN_PASS desc, direction, count
#else
#define PGSEAL_EXECUTOR_RUN_ARGS \
	QueryDesc *desc, ScanDirection direction, uint64 count, bool execute_once
#define PGSEAL_EXECUTOR_RUN_PASS desc, direction, count, execute_once
#endif

/*
 * What a table access method says about indexes after an update: yes or no, or
 * since 16 also that only summarizing indexes need an entry.
 */
#if PG_VERSION_NUM >= 160000
#define PgsealUpdateIndexes TU_UpdateIndexes
#define pgseal_needs_index_entries(update) ((update) != TU_None)
#define pgseal_insert_index_entries(result_rel, slot, estate, update) \
	list_free(ExecInsertIndexTuples((result_rel), (slot), (estate), true, false, NULL, NIL, \
									(update) == TU_Summarizing))
#else
#define PgsealUpdateIndexes bool
#define pgseal_needs_index_entries(update) (update)
#define pgseal_insert_index_entries(result_rel, slot, estate, update) \
	list_free(ExecInsertIndexTuples((result_rel), (slot), (estate), true, false, NULL, NIL))
#endif

/* A wait event with a name of its own, or "Extension" before PostgreSQL 17 */
#if PG_VERSION_NUM >= 170000
#define pgseal_wait_event(name) WaitEventExtensionNew(name)
#else
#define pgseal_wait_event(name) PG_WAIT_EXTENSION
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
