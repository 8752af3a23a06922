/*-------------------------------------------------------------------------
 *
 * key_tag.h
 *	  Which key version of which database: what shared memory knows it by.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_KEY_TAG_H
#define PGSEAL_KEY_TAG_H

#include "common/hashfn.h"

typedef struct PgsealKeyTag
{
	Oid			database;
	int64		key_version_id;
} PgsealKeyTag;

static inline uint32
pgseal_key_tag_hash(Oid database, int64 key_version_id)
{
	return hash_combine(hash_bytes((unsigned char *) &key_version_id, sizeof(key_version_id)),
						hash_bytes_uint32(database));
}

static inline bool
pgseal_key_tag_is(const PgsealKeyTag *tag, Oid database, int64 key_version_id)
{
	return tag->key_version_id == key_version_id && tag->database == database;
}

/* Adds to a small set of databases, unless it is full */
static inline void
pgseal_add_database(Oid *databases, int *num_databases, int max, Oid database)
{
	for (int i = 0; i < *num_databases; i++)
	{
		if (databases[i] == database)
			return;
	}
	if (*num_databases < max)
		databases[(*num_databases)++] = database;
}

#endif							/* PGSEAL_KEY_TAG_H */
