/*-------------------------------------------------------------------------
 *
 * signed_tables.h
 *	  What DDL does to tables whose rows are signed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNED_TABLES_H
#define PGSEAL_SIGNED_TABLES_H

extern void pgseal_signed_tables_init(void);

#endif							/* PGSEAL_SIGNED_TABLES_H */
