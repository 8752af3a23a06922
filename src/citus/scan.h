/*-------------------------------------------------------------------------
 *
 * scan.h
 *	  When it is Citus that reads sealed values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_SCAN_H
#define PGSEAL_CITUS_SCAN_H

#include "postgres.h"

extern void pgseal_citus_scan_init(void);

#endif							/* PGSEAL_CITUS_SCAN_H */
