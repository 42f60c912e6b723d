/* Records as text and JSON, places and times, addresses, properties of clients, SCRAM, histograms. */
#include <sys/mman.h>
#include <unistd.h>
#include "../test.h"
#include "base/mem.h"
#include "cli/client_config.h"
#include "cli/histogram.h"
#include "cli/offsets.h"
#include "cli/record.h"

static struct buf out, error;

static void clear(void) {
    buf_deinit(&out);
    buf_deinit(&error);
}

static const char *show(const char *text, const struct cli_record *record, enum bytes_format format) {
    struct record_format parsed;
    buf_clear(&out);
    buf_clear(&error);
    enum err err = record_format_parse(&parsed, text, &error);
    if (!err)
        record_format_show(&parsed, record, &(struct record_style){format, format, format}, &out);
    record_format_deinit(&parsed);
    return err ? NULL : buf_text(&out);
}

TEST(a_format_string_shows_each_part_of_a_record) {
    struct cli_header headers[] = {{SLICE_LIT("a"), SLICE_LIT("1")}, {SLICE_LIT("b"), SLICE_NULL}};
    struct cli_record record = {"t", 3, 42, 1700000000000, "create", SLICE_LIT("key"), SLICE_LIT("value"), headers, 2};
    EXPECT_STR(show("%t %p %o %T %k %v %s %K %S %V [%h] 100%%\\n", &record, BYTES_TEXT),
               "t 3 42 1700000000000 key value value 3 5 5 [a=1,b=] 100%\n");
    EXPECT_STR(show("\\t\\\\\\x41\\r%%t", &record, BYTES_TEXT), "\t\\A\r%t");
    EXPECT_STR(show("%k:%v:%h", &record, BYTES_HEX), "6b6579:76616c7565:a=31,b=");
    EXPECT_STR(show("%k:%v", &record, BYTES_BASE64), "a2V5:dmFsdWU=");
    show("a\\0b", &record, BYTES_TEXT);
    EXPECT(slice_eq(buf_slice(&out), slice_of("a\0b", 3)));
    record.key = record.value = SLICE_NULL;
    EXPECT_STR(show("%k|%v|%K|%S", &record, BYTES_TEXT), "||-1|-1");
    record.key = SLICE_LIT("\xff\xff\xff\xfe");
    record.value = SLICE_LIT("\x01\x02\x03");
    EXPECT_STR(show("%k %v", &record, BYTES_INT), "-2 010203");
    EXPECT(show("%q", &record, BYTES_TEXT) == NULL && strstr(buf_text(&error), "'%q'"));
    EXPECT(show("%", &record, BYTES_TEXT) == NULL);
    EXPECT(show("\\", &record, BYTES_TEXT) == NULL);
    EXPECT(show("\\xg1", &record, BYTES_TEXT) == NULL);
    clear();
}

TEST(bytes_are_read_in_the_form_that_is_named) {
    EXPECT(bytes_read(&out, SLICE_LIT("00ff"), BYTES_HEX) && slice_eq(buf_slice(&out), slice_of("\0\xff", 2)));
    buf_clear(&out);
    EXPECT(bytes_read(&out, SLICE_LIT("-2"), BYTES_INT) && slice_eq(buf_slice(&out), slice_of("\xff\xff\xff\xff\xff\xff\xff\xfe", 8)));
    buf_clear(&out);
    EXPECT(bytes_read(&out, SLICE_LIT("{\"a\":1}"), BYTES_JSON));
    EXPECT(!bytes_read(&out, SLICE_LIT("{a"), BYTES_JSON));
    EXPECT(!bytes_read(&out, SLICE_LIT("12x"), BYTES_INT));
    EXPECT(!bytes_read(&out, SLICE_LIT("xy"), BYTES_HEX));
    clear();
}

