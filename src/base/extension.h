/*-------------------------------------------------------------------------
 *
 * extension.h
 *	  Where the extension's objects are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_EXTENSION_H
#define PGSEAL_EXTENSION_H

#include "postgres.h"

/* Schemas, besides pg_catalog: what people call and look at, and all else */
#define PGSEAL_SCHEMA			"pgseal"
#define PGSEAL_INTERNAL_SCHEMA	"pgseal_internal"

extern void pgseal_extension_init(void);

/* InvalidOid where the extension isn't installed */
extern Oid	pgseal_extension_oid(void);
extern Oid	pgseal_schema(void);
extern Oid	pgseal_internal_schema(void);

/*
 * A function in schema pgseal_internal with exactly these arguments, whatever
 * the user's search path and privileges; InvalidOid where there is none.
 */
extern Oid	pgseal_internal_function(const char *name, int num_args, const Oid *arg_types);

#endif							/* PGSEAL_EXTENSION_H */
