/* Writes what each fuzz target begins with: seeds DIR makes DIR/NAME/... Small and valid inputs of every kind, so that
 * the fuzzer starts behind the first checks of each format. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "coordinator/txn.h"
#include "log/internal.h"
#include "protocol/api.h"
#include "protocol/record_table.h"
#include "raft/snapshot.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/message_values.h"

enum { SEED_SIZE_MAX = 2048, TS = 1700000000 };

static const char *root;
static int count;

static void write_seed(const char *target, struct slice bytes) {
    char *dir = mem_printf("%s/%s", root, target), *path = mem_printf("%s/seed-%05d", dir, count++);
    check(mkdir(dir, 0777) == 0 || errno == EEXIST, "cannot make %s", dir);
    FILE *file = fopen(path, "wb");
    check(file && fwrite(bytes.ptr, 1, bytes.size, file) == bytes.size && fclose(file) == 0, "cannot write %s", path);
    mem_free(dir);
    mem_free(path);
}

/* A seed whose first byte is a choice. */
static void write_choice(const char *target, uint8_t choice, struct slice bytes) {
    struct buf seed = {0};
    buf_add_byte(&seed, choice);
    buf_add_slice(&seed, bytes);
    write_seed(target, buf_slice(&seed));
    buf_deinit(&seed);
}

static void add_piece(struct buf *buf, struct slice bytes) {
    store_be16(buf_extend(buf, 2), (uint16_t)bytes.size);
    buf_add_slice(buf, bytes);
}

/* ---- messages --------------------------------------------------------------------------------------------------------- */

static bool encode_value(const struct message_type *type, int version, uint32_t seed, struct buf *buf) {
    struct arena arena = {0};
    struct encoder e;
    void *x = arena_zalloc(&arena, type->size);
    size_t before = buf->size;
    message_fill(type, version, seed, &arena, x);
    encoder_init(&e, buf, &arena);
    bool good = type->encode(&e, version, x) == ERR_OK && buf->size - before <= SEED_SIZE_MAX;
    arena_deinit(&arena);
    return good;
}

static void message_seeds(void) {
    struct buf records = {0};
    for (int i = 0; i < message_type_count; i++) {
        const struct message_type *type = &message_types[i];
        for (int version = type->version_min; version <= type->version_max; version++)
            for (uint32_t seed = 3; seed < 5; seed++) {
                struct buf buf = {0}, frame = {0};
                store_be16(buf_extend(&buf, 2), (uint16_t)i);
                buf_add_byte(&buf, (uint8_t)(version - type->version_min));
                if (encode_value(type, version, seed, &buf))
                    write_seed("message", buf_slice(&buf));
                struct encoder e;
                encoder_init(&e, &frame, NULL);
                if (type->kind == MESSAGE_REQUEST) {
                    struct api_header header = {(int16_t)type->key, (int16_t)version, 1, SLICE_LIT("c")};
                    api_header_encode(&e, &header);
                    if (encode_value(type, version, seed, &frame))
                        write_seed("request", buf_slice(&frame));
                } else if (type->kind == MESSAGE_RECORD && type->key >= 0) {
                    encode_uvarint(&e, 1);
                    encode_uvarint(&e, (uint32_t)type->key);
                    encode_uvarint(&e, (uint32_t)version);
                    if (encode_value(type, version, seed, &frame) && frame.size < 300)
                        add_piece(&records, buf_slice(&frame));
                }
                buf_deinit(&buf);
                buf_deinit(&frame);
                if (records.size > SEED_SIZE_MAX) {
                    write_seed("metadata", buf_slice(&records));
                    buf_clear(&records);
                }
            }
    }
    write_seed("metadata", buf_slice(&records));
    buf_deinit(&records);
}

/* ---- batches, streams -------------------------------------------------------------------------------------------------- */

