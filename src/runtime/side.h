/* A thread beside the shards, for a library that has a loop of its own (HTTP). It may block; it owns what it touches, as
 * a shard does, and talks with shards by the same messages: shard_post() one way, side_post() back.
 *
 * Linux only: what runs here is outside the simulation. */
#ifndef RUNTIME_SIDE_H
#define RUNTIME_SIDE_H

#include "runtime/runtime.h"

struct side;

/* run() is the thread; it returns when side_is_stopping(). Signals stay with the shards. Before or while they run. */
struct side *side_start(void (*run)(struct side *side, void *arg), void *arg);
/* Tells the thread to end, and waits until it has. Messages that are still on their way to it are dropped, so the shards
 * must have ended. */
void side_stop(struct side *side);
bool side_is_stopping(const struct side *side);
/* Any thread. message->deliver runs in side_wait(), with no shard (NULL). */
void side_post(struct side *side, struct message *message);
/* On the thread: sleeps until fd can be read (-1: none), a message comes, or timeout_ms (-1: none) is over; delivers. */
void side_wait(struct side *side, int fd, int timeout_ms);
uint64_t side_now_ns(void); /* the shards' monotonic clock */

#endif
