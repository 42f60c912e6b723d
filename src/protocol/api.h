/* The table of APIs: names, versions, encodings, and the request header. */
#ifndef PROTOCOL_API_H
#define PROTOCOL_API_H

#include "protocol/api_keys.h"
#include "protocol/codec.h"

struct api {
    const char *name;
    int16_t version_min, version_max; /* max < min: removed */
    int16_t request_flexible_from;    /* header v2 from here */
    int16_t response_flexible_from;   /* header v1 from here; never for ApiVersions */
    bool on_broker, on_controller;    /* listeners it may come in on */
    bool unstable_latest;             /* version_max is not released */
};
extern const struct api api_table[API_COUNT];

static inline const struct api *api_find(int key) { /* NULL: no such API, or removed */
    return key >= 0 && key < API_COUNT && api_table[key].version_max >= api_table[key].version_min ? &api_table[key]
                                                                                                   : NULL;
}

struct api_header {
    int16_t key, version;
    int32_t correlation_id;
    struct slice client_id; /* null as sent */
};
/* Reads the header of a request; ApiVersions has header v2 from v3 on, whatever version is asked for. An unknown
 * key is ERR_UNSUPPORTED; a known key's version is not judged here. */
enum err api_header_decode(struct decoder *d, struct api_header *ret_header) MUST_USE;
void api_header_encode(struct encoder *e, const struct api_header *header);
/* The response header: correlation id and, where flexible, an empty tag section. */
void api_response_header_encode(struct encoder *e, const struct api_header *header);

#endif
