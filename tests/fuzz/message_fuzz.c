/* Every message and record in every version: two bytes choose the message, one the version, the rest is the body. What
 * decodes must encode, and decode to the same values again; memory is in proportion to the input. */
#include "tests/fuzz/fuzz.h"
#include "tests/lib/message_values.h"

/* Encodes x and decodes it again: the same dump. */
static void check_round_trip(const struct message_type *type, int version, const void *x, struct arena *arena) {
    struct buf bytes = {0}, first = {0}, second = {0};
    struct encoder e;
    encoder_init(&e, &bytes, arena);
    enum err err = type->encode(&e, version, x);
    check(!err, "%s v%d decodes and does not encode: %s", type->name, version, err_text(err));
    void *back = arena_zalloc(arena, type->size);
    struct decoder d = decoder_of(buf_slice(&bytes), arena);
    err = type->decode(&d, version, back);
    check(!err && decoder_left(&d) == 0, "%s v%d does not decode again: %s", type->name, version, err_text(err));
    message_dump(type, version, x, &first);
    message_dump(type, version, back, &second);
    check(slice_eq(buf_slice(&first), buf_slice(&second)), "%s v%d: %s became %s", type->name, version, buf_text(&first),
          buf_text(&second));
    if (type->json) {
        buf_clear(&second);
        type->json(&second, version, x);
        check(slice_eq(buf_slice(&first), buf_slice(&second)), "%s v%d: JSON differs", type->name, version);
    }
    buf_deinit(&bytes);
    buf_deinit(&first);
    buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = input_of(data, size);
    int index = input_byte(&input) << 8 | input_byte(&input);
    const struct message_type *type = &message_types[index % message_type_count];
    int version = type->version_min + input_byte(&input) % (type->version_max - type->version_min + 1);
    struct slice body = input_rest(&input);
    struct arena arena = {0};
    void *x = mem_zalloc(type->size);
    uint8_t *copy = copy_bytes(body);
    struct decoder d = decoder_of(slice_of(copy, body.size), &arena);
    enum err err = type->decode(&d, version, x);
    check(arena.size <= 65536 + 1024 * size, "%s v%d takes %zu bytes for %zu", type->name, version, arena.size, size);
    if (!err)
        check_round_trip(type, version, x, &arena);
    mem_free(copy);
    mem_free(x);
    arena_deinit(&arena);
    return 0;
}
