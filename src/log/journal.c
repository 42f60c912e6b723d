/* The journal of a shard and a log directory: a ring in one preallocated file, written in groups.
 *
 * While one group is on its way to the device the next one fills; a lone entry goes out at once. A group begins on a
 * block of its own, so that no block with acknowledged bytes is written again before its group is reclaimed. A group
 * is reclaimed when the segments of all logs in it have what it holds. The format stands in internal.h.
 *
 *     |  free  | group 7 | group 8 | group 9 |   free ...   |      ring; wraps where a group does not fit
 *              oldest                        head */
#include "base/check.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/trace.h"
#include "log/internal.h"

enum {
    GROUP_MAX = 2 << 20,            /* bytes of one group */
    LARGE_ENTRY = 32 << 10,     /* bytes of batches from which they are written where they lie in the tail */
    PIECES_MAX = 256,               /* of one group's write */
    RING_DEFAULT = 128 << 20,
    RING_READY_FIRST = 2 << 20,     /* zeroed before the first group; more is zeroed when a quarter is in use */
    ZERO_STEP = 4 << 20,
    GROW_RETRY_S = 10,              /* after the disk had no room for more of it */
};

struct group_log { /* what a group holds of one log */
    int slot;
    uint32_t generation;
    int64_t end_offset, end_pos; /* of the log after the entry */
    int64_t segment_base;
};

struct group {
    struct list node; /* of journal->groups, oldest first */
    uint64_t number;
    int64_t pos, size; /* in the ring, padded */
    int count, capacity, satisfied; /* logs[0..satisfied) need it no more */
    bool flush; /* it is on the device when it is written */
    struct group_log *logs;
};

/* What a group is written from: its head and copied blocks, both in `memory`, and blocks of tails. */
struct load {
    uint8_t *memory;               /* GROUP_MAX bytes: the head grows from the front, copied blocks from the end */
    size_t size;                   /* of the head */
    size_t copied, blocks_size;    /* bytes of copied blocks; of all blocks behind the head */
    uint32_t entries;
    int piece_count;               /* [0] is the head */
    struct file_piece pieces[PIECES_MAX];
    struct tail_block *blocks[PIECES_MAX]; /* referenced; NULL: the piece is in `memory` */
};

struct journal {
    struct log_store *store;
    int dir;
    char *path;
    struct file *file;
    struct uuid id;
    int64_t ring_size, ring_ready; /* bytes zeroed, from 0: what may be used */
    int64_t zero_to;
    uint64_t grow_after_ns;
    int64_t head;                  /* where the next group goes */
    uint64_t next_number;
    struct list groups;
    struct group *filling, *flying;
    struct load *filling_load, *flying_load;
    struct file_io io;
    uint64_t submitted_ns;
    struct work zero_work;
    enum err zero_err;
    uint64_t asked_at;             /* flush_behind_again() */
    bool zeroing, failed;
    bool keeps; /* a log is gone whose bytes its segments lack: nothing is reclaimed any more */
    void (*idle)(void *arg); /* the store stops */
    void *idle_arg;
};

static int64_t align_up(int64_t x) {
    return (x + FILE_DIRECT_ALIGN - 1) & ~(int64_t)(FILE_DIRECT_ALIGN - 1);
}

/* Zeroing ahead turns later writes into plain overwrites: an extent that was only reserved would cost the file
 * system's own journal a commit on each flushed write. */
static enum err zero_range(struct journal *journal, int64_t from, int64_t to) {
    int64_t step = to - from < ZERO_STEP ? to - from : ZERO_STEP;
    uint8_t *zeros = mem_alloc_aligned(FILE_DIRECT_ALIGN, (size_t)step);
    memset(zeros, 0, (size_t)step);
    enum err err = ERR_OK;
    for (int64_t pos = from; pos < to && !err; pos += step)
        err = file_pwrite(journal->file, zeros, (size_t)(to - pos < step ? to - pos : step), pos);
    mem_free(zeros);
    return err ? err : file_sync(journal->file);
}