TEST(a_record_survives_json) {
    struct cli_header headers[] = {{SLICE_LIT("h"), SLICE_LIT("\xff\x00")}, {SLICE_LIT("n"), SLICE_NULL}};
    struct cli_record record = {"t", 3, 42, 1700000000000, "create", SLICE_LIT("k\n\"\0"), SLICE_LIT("\x80"), headers, 2}, back;
    struct arena arena = {0};
    json_t *object = record_to_json(&record, &(struct record_style){BYTES_TEXT, BYTES_TEXT, BYTES_TEXT});
    EXPECT_INT(record_from_json(object, &arena, &back, &error), ERR_OK);
    EXPECT_INT(back.partition, 3);
    EXPECT_INT(back.timestamp, 1700000000000);
    EXPECT(slice_eq(back.key, record.key) && slice_eq(back.value, record.value));
    EXPECT_INT(back.header_count, 2);
    EXPECT(slice_eq(back.headers[0].value, headers[0].value) && slice_is_null(back.headers[1].value));
    json_decref(object);
    arena_deinit(&arena);
    clear();
}

static enum err from_json(const char *text, struct arena *arena, struct cli_record *record) {
    json_t *object = json_loads(text, JSON_DECODE_ANY, NULL);
    buf_clear(&error);
    enum err err = record_from_json(object, arena, record, &error);
    json_decref(object);
    return err;
}

TEST(json_of_people_is_taken_and_nonsense_is_not) {
    struct arena arena = {0};
    struct cli_record record;
    EXPECT_INT(from_json("{\"value\": {\"a\": [1, true]}, \"key\": 7, \"headers\": {\"x\": \"y\"}}", &arena, &record), ERR_OK);
    EXPECT(slice_eq_str(record.value, "{\"a\":[1,true]}") && slice_eq_str(record.key, "7"));
    EXPECT(slice_eq_str(record.headers[0].key, "x") && slice_eq_str(record.headers[0].value, "y"));
    EXPECT_INT(record.partition, -1);
    EXPECT_INT(record.timestamp, -1);
    EXPECT_INT(from_json("{}", &arena, &record), ERR_OK);
    EXPECT(slice_is_null(record.value) && slice_is_null(record.key));
    EXPECT_INT(from_json("[1]", &arena, &record), ERR_INVALID);
    EXPECT_INT(from_json("{\"partition\": -1}", &arena, &record), ERR_INVALID);
    EXPECT_INT(from_json("{\"partition\": 3000000000}", &arena, &record), ERR_INVALID);
    EXPECT_INT(from_json("{\"timestamp\": \"x\"}", &arena, &record), ERR_INVALID);
    EXPECT_INT(from_json("{\"value\": {\"base64\": \"!\"}}", &arena, &record), ERR_INVALID);
    EXPECT_INT(from_json("{\"headers\": [{\"value\": \"x\"}]}", &arena, &record), ERR_INVALID);
    arena_deinit(&arena);
    clear();
}

TEST(places_and_times_are_read_as_people_write_them) {
    struct place place;
    int64_t ms;
    EXPECT(parse_place("beginning", &place) && place.kind == PLACE_BEGINNING);
    EXPECT(parse_place("latest", &place) && place.kind == PLACE_END);
    EXPECT(parse_place("17", &place) && place.kind == PLACE_OFFSET && place.value == 17);
    EXPECT(parse_place("-5", &place) && place.kind == PLACE_BEFORE_END && place.value == 5);
    EXPECT(parse_place("@1700000000000", &place) && place.kind == PLACE_TIME && place.value == 1700000000000);
    EXPECT(!parse_place("", &place) && !parse_place("--5", &place) && !parse_place("5x", &place) && !parse_place("@", &place));
    EXPECT(parse_time("2023-11-14T22:13:20Z", 0, &ms) && ms == 1700000000000);
    EXPECT(parse_time("2023-11-14 22:13:20.5", 0, &ms) && ms == 1700000000500);
    EXPECT(parse_time("2023-11-14T23:13:20+01:00", 0, &ms) && ms == 1700000000000);
    EXPECT(parse_time("2023-11-14", 0, &ms) && ms == 1699920000000);
    EXPECT(parse_time("-2h", 10000000, &ms) && ms == 10000000 - 7200000);
    EXPECT(parse_time("-7d", 0, &ms) && ms == -604800000);
    EXPECT(!parse_time("2023-13-14", 0, &ms) && !parse_time("2023-11-14T25:00", 0, &ms) && !parse_time("-2w", 0, &ms));
    EXPECT(!parse_time("yesterday", 0, &ms) && !parse_time("-", 0, &ms) && !parse_time("2023-11-14T22:13:20X", 0, &ms));
    char text[32];
    EXPECT_STR(time_text(1700000000005, text), "2023-11-14T22:13:20.005Z");
    EXPECT_STR(time_text(-1, text), "-");
    time_text(INT64_MAX, text);
}

