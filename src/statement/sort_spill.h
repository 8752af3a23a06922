/*-------------------------------------------------------------------------
 *
 * sort_spill.h
 *	  Keeps sorts by encrypted columns off the disk, if that is asked for.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SORT_SPILL_H
#define PGSEAL_SORT_SPILL_H

extern void pgseal_sort_spill_init(void);

#endif							/* PGSEAL_SORT_SPILL_H */