static void zero_run(struct work *work) {
    struct journal *journal = container_of(work, struct journal, zero_work);
    journal->zero_err = zero_range(journal, journal->ring_ready, journal->zero_to);
}

static void journal_check_idle(struct journal *journal);
static int64_t ring_used(const struct journal *journal);

/* The ring grows with its use: a node at rest neither waits for 128 MiB of zeros nor wears a device with them. */
static void grow_ring(struct journal *journal) {
    if (journal->zeroing || journal->ring_ready == journal->ring_size || ring_used(journal) * 4 < journal->ring_ready ||
        shard_now_ns(journal->store->shard) < journal->grow_after_ns)
        return;
    int64_t to = journal->ring_ready + ZERO_STEP * 2;
    journal->zero_to = to < journal->ring_size ? to : journal->ring_size;
    journal->zeroing = true;
    shard_offload(journal->store->shard, &journal->zero_work);
}

static void zero_done(struct shard *shard, struct work *work) {
    struct journal *journal = container_of(work, struct journal, zero_work);
    journal->zeroing = false;
    if (journal->zero_err) { /* no room, for a while */
        trace_warn("log", "journal stays small", TRACE_STR("file", journal->path), TRACE_INT("bytes", journal->ring_ready),
                   TRACE_ERR(journal->zero_err));
        journal->grow_after_ns = shard_now_ns(shard) + GROW_RETRY_S * NS_PER_S;
    } else {
        journal->ring_ready = journal->zero_to;
    }
    grow_ring(journal);
    journal_submit(journal);
    journal_check_idle(journal);
}

struct journal *journal_create(struct log_store *store, int dir) {
    struct journal *journal = mem_new(struct journal);
    journal->store = store;
    journal->dir = dir;
    list_init(&journal->groups);
    struct runtime *runtime = shard_runtime(store->shard);
    runtime_secure_random(runtime, &journal->id, sizeof journal->id);
    uint64_t random = shard_random(store->shard);
    journal->path = mem_printf("%s/" JOURNAL_PREFIX "%d-%016llx", log_inventory_dir(store->options.inventory, dir)->path,
                               shard_index(store->shard), (unsigned long long)random);
    journal->ring_size = align_up(store->options.journal_bytes ? store->options.journal_bytes : RING_DEFAULT);
    journal->zero_work = (struct work){.lane = journal, .run = zero_run, .done = zero_done};
    return journal;
}

bool journal_has_room(struct journal *journal) {
    struct log_store *store = journal->store;
    int64_t total, usable;
    return !fs_space(store->fs, log_inventory_dir(store->options.inventory, journal->dir)->path, &total, &usable) &&
           usable >= 2 * journal->ring_size;
}

enum err journal_make_file(struct journal *journal) {
    struct log_store *store = journal->store;
    const char *dir_path = log_inventory_dir(store->options.inventory, journal->dir)->path;
    enum err err = fs_open(store->fs, journal->path, FILE_READ | FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE | FILE_DIRECT,
                           &journal->file);
    if (!err) {
        journal->ring_ready = journal->ring_size < RING_READY_FIRST ? journal->ring_size : RING_READY_FIRST;
        err = zero_range(journal, 0, journal->ring_ready);
    }
    /* Room for all of it now, so that a disk that fills up later does not keep the ring small. */
    if (!err && file_reserve(journal->file, 0, journal->ring_size))
        trace_warn("log", "no room for a whole journal", TRACE_STR("file", journal->path), TRACE_INT("bytes", journal->ring_size));
    if (!err)
        err = fs_sync_dir(store->fs, dir_path);
    if (err && journal->file)
        (void)!fs_unlink(store->fs, journal->path);
    return err;
}

static void group_free(struct group *group) {
    if (group)
        mem_free(group->logs);
    mem_free(group);
}

