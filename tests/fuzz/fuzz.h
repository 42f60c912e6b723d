/* What the fuzz targets share. A target is a program of tests/fuzz/NAME_fuzz.c; tests/fuzz/run builds and runs all. It
 * begins with the seeds that seeds.c makes and with what is kept in tests/fuzz/corpus/NAME/: inputs that once failed. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/trace.h"
#include "protocol/batch.h"
#include "runtime/runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Takes bytes off the front of the input; 0 when it is used up. */
struct input {
    const uint8_t *ptr, *end;
};
static inline struct input input_of(const uint8_t *data, size_t size) {
    return (struct input){data, data + size};
}
static inline uint8_t input_byte(struct input *input) {
    return input->ptr < input->end ? *input->ptr++ : 0;
}
static inline struct slice input_rest(const struct input *input) {
    return slice_of(input->ptr, (size_t)(input->end - input->ptr));
}
/* A piece with its length in two bytes before it; null at the end of the input. */
static inline struct slice input_piece(struct input *input) {
    if (input->end - input->ptr < 2)
        return SLICE_NULL;
    size_t size = load_be16(input->ptr);
    input->ptr += 2;
    if (size > (size_t)(input->end - input->ptr))
        size = (size_t)(input->end - input->ptr);
    struct slice piece = slice_of(input->ptr, size);
    input->ptr += size;
    return piece;
}

/* Makes checksums right, which a fuzzer cannot guess: of all batches that are framed in the bytes. */
static inline void fix_batches(uint8_t *bytes, size_t size) {
    for (size_t at = 0; size - at >= BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN;) {
        uint8_t *b = bytes + at;
        int32_t length = batch_length(b);
        if (length < BATCH_LENGTH_MIN || (size_t)length > size - at - BATCH_PREFIX_SIZE)
            return;
        if (batch_magic(b) != 2)
            store_be32(b + 12, (uint32_t)crc32(0, b + 16, (uInt)batch_size(b) - 16));
        else if (batch_size(b) >= BATCH_HEADER_SIZE)
            batch_store_crc(b);
        at += batch_size(b);
    }
}

static inline uint8_t *copy_bytes(struct slice s) { /* of exactly that size, so that reads past the end are seen */
    uint8_t *copy = mem_alloc(s.size);
    if (s.size)
        memcpy(copy, s.ptr, s.size);
    return copy;
}

/* ---- files: a directory of the process's own, on the file system that FUZZ_DIR names ------------------------------- */

static struct runtime *fuzz_runtime;
static char *fuzz_dir;

__attribute__((unused)) static void fuzz_remove_dir(void) {
    (void)!fs_remove_tree(runtime_fs(fuzz_runtime), fuzz_dir);
}

__attribute__((unused)) static struct fs *fuzz_fs(void) {
    if (!fuzz_runtime) {
        const char *parent = getenv("FUZZ_DIR");
        struct runtime_options options = {.shard_count = 1, .backend = RUNTIME_EPOLL, .blocking_threads = 1};
        check(runtime_create(&options, &fuzz_runtime) == ERR_OK, "no runtime");
        fuzz_dir = mem_printf("%s/fuzz-XXXXXX", parent ? parent : "/tmp");
        check(mkdtemp(fuzz_dir), "no directory %s", fuzz_dir);
        atexit(fuzz_remove_dir);
    }
    return runtime_fs(fuzz_runtime);
}

/* Its path, to be freed. Written without the flushes of fs_write_whole(). */
__attribute__((unused)) static char *fuzz_file(const char *name, struct slice bytes) {
    struct fs *fs = fuzz_fs();
    char *path = mem_printf("%s/%s", fuzz_dir, name);
    struct file *file;
    check(fs_open(fs, path, FILE_READ | FILE_WRITE | FILE_CREATE | FILE_TRUNCATE, &file) == ERR_OK, "cannot write %s", path);
    if (bytes.size)
        check(file_pwrite(file, bytes.ptr, bytes.size, 0) == ERR_OK, "cannot write %s", path);
    file_unref(file);
    return path;
}

static void fuzz_drop_line(void *arg, const char *line, size_t size) {
    (void)arg, (void)line, (void)size;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    static const struct trace_options options = {.level = TRACE_DEBUG, .write = fuzz_drop_line};
    trace_setup(&options); /* lines are made, which is code too, and dropped */
    return 0;
}

#endif
