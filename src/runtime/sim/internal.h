/* The simulator's own: what world.c (events), loop.c (nodes, shards), net.c, disk.c (what a device keeps) and fs.c
 * (the calls on it) share. */
#ifndef RUNTIME_SIM_INTERNAL_H
#define RUNTIME_SIM_INTERNAL_H

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "runtime/sim/sim.h"

/* ---- world.c ---- */

enum event_kind { EVENT_MESSAGE, EVENT_TIMER, EVENT_TURN, EVENT_WORK, EVENT_WORK_DONE, EVENT_IO, EVENT_SOCK, EVENT_START, EVENT_SIGNAL };

/* Embedded in what it concerns. Dropped when its node goes: then run() is never called and drop() frees. */
struct event {
    struct heap_node node;
    enum event_kind kind;
    struct runtime *owner;
    struct list of_owner; /* owner->events; zeroed: not scheduled yet */
    void (*run)(struct event *event);
    void (*drop)(struct event *event); /* NULL: nothing to free */
};

struct sim {
    uint64_t now_ns;
    uint64_t random[4];
    uint64_t hash, event_count;
    int64_t wall_start_ms;
    struct heap events;
    struct list nodes;
    struct sim_network network;
    int node_count;
    struct shard *shard;   /* whose event runs; NULL: none */
    bool may_block;        /* false: an event of a loop runs, and blocking file calls are our mistake */
};

/* The event is run at or a little after `delay_ns` from now; the seed orders what would come at the same time. */
void event_schedule(struct sim *sim, struct event *event, uint64_t delay_ns);
void event_schedule_at(struct sim *sim, struct event *event, uint64_t at_ns);
void event_cancel(struct sim *sim, struct event *event);
static inline bool event_is_scheduled(const struct event *event) {
    return heap_contains(&event->node);
}
uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high);
void sim_fill_random(struct sim *sim, void *bytes, size_t size);

/* ---- loop.c ---- */

struct shard {
    struct runtime *runtime;
    int index;
    void *user;
    struct heap timers;
    struct event timer_event, turn_event, start_event;
    struct list turn_hooks;
    uint64_t *last_from; /* of each sender in this node: when its newest message arrives */
};

struct runtime {
    struct sim *sim;
    struct list node; /* sim->nodes */
    int id;
    const char *address;
    struct fs *fs;
    bool owns_world;  /* made by runtime_create() */
    int shard_count;
    struct shard *shards;
    struct list events;
    struct list works;   /* struct job, in the order given */
    struct list ios;     /* struct io_job: on their way to the device */
    struct list socks, listeners;
    int next_shard;      /* of accepted connections */
    int64_t clock_ms;    /* ahead of the world's */
    bool stopped;
    void (*start)(struct shard *shard, void *arg);
    void (*on_signal)(struct shard *shard, void *arg);
    void *arg;
    struct event signal_event;
};

/* Around what runs on a shard's loop. */
void shard_enter(struct shard *shard);
void shard_leave(struct shard *shard);

/* ---- net.c ---- */
void net_forget_node(struct runtime *node); /* its sockets and listeners go; peers learn of a reset */

/* ---- disk.c ---- */

enum { PAGE = 4096, SECTOR = 512 };

struct page { /* shared by what is seen and what is stable until one of them is written */
    int refs;
    uint8_t bytes[PAGE];
};

struct image { /* bytes of a file; NULL page: zeros */
    struct page **pages;
    int64_t capacity; /* of pages */
    int64_t size;
};

struct inode {
    int refs;           /* names, stable names, open files */
    bool is_dir, locked;
    int64_t mtime_ms;
    struct image seen, stable;
    int64_t dirty_from, dirty_to; /* pages in which they may differ */
    int64_t reserved;             /* bytes of blocks held beyond what is written */
    int64_t held;                 /* bytes of blocks it is charged with */
    struct map names, stable_names; /* struct name; of a directory */
};

struct name {
    struct map_node node;
    char *text;
    struct inode *inode;
};

/* A change of names that is not flushed. */
struct pending {
    struct list node;
    struct inode *dir, *to_dir; /* to_dir: where a rename puts it; else NULL */
    char *name, *to;            /* to: rename; else NULL */
    struct inode *inode;        /* what `name` (or `to`) stands for then; NULL: the name goes */
};

struct fs {
    struct sim *sim;
    struct inode *root;
    struct list pending;
    struct list files; /* open ones */
    int64_t capacity, used;
    bool direct, dead;
    uint32_t slowness, cold;
    uint64_t operations, die_at, fail_at;
    enum err fail_err;
    bool failure_met;
    uint64_t cost_ns; /* of the operations since it was last taken */
};

struct file {
    int refs;
    struct list node; /* fs->files */
    struct fs *fs;
    struct inode *inode;
    bool direct, dsync, readable, writable, lock;
};

/* Counts an operation and says whether it may happen. *ret_torn: it ends the process half-way. */
enum err disk_begin(struct fs *fs, uint64_t cost_ns, bool *ret_torn) MUST_USE;
uint64_t disk_cost(struct fs *fs, size_t size, bool flush);

struct inode *inode_create(struct fs *fs, bool is_dir);
struct inode *inode_ref(struct inode *inode);
void inode_unref(struct fs *fs, struct inode *inode);
void inode_read(const struct inode *inode, void *ptr, size_t size, int64_t pos);
/* NO_SPACE leaves everything as it was. */
enum err inode_write(struct fs *fs, struct inode *inode, const void *ptr, size_t size, int64_t pos) MUST_USE;
enum err inode_reserve(struct fs *fs, struct inode *inode, int64_t to) MUST_USE;
void inode_truncate(struct fs *fs, struct inode *inode, int64_t size);
void inode_flush(struct inode *inode);
void inode_flush_range(struct inode *inode, int64_t pos, int64_t size); /* and the file's size */

struct name *name_find(struct inode *dir, const char *text, size_t size);
void name_set(struct fs *fs, struct map *names, const char *text, struct inode *inode); /* NULL: it goes */
void pending_add(struct fs *fs, struct inode *dir, const char *name, struct inode *to_dir, const char *to, struct inode *inode);
void pending_flush(struct fs *fs, struct inode *dir);
void pending_flush_all(struct fs *fs);
/* The locks and open files of a process that is gone. */
void disk_forget_process(struct fs *fs);

/* ---- fs.c ---- */
void file_close(struct file *file);
void io_start(struct shard *shard, struct file_io *io);
/* The node dies: what is on its way to the device arrives, or does not, or in part. */
void io_forget(struct runtime *node);

#endif
