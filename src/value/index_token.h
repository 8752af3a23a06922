/*-------------------------------------------------------------------------
 *
 * index_token.h
 *	  Blind index tokens: deterministic, keyed stand-ins for plaintexts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_INDEX_TOKEN_H
#define PGSEAL_INDEX_TOKEN_H

#include "keys/keyring.h"
#include "value/basetype.h"

/* A token: the number of the index key version, then bits of the MAC */
#define PGSEAL_TOKEN_MAC_BYTES	15
#define PGSEAL_TOKEN_BITS_MAX	(8 * PGSEAL_TOKEN_MAC_BYTES)

/* What a token is computed from, besides the value and the key */
typedef struct PgsealTokenForm
{
	const char *normalizer;		/* "" or names separated by commas */
	int			bits;			/* 1 .. PGSEAL_TOKEN_BITS_MAX */
} PgsealTokenForm;

/*
 * Appends the value's canonical bytes after normalizing.  Errors: 22023 for a
 * normalizer that doesn't exist or doesn't fit the type.
 */
extern void pgseal_index_token_canonical(StringInfo out, const PgsealType *type, Datum value,
										 const char *normalizer, Oid collation);

/* The token, as bytea, under one index key version. */
extern bytea *pgseal_index_token_make(PgsealKey *key, const PgsealType *type,
									  const PgsealTokenForm *form, const StringInfo canonical);

/* Is it a form that tokens have?  The other says why not: 22023. */
extern bool pgseal_index_token_is_form(const PgsealTokenForm *form);
extern void pgseal_index_token_check_form(const PgsealTokenForm *form);

#endif							/* PGSEAL_INDEX_TOKEN_H */
