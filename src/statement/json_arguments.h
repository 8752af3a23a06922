/*-------------------------------------------------------------------------
 *
 * json_arguments.h
 *	  What SQL/JSON takes as JSON in text form, and values for a path.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_JSON_ARGUMENTS_H
#define PGSEAL_JSON_ARGUMENTS_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "nodes/nodes.h"

/*
 * What was given to an analyzed node of SQL/JSON, NULL where it is of no interest; NIL for
 * all other nodes.
 */
extern List *pgseal_json_given(Node *analyzed, int *out_location);

/* Where the same stands in the parsed node (Node **) that it was made of */
extern List *pgseal_json_places(Node *parsed, int *out_location);

/* A cast of encrypted text to json that is written as one */
extern bool pgseal_json_is_cast(Node *analyzed);

#endif							/* PGSEAL_JSON_ARGUMENTS_H */