/* Gives back the tails' blocks. */
static void load_release(struct journal *journal, struct load *load) {
    for (int i = 1; i < load->piece_count; i++)
        if (load->blocks[i])
            tail_block_unref(journal->store, load->blocks[i]);
    load->piece_count = 1;
}

static void load_destroy(struct journal *journal, struct load *load) {
    if (!load)
        return;
    load_release(journal, load);
    mem_free(load->memory);
    mem_free(load);
}

void journal_destroy(struct journal *journal) {
    if (!journal)
        return;
    list_each_safe(node, &journal->groups)
        group_free(container_of(node, struct group, node));
    group_free(journal->filling);
    file_unref(journal->file);
    load_destroy(journal, journal->filling_load);
    load_destroy(journal, journal->flying_load);
    mem_free(journal->path);
    mem_free(journal);
}

enum err journal_remove(struct journal *journal) {
    return fs_unlink(journal->store->fs, journal->path);
}

static void journal_check_idle(struct journal *journal) {
    if (journal->idle && !journal->flying && !journal->zeroing) {
        void (*idle)(void *arg) = journal->idle;
        journal->idle = NULL;
        idle(journal->idle_arg);
    }
}

void journal_stop(struct journal *journal, void (*idle)(void *arg), void *arg) {
    journal->ring_size = journal->ring_ready; /* no more zeroing ahead */
    journal->idle = idle;
    journal->idle_arg = arg;
    journal_check_idle(journal);
}

static void group_start(struct journal *journal) {
    if (!journal->filling_load) {
        journal->filling_load = mem_new(struct load);
        journal->filling_load->memory = mem_alloc_aligned(FILE_DIRECT_ALIGN, GROUP_MAX);
        journal->filling_load->piece_count = 1;
    }
    journal->filling = mem_new(struct group);
    journal->filling->flush = journal->store->options.journal_flush;
    struct load *load = journal->filling_load;
    load->size = JOURNAL_HEADER;
    load->copied = load->blocks_size = 0;
    load->entries = 0;
}

static size_t load_size(const struct load *load) { /* padded */
    return (size_t)align_up((int64_t)load->size) + load->blocks_size;
}

/* flush.messages, where an answer means "written". */
static bool flush_is_due(const struct log *log) {
    int64_t flushed = log->flushed_end > log->written_end ? log->flushed_end : log->written_end;
    return log->end - flushed >= log->settings.flush_messages;
}

static void group_note_log(struct group *group, struct log *log) {
    if (group->count == group->capacity) {
        group->capacity = group->capacity ? group->capacity * 2 : 8;
        group->logs = mem_realloc(group->logs, sizeof *group->logs * (size_t)group->capacity);
    }
    group->logs[group->count++] = (struct group_log){
        .slot = log->slot,
        .generation = log->generation,
        .end_offset = log->end,
        .end_pos = log_last_segment(log)->size,
        .segment_base = log_last_segment(log)->base_offset,
    };
}

/* ---- entries ---------------------------------------------------------------------------------------------------------- */

static uint32_t prefixes_crc(const struct log *log, const struct segment *segment, int64_t pos) {
    uint32_t crc = 0;
    while (pos < segment->size) {
        uint8_t prefix[JOURNAL_PREFIX_SIZE];
        bool there = tail_copy(log, segment, pos, prefix, sizeof prefix);
        check(there, "the tail of %s lacks pending bytes", log->path);
        crc = crc32c(crc, prefix, sizeof prefix);
        pos += (int64_t)batch_size(prefix);
    }
    check(pos == segment->size, "pending bytes of %s end inside a batch", log->path);
    return crc;
}

/* A block that may still change while it is on its way is copied: what lies beyond the entry's bytes is of no use, but
 * devices with checksums or mirrors of their own want it to hold still. */
static void add_copy(struct load *load, const uint8_t *from, size_t size) {
    load->copied += FILE_DIRECT_ALIGN;
    uint8_t *to = load->memory + GROUP_MAX - load->copied;
    memcpy(to, from, size);
    memset(to + size, 0, FILE_DIRECT_ALIGN - size);
    load->blocks[load->piece_count] = NULL;
    load->pieces[load->piece_count++] = (struct file_piece){to, FILE_DIRECT_ALIGN};
}