static void add_batch(struct buf *out, enum codec codec, int64_t base, int64_t producer, struct compressor *compressor) {
    struct batch_builder builder;
    const struct record_header header = {SLICE_LIT("h"), SLICE_LIT("x")};
    batch_builder_init(&builder, out, base);
    batch_builder_add(&builder, 0, (int64_t)TS * 1000, SLICE_LIT("key"), SLICE_LIT("value value value value"), &header, 1);
    batch_builder_add(&builder, 1, (int64_t)TS * 1000 + 5, SLICE_NULL, SLICE_NULL, NULL, 0);
    check(!batch_builder_finish(&builder, 0, codec, COMPRESS_LEVEL_DEFAULT, compressor, producer, producer < 0 ? -1 : 0,
                                producer < 0 ? -1 : 0), "a batch of ours");
}

/* For `log dump`, and alone in a directory for `log check`. */
static void write_cli_batches(struct slice batches) {
    enum { DUMP = 0, CHECK = 10, NAMES = 6, SHOWS_RECORDS = 64, SHOWS_JSON = 128 };
    struct buf seed = {0};
    buf_add_byte(&seed, 0); /* records of users */
    buf_add_slice(&seed, batches);
    write_choice("cli", DUMP + SHOWS_RECORDS, buf_slice(&seed));
    write_choice("cli", DUMP + SHOWS_RECORDS + SHOWS_JSON, buf_slice(&seed));
    buf_clear(&seed);
    for (int i = 0; i < NAMES; i++)
        add_piece(&seed, SLICE_EMPTY);
    buf_add_slice(&seed, batches);
    write_choice("cli", CHECK, buf_slice(&seed));
    buf_deinit(&seed);
}

static void batch_seeds(struct compressor *compressor) {
    struct buf segment = {0}, stream = {0};
    for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
        struct buf batch = {0};
        add_batch(&batch, (enum codec)codec, 0, codec & 1 ? 4000 : -1, compressor);
        for (int choice = 0; choice < 6; choice++)
            write_choice("batch", (uint8_t)choice, buf_slice(&batch));
        add_batch(&segment, (enum codec)codec, codec * 2, -1, compressor);
        buf_clear(&stream);
        static const char text[] = "the same words again and again, the same words again and again";
        check(!codec_compress(compressor, (enum codec)codec, COMPRESS_LEVEL_DEFAULT, SLICE_LIT(text), &stream), "a stream of ours");
        write_choice("compress", (uint8_t)(codec + CODEC_COUNT * 6), buf_slice(&stream));
        buf_deinit(&batch);
    }
    write_choice("segment", 0, buf_slice(&segment));
    write_choice("segment", 1, buf_slice(&segment));
    write_choice("segment", 5, buf_slice(&segment));
    write_choice("segment", 6, buf_slice(&segment));
    write_cli_batches(buf_slice(&segment));
    buf_deinit(&segment);
    buf_deinit(&stream);
}

/* A message of magic 0 or 1; a wrapper when there is a codec. */
static void add_old_message(struct buf *out, int magic, enum codec codec, int64_t offset, struct slice value) {
    size_t start = out->size;
    store_be64(buf_extend(out, 8), (uint64_t)offset);
    uint8_t *p = buf_extend(out, 10);
    memset(p, 0, 10);
    p[8] = (uint8_t)magic;
    p[9] = (uint8_t)codec;
    if (magic == 1)
        store_be64(buf_extend(out, 8), (uint64_t)TS * 1000);
    store_be32(buf_extend(out, 4), UINT32_MAX);
    store_be32(buf_extend(out, 4), (uint32_t)value.size);
    buf_add_slice(out, value);
    store_be32(out->ptr + start + 8, (uint32_t)(out->size - start - BATCH_PREFIX_SIZE));
}

