/*-------------------------------------------------------------------------
 *
 * sealed_input.h
 *	  Whether the sealed form of a value is taken for what it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SEALED_INPUT_H
#define PGSEAL_SEALED_INPUT_H

#include "postgres.h"

#include "fmgr.h"
#include "replication/logicalworker.h"

#include "value/basetype.h"

/* What is known of an input function's caller, before error_context_stack is touched */
typedef struct PgsealInputSource
{
	bool		taken;			/* the sealed form is believed, */
	bool		restores;		/* also under a key version that isn't known
								 * yet */
	bool		replicated;		/* it comes from a publisher's column */
} PgsealInputSource;

extern PgsealInputSource pgseal_sealed_input_source(const FmgrInfo *input_function);

/* Called for each value that a subscription's worker reads, before it is; or NULL */
extern void (*pgseal_replicated_input) (void);

/* What an input function does first */
static inline void
pgseal_sealed_input_begin(void)
{
	if (IsLogicalWorker() && pgseal_replicated_input != NULL)
		pgseal_replicated_input();
}

/*
 * Checks a well-formed sealed value.  Errors: 42501 the sealed form isn't taken
 * here; 42704 its key version isn't known, and this is no restore; XX001 not
 * authentic.  False instead of an error if escontext, which may be NULL, takes it.
 */
extern bool pgseal_sealed_input_check(PgsealInputSource source, const PgsealType *type,
									  struct varlena *sealed, Node *escontext);

/*
 * Between these two, a statement that defines something is run, whose literals
 * are taken.  After an error, the end of the (sub)transaction is not enough: the
 * caller catches it.
 */
typedef struct PgsealDefinition
{
	bool		running;
	ErrorContextCallback *context;	/* which the statement was started under */
} PgsealDefinition;

extern PgsealDefinition pgseal_sealed_input_define(bool defines);
extern void pgseal_sealed_input_defined(PgsealDefinition previous);

#endif							/* PGSEAL_SEALED_INPUT_H */
