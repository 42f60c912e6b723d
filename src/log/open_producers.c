/* Opening a log, step 4: what producers did last, from a snapshot and the batches behind it; and with it the transaction
 * indexes of segments that were recovered. See open.c. */
#include "log/open.h"

#include "base/trace.h"
#include "log/recall.h"
#include "log/scan.h"

static enum err read_snapshot(struct load *load, int64_t offset) {
    char *path = mem_printf("%s/%020lld.snapshot", load->path, (long long)offset);
    uint8_t *bytes = NULL;
    size_t size = 0;
    enum err err = fs_read_whole(load->fs, path, 1u << 30, &bytes, &size);
    if (!err)
        err = producers_decode(&load->producers, slice_of(bytes, size));
    mem_free(bytes);
    mem_free(path);
    return err;
}

/* Position in the segment from which at least RECALL_BYTES lie before its end. */
static enum err recall_start(struct load *load, const struct loaded_segment *segment, int64_t *ret_pos) {
    *ret_pos = 0;
    if (segment->size <= RECALL_BYTES)
        return ERR_OK;
    struct segment_index read = {0};
    const struct segment_index *index = &segment->index;
    if (!segment->index_loaded) {
        enum err err = segment_read_index_files(load->fs, load->path, segment->base_offset, segment->size, &read);
        if (err)
            return err;
        index = &read;
    }
    for (uint32_t i = 0; i < index->count && index->entries[i].pos <= segment->size - RECALL_BYTES; i++)
        *ret_pos = index->entries[i].pos;
    mem_free(read.entries);
    mem_free(read.times);
    return ERR_OK;
}

/* The producers are those of the snapshot at `offset`. */
static void recall_batches(struct load *load, int64_t offset) {
    int64_t left = RECALL_BYTES;
    for (int at = load->count - 1; at >= 0 && left > 0 && load->producers.map.count; at--) {
        const struct loaded_segment *segment = &load->segments[at];
        struct file *file;
        int64_t pos;
        if (segment->base_offset >= offset || !segment->size)
            continue;
        if (recall_start(load, segment, &pos) || load_open_segment(load, segment->base_offset, FILE_READ, &file))
            return;
        producers_recall_from(&load->producers, file, pos, segment->size, offset);
        file_unref(file);
        left -= segment->size + FILE_DIRECT_ALIGN; /* however many and small they are, it ends */
    }
}

/* A batch that was whole when its segment was written, and is no longer: it is said, and stays, so that consumers see its
 * wrong CRC and offsets do not move. False: not even its length can be believed. */
static bool skip_bad_batch(struct load *load, const struct loaded_segment *segment, struct segment_scan *scan, int64_t offset) {
    trace_error("log", "bad batch in a segment", TRACE_STR("dir", load->path), TRACE_INT("segment", segment->base_offset),
                TRACE_INT("position", scan->pos), TRACE_INT("offset", offset));
    scan->pos += (int64_t)scan->bad_size;
    return scan->bad_size;
}

static enum err replay_producers(struct load *load, int64_t from) {
    enum err err = ERR_OK;
    for (int i = 0; i < load->count && !err; i++) {
        struct loaded_segment *segment = &load->segments[i];
        if (i + 1 < load->count && load->segments[i + 1].base_offset <= from)
            continue;
        if (!segment->size)
            continue;
        struct file *file;
        err = load_open_segment(load, segment->base_offset, FILE_READ, &file);
        if (err)
            break;
        struct segment_scan scan;
        segment_scan_init(&scan, file, 0, segment->size);
        int64_t last_aborted = segment->aborted.count ? segment->aborted.entries[segment->aborted.count - 1].last_offset : -1;
        for (int64_t next = segment->base_offset;; next = batch_last_offset(scan.batch) + 1) {
            while ((err = segment_scan_next(&scan)) == ERR_CORRUPT && skip_bad_batch(load, segment, &scan, next))
                ;
            if (err)
                break;
            struct aborted_txn aborted;
            if (batch_magic(scan.batch) == 2 && batch_last_offset(scan.batch) >= from &&
                producers_append(&load->producers, scan.batch, &aborted) && aborted.last_offset > last_aborted)
                txn_index_add(&segment->aborted, &aborted);
        }
        if (err == ERR_CORRUPT || err == ERR_TRUNCATED)
            err = ERR_NOT_FOUND; /* said; what comes behind it cannot be found */
        if (err == ERR_NOT_FOUND)
            err = ERR_OK;
        segment_scan_deinit(&scan);
        file_unref(file);
    }
    return err;
}

/* The transaction indexes of recovered segments, whose files nobody had synced. */
static enum err rewrite_txn_indexes(struct load *load) {
    enum err err = ERR_OK;
    for (int i = load->first_recovered; i < load->count && !err; i++) {
        struct loaded_segment *segment = &load->segments[i];
        if (segment->aborted.count)
            err = segment_write_txn_index(load->fs, load->path, segment->base_offset, "", &segment->aborted);
        else if (load->has_txn_indexes)
            err = load_unlink(load, segment->base_offset, ".txnindex");
    }
    return err;
}

static bool is_segment_base(const struct load *load, int64_t offset) {
    for (int i = 0; i < load->count; i++)
        if (load->segments[i].base_offset == offset)
            return true;
    return false;
}

enum err load_producers(struct load *load) {
    /* Not above the first recovered segment: its transaction index comes from the replay. */
    int64_t newest = load->first_recovered < load->count ? load->segments[load->first_recovered].base_offset : load->end;
    int64_t from = load->start;
    for (int i = load->snapshot_count; i-- > 0;) {
        int64_t offset = load->snapshots[i];
        if (offset > newest || offset < load->start || read_snapshot(load, offset)) {
            enum err err = load_unlink(load, offset, ".snapshot");
            if (err)
                return err;
            continue;
        }
        from = offset;
        recall_batches(load, from);
        for (int old = 0; old < i; old++) /* older ones serve only where a segment begins */
            if (!is_segment_base(load, load->snapshots[old])) {
                enum err err = load_unlink(load, load->snapshots[old], ".snapshot");
                if (err)
                    return err;
            }
        break;
    }
    if (from == load->start && load->clean && !load->snapshot_count)
        return ERR_OK; /* as Kafka: a clean directory without snapshots has no producers */
    enum err err = from < load->end ? replay_producers(load, from) : ERR_OK;
    return err ? err : rewrite_txn_indexes(load);
}
