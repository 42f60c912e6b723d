/* The simulated world behind runtime.h, for those who drive it (tests/sim, tests/unit's *_sim_test.c).
 *
 * One thread, one queue of events ordered by virtual time, and one seed from which every delay, every torn sector and
 * every key comes: the same seed gives the same run. A node is a struct runtime of its own with an address and,
 * if it has files, a disk. A disk outlives the node that uses it: the node can be killed (what it wrote stays in the
 * page cache) or lose power (what was not flushed stays, goes or is torn), and another one started on the disk.
 *
 * Clients are nodes without a disk. Whoever drives calls sim_step() until it has seen enough. Nothing here is
 * called from inside an event of a node, but for what says so. */
#ifndef RUNTIME_SIM_SIM_H
#define RUNTIME_SIM_SIM_H

#include "runtime/runtime.h"

struct sim;

struct sim *sim_create(uint64_t seed);
void sim_destroy(struct sim *sim); /* nodes and disks must be gone */
/* Runs the next event. False: there is none. */
bool sim_step(struct sim *sim);
uint64_t sim_now_ns(const struct sim *sim);
int64_t sim_wall_ms(const struct sim *sim);
/* The time and identity of every event so far, and all that was noted, in one number. */
uint64_t sim_hash(const struct sim *sim);
uint64_t sim_event_count(const struct sim *sim);
/* Adds to the hash; from inside events too. */
void sim_note(struct sim *sim, uint64_t what);
uint64_t sim_random(struct sim *sim);
uint64_t sim_below(struct sim *sim, uint64_t limit); /* 0..limit-1; limit > 0 */
bool sim_chance(struct sim *sim, uint32_t one_in);   /* true once in so many times; 0: never */

/* ---- nodes --------------------------------------------------------------------------------------------------- */

/* `address` is what others connect to, static storage. disk may be NULL. */
struct runtime *sim_node_create(struct sim *sim, struct fs *disk, const char *address, int shard_count);
/* As runtime_run(), but returns at once: the shards start with the next events. */
void sim_node_start(struct runtime *node, void (*start)(struct shard *shard, void *arg),
                    void (*on_signal)(struct shard *shard, void *arg), void *arg);
void sim_node_signal(struct runtime *node); /* SIGTERM */
bool sim_node_has_stopped(const struct runtime *node); /* runtime_stop() was called: now runtime_destroy() */
/* kill -9: nothing of it runs again, its connections are reset, its locks fall, operations under way end or not. What
 * it allocated is lost to us. */
void sim_node_kill(struct runtime *node);
void sim_node_set_clock(struct runtime *node, int64_t offset_ms); /* of the wall clock */
/* All connections of the node are reset. */
void sim_node_reset_connections(struct runtime *node, uint32_t one_in);

struct sim_network { /* delays of one message; a fault sets them higher for a time */
    uint64_t delay_min_ns, delay_max_ns;
    size_t window_max; /* bytes under way in one direction */
    size_t chunk_max;  /* bytes that arrive together */
};
struct sim_network *sim_network(struct sim *sim);

/* ---- disks --------------------------------------------------------------------------------------------------- */

struct fs *sim_disk_create(struct sim *sim, int64_t capacity);
void sim_disk_destroy(struct fs *disk);
/* The node is dead (sim_node_kill() first). What is not flushed is kept, lost or torn by the sector; names that are not
 * flushed are kept or lost. */
void sim_disk_lose_power(struct fs *disk);
int64_t sim_disk_used(const struct fs *disk);
void sim_disk_set_capacity(struct fs *disk, int64_t capacity);
void sim_disk_set_direct(struct fs *disk, bool direct);          /* false: neither O_DIRECT nor file_sync_all() */
void sim_disk_set_slowness(struct fs *disk, uint32_t factor);    /* 1: a fast disk */
void sim_disk_set_cold(struct fs *disk, uint32_t one_in);        /* reads that find nothing in the page cache */
/* The operation that many operations from now does not happen, or half of it does, and no later one: the moment in which
 * the process dies in the middle of blocking work. The node must be killed when sim_disk_is_dead(). */
void sim_disk_die_after(struct fs *disk, uint64_t operations);
bool sim_disk_is_dead(const struct fs *disk);
/* The operation that many operations from now fails with err, once; met tells whether it came to that. 0: none. */
void sim_disk_fail_after(struct fs *disk, uint64_t operations, enum err err);
bool sim_disk_failure_was_met(const struct fs *disk);
/* Turns one bit of the file, on the device and in the cache. */
enum err sim_disk_flip_bit(struct fs *disk, const char *path, int64_t pos, int bit) MUST_USE;

#endif
