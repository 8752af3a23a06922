/*-------------------------------------------------------------------------
 *
 * hidden_parameters.h
 *	  Values of parameters stay out of plans and of the log.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_HIDDEN_PARAMETERS_H
#define PGSEAL_HIDDEN_PARAMETERS_H

/*
 * Has this backend analyzed a statement with this text that deals with encrypted
 * values?  NULL: no.
 */
extern bool pgseal_hides_parameters(const char *statement);

extern void pgseal_hidden_parameters_init(void);

#endif							/* PGSEAL_HIDDEN_PARAMETERS_H */