/* The segment's bytes from pos on, in whole blocks of the tail. */
static void add_blocks(struct load *load, const struct log *log, const struct segment *segment, int64_t pos) {
    while (pos < segment->size) {
        struct tail_block *block = tail_find(log, segment, pos);
        check(block, "the tail of %s lacks pending bytes", log->path);
        size_t at = (size_t)(pos - block->pos) & ~(size_t)(FILE_DIRECT_ALIGN - 1);
        size_t whole = block->size & ~(size_t)(FILE_DIRECT_ALIGN - 1);
        if (at < block->start && at < whole) { /* waits for its front from the file */
            add_copy(load, block->memory + at, FILE_DIRECT_ALIGN);
            at += FILE_DIRECT_ALIGN;
        }
        if (at < whole) {
            block->refs++;
            load->blocks[load->piece_count] = block;
            load->pieces[load->piece_count++] = (struct file_piece){block->memory + at, whole - at};
        }
        if (whole < block->size)
            add_copy(load, block->memory + whole, block->size - whole);
        pos = block->pos + block->size;
    }
}

/* How many pieces add_blocks() needs at most, and bytes. */
static bool has_room_for_blocks(const struct load *load, const struct log *log, const struct segment *segment, int64_t pos, size_t *ret_size) {
    int pieces = 3;
    for (const struct list *node = log->blocks.prev; node != &log->blocks; node = node->prev, pieces++) {
        const struct tail_block *block = container_of(node, struct tail_block, node);
        if (block->segment != segment || block->pos <= pos)
            break;
    }
    *ret_size = (size_t)(align_up(segment->size) - (pos & ~(int64_t)(FILE_DIRECT_ALIGN - 1)));
    return load->piece_count + pieces <= PIECES_MAX;
}

bool journal_add(struct journal *journal, struct log *log) {
    size_t size = (size_t)log_pending_bytes(log);
    struct segment *segment = log_last_segment(log);
    int64_t pos = segment->size - (int64_t)size;
    /* Pending bytes that straddle a roll go straight to the segments; and so do those of which a segment has a part. */
    if (journal->failed || pos < 0 || !tail_holds(log, segment, pos))
        return false;
    if (!journal->filling)
        group_start(journal);
    struct load *load = journal->filling_load;
    bool large = size >= LARGE_ENTRY;
    size_t padded = JOURNAL_ENTRY_HEADER + (large ? 0 : (size + 7) & ~(size_t)7), blocks_size = 0;
    if (large && !has_room_for_blocks(load, log, segment, pos, &blocks_size))
        return false;
    if ((size_t)align_up((int64_t)(load->size + padded)) + load->blocks_size + blocks_size > GROUP_MAX)
        return false;
    uint8_t *p = load->memory + load->size;
    uuid_store(log->topic_id, p);
    store_be32(p + 16, (uint32_t)log->partition);
    store_be32(p + 20, (uint32_t)size);
    store_be64(p + 24, (uint64_t)log->submitted_end);
    if (large) {
        store_be32(p + 32, (uint32_t)(load->blocks_size + (size_t)(pos & (FILE_DIRECT_ALIGN - 1))));
        store_be32(p + 36, prefixes_crc(log, segment, pos));
        add_blocks(load, log, segment, pos);
        load->blocks_size += blocks_size;
    } else {
        store_be32(p + 32, JOURNAL_INLINE);
        store_be32(p + 36, 0);
        bool there = tail_copy(log, segment, pos, p + JOURNAL_ENTRY_HEADER, size);
        check(there, "the tail of %s lacks pending bytes", log->path);
        memset(p + JOURNAL_ENTRY_HEADER + size, 0, padded - JOURNAL_ENTRY_HEADER - size);
    }
    load->size += padded;
    load->entries++;
    group_note_log(journal->filling, log);
    journal->filling->flush |= flush_is_due(log);
    return true;
}

