/*-------------------------------------------------------------------------
 *
 * names.h
 *	  How pgseal's functions and operators are named between nodes of Citus.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_NAMES_H
#define PGSEAL_CITUS_NAMES_H

#include "postgres.h"

/* What a call stands for, as it is written */
typedef enum PgsealCitusKind
{
	PGSEAL_CITUS_CALL,			/* of a function */
	PGSEAL_CITUS_OPERATOR,
	PGSEAL_CITUS_ANY,			/* operator ANY (array) */
	PGSEAL_CITUS_ALL,
	PGSEAL_CITUS_DISTINCT,		/* IS DISTINCT FROM, by that operator */
	PGSEAL_CITUS_NULLIF,
	PGSEAL_CITUS_ELEMENTS		/* a function of each element of an array */
} PgsealCitusKind;

#define PGSEAL_CITUS_NUM_KINDS	(PGSEAL_CITUS_ELEMENTS + 1)

/* Before the arguments of pgseal_citus_call(): the result's type, what is called */
#define PGSEAL_CITUS_LEADING_ARGS	2

extern const char *const pgseal_citus_kind_names[PGSEAL_CITUS_NUM_KINDS];

static inline bool
pgseal_citus_is_of_function(PgsealCitusKind kind)
{
	return kind == PGSEAL_CITUS_CALL || kind == PGSEAL_CITUS_ELEMENTS;
}

/* pgseal_citus_call(); InvalidOid where the extension isn't installed */
extern Oid	pgseal_citus_call_function(void);

/* The name of a function, or operator, that is to be hidden if it is ours; NULL of others */
extern char *pgseal_citus_function(Oid oid);
extern char *pgseal_citus_operator(Oid oid);

/* Does it belong to the extension?  (pg_catalog is no proof: others may have put it there.) */
extern bool pgseal_citus_is_ours(PgsealCitusKind kind, Oid object);

/* The one of ours that has this name; InvalidOid where there is none */
extern Oid	pgseal_citus_find(PgsealCitusKind kind, const char *name);

#endif							/* PGSEAL_CITUS_NAMES_H */
