#include "metadata/client_metrics.h"

#include <regex.h>
#include "base/buf.h"
#include "base/mem.h"
#include "metadata/config_check.h"

static const struct {
    const char *name;
    size_t field;
} attributes[] = {
    {"client_instance_id", offsetof(struct client_attributes, instance_id)},
    {"client_id", offsetof(struct client_attributes, client_id)},
    {"client_software_name", offsetof(struct client_attributes, software_name)},
    {"client_software_version", offsetof(struct client_attributes, software_version)},
    {"client_source_address", offsetof(struct client_attributes, source_address)},
    {"client_source_port", offsetof(struct client_attributes, source_port)},
};

static struct slice trim(struct slice s) {
    for (; s.size && s.ptr[0] <= ' '; s.ptr++, s.size--) {}
    for (; s.size && s.ptr[s.size - 1] <= ' '; s.size--) {}
    return s;
}

/* The whole of attribute=pattern, taken apart; the attribute's index, -1: not valid. */
static int parse(struct slice item, regex_t *ret_regex) {
    const uint8_t *equals = item.size ? memchr(item.ptr, '=', item.size) : NULL;
    if (!equals)
        return -1;
    struct slice name = trim(slice_of(item.ptr, (size_t)(equals - item.ptr)));
    struct slice pattern = slice_of(equals + 1, item.size - (size_t)(equals + 1 - item.ptr));
    if (!pattern.size || memchr(pattern.ptr, '=', pattern.size) || memchr(pattern.ptr, 0, pattern.size))
        return -1;
    int at = COUNT_OF(attributes) - 1;
    while (at >= 0 && !slice_eq_str(name, attributes[at].name))
        at--;
    if (at < 0)
        return -1;
    struct buf text = {0};
    pattern = trim(pattern);
    buf_add_str(&text, "^(");
    for (size_t i = 0; i < pattern.size; i++) {
        bool escape = pattern.ptr[i] == '\\' && i + 1 < pattern.size;
        if (escape && pattern.ptr[i + 1] == 'd')
            buf_add_str(&text, "[0-9]");
        else
            buf_add(&text, pattern.ptr + i, escape ? 2 : 1);
        i += escape;
    }
    buf_add_str(&text, ")$");
    int failed = regcomp(ret_regex, buf_text(&text), REG_EXTENDED | REG_NOSUB);
    buf_deinit(&text);
    return failed ? -1 : at;
}

bool client_match_is_valid(struct slice item) {
    regex_t regex;
    if (parse(item, &regex) < 0)
        return false;
    regfree(&regex);
    return true;
}

static bool item_matches(struct slice item, const struct client_attributes *client) {
    regex_t regex;
    int at = parse(item, &regex);
    if (at < 0)
        return false;
    struct slice value = *(const struct slice *)((const char *)client + attributes[at].field);
    char *text = value.ptr ? mem_strndup((const char *)value.ptr, value.size) : NULL;
    bool matches = text && regexec(&regex, text, 0, NULL, 0) == 0;
    mem_free(text);
    regfree(&regex);
    return matches;
}

bool client_match(struct slice match, const struct client_attributes *client) {
    struct slice item;
    while (config_list_next(&match, &item))
        if (item.size && !item_matches(item, client))
            return false;
    return true;
}
