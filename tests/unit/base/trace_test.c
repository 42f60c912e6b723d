/* Diagnostics: every event is one line, whatever bytes its values have, and a place that repeats itself is held back. */
#include "base/trace.h"
#include "base/buf.h"
#include "tests/unit/test.h"

static struct buf out;
static int64_t now = 1767225845678;

static int64_t now_ms(void *arg) {
    (void)arg;
    return now;
}
static void keep(void *arg, const char *line, size_t size) {
    (void)arg;
    buf_add(&out, line, size);
}

static void begin(bool json) {
    buf_clear(&out);
    trace_setup(&(struct trace_options){.level = TRACE_INFO, .json = json, .now_ms = now_ms, .write = keep});
}

TEST(text_line_quotes_only_what_needs_it) {
    begin(false);
    trace_warn("journal", "write failed", TRACE_STR("file", "/d/x"), TRACE_STR("why", "no space"), TRACE_INT("n", -3));
    EXPECT_STR(buf_text(&out), "2026-01-01T00:04:05.678Z WARN journal: write failed file=/d/x why=\"no space\" n=-3\n");
}

TEST(json_line_is_an_object) {
    begin(true);
    trace_info("broker", "serving", TRACE_STR("host", "a"), TRACE_INT("port", 9092));
    EXPECT_STR(buf_text(&out),
               "{\"time\":\"2026-01-01T00:04:05.678Z\",\"level\":\"INFO\",\"part\":\"broker\",\"event\":\"serving\",\"host\":\"a\",\"port\":9092}\n");
}

static void hostile(const char *bytes, const char *wanted) {
    begin(true);
    trace_info("p", "e", TRACE_STR("v", bytes));
    const char *value = strstr(buf_text(&out), "\"v\":");
    char expected[256];
    snprintf(expected, sizeof expected, "\"v\":\"%s\"}\n", wanted);
    EXPECT_STR(value, expected);
}

TEST(hostile_bytes_are_escaped) {
    hostile("a\nb\r\tc", "a\\u000ab\\u000d\\u0009c");
    hostile("\"\\", "\\\"\\\\");
    hostile("\x1b[31mred\x7f", "\\u001b[31mred\\u007f");
    hostile("gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80");
    hostile("\xc2\x85\xe2\x80\xa8\xe2\x80\xae", "\\u0085\\u2028\\u202e"); /* next line, line separator, right to left */
    hostile("\xff\xc3", "\\u00ff\\u00c3");                                 /* not UTF-8, cut off */
    hostile("\xc0\xaf\xe0\x80\xaf", "\\u00c0\\u00af\\u00e0\\u0080\\u00af"); /* overlong */
    hostile("\xed\xa0\x80\xf4\x90\x80\x80", "\\u00ed\\u00a0\\u0080\\u00f4\\u0090\\u0080\\u0080"); /* surrogate, beyond Unicode */
}

TEST(long_values_are_cut) {
    begin(false);
    char text[2000];
    memset(text, 'x', sizeof text);
    trace_info("p", "e", TRACE_SLICE("v", slice_of(text, sizeof text)));
    EXPECT(out.size < 600);
    EXPECT(strstr(buf_text(&out), "x...\"\n"));
}

static int lines(void) {
    int count = 0;
    for (size_t i = 0; i < out.size; i++)
        count += out.ptr[i] == '\n';
    return count;
}
static void repeat(int times) {
    for (int i = 0; i < times; i++)
        trace_info("p", "again");
}

TEST(repetition_is_held_back_and_counted) {
    begin(false);
    repeat(50);
    EXPECT_INT(lines(), 10);
    now += 1000;
    repeat(1);
    EXPECT_INT(lines(), 11);
    EXPECT(strstr(buf_text(&out), "again suppressed=40\n"));
}

TEST(a_new_setup_forgets_what_was_held_back) {
    begin(false);
    repeat(50);
    begin(false); /* the same moment: a simulation that runs once more */
    repeat(1);
    EXPECT_INT(lines(), 1);
    EXPECT(!strstr(buf_text(&out), "suppressed"));
}

TEST(lower_levels_are_silent) {
    begin(false);
    trace_debug("p", "e");
    EXPECT_INT(out.size, 0);
    trace_set_format(TRACE_DEBUG, true);
    trace_debug("p", "e");
    EXPECT_INT(lines(), 1);
    EXPECT_INT(out.ptr[0], '{');
}

TEST_MAIN