static void old_message_seeds(struct compressor *compressor) {
    for (int magic = 0; magic < 2; magic++)
        for (int codec = CODEC_NONE; codec <= CODEC_LZ4; codec++) {
            struct buf inner = {0}, packed = {0}, out = {0};
            add_old_message(&inner, magic, CODEC_NONE, 0, SLICE_LIT("one"));
            add_old_message(&inner, magic, CODEC_NONE, 1, SLICE_LIT("two two two two two two"));
            check(!codec_compress(compressor, (enum codec)codec, COMPRESS_LEVEL_DEFAULT, buf_slice(&inner), &packed), "a set of ours");
            if (codec == CODEC_NONE)
                buf_add_slice(&out, buf_slice(&inner));
            else
                add_old_message(&out, magic, (enum codec)codec, 1, buf_slice(&packed));
            write_choice("batch", 0, buf_slice(&out));
            write_choice("segment", 0, buf_slice(&out));
            write_choice("segment", 5, buf_slice(&out));
            write_cli_batches(buf_slice(&out));
            buf_deinit(&inner);
            buf_deinit(&packed);
            buf_deinit(&out);
        }
}

static void segment_seeds(void) {
    struct buf buf = {0}, entries = {0};
    for (uint32_t i = 1; i < 4; i++) {
        store_be32(buf_extend(&entries, 4), i * 10);
        store_be32(buf_extend(&entries, 4), i * 4096);
    }
    buf_add_byte(&buf, 200); /* of 65536 bytes: the segment's size */
    add_piece(&buf, buf_slice(&entries));
    store_be64(buf_extend(&buf, 8), (uint64_t)TS * 1000);
    store_be32(buf_extend(&buf, 4), 10);
    write_choice("segment", 2, buf_slice(&buf));
    struct txn_index index = {0};
    const struct aborted_txn aborted = {4000, 10, 20, 10};
    txn_index_add(&index, &aborted);
    buf_clear(&buf);
    txn_index_encode(&index, &buf);
    write_choice("segment", 3, buf_slice(&buf));
    txn_index_deinit(&index);
    struct producers producers = {0};
    struct aborted_txn unused;
    struct buf batch = {0};
    add_batch(&batch, CODEC_NONE, 0, 4000, NULL);
    producers_append(&producers, batch.ptr, &unused);
    buf_clear(&buf);
    producers_encode(&producers, &buf);
    write_choice("segment", 4, buf_slice(&buf));
    producers_clear(&producers);
    buf_deinit(&batch);
    buf_deinit(&buf);
    buf_deinit(&entries);
}

/* ---- files ------------------------------------------------------------------------------------------------------------- */

static void text_seeds(void) {
    write_choice("text", 0, SLICE_LIT("0\n2\na-topic 0 17\n__consumer_offsets 49 0\n"));
    write_choice("text", 1, SLICE_LIT("0\n2\n0 0\n3 1200\n"));
    write_choice("text", 2, SLICE_LIT("version: 0\ntopic_id: 4L6g3nShT-eMCtK--X86sw"));
    write_choice("text", 3, SLICE_LIT("# note\nkey=value\\\n   more\nother : \\u0041\\t\n! note\nlast"));
    write_choice("text", 4, SLICE_LIT("{\"leaderId\":1,\"leaderEpoch\":5,\"votedId\":-1,\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}"));
    write_choice("text", 4,
                 SLICE_LIT("{\"clusterId\":\"\",\"leaderId\":1,\"leaderEpoch\":5,\"votedId\":-1,\"appliedOffset\":0,\"currentVoters\":"
                           "[{\"voterId\":1}],\"data_version\":0}"));
    write_choice("text", 5, SLICE_LIT("#\nnode.id=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\nversion=1\ndirectory.id=4L6g3nShT-eMCtK--X86sw\n"));
    write_choice("text", 6, SLICE_LIT("process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=127.0.0.1:9093\n"
                                      "listeners=PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n"
                                      "inter.broker.listener.name=PLAINTEXT\nlistener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
                                      "log.dirs=a,b\nlog.retention.hours=168\ncompression.type=zstd\n"));
    struct buf snapshot = {0};
    struct snapshot_writer writer;
    snapshot_begin(&writer, &snapshot, 1, (int64_t)TS * 1000, 1, SLICE_EMPTY);
    snapshot_add(&writer, SLICE_LIT("\x01\x0c\x00\x09transaction.version\x00\x02\x00"));
    snapshot_end(&writer);
    write_choice("text", 7, buf_slice(&snapshot));
    buf_deinit(&snapshot);
}

