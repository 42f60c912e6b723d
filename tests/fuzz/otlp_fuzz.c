/* The reader of clients' metrics on any bytes: no crash, strings inside the bytes or the arena. */
#include "broker/otlp.h"
#include "tests/fuzz/fuzz.h"

static volatile uint8_t sink;

static void touch(struct slice s) {
    for (size_t i = 0; i < s.size; i++)
        sink ^= s.ptr[i];
}

static void see(void *arg, const struct otlp_sample *sample) {
    int *count = arg;
    check(++*count <= 100, "more samples than wanted");
    check(sample->name.size > 0 && sample->attribute_count <= OTLP_ATTRIBUTES_MAX, "a sample that cannot be");
    touch(sample->name);
    for (int i = 0; i < sample->attribute_count; i++) {
        touch(sample->attributes[i].key);
        touch(sample->attributes[i].value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    int count = 0;
    enum err err = otlp_read(slice_of(data, size), &arena, 100, see, &count);
    check(err == ERR_OK || err == ERR_CORRUPT, "%s", err_text(err));
    arena_deinit(&arena);
    return 0;
}
