/*-------------------------------------------------------------------------
 *
 * join_tables.h
 *	  Tables that become partition and parent, or child and parent; and views that
 *	  become those of other tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_JOIN_TABLES_H
#define PGSEAL_JOIN_TABLES_H

#include "nodes/parsenodes.h"

/* Before ALTER TABLE parent ATTACH PARTITION, ALTER TABLE child INHERIT or OF */
extern void pgseal_join_altered(const AlterTableStmt *stmt, Oid relation);

/* Before CREATE TABLE ... INHERITS: the parents of the new table */
extern void pgseal_join_parents(const List *parents);

/*
 * Before ALTER TABLE relation ADD COLUMN: children that have such a column of their
 * own, which will merge with it
 */
extern void pgseal_join_added(Oid relation, const char *column, Oid type, int32 typmod);

/*
 * Before CREATE OR REPLACE VIEW: the columns of the view, and what depends on them,
 * get the type modifiers of what the new query selects
 */
extern void pgseal_join_view(const ViewStmt *stmt, const char *query_string);

#endif							/* PGSEAL_JOIN_TABLES_H */
