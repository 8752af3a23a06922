/*-------------------------------------------------------------------------
 *
 * json.h
 *	  Reads the small JSON documents that key management services answer.
 *
 * Never reports an error: a document is good, or NULL comes back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_JSON_H
#define PGSEAL_JSON_H

#include "postgres.h"

/*
 * Bytes of a document, levels of nesting, values in it.  The largest reply is
 * Vault's description of a key: about 20 bytes for every version it ever had.
 */
#define PGSEAL_JSON_MAX_BYTES	(64 * 1024)
#define PGSEAL_JSON_MAX_DEPTH	16
#define PGSEAL_JSON_MAX_VALUES	8192

typedef struct PgsealJson PgsealJson;

/*
 * Parses text, which is changed: whatever isn't ASCII becomes '?', because the
 * services' identifiers are ASCII and the rest is only shown, in whatever
 * encoding the database has.  NULL when it is not JSON or exceeds a limit.
 * The values are secret memory of CurrentMemoryContext.
 */
extern PgsealJson *pgseal_json_parse(char *text, size_t len);

/*
 * The value at a path such as "data.keys.1" (members by name, elements by
 * number from 0), if it is a string; else NULL.  Lives as long as the document.
 */
extern const char *pgseal_json_string(const PgsealJson *json, const char *path);

/* The same for a number, which some services write as a string */
extern bool pgseal_json_int64(const PgsealJson *json, const char *path, int64 *out_value);

/* True only if there is a value at the path and it is the literal true */
extern bool pgseal_json_true(const PgsealJson *json, const char *path);

#endif							/* PGSEAL_JSON_H */
