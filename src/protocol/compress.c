#include "protocol/compress.h"

#include <libdeflate.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>
#include "base/mem.h"

#define STEP 65536
/* xerial's framing of snappy, which Java clients write: magic, version, lowest compatible version, then blocks */
static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
#define XERIAL_HEADER_SIZE 16
#define XERIAL_BLOCK_SIZE 32768
#define LZ4_BLOCK LZ4F_max64KB

struct compressor {
    ZSTD_CCtx *zstd_c;
    ZSTD_DCtx *zstd_d;
    LZ4F_dctx *lz4_d;
    struct libdeflate_compressor *gzip_c;
    int gzip_level;
};

struct compressor *compressor_create(void) {
    return mem_new(struct compressor);
}

void compressor_destroy(struct compressor *c) {
    if (!c)
        return;
    ZSTD_freeCCtx(c->zstd_c);
    ZSTD_freeDCtx(c->zstd_d);
    LZ4F_freeDecompressionContext(c->lz4_d);
    libdeflate_free_compressor(c->gzip_c);
    mem_free(c);
}

/* Room for at least one more step, at most up to the limit; 0: the limit is reached. */
static size_t grow(struct buf *out, size_t limit) {
    size_t used = out->size, want = used < STEP ? STEP : used; /* doubling */
    if (used >= limit)
        return 0;
    if (want > limit - used)
        want = limit - used;
    buf_reserve(out, want);
    return want;
}

/* --- gzip --- */

static enum err gzip_compress(struct compressor *c, int level, struct slice bytes, struct buf *out) {
    if (level < 1 || level > 9)
        level = 6;
    if (!c->gzip_c || c->gzip_level != level) {
        libdeflate_free_compressor(c->gzip_c);
        c->gzip_c = libdeflate_alloc_compressor(level);
        c->gzip_level = level;
        if (!c->gzip_c)
            return ERR_NO_MEMORY;
    }
    size_t bound = libdeflate_gzip_compress_bound(c->gzip_c, bytes.size);
    size_t size = libdeflate_gzip_compress(c->gzip_c, bytes.ptr, bytes.size, buf_reserve(out, bound), bound);
    out->size += size;
    return size ? ERR_OK : ERR_INVALID;
}

/* zlib, as the size of the output is not known and members may follow one another. */
static enum err gzip_decompress(struct slice bytes, size_t limit, struct buf *out) {
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes.ptr, .avail_in = (uInt)bytes.size};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return ERR_NO_MEMORY;
    enum err err = ERR_OK;
    for (;;) {
        size_t room = grow(out, limit);
        uint8_t extra; /* at the limit: may only end */
        z.next_out = room ? out->ptr + out->size : &extra;
        z.avail_out = room ? (uInt)room : 1;
        int result = inflate(&z, Z_NO_FLUSH);
        if (room)
            out->size += room - z.avail_out;
        else if (z.avail_out == 0)
            err = ERR_TOO_LARGE;
        if (!err && result == Z_STREAM_END) {
            if (z.avail_in == 0)
                break;
            if (inflateReset(&z) == Z_OK)
                continue;
        }
        if (!err && result != Z_OK)
            err = ERR_CORRUPT;
        if (err)
            break;
    }
    inflateEnd(&z);
    return err;
}

/* --- snappy --- */

static enum err snappy_compress_xerial(struct slice bytes, struct buf *out) {
    uint8_t header[XERIAL_HEADER_SIZE];
    memcpy(header, xerial_magic, 8);
    store_be32(header + 8, 1);
    store_be32(header + 12, 1);
    buf_add(out, header, sizeof header);
    for (size_t at = 0; at < bytes.size;) {
        size_t size = bytes.size - at < XERIAL_BLOCK_SIZE ? bytes.size - at : XERIAL_BLOCK_SIZE;
        size_t packed = snappy_max_compressed_length(size);
        uint8_t *block = buf_reserve(out, 4 + packed);
        if (snappy_compress((const char *)bytes.ptr + at, size, (char *)block + 4, &packed) != SNAPPY_OK)
            return ERR_INVALID;
        store_be32(block, (uint32_t)packed);
        out->size += 4 + packed;
        at += size;
    }
    return ERR_OK;
}

static enum err snappy_block(struct slice block, size_t limit, struct buf *out) {
    size_t size;
    if (snappy_uncompressed_length((const char *)block.ptr, block.size, &size) != SNAPPY_OK)
        return ERR_CORRUPT;
    if (size > limit - out->size)
        return ERR_TOO_LARGE;
    /* Snappy cannot shrink by more than about 1:22: a declared size beyond that is a lie, found before memory is taken. */
    if (size / 64 > block.size)
        return ERR_CORRUPT;
    if (snappy_uncompress((const char *)block.ptr, block.size, (char *)buf_reserve(out, size), &size) != SNAPPY_OK)
        return ERR_CORRUPT;
    out->size += size;
    return ERR_OK;
}

static enum err snappy_decompress(struct slice bytes, size_t limit, struct buf *out) {
    if (bytes.size < XERIAL_HEADER_SIZE || memcmp(bytes.ptr, xerial_magic, sizeof xerial_magic) != 0)
        return snappy_block(bytes, limit, out);
    const uint8_t *ptr = bytes.ptr + XERIAL_HEADER_SIZE, *end = bytes.ptr + bytes.size;
    while (ptr < end) {
        if (end - ptr < 4)
            return ERR_CORRUPT;
        uint32_t size = load_be32(ptr);
        ptr += 4;
        if (size > (size_t)(end - ptr))
            return ERR_CORRUPT;
        enum err err = snappy_block(slice_of(ptr, size), limit, out);
        if (err)
            return err;
        ptr += size;
    }
    return ERR_OK;
}

