/* myelin server [FILE] [--override key=value]... */
#include <malloc.h>
#include "broker/node.h"
#include "cli/cli.h"
#include "http/http.h"
#include "cli/output.h"

enum { OVERRIDES_MAX = 256 };

static int server_run(struct options *options) {
    const char *overrides[OVERRIDES_MAX];
    int override_count = 0;
    while (override_count < OVERRIDES_MAX && (overrides[override_count] = options_list(options, "override", override_count)))
        override_count++;
    if (options_list(options, "override", override_count))
        return cli_usage(options, "at most %d overrides; put them into a file", OVERRIDES_MAX);
    struct broker_config *config;
    struct buf error = {0};
    if (broker_config_load(options->arguments[0], overrides, override_count, &config, &error)) {
        cli_fail("%s", buf_text(&error));
        buf_deinit(&error);
        return CLI_FAILED;
    }
    /* Requests of some hundred KiB come and go: no mapping and unmapping for each. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    return node_run(config, http_start, http_stop);
}

static const struct option_def server_options[] = {
    {"override", 0, OPTION_LIST, "KEY=VALUE", "a property that counts instead of the file's", NULL, COMPLETE_NOTHING},
};

const struct command command_server = {
    .name = "server",
    .summary = "run a node",
    .arguments = "[FILE]",
    .argument_max = 1,
    .complete = COMPLETE_FILE,
    OPTIONS(server_options),
    .plain = true,
    .details = "FILE is Apache Kafka's server.properties. Without one: a broker of its own on 127.0.0.1:9092, with its data in\n"
               "./myelin-data, formatted on first use.\n",
    .run = server_run,
};
