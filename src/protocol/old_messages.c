#include "protocol/old_messages.h"

#include "base/mem.h"

enum { OLD_HEADER = 18, OLD_CODEC_MASK = 7, OLD_APPEND_TIME = 8 };

struct old_message {
    int64_t offset, timestamp;
    int magic, attributes;
    struct slice key, value;
    size_t size;
};

static bool read_sized(const uint8_t **ptr, const uint8_t *end, struct slice *ret) {
    if (end - *ptr < 4)
        return false;
    int32_t size = (int32_t)load_be32(*ptr);
    *ptr += 4;
    *ret = SLICE_NULL;
    if (size < 0)
        return size == -1;
    if (size > end - *ptr)
        return false;
    *ret = slice_of(*ptr, (size_t)size);
    *ptr += size;
    return true;
}

/* The message at the start of the bytes. */
static bool parse(struct slice bytes, struct old_message *ret) {
    if (bytes.size < BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN || batch_length(bytes.ptr) < BATCH_LENGTH_MIN ||
        (size_t)batch_length(bytes.ptr) > bytes.size - BATCH_PREFIX_SIZE)
        return false;
    const uint8_t *b = bytes.ptr, *ptr = b + OLD_HEADER, *end = b + batch_size(b);
    *ret = (struct old_message){batch_base_offset(b), -1, batch_magic(b), b[17], SLICE_NULL, SLICE_NULL, batch_size(b)};
    if (ret->magic == 1) {
        if (end - ptr < 8)
            return false;
        ret->timestamp = (int64_t)load_be64(ptr);
        ptr += 8;
    }
    return (ret->magic == 0 || ret->magic == 1) && read_sized(&ptr, end, &ret->key) && read_sized(&ptr, end, &ret->value) &&
           ptr == end;
}

/* XXH32 with seed 0 of fewer than 16 bytes. */
static uint32_t xxh32_short(const uint8_t *p, size_t size) {
    uint32_t h = 374761393u + (uint32_t)size;
    for (; size >= 4; p += 4, size -= 4) {
        h += ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) * 3266489917u;
        h = (h << 17 | h >> 15) * 668265263u;
    }
    for (; size > 0; p++, size--) {
        h += *p * 374761393u;
        h = (h << 11 | h >> 21) * 2654435761u;
    }
    h = (h ^ h >> 15) * 2246822519u;
    h = (h ^ h >> 13) * 3266489917u;
    return h ^ h >> 16;
}

/* Clients of magic 0 wrote a wrong checksum into the header of an LZ4 frame; what follows is as it should be. */
static void mend_lz4_header(uint8_t *frame, size_t size) {
    size_t descriptor = size > 4 && frame[4] & 8 ? 10 : 2; /* with the content's size */
    if (size > 4 + descriptor)
        frame[4 + descriptor] = (uint8_t)(xxh32_short(frame + 4, descriptor) >> 8);
}

static enum err open_wrapper(struct old_messages *messages, const struct old_message *outer, size_t size_max) {
    enum codec codec = (enum codec)(outer->attributes & OLD_CODEC_MASK);
    if (!outer->value.ptr || codec > CODEC_LZ4)
        return outer->value.ptr ? ERR_UNSUPPORTED_COMPRESSION : ERR_CORRUPT;
    if (!messages->compressor)
        messages->compressor = compressor_create();
    buf_clear(&messages->plain);
    struct slice packed = outer->value;
    uint8_t *mended = NULL;
    if (codec == CODEC_LZ4 && outer->magic == 0) {
        mended = mem_try_alloc(packed.size + 1);
        if (!mended)
            return ERR_NO_MEMORY;
        if (packed.size)
            memcpy(mended, packed.ptr, packed.size);
        mend_lz4_header(mended, packed.size);
        packed.ptr = mended;
    }
    enum err err = codec_decompress(messages->compressor, codec, packed, size_max, &messages->plain);
    mem_free(mended);
    return err;
}

/* Inner offsets of magic 1 count from the first message; the wrapper has the last one's. */
static enum err place_inner(struct old_messages *messages, const struct old_message *outer) {
    struct old_message inner = {0};
    bool any = false;
    for (struct slice left = messages->left; left.size; any = true) {
        if (!parse(left, &inner) || inner.magic != outer->magic || (inner.attributes & OLD_CODEC_MASK))
            return ERR_CORRUPT;
        left = slice_of(left.ptr + inner.size, left.size - inner.size);
    }
    if (!any)
        return ERR_CORRUPT;
    if (outer->magic == 1)
        messages->offset_add = (int64_t)((uint64_t)outer->offset - (uint64_t)inner.offset);
    return ERR_OK;
}

enum err old_messages_begin(struct old_messages *messages, struct slice message, size_t plain_size_max) {
    struct old_message outer;
    if (!parse(message, &outer))
        return ERR_CORRUPT;
    messages->left = slice_of(message.ptr, outer.size);
    messages->offset_add = 0;
    messages->append_time = outer.magic == 1 && (outer.attributes & OLD_APPEND_TIME) ? outer.timestamp : -1;
    messages->magic = outer.magic;
    if (!(outer.attributes & OLD_CODEC_MASK))
        return ERR_OK;
    enum err err = open_wrapper(messages, &outer, plain_size_max);
    if (err)
        return err;
    messages->left = buf_slice(&messages->plain);
    return place_inner(messages, &outer);
}

enum err old_messages_next(struct old_messages *messages, struct record *ret_record) {
    struct old_message message;
    if (!messages->left.size)
        return ERR_NOT_FOUND;
    if (!parse(messages->left, &message))
        return ERR_BAD_RECORD;
    messages->left = slice_of(messages->left.ptr + message.size, messages->left.size - message.size);
    *ret_record = (struct record){
        .offset = (int64_t)((uint64_t)message.offset + (uint64_t)messages->offset_add),
        .timestamp = messages->append_time >= 0 ? messages->append_time : message.timestamp,
        .key = message.key,
        .value = message.value,
        .size = (int32_t)message.size,
    };
    return ERR_OK;
}

void old_messages_deinit(struct old_messages *messages) {
    compressor_destroy(messages->compressor);
    buf_deinit(&messages->plain);
}
