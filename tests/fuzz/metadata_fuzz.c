/* The cluster's image under any records: pieces of the input are applied one by one, as the metadata log or a snapshot
 * gives them; what was applied must be written as a snapshot and read back. */
#include "metadata/image.h"
#include "tests/fuzz/fuzz.h"

static void apply_again(void *arg, struct slice record) {
    struct image *image = arg;
    enum err err = image_apply(image, record, image->offset + 1, 1);
    check(!err, "a record of a snapshot is refused: %s", err_text(err));
}

static void count(void *arg, struct slice record) {
    (void)record;
    ++*(int *)arg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct image_observer observer;
    struct input input = input_of(data, size);
    struct image *image = image_create(&observer), *copy = image_create(&observer);
    for (struct slice record; (record = input_piece(&input)).ptr;) {
        uint8_t *exact = copy_bytes(record);
        (void)!image_apply(image, slice_of(exact, record.size), image->offset + 1, 1);
        mem_free(exact);
    }
    int written = 0, again = 0;
    image_write(image, count, &written);
    image_write(image, apply_again, copy);
    image_write(copy, count, &again);
    check(written == again, "a snapshot of %d records has %d when it is written again", written, again);
    image_destroy(image);
    image_destroy(copy);
    return 0;
}
