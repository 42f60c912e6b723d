/* Record batches and codecs: Apache Kafka's bytes are read and written back, every codec goes both ways, cut and
 * flipped bytes are refused, bombs are stopped at the limit. */
#include "tests/unit/test.h"

#include "base/mem.h"
#include "protocol/batch.h"
#include "protocol/compress.h"

static const char two_records[] =
    "00000000000000640000004900000007024109046f0000000000010000018bcfe568000000018bcfe56805ffffffffffffffffffffffffffff"
    "0000000214000000046b310476310018000a02046b32010202680278";
static const char commit_marker[] =
    "000000000000006700000042000000070256356a180030000000000000018bcfe568070000018bcfe568070000000000000fa00003ffffffff"
    "000000012000000008000000010c00000000000500";
#define TS 1700000000000

static size_t from_hex(const char *hex, uint8_t *bytes) {
    size_t size = 0;
    for (; hex[0] && hex[1]; hex += 2)
        sscanf(hex, "%2hhx", &bytes[size++]);
    return size;
}

TEST(kafkas_batch_is_read_record_by_record) {
    uint8_t b[200];
    size_t size = from_hex(two_records, b);
    EXPECT_INT(batch_check(slice_of(b, size)), ERR_OK);
    EXPECT_INT(batch_base_offset(b), 100);
    EXPECT_INT(batch_leader_epoch(b), 7);
    EXPECT_INT(batch_size(b), size);
    struct record_iterator it;
    struct record record;
    struct slice key, value;
    record_iterator_init(&it, b, slice_of(b + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE));
    EXPECT_INT(record_next(&it, &record), ERR_OK);
    EXPECT(record.offset == 100 && record.timestamp == TS && slice_eq_str(record.key, "k1") && slice_eq_str(record.value, "v1"));
    EXPECT_INT(record_next(&it, &record), ERR_OK);
    EXPECT(record.offset == 101 && record.timestamp == TS + 5 && slice_is_null(record.value));
    EXPECT(header_next(&record, &key, &value) && slice_eq_str(key, "h") && slice_eq_str(value, "x"));
    EXPECT(!header_next(&record, &key, &value));
    EXPECT_INT(record_next(&it, &record), ERR_NOT_FOUND);
}

TEST(the_builder_writes_kafkas_bytes) {
    uint8_t expected[200];
    struct buf out = {0};
    struct batch_builder builder;
    struct record_header header = {SLICE_LIT("h"), SLICE_LIT("x")};
    batch_builder_init(&builder, &out, 100);
    batch_builder_add(&builder, 0, TS, SLICE_LIT("k1"), SLICE_LIT("v1"), NULL, 0);
    batch_builder_add(&builder, 1, TS + 5, SLICE_LIT("k2"), SLICE_NULL, &header, 1);
    EXPECT_INT(batch_builder_finish(&builder, 0, CODEC_NONE, 0, NULL, -1, -1, -1), ERR_OK);
    batch_set_leader_epoch(out.ptr, 7);
    EXPECT_INT(out.size, from_hex(two_records, expected));
    EXPECT(memcmp(out.ptr, expected, out.size) == 0);

    buf_clear(&out);
    uint8_t key[4];
    const uint8_t value[6] = {0, 0, 0, 0, 0, 5};
    batch_builder_init(&builder, &out, 103);
    batch_builder_add(&builder, 0, TS + 7, control_key(CONTROL_COMMIT, key), slice_of(value, 6), NULL, 0);
    EXPECT_INT(batch_builder_finish(&builder, BATCH_CONTROL | BATCH_TRANSACTIONAL, CODEC_NONE, 0, NULL, 4000, 3, -1), ERR_OK);
    batch_set_leader_epoch(out.ptr, 7);
    EXPECT_INT(out.size, from_hex(commit_marker, expected));
    EXPECT(memcmp(out.ptr, expected, out.size) == 0);
    EXPECT_INT(control_type_of(slice_of(key, 4)), CONTROL_COMMIT);
    buf_deinit(&out);
}

