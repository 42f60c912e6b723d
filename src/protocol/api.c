#include "protocol/api.h"

enum err api_header_decode(struct decoder *d, struct api_header *ret_header) {
    struct api_header header;
    header.key = decode_int16(d);
    header.version = decode_int16(d);
    header.correlation_id = decode_int32(d);
    if (d->err)
        return d->err;
    const struct api *api = api_find(header.key);
    if (!api)
        return ERR_UNSUPPORTED;
    header.client_id = decode_string(d, false, true);
    /* A version outside the table is ApiVersions asked in one of the future: flexible. */
    if (header.version >= api->request_flexible_from || (header.key == API_API_VERSIONS && header.version < 0))
        decode_skip_tags(d);
    if (d->err)
        return d->err;
    *ret_header = header;
    return ERR_OK;
}

void api_header_encode(struct encoder *e, const struct api_header *header) {
    encode_int16(e, header->key);
    encode_int16(e, header->version);
    encode_int32(e, header->correlation_id);
    encode_string(e, header->client_id, false, true);
    if (header->version >= api_table[header->key].request_flexible_from)
        encode_uvarint(e, 0);
}

void api_response_header_encode(struct encoder *e, const struct api_header *header) {
    encode_int32(e, header->correlation_id);
    if (header->version >= api_table[header->key].response_flexible_from)
        encode_uvarint(e, 0);
}
