/* Bytes that Apache Kafka's own classes stored (stored.txt): read here, and made here from the same batches. */
#include "tests/unit/test.h"

#include "base/mem.h"
#include "log/epochs.h"
#include "log/txn_index.h"
#include "protocol/compress.h"
#include "raft/snapshot.h"

#define TS INT64_C(1700000000000)

static size_t from_hex(const char *hex, uint8_t *bytes) {
    size_t size = 0;
    for (; hex[0] && hex[1] && hex[0] != '-'; hex += 2)
        sscanf(hex, "%2hhx", &bytes[size++]);
    return size;
}

/* The value of `kind name`, as text; static. */
static const char *stored(const char *kind, const char *name) {
    static char line[8192];
    char prefix[100];
    snprintf(prefix, sizeof prefix, "%s %s ", kind, name);
    FILE *file = fopen("tests/unit/log/stored.txt", "r");
    const char *found = NULL;
    while (file && !found && fgets(line, sizeof line, file))
        if (strncmp(line, prefix, strlen(prefix)) == 0)
            found = strtok(line + strlen(prefix), "\n");
    if (file)
        fclose(file);
    if (!found)
        TEST_FAIL("no %s in stored.txt", prefix);
    return found;
}

static size_t stored_bytes(const char *kind, const char *name, uint8_t *bytes) {
    return from_hex(stored(kind, name), bytes);
}

TEST(every_batch_of_kafka_is_whole_and_its_records_are_there) {
    static const struct {
        const char *name;
        int64_t base, last;
        int count;
    } batches[] = {{"plain", 100, 101, 2},       {"idempotent", 100, 101, 2}, {"compacted", 100, 101, 1}, {"emptied", 100, 101, 0},
                   {"transactional", 102, 102, 1}, {"commit", 103, 103, 1},     {"abort", 104, 104, 1},     {"gzip", 100, 101, 2},
                   {"snappy", 100, 101, 2},      {"lz4", 100, 101, 2},        {"zstd", 100, 101, 2},      {"leader-change", 0, 0, 1}};
    uint8_t b[512];
    struct compressor *compressor = compressor_create();
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        size_t size = stored_bytes("batch", batches[i].name, b);
        EXPECT_INT(batch_check(slice_of(b, size)), ERR_OK);
        EXPECT_INT(batch_size(b), size);
        EXPECT_INT(batch_base_offset(b), batches[i].base);
        EXPECT_INT(batch_last_offset(b), batches[i].last);
        struct buf plain = {0};
        EXPECT_INT(codec_decompress(compressor, batch_codec(b), slice_of(b + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE), 4096, &plain), ERR_OK);
        struct record_iterator it;
        struct record record;
        int count = 0;
        enum err err;
        record_iterator_init(&it, b, buf_slice(&plain));
        while ((err = record_next(&it, &record)) == ERR_OK) {
            count++;
            EXPECT(!batch_codec(b) || (record.value.size == 40 && record.key.ptr[1] == '0' + count));
            EXPECT(strcmp(batches[i].name, "compacted") != 0 || (record.timestamp == TS + 5 && record.offset == 101));
        }
        EXPECT_INT(err, ERR_NOT_FOUND);
        EXPECT_INT(count, batches[i].count);
        buf_deinit(&plain);
    }
    compressor_destroy(compressor);
}

/* Entries of a snapshot stand in no order: each of the one must be in the other. */
static bool same_snapshot(struct slice a, struct slice b) {
    if (a.size != b.size || memcmp(a.ptr, b.ptr, 2) != 0 || memcmp(a.ptr + 6, b.ptr + 6, 4) != 0)
        return false;
    for (size_t i = 10; i < a.size; i += 46) {
        bool found = false;
        for (size_t k = 10; k < b.size; k += 46)
            found = found || memcmp(a.ptr + i, b.ptr + k, 46) == 0;
        if (!found)
            return false;
    }
    return true;
}