TEST(partitions_are_named_by_lists_and_ranges) {
    int *numbers = NULL, count;
    EXPECT(parse_numbers("3,0-1,3", 4, &numbers, &count));
    EXPECT_INT(count, 3);
    EXPECT(numbers[0] == 0 && numbers[1] == 1 && numbers[2] == 3);
    mem_free(numbers);
    EXPECT(!parse_numbers("4", 4, &numbers, &count) && !parse_numbers("", 4, &numbers, &count) && !parse_numbers("1,", 4, &numbers, &count));
    EXPECT(!parse_numbers("2-1", 4, &numbers, &count) && !parse_numbers("-1", 4, &numbers, &count) && !parse_numbers("a", 4, &numbers, &count));
}

static bool address(const char *text, const char *host, int port) {
    char got[256];
    int got_port = 0;
    return wire_parse_address(slice_str(text), got, &got_port) && strcmp(got, host) == 0 && got_port == port;
}

TEST(addresses_may_be_names_numbers_or_listeners) {
    char host[256];
    int port;
    EXPECT(address("localhost:9093", "localhost", 9093));
    EXPECT(address("broker", "broker", 9092));
    EXPECT(address("[::1]:9094", "::1", 9094));
    EXPECT(address("[::1]", "::1", 9092));
    EXPECT(address("::1", "::1", 9092));
    EXPECT(address("PLAINTEXT://b:1", "b", 1));
    EXPECT(!wire_parse_address(SLICE_LIT(":9092"), host, &port) && !wire_parse_address(SLICE_LIT("b:"), host, &port));
    EXPECT(!wire_parse_address(SLICE_LIT("b:0"), host, &port) && !wire_parse_address(SLICE_LIT("b:70000"), host, &port));
    EXPECT(!wire_parse_address(SLICE_LIT("[::1"), host, &port) && !wire_parse_address(SLICE_LIT("b:9x"), host, &port));
}

TEST(a_jaas_configuration_gives_user_and_password) {
    struct arena arena = {0};
    const char *jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"al\\\"ice\" password='s;x' serviceName=k;";
    EXPECT_STR(jaas_option(&arena, jaas, "username"), "al\"ice");
    EXPECT_STR(jaas_option(&arena, jaas, "password"), "s;x");
    EXPECT_STR(jaas_option(&arena, jaas, "serviceName"), "k");
    EXPECT(jaas_option(&arena, jaas, "name") == NULL);
    arena_deinit(&arena);
}

static enum err configure(const char *properties, struct client *client) {
    char path[32];
    int fd = memfd_create("properties", 0);
    EXPECT(write(fd, properties, strlen(properties)) == (ssize_t)strlen(properties));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *client = (struct client){.bootstrap = "b:1"};
    buf_clear(&error);
    enum err err = client_config_read(client, path, &error);
    close(fd);
    return err;
}

