/*-------------------------------------------------------------------------
 *
 * signed_ledger.h
 *	  What DDL does to the ledgers of signed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNED_LEDGER_H
#define PGSEAL_SIGNED_LEDGER_H

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "signed/ledger.h"

/* relids: the table and its partitions, which are locked, the table first */
extern void pgseal_signed_ledger_begin(List *relids, int32 key_hash);
extern void pgseal_signed_ledger_end(List *relids);

/* The rows have been signed anew, under this key; begins it again if there is none */
extern void pgseal_signed_ledger_renew(List *relids, int64 ledger, int32 key_hash);

/* A partition that has the trigger by now: made empty, or attached with its rows */
extern void pgseal_signed_ledger_joined(Oid relid, bool with_rows);
extern void pgseal_signed_ledger_left(Oid relid);

/* 42P17 when the ledger of the relation's trigger is that of another one */
extern void pgseal_signed_ledger_check(Oid relid);

/*
 * Ledgers that a statement is about to end: partitions go with them, so that nobody
 * needs to know what was in them.  For pgseal_signed_ledger_ending().
 */
extern List *pgseal_signed_ledger_ended_by(DropStmt *stmt);
extern List *pgseal_signed_ledger_ending(List *ledgers);

extern void pgseal_signed_ledger_init(void);

#endif							/* PGSEAL_SIGNED_LEDGER_H */
