/* Replaying a coordinator's partition, a piece a turn. */
#ifndef COORDINATOR_LOAD_H
#define COORDINATOR_LOAD_H

#include "coordinator/coordinator.h"

/* Replays all there is into coordinator->state, then calls coordinator_load_done(). */
void load_start(struct coordinator *coordinator);
/* The partition moved on: what was waited for may be there. */
void load_woken(struct coordinator *coordinator);
/* Nothing of it comes back. */
void load_stop(struct coordinator *coordinator);

/* coordinator.c */
void coordinator_load_done(struct coordinator *coordinator, enum err err);

#endif
