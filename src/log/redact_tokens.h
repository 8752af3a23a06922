/*-------------------------------------------------------------------------
 *
 * redact_tokens.h
 *	  Keeping tokens out of PostgreSQL's messages about constraints.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REDACT_TOKENS_H
#define PGSEAL_REDACT_TOKENS_H

#include "postgres.h"

/* The same for what is reported outside any statement, from the hook of the log */
extern void pgseal_redact_tokens_late(ErrorData *error);

extern void pgseal_redact_tokens_init(void);

#endif							/* PGSEAL_REDACT_TOKENS_H */
