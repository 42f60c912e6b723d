/* Client metrics subscriptions: which match is one, and whom it means. */
#include "metadata/client_metrics.h"
#include "tests/unit/test.h"

static const struct client_attributes client = {.instance_id = SLICE_LIT("AAAAAAAAAAAAAAAAAAAAAg"),
                                                .client_id = SLICE_LIT("orders-1"),
                                                .software_name = SLICE_LIT("apache-kafka-java"),
                                                .software_version = SLICE_LIT("11.1.3"),
                                                .source_address = SLICE_LIT("10.0.0.7"),
                                                .source_port = SLICE_LIT("40122")};

static bool means(const char *match) {
    return client_match(slice_str(match), &client);
}

TEST(all_items_must_match_the_whole_value) {
    EXPECT(means(""));
    EXPECT(means("client_software_version=11.1.*"));
    EXPECT(means("client_software_name = apache-kafka-java , client_id=orders-\\d+"));
    EXPECT(means("client_id=orders|orders-1"));
    EXPECT(means("client_source_address=10\\.0\\.0\\..*,client_source_port=4\\d{4}"));
    EXPECT(!means("client_id=orders"));
    EXPECT(!means("client_id=rders-1"));
    EXPECT(!means("client_software_name=apache-kafka-java,client_id=other"));
}

TEST(unknown_values_match_nothing) {
    struct client_attributes unknown = client;
    unknown.software_name = SLICE_NULL;
    EXPECT(!client_match(SLICE_LIT("client_software_name=.*"), &unknown));
}

TEST(items_are_checked) {
    static const char *const good[] = {"client_id=a", " client_id = a ", "client_instance_id=.*", "client_source_port=[0-9]+"};
    static const char *const bad[] = {"", "client_id", "client_id=", "=a", "client_id=a=b", "client_id=(", "clientid=a", "client_id=a{2,1}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        EXPECT(client_match_is_valid(slice_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        EXPECT(!client_match_is_valid(slice_str(bad[i])));
}

TEST_MAIN
