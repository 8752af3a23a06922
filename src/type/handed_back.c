/*-------------------------------------------------------------------------
 *
 * handed_back.c
 *	  Sealed values that a function was handed as text, and hands back.
 *
 * PL/Perl, PL/Python and PL/Tcl take values in their text form, which of an encrypted
 * type is the sealed one, and a trigger that changes a column hands back the whole row.
 * What looks sealed is believed nowhere in a statement (sealed_input.c); but what
 * was a sealed value when it went into a function is one when it comes out of the same
 * call.  So each call of such a function remembers what it was handed: the header and
 * the tag of each value.  Text of a user that looks sealed is believed there
 * no more than elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/compat.h"
#include "type/handed_back.h"
#include "value/envelope.h"

/* More than rows have columns; a function that prints without end is remembered no more */
#define MOST_VALUES				100000

typedef struct HandedKey
{
	uint8		bytes[PGSEAL_ENVELOPE_OVERHEAD];
} HandedKey;

PgsealHanded *pgseal_handed = NULL;

/* False for bytes that are no sealed value */
static bool
key_of(const struct varlena *sealed, HandedKey *out_key)
{
	const uint8 *bytes = (const uint8 *) VARDATA_ANY(sealed);
	size_t		len = VARSIZE_ANY_EXHDR(sealed);

	if (len < PGSEAL_ENVELOPE_OVERHEAD)
		return false;
	memcpy(out_key->bytes, bytes, PGSEAL_ENVELOPE_HEADER_BYTES);
	memcpy(out_key->bytes + PGSEAL_ENVELOPE_HEADER_BYTES, bytes + len - PGSEAL_TAG_BYTES,
		   PGSEAL_TAG_BYTES);
	return true;
}

void
pgseal_handed_note(const struct varlena *sealed)
{
	HandedKey	key;

	if (pgseal_handed == NULL || !key_of(sealed, &key))
		return;
	if (pgseal_handed->values == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(HandedKey), .entrysize = sizeof(HandedKey),
		.hcxt = pgseal_handed->context};

		pgseal_handed->values = hash_create("pgseal handed values", 16, &control,
											HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (hash_get_num_entries(pgseal_handed->values) < MOST_VALUES)
		(void) hash_search(pgseal_handed->values, &key, HASH_ENTER, NULL);
}

bool
pgseal_handed_is(const struct varlena *sealed)
{
	HandedKey	key;

	return pgseal_handed != NULL && pgseal_handed->values != NULL && key_of(sealed, &key) &&
		hash_search(pgseal_handed->values, &key, HASH_FIND, NULL) != NULL;
}

void
pgseal_handed_forget(PgsealHanded *handed)
{
	if (handed->values != NULL)
		hash_destroy(handed->values);
	handed->values = NULL;
}
