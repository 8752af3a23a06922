/*-------------------------------------------------------------------------
 *
 * create_as.h
 *	  CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CREATE_AS_H
#define PGSEAL_CREATE_AS_H

#include "nodes/params.h"
#include "nodes/parsenodes.h"

#include "ddl/own_key.h"

/* The statement that EXPLAIN is about, where that makes a table; else NULL */
extern CreateTableAsStmt *pgseal_create_as_explained(Node *stmt);

/* Does EXPLAIN run it, too? */
extern bool pgseal_create_as_is_run(Node *stmt);

/*
 * Makes of the query of a prepared statement one of its own.  Returns the parameters of
 * the query, which are those of the statement if it isn't that of a prepared one.
 */
extern ParamListInfo pgseal_create_as_execute(CreateTableAsStmt *stmt, const char *query_string,
											  ParamListInfo params);

/* Gives the columns that inherit no key the new table's own */
extern void pgseal_create_as_complete(CreateTableAsStmt *stmt, PgsealKeyOwner *owner);

#endif							/* PGSEAL_CREATE_AS_H */
