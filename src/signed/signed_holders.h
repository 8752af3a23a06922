/*-------------------------------------------------------------------------
 *
 * signed_holders.h
 *	  Which tables need a key: for their values, or for their signatures.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNED_HOLDERS_H
#define PGSEAL_SIGNED_HOLDERS_H

#include "value/find_sealed.h"

/* What pgseal_shape_holders() gives, and the tables whose rows are signed */
extern List *pgseal_signed_holders(void);

#endif							/* PGSEAL_SIGNED_HOLDERS_H */