TEST(properties_of_a_java_client_configure_both_ways_to_the_broker) {
    struct client client;
    char value[256];
    size_t size = sizeof value;
    EXPECT_INT(configure("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nrequest.timeout.ms=1234\nbuffer.memory=1048576\n"
                         "sasl.jaas.config=x.ScramLoginModule required username=\"u\" password=\"p\";\nacks=1\nfetch.min.bytes=5\n"
                         "ssl.truststore.location=/ca.pem\nssl.endpoint.identification.algorithm=\nkey.serializer=x.Y\ninterceptor.classes=z\n",
                         &client),
               ERR_OK);
    EXPECT(client.security.tls && !client.security.check_host);
    EXPECT_STR(client.security.ca_file, "/ca.pem");
    EXPECT_STR(client.security.user, "u");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    EXPECT_INT(client_config_apply(&client, conf, true, (const char *const[]){"acks", "all", NULL}, &error), ERR_OK);
    const char *const wanted[][2] = {{"security.protocol", "sasl_ssl"}, {"sasl.mechanism", "SCRAM-SHA-512"}, {"sasl.username", "u"},
                                     {"socket.timeout.ms", "1234"}, {"queue.buffering.max.kbytes", "1024"}, {"acks", "1"},
                                     {"ssl.ca.location", "/ca.pem"}, {"ssl.endpoint.identification.algorithm", "none"}};
    for (int i = 0; i < COUNT_OF(wanted); i++, size = sizeof value) {
        EXPECT_INT(rd_kafka_conf_get(conf, wanted[i][0], value, &size), RD_KAFKA_CONF_OK);
        EXPECT_STR(value, wanted[i][1]);
    }
    rd_kafka_conf_destroy(conf);
    arena_deinit(&client.arena);
    clear();
}

TEST(properties_that_cannot_work_are_refused_with_advice) {
    struct client client;
    EXPECT(configure("security.protocol=SLS\n", &client));
    arena_deinit(&client.arena);
    EXPECT(configure("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=GSSAPI\n", &client));
    EXPECT(strstr(buf_text(&error), "SCRAM-SHA-256"));
    arena_deinit(&client.arena);
    EXPECT(configure("security.protocol=SASL_PLAINTEXT\n", &client));
    EXPECT(strstr(buf_text(&error), "sasl.jaas.config"));
    arena_deinit(&client.arena);
    EXPECT(configure("security.protocol=SSL\nssl.truststore.type=JKS\n", &client));
    EXPECT(strstr(buf_text(&error), "PEM"));
    arena_deinit(&client.arena);
    clear();
}

/* The example of RFC 7677, section 3. */
TEST(scram_gives_the_proof_of_the_standard) {
    struct scram scram = {.digest_bits = 256, .user = "user", .password = "pencil", .nonce = "rOprNGfwEbeRWgbNEkqO"};
    scram_client_first(&scram, &out);
    EXPECT_STR(buf_text(&out), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    buf_clear(&out);
    EXPECT_INT(scram_client_final(&scram, SLICE_LIT("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), &out),
               ERR_OK);
    EXPECT_STR(buf_text(&out), "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    EXPECT_INT(scram_check_server(&scram, SLICE_LIT("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")), ERR_OK);
    EXPECT_INT(scram_check_server(&scram, SLICE_LIT("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")), ERR_DENIED);
    EXPECT_INT(scram_check_server(&scram, SLICE_LIT("e=invalid-proof")), ERR_DENIED);
    scram_deinit(&scram);
    struct scram other = {.digest_bits = 256, .user = "a=b,c", .password = "p", .nonce = "abc"};
    buf_clear(&out);
    scram_client_first(&other, &out);
    EXPECT_STR(buf_text(&out), "n,,n=a=3Db=2Cc,r=abc");
    EXPECT_INT(scram_client_final(&other, SLICE_LIT("r=xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), &out), ERR_INVALID);
    EXPECT_INT(scram_client_final(&other, SLICE_LIT("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000"), &out), ERR_INVALID);
    EXPECT_INT(scram_client_final(&other, SLICE_LIT(""), &out), ERR_INVALID);
    scram_deinit(&other);
    clear();
}

TEST(percentiles_are_near_and_never_above_the_largest) {
    struct histogram *histogram = mem_new(struct histogram);
    EXPECT_INT(histogram_percentile(histogram, 0.5), 0);
    for (int64_t i = 1; i <= 100000; i++)
        histogram_add(histogram, i);
    for (int percent = 1; percent <= 100; percent++) {
        int64_t exact = percent * 1000, got = histogram_percentile(histogram, percent / 100.0);
        EXPECT(got >= exact && got <= exact + exact / 60 + 1);
    }
    histogram_add(histogram, INT64_MAX);
    histogram_add(histogram, -3);
    EXPECT(histogram_percentile(histogram, 1) == INT64_MAX);
    mem_free(histogram);
}

TEST_MAIN
