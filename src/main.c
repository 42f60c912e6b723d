#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include "base/trace.h"
#include "broker/node.h"

static int usage(void) {
    fputs("usage: myelin server [FILE] [--override key=value]...\n", stderr);
    return 2;
}

static int run_server(int argc, char **argv) {
    const char *file = NULL, *overrides[256];
    int override_count = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--override") == 0 && i + 1 < argc && override_count < 256)
            overrides[override_count++] = argv[++i];
        else if (argv[i][0] != '-' && !file)
            file = argv[i];
        else
            return usage();
    }
    struct broker_config *config;
    struct buf error = {0};
    if (broker_config_load(file, overrides, override_count, &config, &error)) {
        fprintf(stderr, "myelin: %s\n", buf_text(&error));
        buf_deinit(&error);
        return 1;
    }
    /* Requests of some hundred KiB come and go: no mapping and unmapping for each. */
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    return node_run(config, NULL, NULL);
}

int main(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "server") == 0)
        return run_server(argc - 2, argv + 2);
    return usage();
}
