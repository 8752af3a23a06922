/*-------------------------------------------------------------------------
 *
 * signed_triggers.h
 *	  Which triggers and which column a signed table has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNED_TRIGGERS_H
#define PGSEAL_SIGNED_TRIGGERS_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/reltrigger.h"

/* Last of the triggers of its kind, which fire in the order of their names */
#define PGSEAL_SIGN_TRIGGER			"zz_pgseal_sign"

/* Those that record in a ledger what becomes of rows, and of all of them */
#define PGSEAL_RECORD_TRIGGER		"zz_pgseal_record"
#define PGSEAL_RECORD_ALL_TRIGGER	"zz_pgseal_record_truncate"

/* Their functions: sign_row(), record_row() */
extern Oid	pgseal_signing_function(void);
extern Oid	pgseal_ledger_function(void);

/* The trigger that signs the rows of an open relation; NULL when there is none */
extern const Trigger *pgseal_signing_trigger(Relation rel);

/* Gives it other arguments, of type char * */
extern void pgseal_signing_store(Oid relid, List *arguments);

/* The column of a type row_signature; InvalidAttrNumber when there is none */
extern AttrNumber pgseal_signing_column(TupleDesc desc);

/* Its rows aren't recorded */
#define PGSEAL_NO_LEDGER			INT64CONST(0)

/* The ledger of an open relation: the argument of the trigger that records rows */
extern int64 pgseal_ledger_of_relation(Relation rel);

/*
 * Are its owner's insertions the restoring of a dump, which brings signatures and
 * ledger?  Triggers are made when the rows are there, but those of a partitioned table
 * may be made by one of several jobs while another brings the rows of a partition.
 */
extern bool pgseal_signed_is_restored(Relation rel);

#endif							/* PGSEAL_SIGNED_TRIGGERS_H */