TEST(every_flipped_bit_and_every_cut_is_found) {
    uint8_t b[200];
    size_t size = from_hex(two_records, b);
    for (size_t cut = 0; cut < size; cut++)
        EXPECT_INT(batch_check(slice_of(b, cut)), ERR_TRUNCATED);
    for (size_t bit = 16 * 8; bit < size * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT(batch_check(slice_of(b, size)) != ERR_OK);
        b[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    struct record_iterator it;
    struct record record;
    for (size_t cut = BATCH_HEADER_SIZE; cut < size; cut++) { /* a payload that ends early is a bad record */
        record_iterator_init(&it, b, slice_of(b + BATCH_HEADER_SIZE, cut - BATCH_HEADER_SIZE));
        enum err err;
        while ((err = record_next(&it, &record)) == ERR_OK)
            ;
        EXPECT_INT(err, ERR_BAD_RECORD);
    }
}

TEST(every_codec_goes_both_ways) {
    struct compressor *c = compressor_create();
    for (size_t size = 0; size < 400000; size = size * 3 + 1)
        for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++) {
            uint8_t *bytes = mem_alloc(size);
            for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(i % 251 * (i >> 12 & 3));
            struct buf packed = {0}, back = {0};
            EXPECT_INT(codec_compress(c, (enum codec)codec, COMPRESS_LEVEL_DEFAULT, slice_of(bytes, size), &packed), ERR_OK);
            EXPECT_INT(codec_decompress(c, (enum codec)codec, buf_slice(&packed), size, &back), ERR_OK);
            EXPECT(back.size == size && (size == 0 || memcmp(back.ptr, bytes, size) == 0));
            if (size > 100) {
                buf_clear(&back);
                EXPECT_INT(codec_decompress(c, (enum codec)codec, buf_slice(&packed), size - 1, &back), ERR_TOO_LARGE);
                buf_clear(&back);
                EXPECT(codec == CODEC_NONE || codec_decompress(c, (enum codec)codec, slice_of(packed.ptr, packed.size - 1), size, &back) != ERR_OK);
            }
            buf_deinit(&packed);
            buf_deinit(&back);
            mem_free(bytes);
        }
    compressor_destroy(c);
}

TEST(a_bomb_stops_at_the_limit) {
    struct compressor *c = compressor_create();
    size_t size = 64 << 20;
    uint8_t *zeros = mem_zalloc(size);
    for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
        struct buf packed = {0}, back = {0};
        EXPECT_INT(codec_compress(c, (enum codec)codec, COMPRESS_LEVEL_DEFAULT, slice_of(zeros, size), &packed), ERR_OK);
        EXPECT_INT(codec_decompress(c, (enum codec)codec, buf_slice(&packed), 1 << 20, &back), ERR_TOO_LARGE);
        EXPECT(back.capacity <= 2 << 20);
        buf_deinit(&packed);
        buf_deinit(&back);
    }
    mem_free(zeros);
    compressor_destroy(c);
}

TEST(random_bytes_are_no_stream_of_any_codec) {
    struct compressor *c = compressor_create();
    uint64_t random = 7;
    for (int round = 0; round < 3000; round++) {
        uint8_t bytes[64];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)((random = random * 6364136223846793005ull + 1442695040888963407ull) >> 56);
        if (round & 1)
            memcpy(bytes, "\x82SNAPPY\0", 8);
        struct buf out = {0};
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
            enum err err = codec_decompress(c, (enum codec)codec, slice_of(bytes, sizeof bytes), 1 << 20, &out);
            EXPECT(err == ERR_OK || err == ERR_CORRUPT || err == ERR_TOO_LARGE);
            EXPECT(codec == CODEC_SNAPPY || err != ERR_OK);
            buf_clear(&out);
        }
        buf_deinit(&out);
    }
    compressor_destroy(c);
}

TEST_MAIN
