/* What the command line reads: files of log directories, as `log dump` and `log check` take them, texts of people, records as JSON,
 * what a server says in SCRAM. The first byte chooses which; its high bits how it is shown, which goes nowhere. */
#include "cli/client_config.h"
#include "cli/log_check.h"
#include "cli/log_dump.h"
#include "cli/offsets.h"
#include "cli/record.h"
#include "tests/fuzz/fuzz.h"

enum { SHOWS_JSON = 128, SHOWS_RECORDS = 64 };

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static void dump_batches(struct dump *dump, struct slice bytes, enum record_family family) {
    uint8_t *copy = copy_bytes(bytes);
    fix_batches(copy, bytes.size);
    for (size_t at = 0; bytes.size - at >= BATCH_PREFIX_SIZE + BATCH_LENGTH_MIN;) {
        struct slice rest = slice_of(copy + at, bytes.size - at);
        int32_t length = batch_length(rest.ptr);
        if (length < BATCH_LENGTH_MIN || (size_t)length > rest.size - BATCH_PREFIX_SIZE || batch_magic(rest.ptr) < 0 || batch_magic(rest.ptr) > 2 ||
            (batch_magic(rest.ptr) == 2 && batch_size(rest.ptr) < BATCH_HEADER_SIZE))
            break;
        dump_batch(dump, family, slice_of(rest.ptr, batch_size(rest.ptr)), (int64_t)at, "");
        at += batch_size(rest.ptr);
    }
    mem_free(copy);
}

static void dump_small(struct dump *dump, uint8_t choice, struct slice bytes) {
    uint8_t *copy = copy_bytes(bytes);
    struct slice exact = slice_of(copy, bytes.size);
    switch (choice) {
    case 1: dump_index(dump, exact, 0); break;
    case 2: dump_time_index(dump, exact, 0); break;
    case 3: dump_txn_index(dump, exact); break;
    case 4: dump_producers(dump, exact); break;
    case 5: dump_checkpoint(dump, exact, dump->records); break;
    case 6: dump_properties(dump, exact); break;
    case 7: dump_partition_metadata(dump, exact); break;
    case 8: dump_quorum_state(dump, exact); break;
    default: dump_journal(dump, exact); break;
    }
    mem_free(copy);
}

static void dump_some(struct input *input, uint8_t choice, bool json, bool records) {
    struct dump dump = {.fs = fuzz_fs(), .json = json, .records = records, .path = "a file"};
    if (choice == 0) {
        enum record_family family = (enum record_family)(input_byte(input) % (RECORDS_OF_REMOTE_STORAGE + 1));
        dump_batches(&dump, input_rest(input), family);
    } else {
        dump_small(&dump, choice, input_rest(input));
    }
    batch_records_deinit(&dump.batch_records);
    old_messages_deinit(&dump.old_messages);
}

/* A partition's directory of one segment. */
static void check_directory(struct input *input, bool json) {
    static const char *const names[] = {"00000000000000000000.index",    "00000000000000000000.timeindex", "00000000000000000000.txnindex",
                                        "00000000000000000000.snapshot", "leader-epoch-checkpoint",        "partition.metadata"};
    struct log_checker checker = {.fs = fuzz_fs(), .json = json};
    progress_begin(&checker.progress);
    for (int i = 0; i < COUNT_OF(names); i++) {
        struct slice piece = input_piece(input);
        char *path = fuzz_file(names[i], piece);
        if (!piece.size)
            (void)!fs_unlink(checker.fs, path);
        mem_free(path);
    }
    uint8_t *copy = copy_bytes(input_rest(input));
    fix_batches(copy, input_rest(input).size);
    mem_free(fuzz_file("00000000000000000000.log", slice_of(copy, input_rest(input).size)));
    check_partition(&checker, fuzz_dir, SLICE_LIT("topic"), 0, false);
    batch_records_deinit(&checker.batch_records);
    mem_free(copy);
}

/* ---- texts ------------------------------------------------------------------------------------------------------------- */

