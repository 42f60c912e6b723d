/* What clients were promised, kept by offset, and the checks of what they are shown later. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/sim/sim_test.h"

void violation(struct world *world, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    printf("FAIL seed %llu: at %.6f s, life %d, after %s: ", (unsigned long long)world->seed,
           (double)sim_now_ns(world->sim) / 1e9, world->lives, world->last_event);
    vprintf(fmt, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _Exit(EXIT_FAILURE);
}

/* ---- records ------------------------------------------------------------------------------------------------------- */

void record_value(struct record_id id, uint8_t *ptr, size_t size) {
    store_be32(ptr, id.producer);
    store_be32(ptr + 4, id.number);
    store_be32(ptr + 8, (uint32_t)size);
    uint64_t x = (uint64_t)id.producer << 32 | id.number;
    for (size_t at = RECORD_VALUE_MIN; at < size; at += 8) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t word = x ^ (x >> 29);
        memcpy(ptr + at, &word, size - at < 8 ? size - at : 8);
    }
}

struct record_id record_check(struct ledger *partition, int64_t offset, struct slice value) {
    static uint8_t expected[1 << 20];
    struct record_id id = {0};
    bool right = value.size >= RECORD_VALUE_MIN && value.size <= sizeof expected;
    if (right) {
        id = (struct record_id){load_be32(value.ptr), load_be32(value.ptr + 4)};
        record_value(id, expected, value.size);
        right = load_be32(value.ptr + 8) == value.size && memcmp(expected, value.ptr, value.size) == 0;
    }
    if (!right)
        violation(partition->world, "%s-%d: the record at %lld is not one that was sent", partition->topic->name,
                  (int)partition->index, (long long)offset);
    return id;
}

bool model_walk_batch(struct ledger *partition, const uint8_t *batch,
                      void (*fn)(void *arg, struct ledger *partition, int64_t offset, struct record_id id), void *arg) {
    if (batch_check(slice_of(batch, batch_size(batch))))
        return false;
    struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, batch_size(batch) - BATCH_HEADER_SIZE);
    struct buf plain = {0};
    if (batch_codec(batch) != CODEC_NONE) {
        enum err err = codec_decompress(partition->world->compressor, batch_codec(batch), payload, 64 << 20, &plain);
        check(err == ERR_OK, "a batch with a right CRC does not decompress: %s", err_text(err));
        payload = buf_slice(&plain);
    }
    struct record_iterator it;
    struct record record;
    record_iterator_init(&it, batch, payload);
    while (record_next(&it, &record) == ERR_OK)
        fn(arg, partition, record.offset, record_check(partition, record.offset, record.value));
    buf_deinit(&plain);
    return true;
}

/* ---- promises ------------------------------------------------------------------------------------------------------ */

static void promise(struct ledger *partition, int64_t offset, struct record_id id, const char *how) {
    if (partition->cut || offset < 0)
        return;
    while (offset >= partition->promised_capacity) {
        int64_t capacity = partition->promised_capacity ? partition->promised_capacity * 2 : 1024;
        partition->promised = mem_realloc(partition->promised, sizeof *partition->promised * (size_t)capacity);
        memset(partition->promised + partition->promised_capacity, 0,
               sizeof *partition->promised * (size_t)(capacity - partition->promised_capacity));
        partition->promised_capacity = capacity;
    }
    struct record_id *there = &partition->promised[offset];
    if (there->number && (there->producer != id.producer || there->number != id.number))
        violation(partition->world, "%s-%d: record %u of producer %u is %s at %lld, where record %u of producer %u was before",
                  partition->topic->name, (int)partition->index, id.number, id.producer, how, (long long)offset, there->number,
                  there->producer);
    *there = id;
    if (offset >= partition->promised_count)
        partition->promised_count = offset + 1;
}

void model_end_told(struct ledger *partition, int64_t end) {
    if (end > partition->high)
        partition->high = end;
}

void model_acknowledged(struct ledger *partition, int64_t base_offset, uint32_t producer, uint32_t first, int count) {
    partition->world->acknowledged += (uint64_t)count;
    for (int i = 0; i < count; i++)
        promise(partition, base_offset + i, (struct record_id){producer, first + (uint32_t)i}, "acknowledged");
    model_end_told(partition, base_offset + count);
}

void model_shown(struct ledger *partition, int64_t offset, struct record_id id) {
    partition->world->shown++;
    promise(partition, offset, id, "shown");
}

void model_check_end(struct ledger *partition, int64_t end, int64_t high, const char *who) {
    if (end < high && !partition->damaged)
        violation(partition->world, "%s-%d: %s says the end is %lld, after %lld was told", partition->topic->name,
                  (int)partition->index, who, (long long)end, (long long)high);
    model_end_told(partition, end);
}

void model_check_start(struct ledger *partition, int64_t start) {
    if (!partition->topic->retention && !partition->damaged && start > partition->deleted_to)
        violation(partition->world, "%s-%d: the log starts at %lld, and nobody deleted beyond %lld", partition->topic->name,
                  (int)partition->index, (long long)start, (long long)partition->deleted_to);
}
