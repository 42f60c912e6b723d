/* Decompression of each codec: the first byte chooses it and the limit. Never more than the limit, in memory either; what
 * came out goes in and out again. */
#include "protocol/compress.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct compressor *compressor;
    if (!compressor)
        compressor = compressor_create();
    struct input input = input_of(data, size);
    uint8_t choice = input_byte(&input);
    enum codec codec = (enum codec)(choice % CODEC_COUNT);
    size_t limit = (size_t)64 << (choice / CODEC_COUNT % 15);
    uint8_t *copy = copy_bytes(input_rest(&input));
    struct buf plain = {0}, packed = {0}, again = {0};
    enum err err = codec_decompress(compressor, codec, slice_of(copy, input_rest(&input).size), limit, &plain);
    check(plain.size <= limit, "%zu bytes with a limit of %zu", plain.size, limit);
    check(plain.capacity <= 2 * limit + 65536, "memory of %zu bytes with a limit of %zu", plain.capacity, limit);
    if (!err) {
        check(!codec_compress(compressor, codec, COMPRESS_LEVEL_DEFAULT, buf_slice(&plain), &packed), "does not compress");
        check(!codec_decompress(compressor, codec, buf_slice(&packed), plain.size, &again), "does not decompress again");
        check(slice_eq(buf_slice(&plain), buf_slice(&again)), "other bytes");
    }
    buf_deinit(&plain);
    buf_deinit(&packed);
    buf_deinit(&again);
    mem_free(copy);
    return 0;
}
