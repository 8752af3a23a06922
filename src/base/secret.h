/*-------------------------------------------------------------------------
 *
 * secret.h
 *	  Sizes of secrets, and how they are wiped.
 *
 * Included by everything, includes nothing of pgseal.
 *
 * A buffer that has held key material is wiped by whoever owns it, on every
 * path that leaves the function, errors included.  explicit_bzero() is used
 * because the compiler may not remove it (glibc manual, "Erasing Sensitive
 * Data").
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SECRET_H
#define PGSEAL_SECRET_H

#include <string.h>

/* Bytes of a data key, an index key, and of what a KMS wraps for us */
#define PGSEAL_KEY_BYTES	32

#define pgseal_wipe(ptr, len)	explicit_bzero((ptr), (len))

#endif							/* PGSEAL_SECRET_H */
