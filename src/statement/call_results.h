/*-------------------------------------------------------------------------
 *
 * call_results.h
 *	  What a procedure answers to a client's CALL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CALL_RESULTS_H
#define PGSEAL_CALL_RESULTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "tcop/dest.h"

/* Of an analyzed CALL: are there encrypted values among its results? */
extern bool pgseal_call_results_sealed(CallStmt *call);

/* Declares them opened, which is what pgseal_call_results_receiver() will make of them. */
extern void pgseal_call_results_open(CallStmt *call);

/* A receiver that passes on opened results; the client's own where none were declared so */
extern DestReceiver *pgseal_call_results_receiver(CallStmt *call, DestReceiver *client);

#endif							/* PGSEAL_CALL_RESULTS_H */
