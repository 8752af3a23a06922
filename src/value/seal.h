/*-------------------------------------------------------------------------
 *
 * seal.h
 *	  Datum to sealed value and back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SEAL_H
#define PGSEAL_SEAL_H

#include "keys/keyring.h"
#include "value/basetype.h"
#include "value/envelope.h"

/* Has this process opened a value in the present transaction? */
extern bool pgseal_value_opened;

/* Seals a value of the base type under the key that typmod stands for. */
extern struct varlena *pgseal_value_seal(const PgsealType *type, Datum value, int32 typmod);

/* The same for characters in the server's encoding, without a text datum. */
extern struct varlena *pgseal_value_seal_chars(const PgsealType *type, const char *chars,
											   size_t len, int32 typmod);

/*
 * Opens a sealed datum.  *out_isnull when the current user may not
 * (pgseal.on_denied = null).  Errors: 42501, 42704, 58000 as keyring.h; XX001
 * not authentic; 0A000 unknown format or another base type.
 */
extern Datum pgseal_value_open(const PgsealType *type, Datum sealed, PgsealAccess access,
							   bool *out_isnull);

/*
 * The sealed value as a column with this type modifier stores it: itself when
 * the key is the column's or isn't known here, resealed otherwise, or when its
 * key version is retired.
 */
extern struct varlena *pgseal_value_reseal(const PgsealType *type, struct varlena *sealed,
										   int32 typmod);

/*
 * 42704 when a value that is to be stored in a column with this type modifier is
 * sealed under a key version that isn't known here: nothing will ever open it.
 */
extern void pgseal_value_check_known(Datum sealed, int32 typmod);

/*
 * The same value sealed by the current version of its key, whatever its type;
 * no privilege is asked for.  NULL when it doesn't open.  58000 as keyring.h.
 */
extern struct varlena *pgseal_value_renew(Datum sealed);

/* Does the value open, its bytes being what was sealed?  58000 as keyring.h */
extern bool pgseal_value_is_sound(const PgsealType *type, Datum sealed);

/* Header of a sealed datum, without fetching all of a toasted one */
extern void pgseal_value_header(PgsealEnvelope *out_envelope, Datum sealed);

/* The same; false instead of an error when the value is malformed */
extern bool pgseal_value_try_header(PgsealEnvelope *out_envelope, Datum sealed);

/*
 * Checks bytes that came from outside; sqlstate is for malformed ones (22P02,
 * 22P03).  An unknown format or another base type is 0A000.  False instead of an
 * error if escontext, which may be NULL, takes it.
 */
extern bool pgseal_value_check(const PgsealType *type, const uint8 *bytes, size_t len,
							   int sqlstate, Node *escontext);

extern void pgseal_value_init(void);

#endif							/* PGSEAL_SEAL_H */
