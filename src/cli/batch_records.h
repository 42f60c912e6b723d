/* The records of a batch, decompressed when need be. */
#ifndef CLI_BATCH_RECORDS_H
#define CLI_BATCH_RECORDS_H

#include "protocol/batch.h"
#include "protocol/compress.h"

struct batch_records { /* zero-initialised; used for one batch after the other */
    struct compressor *compressor;
    struct buf plain;
    struct record_iterator it;
};
/* Of a whole batch of magic 2, whose CRC was checked. CORRUPT, TOO_LARGE: it cannot be decompressed. */
enum err batch_records_begin(struct batch_records *records, const uint8_t *batch, size_t size) MUST_USE;
void batch_records_deinit(struct batch_records *records);

#endif
