/*-------------------------------------------------------------------------
 *
 * rules.h
 *	  Rules whose actions return encrypted columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RULES_H
#define PGSEAL_RULES_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* Gives what the actions return the types of the columns that it stands for. */
extern void pgseal_rules_complete(RuleStmt *rule);

#endif							/* PGSEAL_RULES_H */
