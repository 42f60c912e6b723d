#include "cli/secure.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <poll.h>
#include "cli/output.h"
#include "protocol/errors.h"
#include "protocol/sasl_authenticate_request.h"
#include "protocol/sasl_authenticate_response.h"
#include "protocol/sasl_handshake_request.h"
#include "protocol/sasl_handshake_response.h"

/* ---- TLS ----------------------------------------------------------------------------------------------------- */

static enum err fail_tls(const struct wire *wire, const char *what, struct buf *error) {
    char text[256] = "no reason given";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof text);
    buf_printf(error, "TLS with %s:%d: %s (%s)", wire->host, wire->port, what, text);
    ERR_clear_error();
    return ERR_INVALID;
}

static int give_password(char *buf, int size, int for_writing, void *arg) {
    (void)for_writing;
    const char *password = arg;
    return password ? snprintf(buf, (size_t)size, "%s", password) : 0;
}

static bool trust_pem(SSL_CTX *context, const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    int count = 0;
    for (X509 *x; (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)); count++) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), x);
        X509_free(x);
    }
    ERR_clear_error(); /* the last read found no more */
    BIO_free(bio);
    return count > 0;
}

static bool use_pem(SSL_CTX *context, const struct wire_security *security) {
    BIO *bio = BIO_new_mem_buf(security->certificate_pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool ok = certificate && SSL_CTX_use_certificate(context, certificate) == 1;
    X509_free(certificate);
    for (X509 *x; ok && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL));)
        SSL_CTX_add_extra_chain_cert(context, x);
    ERR_clear_error();
    BIO_free(bio);
    bio = BIO_new_mem_buf(security->key_pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, give_password, (void *)security->key_password);
    ok = ok && key && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    return ok;
}

static const char *configure(SSL_CTX *context, const struct wire_security *security) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, (void *)security->key_password);
    if (security->ca_file) {
        if (SSL_CTX_load_verify_locations(context, security->ca_file, NULL) != 1)
            return "the trusted certificates cannot be read: ssl.truststore.location must name a PEM file";
    } else if (security->ca_pem) {
        if (!trust_pem(context, security->ca_pem))
            return "ssl.truststore.certificates holds no PEM certificate";
    } else {
        SSL_CTX_set_default_verify_paths(context);
    }
    if (security->certificate_file &&
        (SSL_CTX_use_certificate_chain_file(context, security->certificate_file) != 1 ||
         SSL_CTX_use_PrivateKey_file(context, security->key_file ? security->key_file : security->certificate_file,
                                     SSL_FILETYPE_PEM) != 1))
        return "this client's certificate or key cannot be read: ssl.keystore.location must name a PEM file with both";
    if (security->certificate_pem && security->key_pem && !use_pem(context, security))
        return "this client's certificate or key is not PEM, or its password is wrong";
    return NULL;
}

static enum err handshake(struct wire *wire, SSL *tls, struct buf *error) {
    int64_t deadline_us = cli_now_us() + (int64_t)wire->timeout_ms * 1000;
    for (;;) {
        int n = SSL_connect(tls);
        if (n == 1)
            return ERR_OK;
        int why = SSL_get_error(tls, n);
        if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
            long verified = SSL_get_verify_result(tls);
            if (verified != X509_V_OK)
                return fail_tls(wire, X509_verify_cert_error_string(verified), error);
            return fail_tls(wire, "the handshake failed; is it a TLS listener?", error);
        }
        enum err err = wire_wait(wire, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_us, error);
        if (err)
            return err;
    }
}

enum err secure_begin(struct wire *wire, struct buf *error) {
    if (!wire->security->tls)
        return ERR_OK;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    const char *failed = configure(context, wire->security);
    if (failed) {
        SSL_CTX_free(context);
        return fail_tls(wire, failed, error);
    }
    SSL *tls = SSL_new(context);
    SSL_CTX_free(context); /* tls holds it */
    SSL_set_fd(tls, wire->fd);
    SSL_set_tlsext_host_name(tls, wire->host);
    if (wire->security->check_host) {
        X509_VERIFY_PARAM *param = SSL_get0_param(tls);
        if (X509_VERIFY_PARAM_set1_ip_asc(param, wire->host) != 1)
            X509_VERIFY_PARAM_set1_host(param, wire->host, 0);
    }
    enum err err = handshake(wire, tls, error);
    if (err) {
        SSL_free(tls);
        return err;
    }
    wire->tls = tls;
    return ERR_OK;
}

