/* TLS and SASL of a wire: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. The settings are those of a Kafka client's
 * properties; client.c reads them. Names and passwords are never printed. */
#ifndef CLI_SECURE_H
#define CLI_SECURE_H

#include "cli/wire.h"

struct wire_security { /* texts are borrowed; NULL: not given */
    bool tls, check_host;
    const char *ca_file, *ca_pem;                    /* whom to trust; both NULL: the system's authorities */
    const char *certificate_file, *certificate_pem;  /* of this client */
    const char *key_file, *key_pem, *key_password;
    const char *mechanism; /* of SASL; NULL: none */
    const char *user, *password;
};

/* The TLS handshake, when TLS is wanted. */
enum err secure_begin(struct wire *wire, struct buf *error) MUST_USE;
/* SASL, when it is wanted; the broker's versions are known. */
enum err secure_authenticate(struct wire *wire, struct buf *error) MUST_USE;
/* Reads or writes through TLS: the count, 0: closed, -1: wait for the events, -2: failed. */
ssize_t secure_move(struct wire *wire, void *bytes, size_t size, bool send_it, short *ret_events);
void secure_end(struct wire *wire);

/* The client's side of SCRAM, apart from the connection. */
struct scram {
    int digest_bits; /* 256 or 512 */
    const char *user, *password, *nonce;
    struct buf client_first_bare, server_first;
    uint8_t server_signature[64];
};
void scram_client_first(struct scram *scram, struct buf *out);
/* ERR_INVALID: the server's message is malformed, or its nonce is not ours. */
enum err scram_client_final(struct scram *scram, struct slice server_first, struct buf *out) MUST_USE;
/* ERR_DENIED: the server does not know the password. */
enum err scram_check_server(struct scram *scram, struct slice server_final) MUST_USE;
void scram_deinit(struct scram *scram);

#endif
