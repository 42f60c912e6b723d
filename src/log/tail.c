/* The tail: memory that holds the newest bytes of a log, in blocks that mirror ranges of its segment files. Block
 * positions are multiples of the direct I/O block, so that a block is written where it lies. Blocks stay after they
 * were written, as a cache for readers at the end of the log, until the shard's limit takes the oldest. */
#include "log/internal.h"

static struct tail_block *last_block(const struct log *log) {
    return list_is_empty(&log->blocks) ? NULL : container_of(log->blocks.prev, struct tail_block, node);
}

int64_t tail_unwritten(const struct log *log) {
    if (!log->write_block)
        return 0;
    int64_t bytes = 0;
    for (const struct list *node = &log->write_block->node; node != &log->blocks; node = node->next) {
        const struct tail_block *block = container_of(node, struct tail_block, node);
        int64_t from = block->segment->written > block->pos ? block->segment->written : block->pos;
        bytes += block->pos + block->size - from;
    }
    return bytes;
}

/* Of a new block: as much as the log gets between two writes of its segment, about. Where thousands of logs get a little each,
 * larger ones would fill the shard's memory with room. */
static size_t capacity_behind(const struct log *log, const struct tail_block *last) {
    if (!last || last->segment != log_last_segment(log))
        return TAIL_BLOCK_MIN;
    size_t unwritten = (size_t)tail_unwritten(log);
    if (unwritten >= 2 * (size_t)last->capacity)
        return (size_t)last->capacity * 2;
    return unwritten < last->capacity && last->capacity > TAIL_BLOCK_MIN ? last->capacity / 2 : last->capacity;
}

/* A block that continues the segment at its end. Direct writes are of whole blocks, so it begins where the file's last
 * partial block does; what that holds is read back when the block is first written. */
static struct tail_block *block_add(struct log *log, size_t wanted) {
    struct segment *segment = log_last_segment(log);
    struct tail_block *last = last_block(log);
    int64_t pos = segment->size & ~(int64_t)(FILE_DIRECT_ALIGN - 1);
    uint32_t prefix = (uint32_t)(segment->size - pos);
    size_t capacity = capacity_behind(log, last);
    while (capacity < wanted + prefix && capacity < TAIL_BLOCK_MAX)
        capacity *= 2;
    if (capacity > TAIL_BLOCK_MAX)
        capacity = TAIL_BLOCK_MAX;
    struct tail_block *block = mem_new(struct tail_block);
    block->segment = segment;
    block->pos = pos;
    block->capacity = (uint32_t)capacity;
    block->size = block->start = prefix;
    block->refs = 1;
    block->memory = mem_alloc_aligned(FILE_DIRECT_ALIGN, capacity);
    memset(block->memory, 0, prefix); /* a journal may write it */
    list_init(&block->lru);
    if (last && list_is_empty(&last->lru) && last != log->write_block &&
        last->pos + last->size <= last->segment->written)
        list_push_back(&log->store->clean_blocks, &last->lru); /* it is the last no more */
    list_push_back(&log->blocks, &block->node);
    segment_pin(segment);
    log->store->tail_bytes += capacity;
    return block;
}

void tail_append(struct log *log, const uint8_t *bytes, size_t size, int64_t end_offset) {
    struct segment *segment = log_last_segment(log);
    size_t total = size;
    segment->sealed = false; /* a clean stop had sealed it */
    while (size) {
        struct tail_block *block = last_block(log);
        if (!block || block->segment != segment || block->size == block->capacity)
            block = block_add(log, size);
        if (!list_is_empty(&block->lru))
            list_remove(&block->lru);
        if (!log->write_block)
            log->write_block = block;
        size_t room = block->capacity - block->size;
        size_t part = size < room ? size : room;
        memcpy(block->memory + block->size, bytes, part);
        block->size += (uint32_t)part;
        bytes += part;
        size -= part;
        segment->size += (int64_t)part;
        if (!size) {
            block->end_offset = end_offset;
            block->end_pos = segment->size;
            log->appended += total;
            block->end_total = log->appended;
        }
    }
}

