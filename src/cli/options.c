#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include "base/check.h"
#include "base/mem.h"

static const char *const output_choices[] = {"table", "json", NULL};
static const struct option_def connect_options[] = {
    {"bootstrap-server", 'b', OPTION_TEXT, "HOST:PORT,...", "where the cluster is (environment: MYELIN_BOOTSTRAP; else 127.0.0.1:9092)",
     NULL, COMPLETE_NOTHING},
    {"command-config", 0, OPTION_TEXT, "FILE", "properties of a Kafka client: security.protocol=..., ...", NULL, COMPLETE_FILE},
    {"timeout", 0, OPTION_INT, "MS", "how long to wait for the cluster (30000)", NULL, COMPLETE_NOTHING},
};
static const struct option_def output_option = {
    "output", 'o', OPTION_TEXT, "FORMAT", "table (for people) or json (for programs)", output_choices, COMPLETE_NOTHING};
static const struct option_def help_option = {"help", 'h', OPTION_FLAG, NULL, "show this text", NULL, COMPLETE_NOTHING};

int command_option_count(const struct command *command) {
    return command->option_count + (command->connects ? COUNT_OF(connect_options) : 0) + !command->plain + 1;
}

const struct option_def *command_option(const struct command *command, int index) {
    if (index < command->option_count)
        return &command->options[index];
    index -= command->option_count;
    if (command->connects) {
        if (index < COUNT_OF(connect_options))
            return &connect_options[index];
        index -= COUNT_OF(connect_options);
    }
    return index == 0 && !command->plain ? &output_option : &help_option;
}

/* ---- near misses -------------------------------------------------------------------------------------------- */

enum { NEAREST_SIZE_MAX = 64 };

/* Insertions, deletions, changes and swaps of neighbours that make `a` of `b`. */
static int edit_distance(const char *a, const char *b) {
    int rows[3][NEAREST_SIZE_MAX + 1], a_size = (int)strlen(a), b_size = (int)strlen(b);
    if (a_size > NEAREST_SIZE_MAX || b_size > NEAREST_SIZE_MAX)
        return NEAREST_SIZE_MAX;
    for (int j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (int i = 1; i <= a_size; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= b_size; j++) {
            int best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_size % 3][b_size];
}

const char *nearest(const char *text, const char *const *candidates) {
    const char *best = NULL;
    int size = (int)strlen(text), best_distance = size < 4 ? 2 : size < 12 ? 3 : 4;
    for (; size > 0 && *candidates; candidates++) {
        int distance = edit_distance(text, *candidates);
        if (size > 2 && strncmp(text, *candidates, (size_t)size) == 0) /* a beginning of it */
            distance = 1;
        if (distance < best_distance && distance < (int)strlen(*candidates)) {
            best = *candidates;
            best_distance = distance;
        }
    }
    return best;
}

/* ---- parsing ------------------------------------------------------------------------------------------------ */

bool parse_int(const char *text, int64_t *ret_value) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || errno)
        return false;
    int shift = *end == 'k' || *end == 'K' ? 10 : *end == 'm' || *end == 'M' ? 20 : *end == 'g' || *end == 'G' ? 30 : 0;
    if (shift)
        end++;
    if (*end || value > INT64_MAX >> shift || value < INT64_MIN >> shift)
        return false;
    *ret_value = value * (1LL << shift);
    return true;
}

static const struct option_def *find_option(const struct command *command, const char *name, size_t size) {
    for (int i = 0; i < command_option_count(command); i++) {
        const struct option_def *def = command_option(command, i);
        if (strlen(def->name) == size && memcmp(def->name, name, size) == 0)
            return def;
    }
    return NULL;
}

static const struct option_def *find_letter(const struct command *command, char letter) {
    for (int i = 0; i < command_option_count(command); i++)
        if (command_option(command, i)->letter == letter)
            return command_option(command, i);
    return NULL;
}

