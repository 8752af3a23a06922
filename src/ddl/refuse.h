/*-------------------------------------------------------------------------
 *
 * refuse.h
 *	  What may not be made: what would store or reveal opened values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REFUSE_H
#define PGSEAL_REFUSE_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* DROP EXTENSION pgseal takes its servers along; ddl.c sets this meanwhile */
extern bool pgseal_refuse_dropping_extension;

/*
 * 42501 unless the current user may open what the key with this hash seals (or
 * there is no such key yet).
 */
extern void pgseal_refuse_without_usage(int32 key_hash);

/* 0A000 where an access method has no operator class for an encrypted column */
extern void pgseal_refuse_index(const IndexStmt *stmt);

/* 0A000 when a trigger that was just made can't work on the columns it names */
extern void pgseal_refuse_trigger(Oid trigger);

/* The same of a column that will be encrypted */
extern void pgseal_refuse_triggers_of(Oid relation, const char *column);

extern void pgseal_refuse_init(void);

#endif							/* PGSEAL_REFUSE_H */
