/*-------------------------------------------------------------------------
 *
 * random.h
 *	  Random bytes, or an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RANDOM_H
#define PGSEAL_RANDOM_H

#include "base/crypto.h"

/* Where there is nothing to do but to report a failure of the generator: 38000 */
extern void pgseal_random_bytes(void *out, size_t len);

#endif							/* PGSEAL_RANDOM_H */
