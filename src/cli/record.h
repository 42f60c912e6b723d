/* A record as produce reads it and consume shows it: formats of bytes, format strings, and JSON, which is the same in
 * both directions, so that `myelin consume T -o json | myelin produce U --input json` copies.
 *
 *   {"topic": "t", "partition": 0, "offset": 7, "timestamp": 1764000000000, "timestamp_type": "create",
 *    "key": "k", "value": "v", "headers": [{"key": "h", "value": "x"}]}
 *
 * Bytes are a string when they are UTF-8, else {"base64": "..."}; null is null. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include "base/arena.h"
#include "cli/output.h"

struct cli_header {
    struct slice key, value;
};
struct cli_record {
    const char *topic;
    int32_t partition; /* -1: the partitioner chooses */
    int64_t offset;
    int64_t timestamp;          /* -1: none */
    const char *timestamp_type; /* "create" or "append"; NULL: none */
    struct slice key, value;
    struct cli_header *headers;
    int header_count;
};

enum bytes_format { BYTES_TEXT, BYTES_HEX, BYTES_BASE64, BYTES_INT, BYTES_JSON };
extern const char *const bytes_format_names[]; /* NULL-terminated, in the enum's order */
enum bytes_format bytes_format_of(const char *name);
/* Null gives nothing. BYTES_INT: big-endian, signed, of 1, 2, 4 or 8 bytes; others are shown in hex. */
void bytes_show(struct buf *buf, struct slice bytes, enum bytes_format format);
/* The other way; false: `text` is not of the format. */
bool bytes_read(struct buf *buf, struct slice text, enum bytes_format format);

/* kcat's format strings: %t topic, %p partition, %o offset, %k key, %v or %s value, %K and %S (or %V) their sizes (-1:
 * null), %h headers as k=v,..., %T timestamp in ms, %% a percent sign; \n \r \t \0 \\ \xNN. */
struct record_format {
    struct buf text;    /* escapes resolved; a verb is 0 and then its letter, a zero byte is two */
};
enum err record_format_parse(struct record_format *format, const char *text, struct buf *error) MUST_USE;
struct record_style { /* how each kind of bytes is shown */
    enum bytes_format key, value, header;
};
void record_format_show(const struct record_format *format, const struct cli_record *record, const struct record_style *style, struct buf *buf);
void record_format_deinit(struct record_format *format);

json_t *record_to_json(const struct cli_record *record, const struct record_style *style);
/* Fills what the object has; keys and values that are JSON but not text become compact JSON text. Borrows from the
 * arena. One line in `error` on failure. */
enum err record_from_json(const json_t *object, struct arena *arena, struct cli_record *ret_record, struct buf *error) MUST_USE;

#endif
