/*-------------------------------------------------------------------------
 *
 * token_constants.h
 *	  Tokens that somebody has written into a stored expression.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_TOKEN_CONSTANTS_H
#define PGSEAL_TOKEN_CONSTANTS_H

#include "postgres.h"

/*
 * Error 55000, with the objects' names, where a view, a rule, a policy, a domain, a
 * check, an index, a trigger, a default or the body of a function compares tokens of
 * this key with a constant.
 */
extern void pgseal_refuse_token_constants(const char *name, int32 key_hash);

#endif							/* PGSEAL_TOKEN_CONSTANTS_H */
