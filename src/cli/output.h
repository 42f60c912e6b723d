/* What commands print: a value built once (jansson), shown as a table for people or as JSON for programs, so that
 * both always say the same. Data goes to stdout; errors, questions and progress go to stderr.
 * JSON keys are snake_case; offsets, sizes and times are numbers, times in milliseconds since 1970. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <jansson.h>
#include "cli/options.h"

enum output_style {
    OUTPUT_LEFT = 0,  /* text; `false` does too */
    OUTPUT_RIGHT = 1, /* numbers; `true` does too */
    OUTPUT_SIZE,      /* bytes, shown as 1.5 MiB */
    OUTPUT_TIME,      /* milliseconds since 1970, shown as 2026-11-24T21:00:05.250Z */
};
struct output_column {
    const char *key;   /* in the row's object */
    const char *title; /* of the table */
    enum output_style style;
};

/* A table with a line of titles; rows: an array of objects. A missing or null cell is "-", an array is joined by
 * commas, an object is k=v joined by commas. Control characters are shown as \xNN: names come from others. */
void output_rows(FILE *out, const json_t *rows, const struct output_column *columns, int column_count);
/* One object, a line a column: `title: value`. */
void output_fields(FILE *out, const json_t *object, const struct output_column *columns, int column_count);
/* Indented, with a newline; or on one line, for streams of values. */
void output_json(FILE *out, const json_t *value);
void output_json_line(FILE *out, const json_t *value);
/* The array as JSON or as a table, as --output says. Releases rows. */
void output_list(const struct options *options, json_t *rows, const struct output_column *columns, int column_count);

/* Bytes as a JSON string when they are UTF-8, else {"base64": "..."}; null slice: null. */
json_t *json_bytes(struct slice bytes);
json_t *json_slice(struct slice text); /* text of the protocol: what is not UTF-8 is replaced; null slice: null */
/* Standard base64 with padding, added to buf; and back: false when the text is none. */
void base64_encode(struct buf *buf, struct slice bytes);
bool base64_decode(struct buf *buf, struct slice text);
/* Hexadecimal digits; and back. */
void hex_encode(struct buf *buf, struct slice bytes);
bool hex_decode(struct buf *buf, struct slice text);
/* RFC 3339 in UTC with milliseconds; "-" for what is before 1970. */
const char *time_text(int64_t time_ms, char text[32]);
/* "1.5 MiB" */
const char *size_text(int64_t size, char text[32]);

/* `myelin: WHAT` on stderr; gives CLI_FAILED. WHAT says what failed and, behind "; ", what to do next. */
int cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Likewise for wrong arguments, with a pointer to the help of the command; gives CLI_USAGE. */
int cli_usage(const struct options *options, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Asks when stdin and stderr are a terminal; else true, as a script cannot answer. */
bool cli_confirm(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Progress of long work on stderr: a line that is redrawn on a terminal; elsewhere a line each 5 seconds. */
struct progress {
    bool terminal, shown;
    int64_t begin_us, last_us;
};
int64_t cli_now_us(void); /* monotonic; the command line is a client program, no simulation runs it */
void progress_begin(struct progress *progress);
bool progress_due(struct progress *progress); /* it is time to show again */
void progress_show(struct progress *progress, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_end(struct progress *progress); /* clears the redrawn line */

#endif
