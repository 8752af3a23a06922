/*-------------------------------------------------------------------------
 *
 * redefine.h
 *	  Signing rows anew where what is signed has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REDEFINE_H
#define PGSEAL_REDEFINE_H

#include "life/table_work.h"

extern const PgsealTableWork pgseal_redefinition;

#endif							/* PGSEAL_REDEFINE_H */
