/* Arguments as the tables of commands say, near misses, and how values are shown. */
#include "../test.h"
#include "base/mem.h"
#include "cli/options.h"
#include "cli/output.h"

static const char *const color_choices[] = {"red", "green", NULL};
static const struct option_def paint_options[] = {
    {"count", 'c', OPTION_INT, "N", "how many", NULL, COMPLETE_NOTHING},
    {"color", 0, OPTION_TEXT, "COLOR", "which", color_choices, COMPLETE_NOTHING},
    {"add", 'a', OPTION_LIST, "K=V", "more", NULL, COMPLETE_NOTHING},
    {"quiet", 'q', OPTION_FLAG, NULL, "say nothing", NULL, COMPLETE_NOTHING},
    {"verify", 'v', OPTION_FLAG, NULL, "look", NULL, COMPLETE_NOTHING},
};
static const struct command paint = {
    .name = "paint", .summary = "paint", .arguments = "WALL", .argument_min = 1, .argument_max = 2, OPTIONS(paint_options)};

static struct options options;
static struct buf error;

static enum err parse(const char *line) {
    static char text[256], *argv[32];
    int argc = 0;
    options_deinit(&options);
    buf_clear(&error);
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    return options_parse(&options, &paint, "paint", argc, argv, &error);
}

TEST(values_come_attached_or_behind_and_the_last_one_counts) {
    EXPECT_INT(parse("--count 3 north --count=-5 -a x=1 -ay=2 --add z=3 -qv south"), ERR_OK);
    EXPECT_INT(options_int(&options, "count", 0), -5);
    EXPECT_INT(options.argument_count, 2);
    EXPECT_STR(options.arguments[1], "south");
    EXPECT_STR(options_list(&options, "add", 1), "y=2");
    EXPECT_STR(options_list(&options, "add", 2), "z=3");
    EXPECT(options_list(&options, "add", 3) == NULL);
    EXPECT(options_has(&options, "quiet") && options_has(&options, "verify"));
    EXPECT_STR(options_text(&options, "color", "blue"), "blue");
    EXPECT_INT(parse("-c4k -- --count"), ERR_OK);
    EXPECT_INT(options_int(&options, "count", 0), 4096);
    EXPECT_STR(options.arguments[0], "--count");
    EXPECT_INT(parse("--output json north"), ERR_OK);
    EXPECT(options_json(&options));
}

TEST(a_wrong_argument_says_what_is_right) {
    EXPECT_INT(parse("--colour red north"), ERR_INVALID);
    EXPECT_STR(buf_text(&error), "there is no option --colour; did you mean --color?");
    EXPECT_INT(parse("--color blue north"), ERR_INVALID);
    EXPECT_STR(buf_text(&error), "--color is one of red, green; not 'blue'");
    EXPECT_INT(parse("--count many north"), ERR_INVALID);
    EXPECT_STR(buf_text(&error), "--count takes a whole number, not 'many'");
    EXPECT_INT(parse("north --count"), ERR_INVALID);
    EXPECT_STR(buf_text(&error), "--count needs a value: --count N");
    EXPECT_INT(parse("--quiet=yes north"), ERR_INVALID);
    EXPECT_STR(buf_text(&error), "--quiet takes no value");
    EXPECT_INT(parse("-x north"), ERR_INVALID);
    EXPECT_INT(parse("-c 1"), ERR_INVALID);
    EXPECT_STR(buf_text(&error), "arguments are missing: WALL");
    EXPECT_INT(parse("a b c"), ERR_INVALID);
    EXPECT_STR(buf_text(&error), "'c' is one argument too many");
    EXPECT_INT(parse("--help"), ERR_OK); /* without the argument it needs */
    EXPECT(options.help);
    options_deinit(&options);
    options = (struct options){0};
    buf_deinit(&error);
}

TEST(numbers_have_units_and_limits) {
    int64_t x = 7;
    EXPECT(parse_int("-12", &x) && x == -12);
    EXPECT(parse_int("2m", &x) && x == 2 << 20);
    EXPECT(parse_int("9223372036854775807", &x) && x == INT64_MAX);
    EXPECT(!parse_int("9223372036854775808", &x) && !parse_int("9007199254740992k", &x));
    EXPECT(!parse_int("", &x) && !parse_int("k", &x) && !parse_int("1x", &x) && !parse_int("1kk", &x));
}

TEST(a_slip_finds_the_name_that_was_meant) {
    static const char *const names[] = {"topic", "produce", "consume", "config", "cluster", NULL};
    EXPECT_STR(nearest("tpoic", names), "topic");
    EXPECT_STR(nearest("consum", names), "consume");
    EXPECT_STR(nearest("prod", names), "produce");
    EXPECT(nearest("zebra", names) == NULL);
    EXPECT(nearest("", names) == NULL);
}

TEST(bytes_survive_base64_and_hex) {
    struct buf text = {0}, back = {0};
    uint8_t bytes[64];
    for (size_t size = 0; size <= sizeof bytes; size++) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 37 + size);
        for (int hex = 0; hex < 2; hex++) {
            buf_clear(&text), buf_clear(&back);
            (hex ? hex_encode : base64_encode)(&text, slice_of(bytes, size));
            EXPECT((hex ? hex_decode : base64_decode)(&back, buf_slice(&text)));
            EXPECT(slice_eq(buf_slice(&back), slice_of(bytes, size)));
        }
    }
    EXPECT(!base64_decode(&back, SLICE_LIT("ab=c")) && !base64_decode(&back, SLICE_LIT("abc")));
    EXPECT(!hex_decode(&back, SLICE_LIT("0")) && !hex_decode(&back, SLICE_LIT("0g")));
    buf_deinit(&text), buf_deinit(&back);
}

TEST(a_table_lines_up_and_shows_control_characters) {
    static const struct output_column columns[] = {{"name", "NAME", false}, {"size", "SIZE", true}, {"tags", "TAGS", false}};
    json_t *rows = json_pack("[{s:s, s:i, s:[s, s]}, {s:s, s:n}]", "name", "a\x1b" "b", "size", 12345, "tags", "x", "y", "name",
                             "\xc3\xa9", "size");
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    output_rows(out, rows, columns, COUNT_OF(columns));
    fclose(out);
    EXPECT_STR(text, "NAME     SIZE  TAGS\n"
                     "a\\x1bb  12345  x,y\n"
                     "\xc3\xa9           -  -\n");
    free(text);
    json_decref(rows);
}

TEST_MAIN
