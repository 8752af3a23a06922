/*-------------------------------------------------------------------------
 *
 * late_opening.h
 *	  Keeping opened values out of what a sort spills.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_LATE_OPENING_H
#define PGSEAL_LATE_OPENING_H

extern void pgseal_late_opening_init(void);

#endif							/* PGSEAL_LATE_OPENING_H */