/* A choice of cli_fuzz.c each. */
static void cli_seeds(void) {
    static const char *const texts[] = {
        [5] = "0\n2\na-topic 0 17\n__consumer_offsets 49 0\n",
        [6] = "#\nnode.id=1\nversion=1\n",
        [7] = "version: 0\ntopic_id: 4L6g3nShT-eMCtK--X86sw",
        [8] = "{\"leaderId\":1,\"leaderEpoch\":5,\"votedId\":-1,\"data_version\":1}",
        [11] = "%t-%p %o %k=%v %h\\n",
        [13] = "{\"topic\": \"t\", \"partition\": 0, \"timestamp\": 1764000000000, \"key\": {\"base64\": \"/w==\"}, \"value\": \"v\", "
               "\"headers\": [{\"key\": \"h\", \"value\": null}]}",
    };
    static const char *const more[] = {"2026-11-24T21:00:05.250+01:00", "-90s", "@2026-11-24", "-10", "0,3,5-7", "a LoginModule required password=\"p\";"};
    for (int i = 0; i < COUNT_OF(texts); i++)
        if (texts[i])
            write_choice("cli", (uint8_t)i, slice_str(texts[i]));
    for (int i = 0; i < COUNT_OF(more); i++)
        write_choice("cli", 11, slice_str(more[i]));
    static const char *const bytes[] = {"text", "00ff", "/w==", "-129", "{\"a\": [1, 2]}"};
    for (int i = 0; i < COUNT_OF(bytes); i++) {
        struct buf seed = {0};
        buf_add_byte(&seed, (uint8_t)i);
        buf_add_str(&seed, bytes[i]);
        write_choice("cli", 12, buf_slice(&seed));
        buf_deinit(&seed);
    }
    struct buf server = {0};
    buf_add_byte(&server, 0);
    add_piece(&server, SLICE_LIT("r=nx,s=QSXCR+Q6sek8bf92,i=4096"));
    buf_add_str(&server, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    write_choice("cli", 14, buf_slice(&server));
    buf_deinit(&server);
}

enum journal_kind { JOURNAL_OLD = 0, JOURNAL_SMALL_ENTRIES = 4, JOURNAL_LARGE_ENTRIES = 6 }; /* as journal_fuzz.c's first byte */

static void journal_ring(enum journal_kind kind) {
    struct buf ring = {0};
    size_t entry_header = kind == JOURNAL_OLD ? JOURNAL_ENTRY_HEADER_1 : JOURNAL_ENTRY_HEADER;
    for (uint64_t number = 1; number < 4; number++) {
        struct buf group = {0}, batch = {0};
        add_batch(&batch, CODEC_NONE, (int64_t)number * 2, -1, NULL);
        uint8_t *p = memset(buf_extend(&group, JOURNAL_HEADER + entry_header), 0, JOURNAL_HEADER + entry_header);
        store_be64(p + 8, number);
        store_be64(p + 32, 1); /* the oldest that is needed */
        store_be32(p + 44, JOURNAL_ENTRY_HEADER);
        store_be32(p + 48, 1);
        p += JOURNAL_HEADER;
        store_be32(p + 20, (uint32_t)batch.size);
        store_be64(p + 24, number * 2);
        if (kind == JOURNAL_SMALL_ENTRIES)
            store_be32(p + 32, JOURNAL_INLINE);
        if (kind == JOURNAL_LARGE_ENTRIES) {
            store_be32(p + 36, crc32c(0, batch.ptr, JOURNAL_PREFIX_SIZE));
            size_t rest = FILE_DIRECT_ALIGN - group.size;
            memset(buf_extend(&group, rest), 0, rest);
        }
        buf_add_slice(&group, buf_slice(&batch));
        while (group.size % 8)
            buf_add_byte(&group, 0);
        add_piece(&ring, buf_slice(&group));
        buf_deinit(&group);
        buf_deinit(&batch);
    }
    write_choice("journal", kind, buf_slice(&ring));
    buf_deinit(&ring);
}

static void journal_seeds(void) {
    journal_ring(JOURNAL_OLD);
    journal_ring(JOURNAL_SMALL_ENTRIES);
    journal_ring(JOURNAL_LARGE_ENTRIES);
}

/* ---- coordinators' records ---------------------------------------------------------------------------------------------- */

static const struct message_type *type_named(const char *name) {
    for (int i = 0; i < message_type_count; i++)
        if (strcmp(message_types[i].name, name) == 0)
            return &message_types[i];
    return NULL;
}

static bool add_record(struct buf *buf, const struct record_type *record, int version, uint32_t seed) {
    const struct message_type *type = type_named(record->name);
    struct buf bytes = {0};
    store_be16(buf_extend(&bytes, 2), (uint16_t)(record->is_key ? record->type : version));
    bool good = type && encode_value(type, version, seed, &bytes) && bytes.size < 1000;
    if (good)
        add_piece(buf, buf_slice(&bytes));
    buf_deinit(&bytes);
    return good;
}

/* Of each type a value and a tombstone, in every version; and all of them together. */
static void coordinator_seeds(const char *family, uint8_t choice) {
    struct buf all = {0};
    for (int k = 0; k < record_type_count; k++)
        for (int v = 0; v < record_type_count; v++) {
            const struct record_type *key = &record_types[k], *value = &record_types[v];
            if (!key->is_key || value->is_key || key->type != value->type || strcmp(key->family, family) != 0 || strcmp(value->family, family) != 0)
                continue;
            for (int version = value->version_min; version <= value->version_max; version++) {
                struct buf seed = {0};
                buf_add_byte(&seed, 0); /* no producer */
                bool good = add_record(&seed, key, 0, 3) && add_record(&seed, value, version, 3);
                if (good)
                    buf_add(&all, seed.ptr, seed.size);
                buf_add_byte(&seed, 1);
                good = good && add_record(&seed, key, 0, 3) && add_record(&seed, value, version, 4);
                buf_add_byte(&seed, 0);
                good = good && add_record(&seed, key, 0, 3);
                add_piece(&seed, SLICE_EMPTY);
                if (good)
                    write_choice("coordinator", choice, buf_slice(&seed));
                buf_deinit(&seed);
            }
        }
    write_choice("coordinator", choice, buf_slice(&all));
    buf_deinit(&all);
}

/* Records of transactions in each state, of both versions. */
static void transaction_seeds(void) {
    struct arena arena = {0};
    struct txn_topics topics = {0};
    for (int i = 0; i < 5; i++)
        txn_topics_add(&topics, i % 2 ? SLICE_LIT("orders") : SLICE_LIT("__consumer_offsets"), i);
    for (int state = 0; state <= TXN_COMPLETE_ABORT; state++)
        for (int level = 0; level <= 2; level++) {
            struct txn_fields at = {.state = (enum txn_state)state, .producer_id = 7, .previous_id = 6, .next_id = state == 2 ? 8 : -1, .epoch = 3,
                                    .client_version = 2, .timeout_ms = 60000, .start_ms = state ? TS : -1, .update_ms = TS};
            struct buf seed = {0};
            buf_add_byte(&seed, 0); /* no producer */
            add_piece(&seed, txn_record_key(&arena, SLICE_LIT("billing")));
            add_piece(&seed, txn_record_value(&arena, &at, &topics, level));
            write_choice("coordinator", 1, buf_slice(&seed));
            buf_deinit(&seed);
        }
    txn_topics_clear(&topics);
    arena_deinit(&arena);
}

int main(int argc, char **argv) {
    check(argc == 2, "seeds DIR");
    root = argv[1];
    struct compressor *compressor = compressor_create();
    message_seeds();
    batch_seeds(compressor);
    old_message_seeds(compressor);
    segment_seeds();
    text_seeds();
    cli_seeds();
    journal_seeds();
    coordinator_seeds("group_coordinator", 0);
    coordinator_seeds("transaction_coordinator", 1);
    coordinator_seeds("share_coordinator", 2);
    transaction_seeds();
    write_seed("fails", SLICE_LIT("good"));
    compressor_destroy(compressor);
    printf("%d seeds\n", count);
    return 0;
}
