/* The reader of what clients push: every kind of point, in any order of fields; any cut and any changed byte is survived. */
#include "broker/otlp.h"
#include "tests/unit/test.h"

/* A resource (behind its metrics) with res=r; gauge a.b {k=v} 1.5 and {} 7; sum late.name (its name behind it, delta,
 * monotonic) {n=5 d=2.5 t=true} 3; histogram h (cumulative) {q=} 4, 9.0; an exponential histogram, which is passed over. */
static const char all[] =
    "\x0a\xb6\x01\x12\xa0\x01\x12\x27\x0a\x03\x61\x2e\x62\x2a\x20\x0a\x13\x3a\x08\x0a\x01\x6b\x12\x03\x0a\x01"
    "\x76\x21\x00\x00\x00\x00\x00\x00\xf8\x3f\x0a\x09\x31\x07\x00\x00\x00\x00\x00\x00\x00\x12\x3e\x3a\x31\x0a"
    "\x2b\x31\x03\x00\x00\x00\x00\x00\x00\x00\x3a\x07\x0a\x01\x6e\x12\x02\x18\x05\x3a\x0e\x0a\x01\x64\x12\x09"
    "\x21\x00\x00\x00\x00\x00\x00\x04\x40\x3a\x07\x0a\x01\x74\x12\x02\x10\x01\x10\x01\x18\x01\x0a\x09\x6c\x61"
    "\x74\x65\x2e\x6e\x61\x6d\x65\x12\x24\x0a\x01\x68\x4a\x1f\x0a\x1b\x21\x04\x00\x00\x00\x00\x00\x00\x00\x29"
    "\x00\x00\x00\x00\x00\x00\x22\x40\x4a\x07\x0a\x01\x71\x12\x02\x0a\x00\x10\x02\x12\x0f\x0a\x03\x65\x78\x70"
    "\x52\x02\x08\x01\x1a\x04\x75\x6e\x69\x74\x0a\x0c\x0a\x0a\x0a\x03\x72\x65\x73\x12\x03\x0a\x01\x72\x1a\x03"
    "\x75\x72\x6c";

struct seen {
    char text[4096];
    size_t size;
    int count;
};
static void see(void *arg, const struct otlp_sample *sample) {
    struct seen *seen = arg;
    seen->count++;
    seen->size += (size_t)snprintf(seen->text + seen->size, sizeof seen->text - seen->size, "%.*s%s%s%s", SLICE_FMT(sample->name), sample->suffix,
                                   sample->counter ? " counter" : " gauge", sample->delta ? " delta" : "");
    for (int i = 0; i < sample->attribute_count; i++)
        seen->size += (size_t)snprintf(seen->text + seen->size, sizeof seen->text - seen->size, " %.*s=%.*s", SLICE_FMT(sample->attributes[i].key),
                                       SLICE_FMT(sample->attributes[i].value));
    seen->size += (size_t)snprintf(seen->text + seen->size, sizeof seen->text - seen->size, " %g\n", sample->value);
}

static enum err read_bytes(const void *bytes, size_t size, int max, struct seen *seen) {
    struct arena arena = {0};
    *seen = (struct seen){0};
    uint8_t *copy = malloc(size + 1); /* so that a read beyond the end is noticed */
    memcpy(copy, bytes, size);
    uint8_t *exact = realloc(copy, size ? size : 1);
    enum err err = otlp_read(slice_of(exact, size), &arena, max, see, seen);
    free(exact);
    arena_deinit(&arena);
    return err;
}

TEST(every_kind_of_point_is_told) {
    struct seen seen;
    EXPECT_INT(read_bytes(all, sizeof all - 1, 100, &seen), ERR_OK);
    EXPECT_STR(seen.text, "a.b gauge res=r k=v 1.5\n"
                          "a.b gauge res=r 7\n"
                          "late.name counter delta res=r n=5 d=2.5 t=true 3\n"
                          "h_count counter res=r q= 4\n"
                          "h_sum counter res=r q= 9\n");
}

TEST(no_more_than_wanted_is_told) {
    struct seen seen;
    EXPECT_INT(read_bytes(all, sizeof all - 1, 2, &seen), ERR_OK);
    EXPECT_INT(seen.count, 2);
}

TEST(nothing_is_no_metrics) {
    struct seen seen;
    EXPECT_INT(read_bytes("", 0, 100, &seen), ERR_OK);
    EXPECT_INT(seen.count, 0);
}

TEST(cut_bytes_are_corrupt) {
    struct seen seen;
    for (size_t size = 1; size < sizeof all - 1; size++)
        EXPECT_INT(read_bytes(all, size, 100, &seen), ERR_CORRUPT);
}

TEST(changed_bytes_are_survived) {
    struct seen seen;
    char bytes[sizeof all];
    for (size_t i = 0; i < sizeof all - 1; i++)
        for (int change = 1; change < 256; change++) {
            memcpy(bytes, all, sizeof all);
            bytes[i] = (char)(bytes[i] ^ change);
            enum err err = read_bytes(bytes, sizeof all - 1, 100, &seen);
            EXPECT(err == ERR_OK || err == ERR_CORRUPT);
        }
}

TEST(more_attributes_than_there_is_room_for_are_dropped) {
    uint8_t point[512], bytes[1024];
    size_t size = 0, at = 0;
    for (int i = 0; i < 40; i++) { /* KeyValue {key "a"+i} */
        const uint8_t attribute[] = {0x3a, 3, 0x0a, 1, (uint8_t)('0' + i)};
        memcpy(point + size, attribute, sizeof attribute);
        size += sizeof attribute;
    }
    const uint8_t value[] = {0x31, 5, 0, 0, 0, 0, 0, 0, 0};
    memcpy(point + size, value, sizeof value);
    size += sizeof value;
    /* Each message around it: a tag and a size of two bytes. */
    size_t outer[] = {size + 12 + 3, size + 9 + 3, size + 6 + 3, size + 3};
    static const uint8_t tags[] = {0x0a, 0x12, 0x12, 0x2a, 0x0a};
    for (int i = 0; i < 5; i++) {
        size_t inner = i < 4 ? outer[i] : size;
        bytes[at++] = tags[i];
        bytes[at++] = (uint8_t)(inner & 0x7f) | 0x80;
        bytes[at++] = (uint8_t)(inner >> 7);
        if (i == 2) { /* the metric's name */
            bytes[at++] = 0x0a, bytes[at++] = 1, bytes[at++] = 'm';
        }
    }
    memcpy(bytes + at, point, size);
    struct seen seen;
    EXPECT_INT(read_bytes(bytes, at + size, 100, &seen), ERR_OK);
    EXPECT_INT(seen.count, 1);
    EXPECT(strstr(seen.text, "?=") && !strstr(seen.text, "@="));
}

TEST_MAIN
