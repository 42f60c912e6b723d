/* myelin server [FILE] [--override key=value]... */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include "broker/node.h"
#include "cli/cli.h"

enum { OVERRIDES_MAX = 256 };

int cli_server(int argc, char **argv) {
    const char *file = NULL, *overrides[OVERRIDES_MAX];
    int override_count = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--override") == 0 && i + 1 < argc && override_count < OVERRIDES_MAX)
            overrides[override_count++] = argv[++i];
        else if (argv[i][0] != '-' && !file)
            file = argv[i];
        else {
            fputs("usage: myelin server [FILE] [--override key=value]...\n", stderr);
            return CLI_USAGE;
        }
    }
    struct broker_config *config;
    struct buf error = {0};
    if (broker_config_load(file, overrides, override_count, &config, &error)) {
        fprintf(stderr, "myelin: %s\n", buf_text(&error));
        buf_deinit(&error);
        return CLI_FAILED;
    }
    /* Requests of some hundred KiB come and go: no mapping and unmapping for each. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    return node_run(config, NULL, NULL);
}
