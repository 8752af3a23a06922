/*-------------------------------------------------------------------------
 *
 * spi_query.h
 *	  Short SQL queries from C.
 *
 * Every name in a query is schema-qualified; operators are found in
 * pg_catalog alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SPI_QUERY_H
#define PGSEAL_SPI_QUERY_H

#include "postgres.h"
#include "executor/spi.h"

/* What was before; belongs on the caller's stack, as code of users may come here again */
typedef struct PgsealQuerySession
{
	Oid			user;
	int			context;
} PgsealQuerySession;

/*
 * Connects to SPI, with the rights of the extension's owner, as who may call an
 * SQL function need not be able to read the tables of the key catalog.  What
 * runs code of users in between does so by as_owner.h.
 */
extern void pgseal_query_begin(PgsealQuerySession *out_session);
extern void pgseal_query_end(const PgsealQuerySession *session);

/*
 * Runs one query with num_args arguments, each given as its type's OID and a
 * datum; returns the number of rows, which SPI_tuptable has.  The search_path is
 * pg_catalog for it, whatever has been set since.
 */
extern uint64 pgseal_query(const char *sql, int num_args,...);

/* Runs a utility statement with the rights of the current user. */
extern void pgseal_command(const char *sql);

/* Columns of a result row, from 0 and from 1; NULL is 0 or NULL */
extern int64 pgseal_query_int64(uint64 row, int column);
extern char *pgseal_query_text(uint64 row, int column);

#endif							/* PGSEAL_SPI_QUERY_H */
