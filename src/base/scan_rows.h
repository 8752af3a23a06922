/*-------------------------------------------------------------------------
 *
 * scan_rows.h
 *	  Reading a table from end to end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SCAN_ROWS_H
#define PGSEAL_SCAN_ROWS_H

#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

typedef void (*PgsealRowVisitor) (TupleTableSlot *row, void *context);

/* Calls visit for each row, in a memory context that is reset after it */
extern void pgseal_scan_rows(Relation rel, Snapshot snapshot, PgsealRowVisitor visit,
							 void *context);

#endif							/* PGSEAL_SCAN_ROWS_H */
