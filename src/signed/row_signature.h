/*-------------------------------------------------------------------------
 *
 * row_signature.h
 *	  The type row_signature: who has signed a row, and the signature.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_ROW_SIGNATURE_H
#define PGSEAL_ROW_SIGNATURE_H

#include "postgres.h"
#include "fmgr.h"

#define PGSEAL_SIGNATURE_FORMAT		1
#define PGSEAL_SIGNATURE_MAC_BYTES	16

/* As it is stored: bytes, so without padding; numbers are big endian */
typedef struct PgsealSignature
{
	uint8		format;
	uint8		key_version_id[8];
	uint8		definition;
	uint8		counter[8];		/* of changes of the row */
	uint8		mac[PGSEAL_SIGNATURE_MAC_BYTES];
} PgsealSignature;

#define DatumGetSignature(datum)	((PgsealSignature *) DatumGetPointer(datum))

extern int64 pgseal_signature_key_version(const PgsealSignature *signature);
extern int64 pgseal_signature_counter(const PgsealSignature *signature);

/* The type's OID; InvalidOid where the extension isn't installed */
extern Oid	pgseal_signature_type(void);

#endif							/* PGSEAL_ROW_SIGNATURE_H */
