/*-------------------------------------------------------------------------
 *
 * signing.h
 *	  How the rows of one table are signed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNING_H
#define PGSEAL_SIGNING_H

#include "utils/relcache.h"

#include "signed/definition.h"
#include "signed/row_signature.h"
#include "signed/signed_triggers.h"

/*
 * The trigger's arguments: table label, key, who signs, number of the definition;
 * then of each column label, type label, name.  Where the label is empty, the former
 * definition begins: its table label, its number, and then its columns.
 */
#define PGSEAL_SIGN_ARGUMENTS_OF_TABLE	4
#define PGSEAL_SIGN_ARGUMENTS_OF_COLUMN	3

typedef struct PgsealSigning
{
	Oid			relid;
	char	   *key;
	int32		key_hash;
	bool		writers;		/* who may write, signs; else USAGE is needed,
								 * too */
	PgsealDefinition *newest;	/* by which rows are signed */
	PgsealDefinition *former;	/* by which they may still be; NULL: none */
	AttrNumber	signature;		/* the column that has the signature */
	int64		ledger;			/* or PGSEAL_NO_LEDGER */
	MemoryContext context;		/* in which all of it is */
	List	   *needed;			/* to verify, and for the message: verify.c */
} PgsealSigning;

/* What is wrong with a row's signature */
typedef enum PgsealSignatureStatus
{
	PGSEAL_SIGNATURE_GOOD,
	PGSEAL_SIGNATURE_MISSING,
	PGSEAL_SIGNATURE_OLD,		/* by a definition that doesn't stand */
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

/* 54000 after the last one */
extern uint8 pgseal_signing_next_definition(const PgsealSigning *signing);

/* The arguments of the trigger, of type char * */
extern List *pgseal_signing_arguments(const PgsealSigning *signing);

/* Which of the two is this by?  NULL: neither. */
extern const PgsealDefinition *pgseal_signing_definition_of(const PgsealSigning *signing,
															const PgsealSignature *signature);

/* body: of the definition that it is by; any if that doesn't stand */
extern PgsealSignatureStatus pgseal_signing_verify(const PgsealSigning *signing,
												   const PgsealSignature *signature,
												   const StringInfo body);

/*
 * Signs under the newest version of the key, by the newest definition, of which body
 * is.  Who may is for the caller to check.
 */
extern void pgseal_signing_sign(const PgsealSigning *signing, PgsealSignature *out_signature,
								int64 counter, const StringInfo body);

/* 42501 unless the current user may sign rows of this table */
extern void pgseal_signing_check_signer(const PgsealSigning *signing);

/* What pgseal_signing_verify() says of a row, given by attribute; body: working space */
extern PgsealSignatureStatus pgseal_signing_verify_row(const PgsealSigning *signing,
													   const Datum *row_values,
													   const bool *row_nulls, StringInfo body);

/* The row's signature; NULL: none */
extern PgsealSignature *pgseal_signing_signature(const PgsealSigning *signing,
												 const Datum *row_values, const bool *row_nulls);

#endif							/* PGSEAL_SIGNING_H */
