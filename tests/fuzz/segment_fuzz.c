/* A segment file and its indexes, as a crash, a bad disk or another program left them, and what a cleaner makes of it. The first
 * byte says which of the files the rest is. */
#include "base/crc32c.h"
#include "log/clean_batch.h"
#include "log/internal.h"
#include "log/scan.h"
#include "tests/fuzz/fuzz.h"

static void scan_segment(struct slice bytes, bool headers_only) {
    uint8_t *copy = copy_bytes(bytes);
    fix_batches(copy, bytes.size);
    char *path = fuzz_file("00000000000000000000.log", slice_of(copy, bytes.size));
    struct file *file;
    check(fs_open(fuzz_fs(), path, FILE_READ, &file) == ERR_OK, "cannot open");
    struct segment_scan scan;
    segment_scan_init(&scan, file, 0, (int64_t)bytes.size);
    scan.headers_only = headers_only;
    int64_t pos = 0;
    while (segment_scan_next(&scan) == ERR_OK) {
        check(scan.batch_pos == pos && scan.pos > pos && scan.pos <= (int64_t)bytes.size, "the scan does not go on");
        pos = scan.pos;
    }
    check(scan.pos == pos, "the scan stops elsewhere than where it is wrong");
    segment_scan_deinit(&scan);
    file_unref(file);
    mem_free(path);
    mem_free(copy);
}

static void read_indexes(struct input *input, int64_t segment_size) {
    mem_free(fuzz_file("00000000000000000000.index", input_piece(input)));
    mem_free(fuzz_file("00000000000000000000.timeindex", input_rest(input)));
    struct segment_index index = {0};
    if (segment_read_index_files(fuzz_fs(), fuzz_dir, 0, segment_size, &index))
        return;
    for (uint32_t i = 0; i < index.count; i++)
        check((i == 0 || (index.entries[i].offset > index.entries[i - 1].offset && index.entries[i].pos > index.entries[i - 1].pos)) &&
                  index.entries[i].pos < segment_size, "an index that does not rise is taken");
    for (uint32_t i = 1; i < index.time_count; i++)
        check(index.times[i].timestamp > index.times[i - 1].timestamp, "a time index that does not rise is taken");
    mem_free(index.entries);
    mem_free(index.times);
}

static void read_txn_index(struct slice bytes) {
    struct txn_index index = {0};
    struct buf again = {0};
    uint8_t *copy = copy_bytes(bytes);
    if (txn_index_decode(&index, slice_of(copy, bytes.size)) == ERR_OK) {
        txn_index_encode(&index, &again);
        check(slice_eq(buf_slice(&again), slice_of(copy, bytes.size)), "a transaction index comes back with other bytes");
    }
    buf_deinit(&again);
    txn_index_deinit(&index);
    mem_free(copy);
}

static void read_producer_snapshot(struct slice bytes) {
    struct producers producers = {0}, second = {0};
    struct buf again = {0};
    uint8_t *copy = copy_bytes(bytes);
    if (bytes.size >= 6)
        store_be32(copy + 2, crc32c(0, copy + 6, bytes.size - 6));
    if (producers_decode(&producers, slice_of(copy, bytes.size)) == ERR_OK) {
        producers_encode(&producers, &again);
        check(producers_decode(&second, buf_slice(&again)) == ERR_OK, "a producer snapshot of ours is refused");
        check(second.map.count == producers.map.count, "a producer snapshot lost producers");
    }
    producers_clear(&producers);
    producers_clear(&second);
    buf_deinit(&again);
    mem_free(copy);
}

/* ---- cleaning ------------------------------------------------------------------------------------------------------------ */

static struct compressor *compressor;
static const struct aborted_txn aborted[] = {{4000, 0, 3, 0}, {4000, 6, 9, 6}};

/* The next batch that a cleaning would be given; size 0: none. */
static struct slice next_batch(const uint8_t *bytes, size_t size, size_t *at) {
    struct slice rest = slice_of(bytes + *at, size - *at);
    if (rest.size < BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN || batch_base_offset(rest.ptr) < 0 || batch_base_offset(rest.ptr) > INT32_MAX)
        return SLICE_EMPTY;
    enum err err = batch_check(rest);
    if ((err && err != ERR_UNSUPPORTED) || (err && batch_magic(rest.ptr) > 1))
        return SLICE_EMPTY;
    *at += batch_size(rest.ptr);
    return slice_of(rest.ptr, batch_size(rest.ptr));
}

