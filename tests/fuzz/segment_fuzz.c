/* A segment file and its indexes, as a crash, a bad disk or another program left them. The first byte says which of the
 * files the rest is. */
#include "base/crc32c.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_fs();
    struct input input = input_of(data, size);
    uint8_t choice = input_byte(&input);
    switch (choice % 5) {
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
    }
    return 0;
}
