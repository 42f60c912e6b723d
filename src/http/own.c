/* What Kafka has no name for: the journal, the bounds of this page; and the process, as Prometheus' clients name it. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "http/numbers.h"

static void expose_journal(struct exposition *e, const struct numbers *numbers) {
    const struct log_metrics *log = &numbers->now->log;
    expose_counter(e, "myelin_journal_groups_total", "Groups written to the journals.", log->journal_groups);
    expose_counter(e, "myelin_journal_entries_total", "Entries in those groups, one a partition.", log->journal_entries);
    expose_counter(e, "myelin_journal_bytes_total", "Bytes of those groups, padding included.", log->journal_bytes);
    expose_counter(e, "myelin_segment_writes_total", "Writes to segment files.", log->segment_writes);
    expose_counter(e, "myelin_segment_bytes_total", "Bytes of those writes, padding included.", log->segment_bytes);
    expose_family(e, "myelin_journal_group_bytes", "gauge", "Bytes of a group.");
    expose_quantiles(e, &log->group_bytes, log->journal_groups, numbers->before ? &numbers->before->log.group_bytes : NULL,
                     numbers->before ? numbers->before->log.journal_groups : 0, 1, NULL, NULL);
    expose_family(e, "myelin_log_directory_bytes", "gauge", "Bytes of the logs in a log directory.");
    for (int i = 0; i < numbers->broker->config->log_dir_count; i++) {
        expose_begin(e);
        expose_label_str(e, "logDirectory", numbers->broker->config->log_dirs[i]);
        expose_int(e, NUMBERS_SUM(numbers, dir_bytes[i]));
    }
    const struct cleaner_numbers *cleaner = &numbers->parts[0].cluster.cleaner;
    expose_counter(e, "myelin_cleaner_cleanings_total", "Cleanings that came to their end.", cleaner->cleanings);
    expose_counter(e, "myelin_cleaner_records_removed_total", "Records that those removed.", cleaner->records_removed);
    expose_gauge(e, "myelin_log_segments", "Segments of all logs.", (double)NUMBERS_SUM(numbers, segments));
}

static void expose_transactions(struct exposition *e, const struct numbers *numbers) {
    int64_t oldest_ms = 0;
    for (int i = 0; i < numbers->broker->shard_count; i++)
        if (numbers->parts[i].oldest_transaction_ms > oldest_ms)
            oldest_ms = numbers->parts[i].oldest_transaction_ms;
    expose_gauge(e, "myelin_transactions_oldest_seconds", "Age of the oldest transaction that is open or on its way out; 0: none is.",
                 (double)oldest_ms / 1000);
    expose_family(e, "myelin_transactional_ids", "gauge", "Transactional ids whose coordinator is here, by state.");
    for (int state = 0; state <= TXN_COMPLETE_ABORT; state++) {
        expose_begin(e);
        expose_label_str(e, "state", txn_state_name((enum txn_state)state));
        expose_int(e, NUMBERS_SUM(numbers, transactional_ids[state]));
    }
    expose_gauge(e, "myelin_transaction_markers_waiting", "Markers that are not on the device yet.", (double)NUMBERS_SUM(numbers, markers_waiting));
    expose_counter(e, "myelin_transactions_committed_total", "Transactions committed since their coordinators were loaded.",
                   (uint64_t)NUMBERS_SUM(numbers, transactions_committed));
    expose_counter(e, "myelin_transactions_aborted_total", "Transactions aborted, those that took too long included.",
                   (uint64_t)NUMBERS_SUM(numbers, transactions_aborted));
    expose_counter(e, "myelin_transactions_timed_out_total", "Transactions that took too long.", (uint64_t)NUMBERS_SUM(numbers, transactions_timed_out));
}

static void expose_page(struct exposition *e, const struct numbers *numbers) {
    expose_family(e, "myelin_build_info", "gauge", "1.");
    expose_begin(e);
    expose_label_str(e, "version", MYELIN_VERSION);
    expose_label_str(e, "runtime", runtime_backend_name(numbers->broker->runtime));
    expose_int(e, 1);
    expose_gauge(e, "myelin_shards", "Shards.", numbers->broker->shard_count);
    expose_gauge(e, "myelin_metrics_topics_hidden", "Topics with traffic beyond myelin.metrics.topics.max.",
                 (double)(numbers->topics_with_traffic - numbers->topic_count));
    expose_gauge(e, "myelin_metrics_partitions_hidden", "Partitions beyond myelin.metrics.partitions.max.",
                 (double)(numbers->partitions_hosted - numbers->partition_count));
    expose_gauge(e, "myelin_metrics_gather_seconds", "How long the shards took for this page.", numbers->gather_seconds);
    const struct telemetry_numbers *telemetry = &numbers->parts[0].telemetry;
    expose_gauge(e, "myelin_telemetry_clients", "Clients that have asked what to measure, or pushed.", (double)telemetry->clients);
    expose_counter(e, "myelin_telemetry_pushes_total", "Pushes of clients taken.", telemetry->pushes);
    expose_counter(e, "myelin_telemetry_series_dropped_total", "Samples beyond myelin.metrics.client.series.max.", telemetry->series_dropped);
    expose_counter(e, "myelin_http_requests_total", "HTTP requests answered.", numbers->http_requests);
}

/* ---- the process ----------------------------------------------------------------------------------------------------- */