TEST(the_batches_of_a_directory_give_the_files_that_kafka_wrote_beside_them) {
    static const char *const segments[] = {"00000000000000000000.log", "00000000000000000008.log"},
                            *const snapshots[] = {"00000000000000000008.snapshot", "00000000000000000009.snapshot"};
    uint8_t bytes[1024], expected[1024];
    struct producers producers = {0};
    struct epochs epochs = {0};
    struct txn_index aborted = {0};
    struct buf made = {0};
    for (int i = 0; i < 2; i++) {
        size_t size = stored_bytes("directory", segments[i], bytes);
        for (size_t at = 0; at < size; at += batch_size(bytes + at)) {
            const uint8_t *batch = bytes + at;
            struct aborted_txn txn;
            EXPECT_INT(batch_check(slice_of(batch, size - at)), ERR_OK);
            epochs_assign(&epochs, batch_leader_epoch(batch), batch_base_offset(batch));
            if (producers_append(&producers, batch, &txn))
                txn_index_add(&aborted, &txn);
            producers_high_watermark(&producers, batch_last_offset(batch) + 1);
        }
        buf_clear(&made);
        producers_encode(&producers, &made);
        size = stored_bytes("directory", snapshots[i], expected);
        EXPECT(same_snapshot(buf_slice(&made), slice_of(expected, size)));
    }
    EXPECT_INT(producers_first_unstable(&producers, 9), -1);
    buf_clear(&made);
    txn_index_encode(&aborted, &made);
    size_t size = stored_bytes("directory", "00000000000000000000.txnindex", expected);
    EXPECT(slice_eq(buf_slice(&made), slice_of(expected, size)));
    buf_clear(&made);
    epochs_format(&epochs, &made);
    EXPECT_STR(buf_text(&made), "0\n3\n3 0\n4 5\n5 8\n");
    buf_deinit(&made);
    producers_clear(&producers);
    epochs_deinit(&epochs);
    txn_index_deinit(&aborted);
}

TEST(kafkas_producer_snapshot_and_transaction_index_come_back_as_they_were) {
    uint8_t bytes[512];
    struct producers producers = {0};
    struct txn_index index = {0};
    struct buf made = {0};
    size_t size = stored_bytes("file", "103.snapshot", bytes);
    EXPECT_INT(producers_decode(&producers, slice_of(bytes, size)), ERR_OK);
    EXPECT_INT(producers.map.count, 2);
    EXPECT_INT(producers_first_unstable(&producers, 103), 102);
    producers_encode(&producers, &made);
    EXPECT(same_snapshot(buf_slice(&made), slice_of(bytes, size)));
    bytes[size - 1] ^= 1;
    struct producers damaged = {0};
    EXPECT_INT(producers_decode(&damaged, slice_of(bytes, size)), ERR_CORRUPT);
    producers_clear(&producers);
    size = stored_bytes("file", "100.txnindex", bytes);
    EXPECT_INT(txn_index_decode(&index, slice_of(bytes, size)), ERR_OK);
    EXPECT(index.count == 1 && index.entries[0].producer_id == 4000 && index.entries[0].first_offset == 102 &&
           index.entries[0].last_offset == 104 && index.entries[0].last_stable_offset == 105);
    buf_clear(&made);
    txn_index_encode(&index, &made);
    EXPECT(slice_eq(buf_slice(&made), slice_of(bytes, size)));
    txn_index_deinit(&index);
    buf_deinit(&made);
}

static int data_records, controls[8];

static void count_data(void *arg, struct slice value) {
    (void)arg;
    data_records += value.size > 0;
}
static void count_control(void *arg, int type, struct slice value) {
    (void)arg, (void)value;
    controls[type & 7]++;
}

TEST(kafkas_metadata_snapshot_and_quorum_states_are_read) {
    uint8_t bytes[1024];
    struct quorum_state state;
    size_t size = stored_bytes("file", "snapshot.checkpoint", bytes);
    EXPECT_INT(snapshot_walk(slice_of(bytes, size), count_data, count_control, NULL), ERR_OK);
    EXPECT_INT(data_records, 1);
    EXPECT(controls[CONTROL_SNAPSHOT_HEADER] == 1 && controls[CONTROL_KRAFT_VERSION] == 1 && controls[CONTROL_KRAFT_VOTERS] == 1 &&
           controls[CONTROL_SNAPSHOT_FOOTER] == 1);
    EXPECT_INT(quorum_state_parse(slice_str(stored("file", "quorum-state-v0")), &state), ERR_OK);
    EXPECT(state.leader_id == -1 && state.epoch == 3 && state.voted_id == 2);
    EXPECT_INT(quorum_state_parse(slice_str(stored("file", "quorum-state-v1")), &state), ERR_OK);
    EXPECT(state.leader_id == 1 && state.epoch == 3 && state.voted_id == 2);
}

TEST_MAIN
