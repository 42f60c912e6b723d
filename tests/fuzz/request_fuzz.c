/* A frame as it comes from a socket: header, then the request that the header names. */
#include "protocol/api.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/message_values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena = {0};
    uint8_t *copy = copy_bytes(slice_of(data, size));
    struct decoder d = decoder_of(slice_of(copy, size), &arena);
    struct api_header header;
    if (api_header_decode(&d, &header) == ERR_OK) {
        const struct api *api = api_find(header.key);
        check(api, "a header of API %d passed", header.key);
        for (int i = 0; i < message_type_count; i++) {
            const struct message_type *type = &message_types[i];
            if (type->kind != MESSAGE_REQUEST || type->key != header.key || header.version < api->version_min ||
                header.version > api->version_max)
                continue;
            void *x = arena_zalloc(&arena, type->size);
            if (type->decode(&d, header.version, x) == ERR_OK) {
                struct buf dump = {0};
                message_dump(type, header.version, x, &dump); /* touches all that was decoded */
                buf_deinit(&dump);
            }
        }
    }
    mem_free(copy);
    arena_deinit(&arena);
    return 0;
}
