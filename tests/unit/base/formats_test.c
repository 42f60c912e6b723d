/* Checksums, varints, UUID text and properties, against known values. */
#include "tests/unit/test.h"

#include "base/arena.h"
#include "base/crc32c.h"
#include "base/properties.h"
#include "base/uuid.h"
#include "base/varint.h"

static uint32_t crc_bit_by_bit(uint32_t crc, const uint8_t *p, size_t size) {
    crc = ~crc;
    while (size--) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

TEST(crc32c_matches_the_published_check_value) {
    EXPECT_INT(crc32c(0, "123456789", 9), 0xe3069283);
    EXPECT_INT(crc32c(0, "", 0), 0);
}

TEST(crc32c_matches_the_plain_algorithm_at_every_size_and_alignment) {
    static uint8_t bytes[40000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 7));
    for (size_t size = 0; size < 1200; size += 7)
        for (size_t at = 0; at < 9; at++)
            EXPECT_INT(crc32c(5, bytes + at, size), crc_bit_by_bit(5, bytes + at, size));
    for (size_t size = 11000; size < 39000; size += 3511)
        EXPECT_INT(crc32c(0, bytes + 3, size), crc_bit_by_bit(0, bytes + 3, size));
    EXPECT_INT(crc32c(crc32c(0, bytes, 5000), bytes + 5000, 20000), crc32c(0, bytes, 25000));
}

TEST(varints_round_trip_and_refuse_what_is_cut_or_too_long) {
    const uint64_t values[] = {0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, 1ull << 35, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        uint8_t bytes[VARINT64_SIZE_MAX];
        uint64_t value = 99;
        int size = varint_write_u64(bytes, values[i]);
        EXPECT_INT(size, varint_size_u64(values[i]));
        EXPECT_INT(varint_read_u64(bytes, bytes + size, &value), size);
        EXPECT(value == values[i]);
        value = 99;
        EXPECT_INT(varint_read_u64(bytes, bytes + size - 1, &value), 0);
        EXPECT_INT(value, 99);
    }
    const uint8_t endless[16] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    uint32_t value32;
    uint64_t value64;
    EXPECT_INT(varint_read_u32(endless, endless + 16, &value32), 0);
    EXPECT_INT(varint_read_u64(endless, endless + 16, &value64), 0);
    EXPECT_INT(zigzag_decode32(zigzag_encode32(INT32_MIN)), INT32_MIN);
    EXPECT_INT(zigzag_decode64(zigzag_encode64(-3)), -3);
    EXPECT_INT(zigzag_encode64(-1), 1);
}

TEST(uuid_text_is_base64url_and_parses_back) {
    char text[UUID_TEXT_SIZE];
    EXPECT_STR(uuid_text(UUID_METADATA_TOPIC, text), "AAAAAAAAAAAAAAAAAAAAAQ");
    struct uuid u = {0x0123456789abcdef, 0xfedcba9876543210}, back;
    EXPECT(uuid_parse(slice_str(uuid_text(u, text)), &back));
    EXPECT(uuid_eq(u, back));
    EXPECT(!uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAAA"), &back));
    EXPECT(!uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAA+A"), &back));
    EXPECT(!uuid_parse(SLICE_LIT("AAAAAAAAAAAAAAAAAAAAAB"), &back)); /* bits beyond the value */
    char hex[33];
    uuid_hex(u, hex);
    EXPECT_STR(hex, "0123456789abcdeffedcba9876543210");
}

TEST(uuids_that_kafka_would_not_use_are_drawn_again) {
    struct uuid u;
    EXPECT(!uuid_from_random(0xf8ull << 56, 0, &u)); /* its text would begin with '-' */
    EXPECT(uuid_from_random(0, 0, &u));
    EXPECT_INT(u.msb >> 12 & 15, 4);
    EXPECT_INT(u.lsb >> 62, 2);
}

TEST(properties_follow_javas_rules) {
    struct arena arena = {0};
    struct properties p;
    int line = 0;
    const char *text = "# comment\n! another\n  a = 1 \r\nb:two\nc three\nd=x\\\n    y\n\nk\\:ey=v\\u00e9\\tz\nempty\na=2\nlast=end";
    EXPECT_INT(properties_parse(&arena, slice_str(text), &p, &line), ERR_OK);
    EXPECT_INT(p.count, 8);
    EXPECT(slice_eq_str(properties_get(&p, "a"), "2"));
    EXPECT(slice_eq_str(p.items[0].value, "1 "));
    EXPECT_INT(p.items[0].line, 3);
    EXPECT(slice_eq_str(properties_get(&p, "b"), "two"));
    EXPECT(slice_eq_str(properties_get(&p, "c"), "three"));
    EXPECT(slice_eq_str(properties_get(&p, "d"), "xy"));
    EXPECT(slice_eq_str(properties_get(&p, "k:ey"), "v\xc3\xa9\tz"));
    EXPECT(slice_eq_str(properties_get(&p, "empty"), ""));
    EXPECT(slice_eq_str(properties_get(&p, "last"), "end"));
    EXPECT(slice_is_null(properties_get(&p, "missing")));
    EXPECT_INT(properties_parse(&arena, SLICE_LIT("ok=1\nbad=\\u12g4\n"), &p, &line), ERR_INVALID);
    EXPECT_INT(line, 2);
    arena_deinit(&arena);
}

TEST_MAIN