ssize_t secure_move(struct wire *wire, void *bytes, size_t size, bool send_it, short *ret_events) {
    size_t done = 0;
    ERR_clear_error();
    int n = send_it ? SSL_write_ex(wire->tls, bytes, size, &done) : SSL_read_ex(wire->tls, bytes, size, &done);
    if (n == 1)
        return (ssize_t)done;
    int why = SSL_get_error(wire->tls, n);
    *ret_events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

void secure_end(struct wire *wire) {
    SSL_free(wire->tls);
    wire->tls = NULL;
}

/* ---- SCRAM (RFC 5802, RFC 7677) ------------------------------------------------------------------------------ */

static const EVP_MD *scram_digest(const struct scram *scram) {
    return scram->digest_bits == 512 ? EVP_sha512() : EVP_sha256();
}

void scram_client_first(struct scram *scram, struct buf *out) {
    buf_add_str(&scram->client_first_bare, "n=");
    for (const char *c = scram->user; *c; c++)
        if (*c == '=' || *c == ',')
            buf_add_str(&scram->client_first_bare, *c == '=' ? "=3D" : "=2C");
        else
            buf_add_byte(&scram->client_first_bare, (uint8_t)*c);
    buf_printf(&scram->client_first_bare, ",r=%s", scram->nonce);
    buf_add_str(out, "n,,");
    buf_add_slice(out, buf_slice(&scram->client_first_bare));
}

/* The value of `name=` in a comma separated message; null: not there. */
static struct slice scram_field(struct slice message, char name) {
    const uint8_t *at = message.ptr, *end = message.size ? at + message.size : at;
    while (at < end) {
        const uint8_t *comma = memchr(at, ',', (size_t)(end - at));
        const uint8_t *field_end = comma ? comma : end;
        if (field_end - at >= 2 && at[0] == (uint8_t)name && at[1] == '=')
            return slice_of(at + 2, (size_t)(field_end - at - 2));
        at = field_end + 1;
    }
    return SLICE_NULL;
}

static void scram_hmac(const struct scram *scram, const uint8_t *key, const char *text, size_t size, uint8_t *ret_mac) {
    unsigned mac_size;
    HMAC(scram_digest(scram), key, scram->digest_bits / 8, (const uint8_t *)text, size, ret_mac, &mac_size);
}

static void scram_prove(struct scram *scram, struct slice salt, int iterations, struct slice without_proof, uint8_t *ret_proof) {
    int size = scram->digest_bits / 8;
    uint8_t salted[64], client_key[64], stored_key[64], server_key[64], client_signature[64];
    struct buf message = {0};
    buf_add_slice(&message, buf_slice(&scram->client_first_bare));
    buf_add_byte(&message, ',');
    buf_add_slice(&message, buf_slice(&scram->server_first));
    buf_add_byte(&message, ',');
    buf_add_slice(&message, without_proof);
    PKCS5_PBKDF2_HMAC(scram->password, (int)strlen(scram->password), salt.ptr, (int)salt.size, iterations, scram_digest(scram), size,
                      salted);
    scram_hmac(scram, salted, "Client Key", 10, client_key);
    scram_hmac(scram, salted, "Server Key", 10, server_key);
    EVP_Digest(client_key, (size_t)size, stored_key, NULL, scram_digest(scram), NULL);
    scram_hmac(scram, stored_key, buf_text(&message), message.size, client_signature);
    scram_hmac(scram, server_key, buf_text(&message), message.size, scram->server_signature);
    for (int i = 0; i < size; i++)
        ret_proof[i] = client_key[i] ^ client_signature[i];
    OPENSSL_cleanse(salted, sizeof salted);
    OPENSSL_cleanse(client_key, sizeof client_key);
    buf_deinit(&message);
}

enum { SCRAM_ITERATIONS_MAX = 10 << 20 }; /* a server must not make us count for ever */

enum err scram_client_final(struct scram *scram, struct slice server_first, struct buf *out) {
    struct slice nonce = scram_field(server_first, 'r'), salt_text = scram_field(server_first, 's');
    struct slice iterations_text = scram_field(server_first, 'i');
    struct buf salt = {0}, digits = {0};
    int64_t iterations = 0;
    size_t own = strlen(scram->nonce);
    buf_add_slice(&digits, iterations_text);
    bool ok = nonce.size > own && memcmp(nonce.ptr, scram->nonce, own) == 0 && !slice_is_null(salt_text) &&
              base64_decode(&salt, salt_text) && parse_int(buf_text(&digits), &iterations) && iterations > 0 &&
              iterations <= SCRAM_ITERATIONS_MAX;
    if (ok) {
        uint8_t proof[64];
        size_t begin = out->size;
        buf_add_slice(&scram->server_first, server_first);
        buf_printf(out, "c=biws,r=%.*s", SLICE_FMT(nonce));
        scram_prove(scram, buf_slice(&salt), (int)iterations, slice_of(out->ptr + begin, out->size - begin), proof);
        buf_add_str(out, ",p=");
        base64_encode(out, slice_of(proof, (size_t)scram->digest_bits / 8));
    }
    buf_deinit(&salt);
    buf_deinit(&digits);
    return ok ? ERR_OK : ERR_INVALID;
}

enum err scram_check_server(struct scram *scram, struct slice server_final) {
    struct slice verifier = scram_field(server_final, 'v');
    struct buf signature = {0};
    size_t size = (size_t)scram->digest_bits / 8;
    bool ok = !slice_is_null(verifier) && base64_decode(&signature, verifier) && signature.size == size &&
              CRYPTO_memcmp(signature.ptr, scram->server_signature, size) == 0;
    buf_deinit(&signature);
    return ok ? ERR_OK : ERR_DENIED;
}

void scram_deinit(struct scram *scram) {
    buf_deinit(&scram->client_first_bare);
    buf_deinit(&scram->server_first);
}

/* ---- SASL ---------------------------------------------------------------------------------------------------- */

static enum err exchange(struct wire *wire, struct slice token, struct slice *ret_answer, struct arena *arena, struct buf *error) {
    struct sasl_authenticate_request request = {.auth_bytes = token};
    struct sasl_authenticate_response response;
    enum err err = wire_call(wire, API_SASL_AUTHENTICATE, &request, &response, arena, error);
    if (!err && response.error_code) {
        buf_printf(error, "%s:%d does not accept the user or the password (%.*s); check sasl.jaas.config", wire->host, wire->port,
                   SLICE_FMT(response.error_message));
        err = ERR_DENIED;
    }
    if (!err)
        *ret_answer = response.auth_bytes;
    return err;
}

static enum err shake_hands(struct wire *wire, struct arena *arena, struct buf *error) {
    struct sasl_handshake_request request = {.mechanism = slice_str(wire->security->mechanism)};
    struct sasl_handshake_response response;
    enum err err = wire_call(wire, API_SASL_HANDSHAKE, &request, &response, arena, error);
    if (err || !response.error_code)
        return err;
    buf_printf(error, "%s:%d does not take sasl.mechanism=%s", wire->host, wire->port, wire->security->mechanism);
    for (int i = 0; i < response.mechanisms_count; i++)
        buf_printf(error, "%s %.*s", i ? "," : "; it takes", SLICE_FMT(response.mechanisms[i]));
    return ERR_UNSUPPORTED;
}

static enum err authenticate_plain(struct wire *wire, struct arena *arena, struct buf *error) {
    struct buf token = {0};
    struct slice answer;
    buf_add_byte(&token, 0);
    buf_add_str(&token, wire->security->user);
    buf_add_byte(&token, 0);
    buf_add_str(&token, wire->security->password);
    enum err err = exchange(wire, buf_slice(&token), &answer, arena, error);
    buf_deinit(&token);
    return err;
}

static enum err authenticate_scram(struct wire *wire, int digest_bits, struct arena *arena, struct buf *error) {
    uint8_t random[18];
    struct buf nonce = {0}, token = {0};
    struct slice answer;
    RAND_bytes(random, sizeof random);
    base64_encode(&nonce, slice_of(random, sizeof random));
    struct scram scram = {digest_bits, wire->security->user, wire->security->password, buf_text(&nonce), {0}, {0}, {0}};
    scram_client_first(&scram, &token);
    enum err err = exchange(wire, buf_slice(&token), &answer, arena, error);
    buf_clear(&token);
    if (!err && scram_client_final(&scram, answer, &token)) {
        buf_printf(error, "%s:%d answers SCRAM wrongly", wire->host, wire->port);
        err = ERR_INVALID;
    }
    if (!err)
        err = exchange(wire, buf_slice(&token), &answer, arena, error);
    if (!err && scram_check_server(&scram, answer)) {
        buf_printf(error, "%s:%d does not know the password that it should: it is not the server it says it is", wire->host, wire->port);
        err = ERR_DENIED;
    }
    scram_deinit(&scram);
    buf_deinit(&nonce);
    buf_deinit(&token);
    return err;
}

enum err secure_authenticate(struct wire *wire, struct buf *error) {
    const struct wire_security *security = wire->security;
    if (!security->mechanism)
        return ERR_OK;
    struct arena arena = {0};
    enum err err = shake_hands(wire, &arena, error);
    if (err)
        goto out;
    if (strcmp(security->mechanism, "PLAIN") == 0)
        err = authenticate_plain(wire, &arena, error);
    else
        err = authenticate_scram(wire, strcmp(security->mechanism, "SCRAM-SHA-512") == 0 ? 512 : 256, &arena, error);
out:
    arena_deinit(&arena);
    return err;
}
