/* Where the node listens, and what it tells clients to connect to, in Kafka's words: NAME://host:port, with each name
 * mapped to a security protocol. */
#include <ctype.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "metadata/config_check.h"
#include "metadata/config_internal.h"

static int16_t protocol_of(struct slice name) {
    static const char *const names[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    for (int i = 0; i < COUNT_OF(names); i++)
        if (slice_eq_str(name, names[i]))
            return (int16_t)i;
    return -1;
}

/* Listener names are the same in upper and lower case. */
static struct slice normalised(struct broker_config *config, struct slice name) {
    char *text = (char *)arena_slice(&config->arena, name).ptr;
    for (size_t i = 0; i < name.size; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
    return slice_of(text, name.size);
}

static bool is_controller_name(struct broker_config *config, struct slice name) {
    struct slice names = broker_config_get(config, "controller.listener.names"), item;
    while (config_list_next(&names, &item))
        if (slice_eq(normalised(config, item), name))
            return true;
    return false;
}

/* The protocol that the map gives the name; -1: none, -2: not a protocol. */
static int16_t listener_protocol(struct broker_config *config, struct slice name) {
    struct slice map = broker_config_get(config, "listener.security.protocol.map"), item;
    while (config_list_next(&map, &item)) {
        const uint8_t *colon = memchr(item.ptr, ':', item.size);
        if (colon && slice_eq(normalised(config, slice_of(item.ptr, (size_t)(colon - item.ptr))), name)) {
            int16_t protocol = protocol_of(slice_of(colon + 1, item.size - (size_t)(colon + 1 - item.ptr)));
            return protocol < 0 ? -2 : protocol;
        }
    }
    /* Nobody wrote a map: controllers' listeners are PLAINTEXT. */
    return !config_where(config, "listener.security.protocol.map") && is_controller_name(config, name) ? 0 : -1;
}

static enum err check_map(struct broker_config *config, struct buf *error) {
    static const char key[] = "listener.security.protocol.map";
    struct slice map = broker_config_get(config, key), item;
    while (config_list_next(&map, &item)) {
        const uint8_t *colon = memchr(item.ptr, ':', item.size);
        struct slice protocol = colon ? slice_of(colon + 1, item.size - (size_t)(colon + 1 - item.ptr)) : SLICE_EMPTY;
        if (!colon || protocol_of(protocol) < 0)
            return config_refuse(config, key, error, "%.*s is not NAME:PROTOCOL with one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
                                 SLICE_FMT(item));
    }
    return ERR_OK;
}

static bool parse_port(struct slice text, uint16_t *ret_port) {
    int port = 0;
    if (!text.size || text.size > 5)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        port = port * 10 + text.ptr[i] - '0';
    }
    *ret_port = (uint16_t)port;
    return port <= 65535;
}

static enum err parse_listener(struct broker_config *config, const char *key, struct slice text, struct config_listener *ret,
                               struct buf *error) {
    const uint8_t *sep = text.size ? memmem(text.ptr, text.size, "://", 3) : NULL;
    const uint8_t *colon = text.size ? memrchr(text.ptr, ':', text.size) : NULL;
    *ret = (struct config_listener){0};
    if (!sep || sep == text.ptr || colon == sep ||
        !parse_port(slice_of(colon + 1, text.size - (size_t)(colon + 1 - text.ptr)), &ret->port))
        return config_refuse(config, key, error, "%.*s is not of the form NAME://host:port with a port of 0 to 65535", SLICE_FMT(text));
    ret->name = normalised(config, slice_of(text.ptr, (size_t)(sep - text.ptr)));
    struct slice host = slice_of(sep + 3, (size_t)(colon - sep - 3));
    if (host.size >= 2 && host.ptr[0] == '[' && host.ptr[host.size - 1] == ']')
        host = slice_of(host.ptr + 1, host.size - 2);
    ret->host = (char *)arena_slice(&config->arena, host).ptr;
    ret->protocol = listener_protocol(config, ret->name);
    ret->controller = is_controller_name(config, ret->name);
    if (ret->protocol < 0)
        return config_refuse(config, key, error, "No security protocol defined for listener %.*s (listener.security.protocol.map has none)",
                             SLICE_FMT(ret->name));
    if (ret->protocol != 0)
        return config_refuse(config, key, error, "listener %.*s: only PLAINTEXT is there yet", SLICE_FMT(ret->name));
    return ERR_OK;
}

static enum err parse_listeners(struct broker_config *config, const char *key, struct config_listener *listeners, int *ret_count,
                                struct buf *error) {
    struct slice text = broker_config_get(config, key), item;
    int count = 0;
    while (config_list_next(&text, &item)) {
        if (count == LISTENERS_MAX)
            return config_refuse(config, key, error, "there are more than %d listeners", LISTENERS_MAX);
        enum err err = parse_listener(config, key, item, &listeners[count], error);
        if (err)
            return err;
        for (int i = 0; i < count; i++)
            if (slice_eq(listeners[i].name, listeners[count].name))
                return config_refuse(config, key, error, "Each listener must have a different name");
        count++;
    }
    if (!count)
        return config_refuse(config, key, error, "must not be empty. Valid values include: any non-empty value");
    *ret_count = count;
    return ERR_OK;
}

/* One IPv4 and one IPv6 address may share a port. */
static enum err check_ports(const struct broker_config *config, const struct config_listener *all, int count, struct buf *error) {
    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++)
            if (all[i].port && all[i].port == all[k].port && (strchr(all[i].host, ':') != NULL) == (strchr(all[k].host, ':') != NULL))
                return config_refuse(config, "listeners", error, "Each listener must have a different port");
    return ERR_OK;
}

