/* The four codecs of record batches, both ways. Sizes declared inside compressed bytes are never believed: output
 * grows as it comes, up to a limit, beyond which it is a bomb and refused (ERR_TOO_LARGE). */
#ifndef PROTOCOL_COMPRESS_H
#define PROTOCOL_COMPRESS_H

#include "base/buf.h"
#include "base/err.h"
#include "protocol/batch.h"

/* Contexts that the libraries reuse between calls. One a thread; made on first use. */
struct compressor;
struct compressor *compressor_create(void);
void compressor_destroy(struct compressor *compressor);

#define COMPRESS_LEVEL_DEFAULT INT32_MIN /* the codec's own default in Kafka: gzip -1, lz4 9, zstd 3 */

/* Appends to `out`. */
enum err codec_compress(struct compressor *compressor, enum codec codec, int level, struct slice bytes, struct buf *out) MUST_USE;
/* Appends to `out`, at most size_max bytes. ERR_CORRUPT: not a stream of this codec, or cut short. */
enum err codec_decompress(struct compressor *compressor, enum codec codec, struct slice bytes, size_t size_max,
                    struct buf *out) MUST_USE;

#endif