static void suggest_option(const struct command *command, const char *name, struct buf *error) {
    int count = command_option_count(command);
    const char **names = mem_alloc(sizeof *names * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        names[i] = command_option(command, i)->name;
    names[count] = NULL;
    const char *near = nearest(name, names);
    if (near)
        buf_printf(error, "; did you mean --%s?", near);
    mem_free(names);
}

static enum err check_value(const struct option_def *def, const char *text, struct buf *error) {
    int64_t number;
    if (def->kind == OPTION_INT && !parse_int(text, &number)) {
        buf_printf(error, "--%s takes a whole number, not '%s'", def->name, text);
        return ERR_INVALID;
    }
    if (!def->choices)
        return ERR_OK;
    for (int i = 0; def->choices[i]; i++)
        if (strcmp(def->choices[i], text) == 0)
            return ERR_OK;
    buf_printf(error, "--%s is one of", def->name);
    for (int i = 0; def->choices[i]; i++)
        buf_printf(error, "%s %s", i ? "," : "", def->choices[i]);
    buf_printf(error, "; not '%s'", text);
    return ERR_INVALID;
}

struct parser {
    struct options *options;
    int argc, at;
    char **argv;
    struct buf *error;
};

static enum err add_value(struct parser *parser, const struct option_def *def, const char *text) {
    struct options *options = parser->options;
    if (def->kind == OPTION_FLAG) {
        if (text) {
            buf_printf(parser->error, "--%s takes no value", def->name);
            return ERR_INVALID;
        }
        options->help |= def == &help_option;
    } else {
        if (!text && parser->at + 1 < parser->argc)
            text = parser->argv[++parser->at];
        if (!text) {
            buf_printf(parser->error, "--%s needs a value: --%s %s", def->name, def->name, def->value);
            return ERR_INVALID;
        }
        enum err err = check_value(def, text, parser->error);
        if (err)
            return err;
    }
    options->values[options->value_count++] = (struct option_value){def, text};
    return ERR_OK;
}

static enum err parse_long(struct parser *parser, const char *name) {
    const struct command *command = parser->options->command;
    const char *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    const struct option_def *def = find_option(command, name, size);
    if (def)
        return add_value(parser, def, equals ? equals + 1 : NULL);
    char *text = mem_strndup(name, size);
    buf_printf(parser->error, "there is no option --%s", text);
    suggest_option(command, text, parser->error);
    mem_free(text);
    return ERR_INVALID;
}

/* `-n 3`, `-n3`, or flags together: `-xy`. */
static enum err parse_letters(struct parser *parser, const char *letters) {
    for (; *letters; letters++) {
        const struct option_def *def = find_letter(parser->options->command, *letters);
        if (!def) {
            buf_printf(parser->error, "there is no option -%c", *letters);
            return ERR_INVALID;
        }
        bool takes_rest = def->kind != OPTION_FLAG && letters[1];
        enum err err = add_value(parser, def, takes_rest ? letters + 1 : NULL);
        if (err || def->kind != OPTION_FLAG)
            return err;
    }
    return ERR_OK;
}

static enum err check_argument_count(const struct options *options, struct buf *error) {
    const struct command *command = options->command;
    if (options->argument_count < command->argument_min) {
        buf_printf(error, "arguments are missing: %s", command->arguments);
        return ERR_INVALID;
    }
    if (command->argument_max >= 0 && options->argument_count > command->argument_max) {
        buf_printf(error, "'%s' is one argument too many", options->arguments[command->argument_max]);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err options_parse(struct options *options, const struct command *command, const char *path, int argc, char **argv,
                       struct buf *error) {
    *options = (struct options){.command = command};
    snprintf(options->path, sizeof options->path, "%s", path);
    size_t values_max = 1; /* letters may stand for an option each */
    for (int i = 0; i < argc; i++)
        values_max += argv[i][0] == '-' ? strlen(argv[i]) : 0;
    options->arguments = mem_zalloc(sizeof *options->arguments * (size_t)(argc + 1));
    options->values = mem_zalloc(sizeof *options->values * values_max);
    struct parser parser = {options, argc, 0, argv, error};
    enum err err = ERR_OK;
    bool only_arguments = false;
    for (; parser.at < argc && !err; parser.at++) {
        const char *arg = argv[parser.at];
        if (only_arguments || arg[0] != '-' || !arg[1])
            options->arguments[options->argument_count++] = arg;
        else if (strcmp(arg, "--") == 0)
            only_arguments = true;
        else
            err = arg[1] == '-' ? parse_long(&parser, arg + 2) : parse_letters(&parser, arg + 1);
    }
    if (!err && !options->help)
        err = check_argument_count(options, error);
    return err;
}

void options_deinit(struct options *options) {
    mem_free(options->arguments);
    mem_free(options->values);
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static const struct option_value *find_value(const struct options *options, const char *name) {
    const struct option_def *def = find_option(options->command, name, strlen(name));
    check(def, "the command has no option %s", name);
    for (int i = options->value_count - 1; i >= 0; i--)
        if (options->values[i].def == def)
            return &options->values[i];
    return NULL;
}

bool options_has(const struct options *options, const char *name) {
    return find_value(options, name) != NULL;
}

const char *options_text(const struct options *options, const char *name, const char *otherwise) {
    const struct option_value *value = find_value(options, name);
    return value ? value->text : otherwise;
}

int64_t options_int(const struct options *options, const char *name, int64_t otherwise) {
    const struct option_value *value = find_value(options, name);
    int64_t number;
    return value && parse_int(value->text, &number) ? number : otherwise;
}

const char *options_list(const struct options *options, const char *name, int index) {
    const struct option_def *def = find_option(options->command, name, strlen(name));
    check(def, "the command has no option %s", name);
    for (int i = 0; i < options->value_count; i++)
        if (options->values[i].def == def && index-- == 0)
            return options->values[i].text;
    return NULL;
}

bool options_json(const struct options *options) {
    return !options->command->plain && strcmp(options_text(options, "output", "table"), "json") == 0;
}

/* ---- help --------------------------------------------------------------------------------------------------- */

static void help_option_line(const struct option_def *def, FILE *out) {
    char left[64], letter[8] = "    ";
    if (def->letter)
        snprintf(letter, sizeof letter, "-%c, ", def->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, def->name, def->value ? " " : "", def->value ? def->value : "");
    fprintf(out, strlen(left) > 30 ? "  %s\n  %30s %s" : "  %-30s%.0s %s", left, "", def->help);
    fputs(def->kind == OPTION_LIST ? " (may be given again)\n" : "\n", out);
}

void command_help(const struct command *command, const char *path, FILE *out) {
    if (command->sub_count) {
        fprintf(out, "usage: myelin %s COMMAND ...\n\n%s\n\n", path, command->summary);
        for (int i = 0; i < command->sub_count; i++)
            fprintf(out, "  %-16s %s\n", command->sub[i].name, command->sub[i].summary);
        fprintf(out, "\n`myelin help %s COMMAND` tells more about one.\n", path);
    } else {
        fprintf(out, "usage: myelin %s%s%s [OPTION]...\n\n%s\n\n", path, command->arguments ? " " : "",
                command->arguments ? command->arguments : "", command->summary);
        for (int i = 0; i < command_option_count(command); i++)
            help_option_line(command_option(command, i), out);
    }
    if (command->details)
        fprintf(out, "\n%s", command->details);
}