/* ---- the ring --------------------------------------------------------------------------------------------------------- */

/* Where a group of `size` bytes may go: -1 when the ring has no room. */
static int64_t ring_place(struct journal *journal, int64_t size) {
    if (list_is_empty(&journal->groups))
        return size <= journal->ring_ready ? 0 : -1;
    int64_t tail = container_of(journal->groups.next, struct group, node)->pos;
    if (journal->head > tail) {
        if (journal->head + size <= journal->ring_ready)
            return journal->head;
        return size < tail ? 0 : -1;
    }
    return journal->head + size < tail ? journal->head : -1;
}

static int64_t ring_used(const struct journal *journal) {
    if (list_is_empty(&journal->groups))
        return 0;
    int64_t tail = container_of(journal->groups.next, struct group, node)->pos;
    return journal->head > tail ? journal->head - tail : journal->ring_ready - tail + journal->head;
}

static struct log *slot_log(struct log_store *store, const struct group_log *entry) {
    struct log_slot *slot = &store->slots[entry->slot];
    return slot->generation == entry->generation ? slot->log : NULL;
}

static struct segment *entry_segment(struct log *log, int64_t base) {
    struct segment *segment = log->segments[log_find_segment(log, base)];
    return segment->base_offset == base ? segment : NULL;
}

static void journal_written(struct shard *shard, struct file_io *io) {
    struct journal *journal = container_of(io, struct journal, io);
    struct group *group = journal->flying;
    if (!io->err && group->flush && io->op == FILE_IO_WRITE && !io->dsync) { /* with the groups before it */
        *io = (struct file_io){.op = FILE_IO_SYNC, .file = journal->file, .done = journal_written};
        file_io_start(shard, io);
        return;
    }
    journal->flying = NULL;
    load_release(journal, journal->flying_load);
    if (io->err) {
        journal->failed = true;
        flush_failed(journal->store, journal->dir, io->err, journal->path);
        journal_check_idle(journal);
        return;
    }
    struct log_metrics *metrics = &journal->store->metrics;
    metrics->journal_groups++;
    metrics->journal_bytes += (uint64_t)group->size;
    metrics->journal_entries += (uint64_t)group->count;
    histogram_add(&metrics->group_bytes, (uint64_t)group->size);
    if (group->flush) {
        metrics->flushes++;
        histogram_add(&metrics->flush_us, (shard_now_ns(shard) - journal->submitted_ns) / 1000);
    }
    for (int i = 0; i < group->count; i++) {
        struct log *log = slot_log(journal->store, &group->logs[i]);
        if (log && group->flush)
            log->flushed_end = group->logs[i].end_offset;
        if (log)
            flush_journal_done(log, group->logs[i].end_offset, entry_segment(log, group->logs[i].segment_base),
                               group->logs[i].end_pos);
    }
    flush_relieve(journal->store);
    journal_reclaim(journal);
    journal_submit(journal);
    shard_at_turn_end(journal->store->shard, &journal->store->flush_hook); /* what found no room in the last group */
    journal_check_idle(journal);
}

