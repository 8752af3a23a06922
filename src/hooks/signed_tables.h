/*-------------------------------------------------------------------------
 *
 * signed_tables.h
 *	  What DDL does to tables whose rows are signed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNED_TABLES_H
#define PGSEAL_SIGNED_TABLES_H

#include "nodes/pg_list.h"

/* Gives the trigger that signs the table's rows other arguments, of type char * */
extern void pgseal_signed_tables_store(Oid relid, List *arguments);

extern void pgseal_signed_tables_init(void);

#endif							/* PGSEAL_SIGNED_TABLES_H */
