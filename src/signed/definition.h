/*-------------------------------------------------------------------------
 *
 * definition.h
 *	  What of a row is signed: the columns, and what they are called in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_DEFINITION_H
#define PGSEAL_DEFINITION_H

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "signed/canonical.h"

/* So many columns can be arguments of the function that verifies */
#define PGSEAL_SIGNED_COLUMNS_MAX	64

typedef struct PgsealSignedColumn
{
	char	   *label;			/* its name and type when it began to be
								 * signed */
	char	   *type_label;
	char	   *name;			/* now */
	AttrNumber	attnum;
	PgsealCanonical *canonical;
	StringInfoData prefix;		/* what is the same in every row */
} PgsealSignedColumn;

typedef struct PgsealDefinition
{
	uint8		number;			/* counts changes of what is signed */
	char	   *table_label;	/* schema.table when it was made */
	StringInfoData prefix;		/* what is the same in every row */
	int			num_columns;
	PgsealSignedColumn columns[PGSEAL_SIGNED_COLUMNS_MAX];
} PgsealDefinition;

/* 42P17: what the trigger says and the relation don't fit each other */
pg_noreturn extern void pgseal_definition_unfit(Relation rel, const char *detail);

/*
 * From arguments of the trigger: of each column its label, type label and name.
 * 42P17 when they don't fit the relation.
 */
extern PgsealDefinition *pgseal_definition_read(Relation rel, const char *table_label,
												const char *number, char **columns,
												int num_columns);

/* Appends these arguments */
extern List *pgseal_definition_arguments(List *arguments, const PgsealDefinition *definition);

extern bool pgseal_definition_has(const PgsealDefinition *definition, AttrNumber attnum);

/* Do the bytes of a column change with this type? */
extern bool pgseal_definition_uses(const PgsealDefinition *definition, Oid type);
extern bool pgseal_definition_same_columns(const PgsealDefinition *a, const PgsealDefinition *b);

/* How many columns either has */
extern int	pgseal_definition_num_either(const PgsealDefinition *a, const PgsealDefinition *b);

/* Appends what a signature covers of a row, whose values are given by attribute */
extern void pgseal_definition_body(StringInfo out, const PgsealDefinition *definition,
								   const Datum *row_values, const bool *row_nulls);

#endif							/* PGSEAL_DEFINITION_H */
