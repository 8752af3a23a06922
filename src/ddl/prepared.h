/*-------------------------------------------------------------------------
 *
 * prepared.h
 *	  What COMMIT PREPARED has destroyed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PREPARED_H
#define PGSEAL_PREPARED_H

extern void pgseal_prepared_init(void);

#endif							/* PGSEAL_PREPARED_H */