/* --- lz4 --- */

static enum err lz4_compress(int level, struct slice bytes, struct buf *out) {
    LZ4F_preferences_t preferences = {
        .frameInfo = {.blockSizeID = LZ4_BLOCK, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level,
    };
    size_t bound = LZ4F_compressFrameBound(bytes.size, &preferences);
    size_t size = LZ4F_compressFrame(buf_reserve(out, bound), bound, bytes.ptr, bytes.size, &preferences);
    if (LZ4F_isError(size))
        return ERR_INVALID;
    out->size += size;
    return ERR_OK;
}

static enum err lz4_decompress(struct compressor *c, struct slice bytes, size_t limit, struct buf *out) {
    if (!c->lz4_d && LZ4F_isError(LZ4F_createDecompressionContext(&c->lz4_d, LZ4F_VERSION)))
        return ERR_NO_MEMORY;
    LZ4F_resetDecompressionContext(c->lz4_d);
    size_t at = 0, hint = 1;
    while (hint != 0 || at < bytes.size) {
        size_t room = grow(out, limit), in = bytes.size - at;
        uint8_t extra;
        size_t made = room ? room : 1;
        hint = LZ4F_decompress(c->lz4_d, room ? out->ptr + out->size : &extra, &made, bytes.ptr + at, &in, NULL);
        if (LZ4F_isError(hint))
            return ERR_CORRUPT;
        if (!room && made)
            return ERR_TOO_LARGE;
        if (room)
            out->size += made;
        at += in;
        if (in == 0 && made == 0 && hint != 0)
            return ERR_CORRUPT; /* cut short */
        if (hint == 0 && at == bytes.size)
            break;
    }
    return ERR_OK;
}

/* --- zstd --- */

static enum err zstd_compress(struct compressor *c, int level, struct slice bytes, struct buf *out) {
    if (!c->zstd_c && !(c->zstd_c = ZSTD_createCCtx()))
        return ERR_NO_MEMORY;
    size_t bound = ZSTD_compressBound(bytes.size);
    size_t size = ZSTD_compressCCtx(c->zstd_c, buf_reserve(out, bound), bound, bytes.ptr, bytes.size, level);
    if (ZSTD_isError(size))
        return ERR_INVALID;
    out->size += size;
    return ERR_OK;
}

static enum err zstd_decompress(struct compressor *c, struct slice bytes, size_t limit, struct buf *out) {
    if (!c->zstd_d && !(c->zstd_d = ZSTD_createDCtx()))
        return ERR_NO_MEMORY;
    ZSTD_DCtx_reset(c->zstd_d, ZSTD_reset_session_only);
    ZSTD_inBuffer in = {bytes.ptr, bytes.size, 0};
    size_t left = 1;
    while (in.pos < in.size || left != 0) {
        size_t room = grow(out, limit);
        uint8_t extra;
        ZSTD_outBuffer step = {room ? out->ptr + out->size : &extra, room ? room : 1, 0};
        size_t pos = in.pos;
        left = ZSTD_decompressStream(c->zstd_d, &step, &in);
        if (ZSTD_isError(left))
            return ERR_CORRUPT;
        if (!room && step.pos)
            return ERR_TOO_LARGE;
        if (room)
            out->size += step.pos;
        if (left != 0 && in.pos == pos && step.pos == 0)
            return ERR_CORRUPT; /* cut short */
    }
    return ERR_OK;
}

/* --- all --- */

enum err codec_compress(struct compressor *c, enum codec codec, int level, struct slice bytes, struct buf *out) {
    bool is_default = level == COMPRESS_LEVEL_DEFAULT;
    switch (codec) {
    case CODEC_NONE:
        buf_add_slice(out, bytes);
        return ERR_OK;
    case CODEC_GZIP:
        return gzip_compress(c, is_default ? -1 : level, bytes, out);
    case CODEC_SNAPPY:
        return snappy_compress_xerial(bytes, out);
    case CODEC_LZ4:
        return lz4_compress(is_default ? 9 : level, bytes, out);
    case CODEC_ZSTD:
        return zstd_compress(c, is_default ? 3 : level, bytes, out);
    default:
        return ERR_UNSUPPORTED_COMPRESSION;
    }
}

enum err codec_decompress(struct compressor *c, enum codec codec, struct slice bytes, size_t size_max, struct buf *out) {
    size_t limit = out->size + size_max;
    switch (codec) {
    case CODEC_NONE:
        if (bytes.size > size_max)
            return ERR_TOO_LARGE;
        buf_add_slice(out, bytes);
        return ERR_OK;
    case CODEC_GZIP:
        return gzip_decompress(bytes, limit, out);
    case CODEC_SNAPPY:
        return snappy_decompress(bytes, limit, out);
    case CODEC_LZ4:
        return lz4_decompress(c, bytes, limit, out);
    case CODEC_ZSTD:
        return zstd_decompress(c, bytes, limit, out);
    default:
        return ERR_UNSUPPORTED_COMPRESSION;
    }
}
