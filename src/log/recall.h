/* What a producer snapshot lacks: the batches before the last one of each producer. A client that lost several answers
 * with the connection sends all of them again, and they must be known as duplicates after a restart too. */
#ifndef LOG_RECALL_H
#define LOG_RECALL_H

#include "log/producers.h"
#include "runtime/runtime.h"

/* Reads headers of the batches below offset `before` that lie in the last RECALL_BYTES of [pos, end) of a segment.
 * What cannot be read is not recalled. Blocking. */
enum { RECALL_BYTES = 8 << 20 };
void producers_recall_from(struct producers *producers, struct file *file, int64_t pos, int64_t end, int64_t before);

#endif
