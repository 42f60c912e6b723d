#include "metadata/config_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const struct config_def *config_find(const struct config_def *defs, int count, struct slice name) {
    int low = 0, high = count; /* the tables are in order of name */
    while (low < high) {
        int mid = (low + high) / 2, c = slice_cmp(slice_str(defs[mid].name), name);
        if (c == 0)
            return &defs[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static struct slice trim(struct slice s) {
    while (s.size && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s.ptr++, s.size--;
    while (s.size && (s.ptr[s.size - 1] == ' ' || s.ptr[s.size - 1] == '\t'))
        s.size--;
    return s;
}

bool config_list_next(struct slice *list, struct slice *ret_item) {
    while (list->size) {
        const uint8_t *comma = memchr(list->ptr, ',', list->size);
        size_t size = comma ? (size_t)(comma - list->ptr) : list->size;
        *ret_item = trim(slice_of(list->ptr, size));
        list->ptr += size + (comma != NULL);
        list->size -= size + (comma != NULL);
        if (ret_item->size)
            return true;
    }
    return false;
}

bool config_list_has(struct slice list, const char *item) {
    struct slice s;
    while (config_list_next(&list, &s))
        if (slice_eq_str(s, item))
            return true;
    return false;
}

bool config_list_has_duplicates(struct slice list) {
    struct slice item, rest;
    while (config_list_next(&list, &item))
        for (struct slice left = list; config_list_next(&left, &rest);)
            if (slice_eq(item, rest))
                return true;
    return false;
}

static bool parse_long(struct slice value, int64_t *ret) {
    char text[32];
    value = trim(value);
    if (!value.size || value.size >= sizeof text)
        return false;
    memcpy(text, value.ptr, value.size);
    text[value.size] = 0;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (*end || errno || end == text)
        return false;
    *ret = number;
    return true;
}

static bool parse_double(struct slice value, double *ret) {
    char text[64];
    value = trim(value);
    if (!value.size || value.size >= sizeof text)
        return false;
    memcpy(text, value.ptr, value.size);
    text[value.size] = 0;
    char *end;
    *ret = strtod(text, &end);
    return !*end && end != text;
}

bool config_parse_int32(struct slice value, int32_t *ret) {
    int64_t number;
    if (!parse_long(value, &number) || number < INT32_MIN || number > INT32_MAX)
        return false;
    *ret = (int32_t)number;
    return true;
}

int64_t config_int(struct slice value) {
    int64_t number = 0;
    return parse_long(value, &number) ? number : 0;
}

double config_double(struct slice value) {
    char text[64];
    snprintf(text, sizeof text, "%.*s", SLICE_FMT(value));
    return strtod(text, NULL);
}
static int lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}
bool config_eq_no_case(struct slice a, struct slice b) {
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}
static bool eq_no_case(struct slice s, const char *text) {
    return config_eq_no_case(s, slice_str(text));
}
bool config_bool(struct slice value) {
    return eq_no_case(trim(value), "true");
}

static enum err refuse(const struct config_def *def, struct slice value, const char *reason, struct buf *out) {
    buf_printf(out, "Invalid value %.*s for configuration %s: %s", SLICE_FMT(value), def->name, reason);
    return ERR_INVALID;
}

/* "[a,...]", "[a,...,b]", each with " or X" behind; false: not a range. */
static bool parse_range(const char *valid, double *ret_low, double *ret_high, bool *ret_has_high, double *ret_or, bool *ret_has_or) {
    if (valid[0] != '[' || !strstr(valid, ",..."))
        return false;
    char *end;
    *ret_low = strtod(valid + 1, &end);
    if (end == valid + 1)
        return false;
    const char *rest = strstr(valid, ",...") + 4;
    *ret_has_high = *rest == ',';
    if (*ret_has_high)
        *ret_high = strtod(rest + 1, NULL);
    const char *or = strstr(valid, "] or ");
    *ret_has_or = or != NULL;
    if (or)
        *ret_or = strtod(or + 5, NULL);
    return true;
}

static enum err check_range(const struct config_def *def, struct slice value, double number, struct buf *out) {
    double low, high = 0, other = 0;
    bool has_high, has_or;
    if (!parse_range(def->valid, &low, &high, &has_high, &other, &has_or) || (has_or && number == other))
        return ERR_OK;
    char reason[96];
    bool whole = def->type != CONFIG_DOUBLE;
    if (has_or && has_high && (number < low || number > high))
        snprintf(reason, sizeof reason, "Value must be between %.0f and %.0f or equal to %.0f", low, high, other);
    else if (number < low)
        snprintf(reason, sizeof reason, whole ? "Value must be at least %.0f" : "Value must be at least %g", low);
    else if (has_high && number > high)
        snprintf(reason, sizeof reason, whole ? "Value must be no more than %.0f" : "Value must be no more than %g", high);
    else
        return ERR_OK;
    return refuse(def, value, reason, out);
}

/* "[a, b, c]": one of them. */
static bool is_one_of(const char *valid, struct slice value, bool any_case) {
    struct slice items = slice_of(valid + 1, strlen(valid) - 2), item;
    while (config_list_next(&items, &item))
        if (any_case ? config_eq_no_case(item, value) : slice_eq(item, value))
            return true;
    return false;
}

static enum err check_choice(const struct config_def *def, struct slice whole, struct slice value, struct buf *out) {
    static const char prefix[] = "(case insensitive) ";
    double unused;
    bool b, any_case = strncmp(def->valid, prefix, sizeof prefix - 1) == 0;
    const char *valid = def->valid + (any_case ? sizeof prefix - 1 : 0);
    if (strcmp(valid, "non-empty string") == 0 && !trim(value).size)
        return refuse(def, whole, "String must be non-empty", out);
    if (valid[0] != '[' || parse_range(valid, &unused, &unused, &b, &unused, &b) || strchr(valid, ':') || is_one_of(valid, value, any_case))
        return ERR_OK;
    char reason[256];
    snprintf(reason, sizeof reason, "String must be one of%s: %.*s", any_case ? " (case insensitive)" : "", (int)strlen(valid) - 2, valid + 1);
    return refuse(def, whole, reason, out);
}

/* "*", or partitions and brokers as 0:1,1:1. */
static bool are_throttled_replicas(struct slice value) {
    value = trim(value);
    if (slice_eq_str(value, "*"))
        return true;
    struct slice item;
    while (config_list_next(&value, &item)) {
        size_t at = 0;
        for (int part = 0; part < 2; part++) {
            size_t digits = at;
            while (at < item.size && item.ptr[at] >= '0' && item.ptr[at] <= '9')
                at++;
            if (at == digits || (part == 0 && (at == item.size || item.ptr[at++] != ':')))
                return false;
        }
        if (at != item.size)
            return false;
    }
    return true;
}

static enum err check_list(const struct config_def *def, struct slice value, struct buf *out) {
    struct slice rest = value, item;
    if (def->valid[0] == '[' && strchr(def->valid, ':')) {
        if (are_throttled_replicas(value))
            return ERR_OK;
        buf_printf(out, "Invalid value [");
        for (const char *comma = ""; config_list_next(&rest, &item); comma = ", ")
            buf_printf(out, "%s%.*s", comma, SLICE_FMT(item));
        buf_printf(out, "] for configuration %s: %s must be the literal '*' or a list of replicas in the following format: %s", def->name,
                   def->name, def->valid);
        return ERR_INVALID;
    }
    int items = 0, commas = 0;
    for (size_t i = 0; i < value.size; i++)
        commas += value.ptr[i] == ',';
    while (config_list_next(&rest, &item)) {
        enum err err = check_choice(def, item, item, out);
        if (err)
            return err;
        items++;
    }
    if (def->valid[0] == '[' && commas && items != commas + 1) {
        buf_printf(out, "Configuration '%s' values must not be empty.", def->name);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err config_check(const struct config_def *def, struct slice value, struct buf *out) {
    int64_t number;
    double real;
    switch (def->type) {
    case CONFIG_BOOLEAN:
        if (!eq_no_case(trim(value), "true") && !eq_no_case(trim(value), "false"))
            return refuse(def, value, "Expected value to be either true or false", out);
        return ERR_OK;
    case CONFIG_SHORT:
    case CONFIG_INT:
    case CONFIG_LONG:
        if (!parse_long(value, &number) || (def->type == CONFIG_INT && (number < INT32_MIN || number > INT32_MAX)) ||
            (def->type == CONFIG_SHORT && (number < INT16_MIN || number > INT16_MAX)))
            return refuse(def, value,
                          def->type == CONFIG_LONG    ? "Not a number of type LONG"
                          : def->type == CONFIG_SHORT ? "Not a number of type SHORT"
                                                      : "Not a number of type INT",
                          out);
        return check_range(def, value, (double)number, out);
    case CONFIG_DOUBLE:
        if (!parse_double(value, &real))
            return refuse(def, value, "Not a number of type DOUBLE", out);
        return check_range(def, value, real, out);
    case CONFIG_LIST:
        return check_list(def, value, out);
    case CONFIG_STRING:
        return check_choice(def, value, value, out);
    case CONFIG_UNKNOWN:
    case CONFIG_CLASS:
    case CONFIG_PASSWORD:
        return ERR_OK;
    }
    return ERR_OK;
}