static void map_batches(struct clean_batch *clean, struct clean_rules *rules, struct offset_map *map, const uint8_t *bytes, size_t size) {
    struct aborted_txn unused;
    struct slice batch;
    bool full = false;
    for (size_t at = 0; !full && (batch = next_batch(bytes, size, &at)).size;) {
        int64_t end = any_last_offset(batch.ptr) + 1, mapped_end = end;
        enum err err = ERR_OK;
        if (batch_magic(batch.ptr) == 2 && batch_is_control(batch.ptr))
            (void)clean_txns_marker(clean->txns, batch.ptr, &unused);
        else if (batch_magic(batch.ptr) < 2 || !clean_txns_data(clean->txns, batch.ptr))
            err = clean_map_batch(clean, map, batch, 0, &mapped_end);
        if (err)
            return;
        full = mapped_end < end;
        rules->map_end = mapped_end;
    }
}

/* What stays is a batch, at its place, with as many records as it says. */
static void check_output(struct slice in, struct slice out) {
    check(batch_check(out) == ERR_OK && batch_size(out.ptr) == out.size, "what a cleaning wrote is no batch");
    check(batch_last_offset(out.ptr) == any_last_offset(in.ptr) || batch_magic(in.ptr) < 2, "the last offset has changed");
    struct buf plain = {0};
    struct slice payload = slice_of(out.ptr + BATCH_HEADER_SIZE, out.size - BATCH_HEADER_SIZE);
    if (batch_codec(out.ptr) && batch_count(out.ptr)) {
        check(codec_decompress(compressor, batch_codec(out.ptr), payload, 1 << 30, &plain) == ERR_OK, "what a cleaning wrote is no stream");
        payload = buf_slice(&plain);
    }
    struct record_iterator it;
    struct record record;
    enum err err;
    int count = 0;
    record_iterator_init(&it, out.ptr, payload);
    while (!(err = record_next(&it, &record)))
        count++;
    check(err == ERR_NOT_FOUND && count == batch_count(out.ptr), "%d records of %d", count, (int)batch_count(out.ptr));
    buf_deinit(&plain);
}

static void clean_batches(struct clean_batch *clean, const uint8_t *bytes, size_t size) {
    struct slice batch;
    for (size_t at = 0; (batch = next_batch(bytes, size, &at)).size;) {
        if (clean_batch(clean, batch))
            return;
        if (clean->what == CLEAN_NEW)
            check_output(batch, buf_slice(&clean->out));
    }
}

static void clean_segment(struct slice bytes, bool horizon_has_come) {
    static const struct last_record producers[] = {{4000, 5, 0}};
    if (!compressor)
        compressor = compressor_create();
    uint8_t *copy = copy_bytes(bytes);
    fix_batches(copy, bytes.size);
    struct offset_map map;
    const uint64_t seed[2] = {1, 2};
    check(offset_map_init(&map, 4096, 0.9, 1000, seed) == ERR_OK, "no map");
    struct clean_rules rules = {.map = &map, .round_end = 10, .now_ms = 1700000000000, .delete_retention_ms = horizon_has_come ? 0 : 1000000,
                                .producers = producers, .producer_count = 1};
    struct clean_txns txns;
    struct clean_batch clean = {.rules = &rules, .txns = &txns, .compressor = compressor};
    clean_txns_init(&txns, aborted, COUNT_OF(aborted));
    map_batches(&clean, &rules, &map, copy, bytes.size);
    clean_txns_deinit(&txns);
    clean_txns_init(&txns, aborted, COUNT_OF(aborted));
    clean_batches(&clean, copy, bytes.size);
    clean_txns_deinit(&txns);
    clean_batch_deinit(&clean);
    offset_map_deinit(&map);
    mem_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_fs();
    struct input input = input_of(data, size);
    uint8_t choice = input_byte(&input);
    switch (choice % 7) {
    case 0:
        scan_segment(input_rest(&input), false);
        break;
    case 1:
        scan_segment(input_rest(&input), true);
        break;
    case 2:
        read_indexes(&input, (int64_t)input_byte(&input) << 16);
        break;
    case 3:
        read_txn_index(input_rest(&input));
        break;
    case 4:
        read_producer_snapshot(input_rest(&input));
        break;
    case 5:
    case 6:
        clean_segment(input_rest(&input), choice % 7 == 6);
        break;
    }
    return 0;
}