static bool read_file(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t count = fread(text, 1, size - 1, file);
    text[count] = 0;
    fclose(file);
    return count > 0;
}

static int count_fds(void) {
    DIR *dir = opendir("/proc/self/fd");
    int count = dir ? -3 : 0; /* ".", ".." and the one that this needs */
    for (; dir && readdir(dir); count++) {}
    if (dir)
        closedir(dir);
    return count;
}

static void expose_io(struct exposition *e) {
    char text[1024];
    const char *in = NULL, *out = NULL;
    if (read_file("/proc/self/io", text, sizeof text)) {
        in = strstr(text, "\nread_bytes: ");
        out = strstr(text, "\nwrite_bytes: ");
    }
    if (!in || !out)
        return;
    expose_gauge(e, "kafka_server_kafkaserver_linux_disk_read_bytes", "Bytes that this process has read from devices.",
                 strtod(in + sizeof "\nread_bytes: " - 1, NULL));
    expose_gauge(e, "kafka_server_kafkaserver_linux_disk_write_bytes", "Bytes that this process has written to devices.",
                 strtod(out + sizeof "\nwrite_bytes: " - 1, NULL));
}

static void expose_process(struct exposition *e, const struct numbers *numbers) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    expose_family(e, "process_cpu_seconds_total", "counter", "CPU time of the process.");
    expose_begin(e);
    expose_double(e, cpu);
    char text[256];
    double pages = 0, resident = 0, page = (double)sysconf(_SC_PAGESIZE);
    if (read_file("/proc/self/statm", text, sizeof text)) {
        char *end;
        pages = strtod(text, &end);
        resident = strtod(end, NULL);
    }
    expose_gauge(e, "process_resident_memory_bytes", "Memory of the process that is in RAM.", resident * page);
    expose_gauge(e, "process_virtual_memory_bytes", "Address space of the process.", pages * page);
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    expose_gauge(e, "process_open_fds", "Open file descriptors.", count_fds());
    expose_gauge(e, "process_max_fds", "Most file descriptors allowed.", (double)limit.rlim_cur);
    expose_gauge(e, "process_start_time_seconds", "When the HTTP listener started, since 1970.",
                 (double)numbers->wall_ms / 1000 - (double)(numbers->now->at_ns - numbers->started_ns) / 1e9);
    expose_io(e);
}

void expose_own(struct exposition *e, const struct numbers *numbers) {
    expose_journal(e, numbers);
    expose_transactions(e, numbers);
    expose_page(e, numbers);
    expose_process(e, numbers);
}
