/*-------------------------------------------------------------------------
 *
 * basetype.h
 *	  The base types that can be sealed, one row each.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_BASETYPE_H
#define PGSEAL_BASETYPE_H

#include "postgres.h"
#include "fmgr.h"
#include "lib/stringinfo.h"

/* How a value of the base type becomes the bytes that are sealed */
typedef enum PgsealPayload
{
	PGSEAL_PAYLOAD_TEXT,		/* characters, as UTF-8 */
	PGSEAL_PAYLOAD_BYTEA,		/* the bytes */
	PGSEAL_PAYLOAD_FIXED,		/* by-value type: its 1, 2, 4 or 8 bytes, big
								 * endian; the same as its send function's */
	PGSEAL_PAYLOAD_JSON,		/* JSON text, as UTF-8 */
	PGSEAL_PAYLOAD_SEND			/* what the type's send function writes */
} PgsealPayload;

typedef struct PgsealBaseType
{
	uint8		code;			/* in every envelope: never reused, never 0 */
	const char *name;			/* of the encrypted type, after "encrypted_" */
	Oid			oid;			/* of the base type */
	PgsealPayload payload;
	int			width;			/* of a PGSEAL_PAYLOAD_FIXED payload */

	/*
	 * Appends bytes that are the same for two values exactly when the base
	 * type's = says that the values are equal.  NULL: the payload is that.
	 */
	void		(*canonical) (StringInfo out, Datum value, Oid collation);
} PgsealBaseType;

/* A base type together with what this backend knows of it in this database */
typedef struct PgsealType
{
	const PgsealBaseType *base;
	Oid			oid;			/* of the encrypted type */
	bool		byval;			/* of the base type */
	int16		len;
	FmgrInfo	input;			/* of the base type */
	Oid			input_param;
	FmgrInfo	send;
	FmgrInfo	receive;
	FmgrInfo	compare;		/* its btree comparison */
} PgsealType;

/* NULL when the type is none of ours (or the extension isn't installed) */
extern const PgsealType *pgseal_type_by_oid(Oid encrypted_type);
extern const PgsealType *pgseal_type_by_code(uint8 code);
extern const PgsealType *pgseal_type_by_base(Oid base_type);

/*
 * The bytes to seal.  They may lie in the datum itself, in buffer (8 bytes of
 * the caller's) or in palloc'd memory; then *out_allocated tells what to wipe
 * and free.
 */
extern const uint8 *pgseal_type_encode(const PgsealType *type, Datum value,
									   size_t *out_len, uint8 buffer[8],
									   void **out_allocated);

/*
 * Bytes that are the same for two values exactly when the values are equal under
 * the collation.  Where they lie is told as by pgseal_type_encode().
 */
extern const uint8 *pgseal_type_canonical(const PgsealType *type, Datum value, Oid collation,
										  size_t *out_len, uint8 buffer[8],
										  void **out_allocated);

/* The value from opened bytes; they are authentic, so this does not fail. */
extern Datum pgseal_type_decode(const PgsealType *type, const uint8 *payload, size_t len);

extern void pgseal_basetype_init(void);

#endif							/* PGSEAL_BASETYPE_H */