void journal_submit(struct journal *journal) {
    struct group *group = journal->filling;
    if (!group || journal->flying || journal->failed)
        return;
    grow_ring(journal);
    struct load *load = journal->filling_load;
    int64_t size = (int64_t)load_size(load), head = align_up((int64_t)load->size);
    int64_t pos = ring_place(journal, size);
    if (pos < 0) {
        journal_reclaim(journal);
        pos = ring_place(journal, size);
        if (pos < 0) {
            journal_unstick(journal);
            return; /* the writes behind that reclaim has started will come back here */
        }
    }
    group->pos = pos;
    group->size = size;
    group->number = ++journal->next_number;
    journal->head = pos + size;
    list_push_back(&journal->groups, &group->node);
    uint8_t *p = load->memory;
    memcpy(p, JOURNAL_MAGIC, 8);
    store_be64(p + 8, group->number);
    memcpy(p + 16, &journal->id, 16);
    store_be64(p + 32, container_of(journal->groups.next, struct group, node)->number);
    store_be32(p + 40, (uint32_t)(load->blocks_size ? (size_t)size : load->size));
    store_be32(p + 44, (uint32_t)load->size);
    store_be32(p + 48, load->entries);
    store_be32(p + 52, crc32c(crc32c(0, p, 52), p + JOURNAL_HEADER, load->size - JOURNAL_HEADER));
    memset(p + load->size, 0, (size_t)head - load->size);
    load->pieces[0] = (struct file_piece){p, (size_t)head};
    journal->flying = group;
    journal->filling = NULL;
    journal->filling_load = journal->flying_load;
    journal->flying_load = load;
    bool gather = load->piece_count > 1;
    journal->io = (struct file_io){.op = FILE_IO_WRITE,
                                   .file = journal->file,
                                   .ptr = gather ? NULL : p,
                                   .pieces = gather ? load->pieces : NULL,
                                   .piece_count = gather ? load->piece_count : 0,
                                   .size = (size_t)size,
                                   .pos = pos,
                                   .dsync = journal->store->options.journal_flush,
                                   .done = journal_written};
    journal->submitted_ns = shard_now_ns(journal->store->shard);
    file_io_start(journal->store->shard, &journal->io);
}

void journal_keep(struct journal *journal) {
    journal->keeps = true;
}

bool journal_is_stuck(struct journal *journal) {
    if (!journal->filling || journal->flying || journal->failed || ring_place(journal, (int64_t)load_size(journal->filling_load)) >= 0)
        return false;
    const struct group *oldest = container_of(journal->groups.next, struct group, node);
    const struct log *log = oldest->satisfied < oldest->count ? slot_log(journal->store, &oldest->logs[oldest->satisfied]) : NULL;
    return journal->keeps || (log && log->state == ERR_NO_SPACE);
}

void journal_unstick(struct journal *journal) {
    if (!journal_is_stuck(journal))
        return;
    const struct group *group = journal->filling;
    for (int i = 0; i < group->count && !flush_behind_is_full(journal->store, journal->dir); i++) {
        struct log *log = slot_log(journal->store, &group->logs[i]);
        if (log && log->state == ERR_OK && log->written_end < group->logs[i].end_offset)
            flush_behind(log);
    }
}

void journal_reclaim(struct journal *journal) {
    struct log_store *store = journal->store;
    if (journal->keeps)
        return;
    while (!list_is_empty(&journal->groups)) {
        struct group *group = container_of(journal->groups.next, struct group, node);
        if (group == journal->flying)
            break;
        for (; group->satisfied < group->count; group->satisfied++) {
            struct log *log = slot_log(store, &group->logs[group->satisfied]);
            if (log && log->written_end < group->logs[group->satisfied].end_offset)
                break;
        }
        if (group->satisfied < group->count)
            break;
        list_remove(&group->node);
        group_free(group);
    }
    /* Past three quarters of the ring, or when a large group finds no room, the oldest groups' logs are written out, a bounded
     * number at a time. */
    bool waits = journal->filling && !journal->flying && ring_place(journal, (int64_t)load_size(journal->filling_load)) < 0;
    if ((!waits && ring_used(journal) * 4 < journal->ring_ready * 3) || !flush_behind_again(store, &journal->asked_at))
        return;
    list_each(node, &journal->groups) {
        struct group *group = container_of(node, struct group, node);
        for (int i = group->satisfied; i < group->count; i++) {
            if (flush_behind_is_full(store, journal->dir))
                return;
            struct log *log = slot_log(store, &group->logs[i]);
            if (log && log->state == ERR_OK && log->written_end < group->logs[i].end_offset)
                flush_behind(log); /* where there was no space, upkeep tries again */
        }
        if (group == journal->flying)
            break;
    }
}
