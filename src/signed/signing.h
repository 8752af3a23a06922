/*-------------------------------------------------------------------------
 *
 * signing.h
 *	  How the rows of one table are signed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNING_H
#define PGSEAL_SIGNING_H

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
#include "utils/relcache.h"

#include "signed/canonical.h"
#include "signed/row_signature.h"
#include "signed/signed_triggers.h"

/* Of its arguments, so many are about the table, then so many about each column */
#define PGSEAL_SIGN_ARGUMENTS_OF_TABLE	4
#define PGSEAL_SIGN_ARGUMENTS_OF_COLUMN	3
#define PGSEAL_SIGN_ARGUMENT_DEFINITION	3	/* the last about the table */

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
} PgsealSignedColumn;

typedef struct PgsealSigning
{
	Oid			relid;
	char	   *table_label;	/* schema.table when it began to be signed */
	char	   *key;
	int32		key_hash;
	bool		writers;		/* who may write, signs; else USAGE is needed,
								 * too */
	uint8		definition;		/* counts changes of what is signed */
	AttrNumber	signature;		/* the column that has the signature */
	int64		ledger;			/* or PGSEAL_NO_LEDGER */
	MemoryContext context;		/* in which all of it is */
	List	   *needed;			/* to verify, and for the message: verify.c */
	int			num_columns;
	PgsealSignedColumn columns[PGSEAL_SIGNED_COLUMNS_MAX];

	/* What is the same in every row: label, table; then of each column */
	StringInfoData prefix;
	StringInfoData column_prefix[PGSEAL_SIGNED_COLUMNS_MAX];
} PgsealSigning;

/* What is wrong with a row's signature */
typedef enum PgsealSignatureStatus
{
	PGSEAL_SIGNATURE_GOOD,
	PGSEAL_SIGNATURE_MISSING,
	PGSEAL_SIGNATURE_OLD,		/* made when other columns were signed */
	PGSEAL_SIGNATURE_FORGED		/* not of this row as it is, under this key */
} PgsealSignatureStatus;

/*
 * What the trigger's arguments say, for the relation that has it.  Errors: 42P17
 * when they don't fit the relation.
 */
extern PgsealSigning *pgseal_signing_read(Relation rel, const Trigger *trigger);

/*
 * The same for an open relation, as long as the transaction goes on; NULL when its
 * rows aren't signed.  Kept from one statement to the next.
 */
extern PgsealSigning *pgseal_signing_of_relation(Relation rel);

extern void pgseal_signing_init(void);

/* That of another definition: they come round after 255 */
extern int	pgseal_signing_next_definition(const PgsealSigning *signing);

/* The arguments of the trigger, of type char * */
extern List *pgseal_signing_arguments(const PgsealSigning *signing);

/*
 * Values are given as arrays in the order of the columns of the definition.
 * pgseal_signing_body() appends what a signature covers of them.
 */
extern void pgseal_signing_body(StringInfo out, const PgsealSigning *signing,
								const Datum *values, const bool *nulls);
extern PgsealSignatureStatus pgseal_signing_verify(const PgsealSigning *signing,
												   const PgsealSignature *signature,
												   const StringInfo body);

/* Signs under the newest version of the key.  Who may is for the caller to check. */
extern void pgseal_signing_sign(const PgsealSigning *signing, PgsealSignature *out_signature,
								int64 counter, const StringInfo body);

/* 42501 unless the current user may sign rows of this table */
extern void pgseal_signing_check_signer(const PgsealSigning *signing);

/* The values of a row, given by attribute, in the order of the definition's columns */
extern void pgseal_signing_pick(const PgsealSigning *signing, const Datum *row_values,
								const bool *row_nulls, Datum *out_values, bool *out_nulls);

/* What pgseal_signing_verify() says of a row, given by attribute */
extern PgsealSignatureStatus pgseal_signing_verify_row(const PgsealSigning *signing,
													   const Datum *row_values,
													   const bool *row_nulls);

#endif							/* PGSEAL_SIGNING_H */