void tail_block_unref(struct log_store *store, struct tail_block *block) {
    if (--block->refs > 0)
        return;
    if (block->dropped)
        store->read_bytes -= block->capacity;
    else
        store->tail_bytes -= block->capacity;
    segment_unpin(block->segment);
    mem_free(block->memory);
    mem_free(block);
}

/* Takes a block out of its log; the readers that still send from it keep its memory. */
static void block_remove(struct log_store *store, struct tail_block *block) {
    if (!list_is_empty(&block->lru))
        list_remove(&block->lru);
    list_remove(&block->node);
    block->dropped = true;
    store->tail_bytes -= block->capacity;
    store->read_bytes += block->capacity;
    tail_block_unref(store, block);
}

void tail_written(struct log *log, struct segment *segment, int64_t written) {
    segment->written = written;
    while (log->write_block) {
        struct tail_block *block = log->write_block;
        if (block->pos + block->size > block->segment->written)
            break;
        log->write_block =
            block->node.next == &log->blocks ? NULL : container_of(block->node.next, struct tail_block, node);
        list_push_back(&log->store->clean_blocks, &block->lru);
    }
}

void tail_evict(struct log_store *store) {
    while (store->tail_bytes > store->options.tail_bytes_max && !list_is_empty(&store->clean_blocks)) {
        struct tail_block *block = container_of(store->clean_blocks.next, struct tail_block, lru);
        block_remove(store, block);
    }
}

void tail_forget_segment(struct log *log, struct segment *segment) {
    list_each_safe(node, &log->blocks) {
        struct tail_block *block = container_of(node, struct tail_block, node);
        if (block->segment == segment)
            block_remove(log->store, block);
    }
}

void tail_drop(struct log *log) {
    log->write_block = NULL;
    while (!list_is_empty(&log->blocks))
        block_remove(log->store, container_of(log->blocks.next, struct tail_block, node));
}

/* As below, but no further back than to `enough`. */
static int64_t start_until(const struct log *log, const struct segment *segment, int64_t enough) {
    int64_t start = segment->size;
    for (struct list *node = log->blocks.prev; node != &log->blocks && start > enough; node = node->prev) {
        const struct tail_block *block = container_of(node, struct tail_block, node);
        if (block->segment != segment) {
            if (block->segment->base_offset < segment->base_offset)
                break;
            continue;
        }
        if (block->pos + (int64_t)block->size < start)
            break; /* a hole: what lies before it is of no use to who wants all up to the end */
        start = block->pos + block->start;
    }
    return start;
}

int64_t tail_start(const struct log *log, const struct segment *segment) {
    return start_until(log, segment, -1);
}

bool tail_holds(const struct log *log, const struct segment *segment, int64_t pos) {
    return start_until(log, segment, pos) <= pos;
}

struct tail_block *tail_find(const struct log *log, const struct segment *segment, int64_t pos) {
    for (struct list *node = log->blocks.prev; node != &log->blocks; node = node->prev) {
        struct tail_block *block = container_of(node, struct tail_block, node);
        if (block->segment == segment && block->pos + block->start <= pos)
            return pos < block->pos + block->size ? block : NULL;
    }
    return NULL;
}

bool tail_copy(const struct log *log, const struct segment *segment, int64_t pos, void *ptr, size_t size) {
    uint8_t *out = ptr;
    for (struct list *node = log->blocks.prev; node != &log->blocks && size; node = node->prev) {
        const struct tail_block *block = container_of(node, struct tail_block, node);
        if (block->segment != segment)
            continue;
        int64_t end = pos + (int64_t)size, block_end = block->pos + block->size;
        if (end > block_end)
            return false;
        int64_t block_start = block->pos + block->start;
        int64_t from = pos > block_start ? pos : block_start;
        if (from >= end)
            continue;
        memcpy(out + (from - pos), block->memory + (from - block->pos), (size_t)(end - from));
        size = (size_t)(from - pos);
    }
    return size == 0;
}