/* The controllers' listeners are taken out; the first of them is the node's. */
static int without_controllers(struct broker_config *config, struct config_listener *listeners, int count, bool keep_first) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (!listeners[i].controller)
            listeners[kept++] = listeners[i];
        else if (keep_first) {
            config->controller_listener = listeners[i];
            config->has_controller_listener = true;
        }
    }
    return kept;
}

/* As Kafka, a listener on all addresses is told under the machine's own name. */
static char *own_name(struct broker_config *config) {
    char name[256] = "";
    struct addrinfo hints = {.ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM}, *list = NULL;
    if (gethostname(name, sizeof name - 1) != 0 || !name[0])
        return "localhost";
    bool found = getaddrinfo(name, NULL, &hints, &list) == 0 && list && list->ai_canonname;
    char *copy = arena_printf(&config->arena, "%s", found ? list->ai_canonname : name);
    if (list)
        freeaddrinfo(list);
    return copy;
}

static bool has_listener(const struct config_listener *listeners, int count, struct slice name) {
    for (int i = 0; i < count; i++)
        if (slice_eq(listeners[i].name, name))
            return true;
    return false;
}

static enum err check_advertised(struct broker_config *config, struct buf *error) {
    bool given = config_where(config, "advertised.listeners") != NULL;
    const char *key = given ? "advertised.listeners" : "listeners";
    for (int i = 0; i < config->advertised_count; i++) {
        struct config_listener *listener = &config->advertised[i];
        if (strcmp(listener->host, "0.0.0.0") == 0 || strcmp(listener->host, "::") == 0)
            return config_refuse(config, key, error,
                                 "advertised.listeners cannot use the nonroutable meta-address %s. Use a routable IP address", listener->host);
        if (!has_listener(config->listeners, config->listener_count, listener->name))
            return config_refuse(config, key, error,
                                 "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners");
        if (!listener->host[0])
            listener->host = own_name(config);
    }
    if (!config->advertised_count)
        return config_refuse(config, key, error,
                             "There must be at least one broker advertised listener. Perhaps all listeners appear in controller.listener.names?");
    return ERR_OK;
}

static enum err check_controllers(struct broker_config *config, const struct config_listener *all, int count, struct buf *error) {
    static const char key[] = "controller.listener.names";
    struct slice names = broker_config_get(config, key), item;
    while (config_where(config, key) && config_list_next(&names, &item))
        if (!has_listener(all, count, normalised(config, item)))
            return config_refuse(config, key, error, "must only contain names that appear in listeners; %.*s does not", SLICE_FMT(item));
    return ERR_OK;
}

enum err config_read_listeners(struct broker_config *config, struct buf *error) {
    struct config_listener all[LISTENERS_MAX];
    int count = 0;
    enum err err = check_map(config, error);
    if (!err)
        err = parse_listeners(config, "listeners", all, &count, error);
    if (!err)
        err = check_ports(config, all, count, error);
    if (!err)
        err = check_controllers(config, all, count, error);
    if (err)
        return err;
    memcpy(config->listeners, all, sizeof all);
    config->listener_count = without_controllers(config, config->listeners, count, true);
    memcpy(config->advertised, config->listeners, sizeof config->advertised);
    config->advertised_count = config->listener_count;
    if (config_where(config, "advertised.listeners")) {
        err = parse_listeners(config, "advertised.listeners", config->advertised, &count, error);
        if (err)
            return err;
        config->advertised_count = without_controllers(config, config->advertised, count, false);
    }
    return check_advertised(config, error);
}
