/*-------------------------------------------------------------------------
 *
 * canonical.h
 *	  The bytes of a value that a row's signature covers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CANONICAL_H
#define PGSEAL_CANONICAL_H

#include "postgres.h"
#include "lib/stringinfo.h"

/* How the values of one type become bytes */
typedef struct PgsealCanonical PgsealCanonical;

/*
 * 0A000 for a type whose values can't be told apart from their place: reg* and
 * those that have no binary form.  column is for the message.
 */
extern PgsealCanonical *pgseal_canonical_of_type(Oid type, int32 typmod, const char *column);

/* Appends a value: N, or E and the sealed bytes, or P and those of a plain value */
extern void pgseal_canonical_append(StringInfo out, PgsealCanonical *type, Datum value, bool isnull);

/* Appends a name: a length of 4 bytes, big endian, and its characters in UTF-8 */
extern void pgseal_canonical_append_name(StringInfo out, const char *name);

/* Do these bytes change when something of this type is renamed, added or dropped? */
extern bool pgseal_canonical_uses(const PgsealCanonical *canonical, Oid type);

#endif							/* PGSEAL_CANONICAL_H */
