/* The commands of `myelin` as data. One table a command says its options, arguments and help; from it come parsing,
 * `--help`, "did you mean" and the shells' completion, so that none of them can differ from another.
 *
 *   --name VALUE  --name=VALUE  -n VALUE  -nVALUE  --flag  --  (the rest are arguments)
 *
 * An option's value may begin with '-' (`--offset -10`). Options and arguments may be mixed.
 * Every command takes --help, and --output unless it is `plain`; one that `connects` takes also --bootstrap-server,
 * --command-config and --timeout (see client.h).
 * Exit status: 0 done, 1 it failed (one line on stderr says why and what to do), 2 it was called wrongly. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdio.h>
#include "base/buf.h"
#include "base/err.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

enum option_kind {
    OPTION_FLAG, /* no value */
    OPTION_TEXT, /* the last one given counts */
    OPTION_INT,  /* checked: a whole number that fits in 64 bits, `k`, `m`, `g` (1024s) allowed behind it */
    OPTION_LIST, /* may be given again: all count, in order */
};
enum completion { COMPLETE_NOTHING, COMPLETE_TOPIC, COMPLETE_GROUP, COMPLETE_FILE };

struct option_def {
    const char *name;           /* "partitions" for --partitions */
    char letter;                /* 'p' for -p; 0: none */
    enum option_kind kind;
    const char *value;          /* what help calls the value: "N"; NULL for a flag */
    const char *help;           /* one line */
    const char *const *choices; /* NULL-terminated; another value is an error; NULL: anything */
    enum completion complete;   /* of the value */
};

struct options;
struct command {
    const char *name, *summary;
    const char *arguments; /* for help: "NAME...", NULL: none */
    int argument_min, argument_max; /* max -1: no limit */
    enum completion complete;       /* of the arguments */
    const struct option_def *options;
    int option_count;
    bool connects, plain;
    const char *details; /* further help, lines ending in \n; NULL: none */
    int (*run)(struct options *options); /* NULL: it only has subcommands */
    const struct command *sub;
    int sub_count;
};
/* For the initialiser: `OPTIONS(create_options)`. */
#define OPTIONS(array) .options = (array), .option_count = COUNT_OF(array)
#define SUBCOMMANDS(array) .sub = (array), .sub_count = COUNT_OF(array)

struct option_value {
    const struct option_def *def;
    const char *text; /* of argv; NULL for a flag */
};
struct options {
    const struct command *command;
    char path[64]; /* "topic create" */
    const char **arguments; /* of argv */
    int argument_count;
    struct option_value *values; /* in the order given */
    int value_count;
    bool help; /* --help was among them; nothing else was checked */
};

/* Reads what follows the command's name; ERR_INVALID with one line in `error`. Borrows argv. */
enum err options_parse(struct options *options, const struct command *command, const char *path, int argc, char **argv,
                       struct buf *error) MUST_USE;
void options_deinit(struct options *options);

/* `name` must be in the command's table (checked). */
bool options_has(const struct options *options, const char *name);
const char *options_text(const struct options *options, const char *name, const char *otherwise);
int64_t options_int(const struct options *options, const char *name, int64_t otherwise);
/* The index-th value of a list; NULL behind the last. */
const char *options_list(const struct options *options, const char *name, int index);
bool options_json(const struct options *options); /* --output json */

/* A whole number with an optional k, m or g; false: it is none. */
bool parse_int(const char *text, int64_t *ret_value);
/* The candidate that `text` is most likely a slip of; NULL: none is near. candidates: NULL-terminated. */
const char *nearest(const char *text, const char *const *candidates);

/* All options of the command, common ones last. For help and completion. */
int command_option_count(const struct command *command);
const struct option_def *command_option(const struct command *command, int index);
void command_help(const struct command *command, const char *path, FILE *out);

#endif
