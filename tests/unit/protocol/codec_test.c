/* Generated codecs against bytes that Apache Kafka's encoders made: decoding takes all of them, encoding gives
 * the same bytes back; every cut of them is refused and nothing reads past the end (address sanitizer). */
#include "tests/unit/test.h"

#include "protocol/api.h"
#include "protocol/errors.h"
#include "protocol/fetch_response.h"
#include "protocol/message_table.h"
#include "protocol/produce_request.h"

static const struct message_type *find_type(const char *name) {
    for (int i = 0; i < message_type_count; i++)
        if (strcmp(message_types[i].name, name) == 0)
            return &message_types[i];
    return NULL;
}

static size_t from_hex(const char *hex, uint8_t *bytes) {
    size_t size = 0;
    for (; hex[0] && hex[1] && hex[0] != '-'; hex += 2)
        sscanf(hex, "%2hhx", &bytes[size++]);
    return size;
}

/* Decodes from memory of exactly that size, so that the sanitizer sees any read past the end. */
static enum err decode_exact(const struct message_type *type, int version, const uint8_t *bytes, size_t size,
                             struct arena *arena, void *x, size_t *ret_left, uint8_t **ret_copy) {
    uint8_t *copy = mem_alloc(size);
    if (size)
        memcpy(copy, bytes, size);
    struct decoder d = decoder_of(slice_of(copy, size), arena);
    enum err err = type->decode(&d, version, x);
    *ret_left = decoder_left(&d);
    *ret_copy = copy;
    return err;
}

TEST(every_vector_decodes_whole_and_encodes_back_to_the_same_bytes) {
    static char line[20000], name[100], hex[20000];
    static uint8_t bytes[10000];
    FILE *file = fopen("tests/unit/protocol/data/messages.txt", "r");
    EXPECT(file);
    int vectors = 0;
    while (fgets(line, sizeof line, file)) {
        int low, high;
        if (line[0] == '#' || sscanf(line, "%99s %d %d %19999s", name, &low, &high, hex) != 4)
            continue;
        const struct message_type *type = find_type(name);
        if (!type)
            TEST_FAIL("%s is not in the table", name);
        size_t size = from_hex(hex, bytes);
        for (int version = low; version <= high; version++, vectors++) {
            if (version < type->version_min || version > type->version_max)
                TEST_FAIL("%s has no version %d", name, version);
            struct arena arena = {0};
            void *x = mem_zalloc(type->size);
            size_t left;
            uint8_t *copy;
            enum err err = decode_exact(type, version, bytes, size, &arena, x, &left, &copy);
            if (err || left)
                TEST_FAIL("%s v%d: %s, %zu bytes left", name, version, err_text(err), left);
            struct buf buf = {0};
            struct encoder e;
            encoder_init(&e, &buf, &arena);
            err = type->encode(&e, version, x);
            if (err || buf.size != size || memcmp(buf.ptr, bytes, size) != 0)
                TEST_FAIL("%s v%d: encoded %zu bytes, not %zu: %s", name, version, buf.size, size, err_text(err));
            buf_deinit(&buf);
            mem_free(copy);
            for (size_t cut = 0; cut < size; cut++) {
                memset(x, 0, type->size);
                err = decode_exact(type, version, bytes, cut, &arena, x, &left, &copy);
                if (!err)
                    TEST_FAIL("%s v%d: accepted when cut to %zu bytes", name, version, cut);
                mem_free(copy);
            }
            mem_free(x);
            arena_deinit(&arena);
        }
    }
    fclose(file);
    EXPECT(vectors > 300);
}

TEST(an_array_count_beyond_the_bytes_that_are_there_is_refused_before_memory_is_taken) {
    /* acks, timeout, then 2^31-1 topics */
    const uint8_t bytes[] = {0xff, 0xff, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff};
    struct arena arena = {0};
    struct produce_request request;
    struct decoder d = decoder_of(slice_of(bytes, sizeof bytes), &arena);
    EXPECT_INT(produce_request_decode(&d, 3, &request), ERR_TRUNCATED);
    EXPECT_INT(arena.size, 0);
    arena_deinit(&arena);
}

TEST(records_given_as_pieces_are_spliced_and_not_copied) {
    struct arena arena = {0};
    struct buf buf = {0};
    struct encoder e;
    struct piece piece = {.ptr = "0123456789", .size = 10};
    struct fetch_response_partition_data partition;
    fetch_response_partition_data_init(&partition);
    partition.records = (struct records){.pieces = &piece, .piece_count = 1, .size = 10};
    struct fetch_response_fetchable_topic_response topic;
    fetch_response_fetchable_topic_response_init(&topic);
    topic.partitions = &partition;
    topic.partitions_count = 1;
    struct fetch_response response;
    fetch_response_init(&response);
    response.responses = &topic;
    response.responses_count = 1;
    encoder_init(&e, &buf, &arena);
    EXPECT_INT(fetch_response_encode(&e, 12, &response), ERR_OK);
    EXPECT_INT(e.splice_count, 1);
    EXPECT_INT(e.splice_size, 10);
    EXPECT_INT(buf.ptr[e.splices[0].at - 1], 11); /* the compact length stands just before the splice */
    buf_deinit(&buf);
    arena_deinit(&arena);
}

TEST(request_headers_follow_the_version_table) {
    struct arena arena = {0};
    struct api_header header;
    const uint8_t v1[] = {0, 3, 0, 0, 0, 0, 0, 7, 0, 1, 'c'};
    struct decoder d = decoder_of(slice_of(v1, sizeof v1), &arena);
    EXPECT_INT(api_header_decode(&d, &header), ERR_OK);
    EXPECT(header.key == API_METADATA && header.correlation_id == 7 && slice_eq_str(header.client_id, "c"));
    const uint8_t future[] = {0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff};
    d = decoder_of(slice_of(future, sizeof future), &arena);
    EXPECT_INT(api_header_decode(&d, &header), ERR_TRUNCATED); /* a flexible header has a tag section */
    const uint8_t removed[] = {0, 4, 0, 0, 0, 0, 0, 7, 0xff, 0xff};
    d = decoder_of(slice_of(removed, sizeof removed), &arena);
    EXPECT_INT(api_header_decode(&d, &header), ERR_UNSUPPORTED);
    EXPECT_STR(kafka_error_name(KAFKA_UNKNOWN_TOPIC_ID), "UNKNOWN_TOPIC_ID");
    EXPECT_STR(kafka_error_name(9999), "UNKNOWN");
    arena_deinit(&arena);
}

TEST_MAIN
