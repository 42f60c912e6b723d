#include "cli/batch_records.h"

enum { PLAIN_SIZE_MAX = 1 << 30 };

enum err batch_records_begin(struct batch_records *records, const uint8_t *batch, size_t size) {
    struct slice payload = slice_of(batch + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE);
    if (batch_codec(batch) != CODEC_NONE && batch_count(batch) > 0) {
        if (!records->compressor)
            records->compressor = compressor_create();
        buf_clear(&records->plain);
        enum err err = codec_decompress(records->compressor, batch_codec(batch), payload, PLAIN_SIZE_MAX, &records->plain);
        if (err)
            return err;
        payload = buf_slice(&records->plain);
    }
    record_iterator_init(&records->it, batch, payload);
    return ERR_OK;
}

void batch_records_deinit(struct batch_records *records) {
    compressor_destroy(records->compressor);
    buf_deinit(&records->plain);
}
