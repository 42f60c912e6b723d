#include "base/err.h"

#include <errno.h>

static const struct {
    const char *text;
    int16_t kafka_code;
} table[ERR_COUNT] = {
#define X(name, text, code) [ERR_##name] = {text, code},
    ERR_TABLE(X)
#undef X
};

const char *err_text(enum err err) {
    return (unsigned)err < ERR_COUNT ? table[err].text : "unknown error";
}

int16_t err_kafka_code(enum err err) {
    return (unsigned)err < ERR_COUNT ? table[err].kafka_code : -1;
}

enum err err_from_errno(int errnum) {
    switch (errnum) {
    case 0:
        return ERR_OK;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case EAGAIN:
        return ERR_AGAIN;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECANCELED:
        return ERR_CANCELED;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
        return ERR_CLOSED;
    case EBUSY:
        return ERR_BUSY;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case EOPNOTSUPP:
    case ENOSYS:
        return ERR_UNSUPPORTED;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}