static void read_text(const char *text) {
    struct record_format format = {0};
    struct buf error = {0}, shown = {0};
    struct cli_header header = {SLICE_LIT("h"), SLICE_NULL};
    struct cli_record record = {.topic = "t", .offset = 7, .timestamp = -1, .key = slice_str(text), .value = SLICE_NULL, .headers = &header, .header_count = 1};
    const struct record_style style = {BYTES_HEX, BYTES_TEXT, BYTES_BASE64};
    if (record_format_parse(&format, text, &error) == ERR_OK)
        record_format_show(&format, &record, &style, &shown);
    else
        check(error.size > 0, "a format is refused without a reason");
    struct place place;
    int64_t time_ms;
    int *numbers, count;
    (void)parse_place(text, &place);
    (void)parse_time(text, 1700000000000, &time_ms);
    if (parse_numbers(text, 1000, &numbers, &count)) {
        for (int i = 0; i < count; i++)
            check(numbers[i] >= 0 && numbers[i] < 1000 && (i == 0 || numbers[i] > numbers[i - 1]), "numbers are out of place");
        mem_free(numbers);
    }
    struct arena arena = {0};
    (void)jaas_option(&arena, text, "password");
    arena_deinit(&arena);
    record_format_deinit(&format);
    buf_deinit(&error);
    buf_deinit(&shown);
}

/* What can be read is shown as something that is read as the same. */
static void read_bytes(struct slice text, enum bytes_format format) {
    struct buf bytes = {0}, shown = {0}, again = {0};
    if (bytes_read(&bytes, text, format)) {
        bytes_show(&shown, buf_slice(&bytes), format);
        check(bytes_read(&again, buf_slice(&shown), format), "%.*s is not read again", SLICE_FMT(buf_slice(&shown)));
        check(format == BYTES_JSON || slice_eq(buf_slice(&again), buf_slice(&bytes)), "other bytes");
    }
    buf_deinit(&bytes);
    buf_deinit(&shown);
    buf_deinit(&again);
}

static void read_json(struct slice text) {
    const struct record_style style = {BYTES_TEXT, BYTES_TEXT, BYTES_TEXT};
    struct arena arena = {0};
    struct buf error = {0};
    struct cli_record record = {.partition = -1, .timestamp = -1};
    json_t *object = json_loadb((const char *)text.ptr, text.size, JSON_DECODE_ANY, NULL);
    if (object && record_from_json(object, &arena, &record, &error) == ERR_OK)
        json_decref(record_to_json(&record, &style));
    json_decref(object);
    buf_deinit(&error);
    arena_deinit(&arena);
}

/* A count of iterations that takes its time, as a server may ask for. */
static bool is_slow(struct slice message) {
    int digits = 0;
    for (size_t i = 0; i < message.size && digits < 5; i++)
        digits = message.ptr[i] >= '0' && message.ptr[i] <= '9' ? digits + 1 : 0;
    return digits == 5;
}

static void read_server(struct input *input) {
    struct scram scram = {.digest_bits = input_byte(input) & 1 ? 512 : 256, .user = "u", .password = "p", .nonce = "n"};
    struct slice first = input_piece(input);
    struct buf out = {0};
    if (is_slow(first))
        return;
    scram_client_first(&scram, &out);
    buf_clear(&out);
    if (scram_client_final(&scram, first, &out) == ERR_OK)
        (void)!scram_check_server(&scram, input_rest(input));
    scram_deinit(&scram);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static FILE *nowhere;
    if (!nowhere && !(nowhere = freopen("/dev/null", "w", stdout)))
        return 0;
    struct input input = input_of(data, size);
    uint8_t first = input_byte(&input), choice = first % SHOWS_RECORDS % 15;
    if (choice < 10) {
        dump_some(&input, choice, first & SHOWS_JSON, first & SHOWS_RECORDS);
    } else if (choice == 10) {
        check_directory(&input, first & SHOWS_JSON);
    } else if (choice == 11) {
        char *text = mem_strndup((const char *)input_rest(&input).ptr, input_rest(&input).size);
        read_text(text);
        mem_free(text);
    } else if (choice == 12) {
        enum bytes_format format = (enum bytes_format)(input_byte(&input) % (BYTES_JSON + 1));
        read_bytes(input_rest(&input), format);
    } else if (choice == 13) {
        read_json(input_rest(&input));
    } else {
        read_server(&input);
    }
    return 0;
}
