/* Kafka's metrics under the names that the Prometheus JMX exporter's stock rules for Kafka give them. docs/metrics.md lists
 * them, and what is left out. */
#include "http/numbers.h"

#include <stdio.h>
#include "base/mem.h"

/* ---- topics ---------------------------------------------------------------------------------------------------------- */

struct topic_family {
    const char *name, *help;
    size_t total, topic; /* where the counters are; topic SIZE_MAX: none */
};
#define TOTAL(field) offsetof(struct metrics, field)
#define TOPIC(field) offsetof(struct partition_traffic, field)
#define NAME(name) "kafka_server_brokertopicmetrics_" name "_total"
static const struct topic_family topic_families[] = {
    {NAME("messagesin"), "Records appended by producers.", TOTAL(messages_in), TOPIC(messages_in)},
    {NAME("bytesin"), "Bytes of record batches appended by producers.", TOTAL(bytes_in), TOPIC(bytes_in)},
    {NAME("bytesout"), "Bytes of record batches sent to consumers.", TOTAL(bytes_out), TOPIC(bytes_out)},
    {NAME("totalproducerequests"), "Partitions of produce requests.", TOTAL(produce_requests), TOPIC(produce_requests)},
    {NAME("totalfetchrequests"), "Partitions read for fetch requests.", TOTAL(fetch_requests), TOPIC(fetch_requests)},
    {NAME("failedproducerequests"), "Appends that failed by a mistake of the producer or ours.", TOTAL(failed_produce), SIZE_MAX},
    {NAME("failedfetchrequests"), "Reads that failed unexpectedly.", TOTAL(failed_fetch), SIZE_MAX},
    {NAME("bytesrejected"), "Bytes of record batches that were too large.", TOTAL(bytes_rejected), SIZE_MAX},
    {NAME("invalidmessagecrcrecords"), "Record batches with a wrong checksum or framing.", TOTAL(corrupt_batches), SIZE_MAX},
    {NAME("invalidoffsetorsequencerecords"), "Record batches out of sequence.", TOTAL(bad_sequences), SIZE_MAX},
};

static void expose_topics(struct exposition *e, const struct numbers *numbers) {
    for (int i = 0; i < COUNT_OF(topic_families); i++) {
        const struct topic_family *family = &topic_families[i];
        expose_counter(e, family->name, family->help, *(const uint64_t *)((const char *)numbers->now->sum + family->total));
        for (int t = 0; family->topic != SIZE_MAX && t < numbers->topic_count; t++) {
            if (!numbers->topics[t].name.ptr)
                continue;
            expose_begin(e);
            expose_label(e, "topic", numbers->topics[t].name);
            expose_int(e, *(const int64_t *)((const char *)&numbers->topics[t].numbers->traffic + family->topic));
        }
    }
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

static int64_t log_end(const struct partition_numbers *p) { return p->end; }
static int64_t log_start(const struct partition_numbers *p) { return p->start; }
static int64_t log_segments(const struct partition_numbers *p) { return p->segments; }
static int64_t log_bytes(const struct partition_numbers *p) { return p->size; }
static int64_t retention_percent(const struct partition_numbers *p) {
    return p->retention_bytes > 0 ? p->size * 100 / p->retention_bytes : 0;
}
static int64_t one(const struct partition_numbers *p) { return p->leads; }
static int64_t zero(const struct partition_numbers *p) { return (void)p, 0; }
static int64_t stable_lag(const struct partition_numbers *p) { return p->end - p->last_stable; }

static const struct partition_family {
    const char *name, *help;
    int64_t (*value)(const struct partition_numbers *partition);
} partition_families[] = {
    {"kafka_log_log_logendoffset", "Offset of the next record.", log_end},
    {"kafka_log_log_logstartoffset", "First offset.", log_start},
    {"kafka_log_log_numlogsegments", "Segments.", log_segments},
    {"kafka_log_log_retentionsizeinpercent", "Size in percent of retention.bytes; 0 without.", retention_percent},
    {"kafka_log_log_size", "Bytes of the log.", log_bytes},
    {"kafka_cluster_partition_atminisr", "1 when the in-sync replicas are as few as allowed.", one},
    {"kafka_cluster_partition_insyncreplicascount", "In-sync replicas, on the leader.", one},
    {"kafka_cluster_partition_laststableoffsetlag", "Log end offset less last stable offset.", stable_lag},
    {"kafka_cluster_partition_replicascount", "Replicas, on the leader.", one},
    {"kafka_cluster_partition_underminisr", "1 when the in-sync replicas are fewer than allowed.", zero},
    {"kafka_cluster_partition_underreplicated", "1 when replicas are not in sync.", zero},
};

static void expose_partitions(struct exposition *e, const struct numbers *numbers) {
    for (int i = 0; i < COUNT_OF(partition_families); i++) {
        expose_family(e, partition_families[i].name, "gauge", partition_families[i].help);
        for (int p = 0; p < numbers->partition_count; p++) {
            const struct shown_partition *shown = &numbers->partitions[p];
            if (!shown->name.ptr || !shown->numbers->online)
                continue;
            expose_begin(e);
            expose_label(e, "topic", shown->name);
            expose_label_int(e, "partition", shown->numbers->index);
            expose_int(e, partition_families[i].value(shown->numbers));
        }
    }
}

/* ---- replicas, logs -------------------------------------------------------------------------------------------------- */

static void expose_replicas(struct exposition *e, const struct numbers *numbers) {
    int64_t leaders = NUMBERS_SUM(numbers, leaders);
    expose_gauge(e, "kafka_server_replicamanager_partitioncount", "Partitions hosted here.", (double)numbers->partitions_hosted);
    expose_gauge(e, "kafka_server_replicamanager_leadercount", "Partitions led here.", (double)leaders);
    expose_gauge(e, "kafka_server_replicamanager_offlinereplicacount", "Partitions whose log directory is offline.",
                 (double)NUMBERS_SUM(numbers, offline));
    expose_gauge(e, "kafka_server_replicamanager_atminisrpartitioncount", "Partitions with as few in-sync replicas as allowed.",
                 (double)leaders);
    expose_gauge(e, "kafka_server_replicamanager_produceridcount", "Producer ids known to the logs.", (double)NUMBERS_SUM(numbers, producer_ids));
    expose_gauge(e, "kafka_server_replicamanager_partitionswithlatetransactionscount",
                 "Partitions with a transaction that should have timed out long ago.", (double)NUMBERS_SUM(numbers, late_transactions));
    expose_gauge(e, "kafka_server_fetchsessioncache_numincrementalfetchsessions", "Incremental fetch sessions.",
                 (double)NUMBERS_SUM(numbers, fetch_sessions));
    expose_gauge(e, "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached", "Partitions of incremental fetch sessions.",
                 (double)NUMBERS_SUM(numbers, fetch_session_partitions));
    expose_counter(e, "kafka_server_fetchsessioncache_incrementalfetchsessionevictions_total", "Incremental fetch sessions evicted.",
                   (uint64_t)NUMBERS_SUM(numbers, fetch_session_evictions));
}

/* One of share partitions' histograms, of all of them together. */
static void expose_share_histogram(struct exposition *e, const char *name, const char *help, const struct histogram *now, uint64_t total,
                                   const struct histogram *before, uint64_t before_total, double unit) {
    char count_name[96];
    snprintf(count_name, sizeof count_name, "%s_count", name);
    expose_family(e, name, "gauge", help);
    expose_quantiles(e, now, total, before, before_total, unit, NULL, NULL);
    expose_counter(e, count_name, "How many there were.", total);
}

static void expose_share_partition(struct exposition *e, const struct share_partition_numbers *from) {
    expose_begin(e);
    expose_label(e, "group", from->group);
    expose_label(e, "topic", from->topic);
    expose_label_int(e, "partition", from->index);
}

#define EXPOSE_SHARE_PARTITIONS(e, numbers, name, type, help, field)                                   \
    do {                                                                                               \
        expose_family((e), (name), (type), (help));                                                    \
        for (int i_ = 0; i_ < (numbers)->broker->shard_count; i_++)                                    \
            for (int k_ = 0; k_ < (numbers)->parts[i_].share_partitions_shown; k_++) {                 \
                expose_share_partition((e), &(numbers)->parts[i_].share_partitions[k_]);               \
                expose_int((e), (int64_t)(numbers)->parts[i_].share_partitions[k_].field);             \
            }                                                                                          \
    } while (0)

static void expose_share_partitions(struct exposition *e, const struct numbers *numbers) {
    const struct metrics *now = numbers->now->sum, *before = numbers->before ? numbers->before->sum : NULL;
    EXPOSE_SHARE_PARTITIONS(e, numbers, "kafka_server_sharepartitionmetrics_inflightmessagecount", "gauge",
                            "Records from a share partition's start offset to its end offset.", in_flight);
    EXPOSE_SHARE_PARTITIONS(e, numbers, "kafka_server_sharepartitionmetrics_inflightbatchcount", "gauge", "Runs of those with one state.", batches);
    EXPOSE_SHARE_PARTITIONS(e, numbers, "kafka_server_sharepartitionmetrics_acquisitionlocktimeout_total", "counter",
                            "Records whose acquisition lock ended before they were acknowledged, since the share partition was loaded.", lock_timeouts);
    expose_share_histogram(e, "kafka_server_sharepartitionmetrics_inflightbatchmessagecount", "Records of a batch that a member was given.",
                           &now->share_batch, now->share_batches, before ? &before->share_batch : NULL, before ? before->share_batches : 0, 1);
    expose_share_histogram(e, "kafka_server_sharepartitionmetrics_fetchlocktimems", "Milliseconds that a fetch had a share partition to itself.",
                           &now->share_lock, now->share_locks, before ? &before->share_lock : NULL, before ? before->share_locks : 0, 1e-3);
    expose_share_histogram(e, "kafka_server_sharegroupmetrics_partitionloadtimems", "Milliseconds until a share partition's state was read.",
                           &now->share_load, now->share_loads, before ? &before->share_load : NULL, before ? before->share_loads : 0, 1e-3);
    int64_t shown = NUMBERS_SUM(numbers, share_partitions_shown);
    expose_gauge(e, "myelin_metrics_share_partitions_hidden", "Share partitions beyond myelin.metrics.partitions.max on a shard.",
                 (double)(NUMBERS_SUM(numbers, share_partition_count) - shown));
}

static void expose_shares(struct exposition *e, const struct numbers *numbers) {
    static const struct {
        int type;
        const char *label;
    } types[] = {{SHARE_TYPE_ACCEPT, "Accept"}, {SHARE_TYPE_RELEASE, "Release"}, {SHARE_TYPE_REJECT, "Reject"}, {SHARE_TYPE_RENEW, "Renew"}};
    expose_gauge(e, "kafka_server_sharesessioncache_sharesessionscount", "Share sessions.", (double)NUMBERS_SUM(numbers, share_sessions));
    expose_gauge(e, "kafka_server_sharesessioncache_sharepartitionscount", "Partitions of share sessions.",
                 (double)NUMBERS_SUM(numbers, share_session_partitions));
    expose_counter(e, "kafka_server_sharesessioncache_sharesessionevictions_total", "Share sessions that ended with their connection.",
                   (uint64_t)NUMBERS_SUM(numbers, share_session_evictions));
    expose_family(e, "kafka_server_sharegroupmetrics_recordacknowledgements_total", "counter", "Records that members acknowledged.");
    for (int i = 0; i < COUNT_OF(types); i++) {
        expose_begin(e);
        expose_label_str(e, "ackType", types[i].label);
        expose_int(e, NUMBERS_SUM(numbers, share_acknowledged[types[i].type]));
    }
    expose_counter(e, "kafka_server_brokertopicmetrics_totalsharefetchrequests_total", "ShareFetch requests.",
                   (uint64_t)NUMBERS_SUM(numbers, share_fetches));
    expose_counter(e, "kafka_server_brokertopicmetrics_failedsharefetchrequests_total", "ShareFetch requests with an error.",
                   (uint64_t)NUMBERS_SUM(numbers, share_fetches_failed));
    expose_counter(e, "kafka_server_brokertopicmetrics_totalshareacknowledgementrequests_total", "ShareAcknowledge requests.",
                   (uint64_t)NUMBERS_SUM(numbers, share_acks));
    expose_counter(e, "kafka_server_brokertopicmetrics_failedshareacknowledgementrequests_total", "ShareAcknowledge requests with an error.",
                   (uint64_t)NUMBERS_SUM(numbers, share_acks_failed));
    expose_counter(e, "myelin_share_lock_timeouts_total", "Records whose acquisition lock ended before they were acknowledged.",
                   (uint64_t)NUMBERS_SUM(numbers, share_lock_timeouts));
}

static void expose_by_dir(struct exposition *e, const struct numbers *numbers, const char *name, const char *help, const bool *of_dirs) {
    const struct broker_config *config = numbers->broker->config;
    expose_family(e, name, "gauge", help);
    for (int i = 0; i < config->log_dir_count; i++) {
        expose_begin(e);
        expose_label_str(e, "logDirectory", config->log_dirs[i]);
        expose_int(e, of_dirs[i]);
    }
}

static void expose_logs(struct exposition *e, const struct numbers *numbers) {
    const bool *dir_offline = numbers->parts[0].cluster.dir_offline, *dir_cordoned = numbers->parts[0].cluster.dir_cordoned;
    int offline = 0, cordoned = 0;
    for (int i = 0; i < numbers->broker->config->log_dir_count; i++) {
        offline += dir_offline[i];
        cordoned += dir_cordoned[i];
    }
    expose_gauge(e, "kafka_log_logmanager_cordonedlogdirectorycount", "Log directories that take no new partitions.", cordoned);
    expose_gauge(e, "kafka_log_logmanager_offlinelogdirectorycount", "Log directories that are offline.", offline);
    expose_by_dir(e, numbers, "kafka_log_logmanager_logdirectoryoffline", "1 when the log directory is offline.", dir_offline);
    expose_by_dir(e, numbers, "kafka_log_logmanager_logdirectorycordoned", "1 when the log directory takes no new partitions.", dir_cordoned);
    const struct log_metrics *log = &numbers->now->log, *before = numbers->before ? &numbers->before->log : NULL;
    expose_counter(e, "kafka_log_logflushstats_logflushrateandtimems_count", "Flushes to the device that answers waited for.", log->flushes);
    expose_family(e, "kafka_log_logflushstats_logflushrateandtimems", "gauge", "Milliseconds of such a flush.");
    expose_quantiles(e, &log->flush_us, log->flushes, before ? &before->flush_us : NULL, before ? before->flushes : 0, 0.001, NULL, NULL);
}

/* ---- the cleaner ----------------------------------------------------------------------------------------------------- */

static void expose_uncleanable(struct exposition *e, const struct numbers *numbers, const char *name, const char *help, bool bytes) {
    const struct broker_config *config = numbers->broker->config;
    expose_family(e, name, "gauge", help);
    for (int i = 0; i < config->log_dir_count; i++) {
        int64_t value = bytes ? NUMBERS_SUM(numbers, uncleanable_bytes[i]) : NUMBERS_SUM(numbers, uncleanable[i]);
        expose_begin(e);
        expose_label_str(e, "logDirectory", config->log_dirs[i]);
        expose_int(e, value);
    }
}

static void expose_cleaner(struct exposition *e, const struct numbers *numbers) {
    const struct cleaner_numbers *cleaner = &numbers->parts[0].cluster.cleaner;
    expose_gauge(e, "kafka_log_logcleaner_cleaner_recopy_percent", "Bytes written by the last cleanings, in percent of those read.",
                 (double)(int64_t)(100 * cleaner->recopied));
    expose_gauge(e, "kafka_log_logcleaner_max_buffer_utilization_percent", "How full the fullest map of the last cleanings was.",
                 (double)(int64_t)(100 * cleaner->map_used_max));
    expose_gauge(e, "kafka_log_logcleaner_max_clean_time_secs", "Seconds of the longest of the last cleanings.",
                 (double)(int64_t)cleaner->seconds_max);
    expose_gauge(e, "kafka_log_logcleaner_max_compaction_delay_secs", "How late a log is that max.compaction.lag.ms asks for.",
                 (double)(cleaner->delay_ms_max / 1000));
    expose_gauge(e, "kafka_log_logcleaner_deadthreadcount", "Cleaner threads that died; workers here cannot.", 0);
    expose_gauge(e, "kafka_log_logcleanermanager_max_dirty_percent", "Dirty part of the dirtiest log.",
                 (double)(int64_t)(100 * cleaner->max_dirty_ratio));
    expose_gauge(e, "kafka_log_logcleanermanager_time_since_last_run_ms", "Since a worker last looked for a dirty log.",
                 (double)cleaner->since_pick_ms);
    expose_uncleanable(e, numbers, "kafka_log_logcleanermanager_uncleanable_partitions_count", "Logs that cannot be cleaned.", false);
    expose_uncleanable(e, numbers, "kafka_log_logcleanermanager_uncleanable_bytes", "Dirty bytes of those.", true);
    expose_counter(e, "kafka_utils_throttler_cleaner_io_total", "Bytes read and written by cleanings.", cleaner->io_bytes);
}

/* ---- purgatory ------------------------------------------------------------------------------------------------------- */

static void expose_purgatory(struct exposition *e, const struct numbers *numbers) {
    const struct metrics *sum = numbers->now->sum;
    static const char *const names[] = {"kafka_server_delayedoperationpurgatory_numdelayedoperations",
                                        "kafka_server_delayedoperationpurgatory_purgatorysize"};
    static const char *const idle[] = {"AlterAcls", "DeleteRecords", "RemoteFetch", "RemoteListOffsets"};
    for (int i = 0; i < COUNT_OF(names); i++) {
        expose_family(e, names[i], "gauge", "Requests that wait: fetches for data, appends for the device.");
        expose_begin(e);
        expose_label_str(e, "delayedOperation", "Fetch");
        expose_int(e, sum->fetch_waiting);
        expose_begin(e);
        expose_label_str(e, "delayedOperation", "Produce");
        expose_int(e, sum->produce_waiting);
        expose_begin(e);
        expose_label_str(e, "delayedOperation", "ShareFetch");
        expose_int(e, NUMBERS_SUM(numbers, share_fetches_waiting));
        for (int k = 0; k < COUNT_OF(idle); k++) {
            expose_begin(e);
            expose_label_str(e, "delayedOperation", idle[k]);
            expose_int(e, 0);
        }
    }
    expose_family(e, "kafka_server_delayedfetchmetrics_expires_total", "counter", "Fetches answered because their time was over.");
    expose_begin(e);
    expose_label_str(e, "fetcherType", "consumer");
    expose_int(e, (int64_t)sum->fetch_expired);
    expose_begin(e);
    expose_label_str(e, "fetcherType", "follower");
    expose_int(e, 0);
}

/* ---- the cluster ----------------------------------------------------------------------------------------------------- */

static void expose_levels(struct exposition *e, const struct numbers *numbers) {
    const struct cluster_numbers *cluster = &numbers->parts[0].cluster;
    static const char *const features[][2] = {
        {"eligible.leader.replicas.version", "eligibleLeaderReplicasVersion"}, {"group.version", "groupVersion"},
        {"metadata.version", "metadataVersion"},     {"share.version", "shareVersion"},
        {"streams.version", "streamsVersion"},       {"transaction.version", "transactionVersion"},
    };
    expose_family(e, "kafka_server_metadataloader_finalizedlevel", "gauge", "Finalized level of a feature.");
    for (int i = 0; i < COUNT_OF(features); i++) {
        int64_t level = 0;
        for (int k = 0; k < cluster->feature_count; k++)
            if (strcmp(cluster->features[k].name, features[i][0]) == 0)
                level = cluster->features[k].level;
        if (i == 2)
            level = cluster->metadata_version;
        expose_begin(e);
        expose_label_str(e, "featureName", features[i][1]);
        expose_int(e, level);
    }
}

static void expose_cluster(struct exposition *e, const struct numbers *numbers) {
    const struct cluster_numbers *cluster = &numbers->parts[0].cluster;
    const struct broker *broker = numbers->broker;
    int32_t id = broker->config->node_id;
    int64_t lag = cluster->last_append_ms > 0 && cluster->applied_offset < cluster->committed_offset ? numbers->wall_ms - cluster->last_append_ms : 0;
    /* 0 not running, 1 starting, 2 recovery, 3 running, 6 controlled shutdown */
    expose_gauge(e, "kafka_server_kafkaserver_brokerstate", "3 when the broker serves.", broker->stopping ? 6 : broker->ready ? 3 : 2);
    expose_gauge(e, "kafka_server_metadataloader_currentcontrollerid", "The active controller.", cluster->active ? id : -1);
    expose_gauge(e, "kafka_server_metadataloader_currentmetadataversion", "Finalized metadata.version.", cluster->metadata_version);
    expose_levels(e, numbers);
#define CONTROLLER(name, help, value) expose_gauge(e, "kafka_controller_kafkacontroller_" name, help, (double)(value))
    CONTROLLER("activecontrollercount", "1 when this node is the active controller.", cluster->active);
    CONTROLLER("activebrokercount", "Brokers that are not fenced.", cluster->brokers);
    CONTROLLER("fencedbrokercount", "Brokers that are fenced.", cluster->fenced_brokers);
    CONTROLLER("globaltopiccount", "Topics.", cluster->topics);
    CONTROLLER("globalpartitioncount", "Partitions.", cluster->partitions);
    CONTROLLER("offlinepartitionscount", "Partitions without a leader that serves.", NUMBERS_SUM(numbers, offline));
    CONTROLLER("lastappliedrecordoffset", "Last record of the metadata log that was applied.", cluster->applied_offset);
    CONTROLLER("lastcommittedrecordoffset", "Last record of the metadata log that is committed.", cluster->committed_offset);
    CONTROLLER("lastappliedrecordtimestamp", "When records were last added, in ms since 1970.", cluster->last_append_ms);
    CONTROLLER("lastappliedrecordlagms", "How old a committed record is that was not applied.", lag);
    expose_family(e, "kafka_controller_kafkacontroller_timesincelastheartbeatreceivedms", "gauge", "Since a broker was last heard of.");
    expose_begin(e);
    expose_label_int(e, "broker", id);
    expose_int(e, 0);
    expose_gauge(e, "kafka_server_raftmetrics_current_leader", "Leader of the metadata quorum.", cluster->active ? id : -1);
    expose_gauge(e, "kafka_server_raftmetrics_current_epoch", "Epoch of the metadata quorum.", cluster->epoch);
    expose_gauge(e, "kafka_server_raftmetrics_current_vote", "Who has this node's vote.", id);
    expose_family(e, "kafka_server_raftmetrics_current_state", "gauge", "1 for the state this voter is in.");
    expose_begin(e);
    expose_label_str(e, "current_state", cluster->active ? "leader" : "unattached");
    expose_int(e, 1);
    expose_gauge(e, "kafka_server_raftmetrics_high_watermark", "High watermark of the metadata log.", (double)(cluster->committed_offset + 1));
    expose_gauge(e, "kafka_server_raftmetrics_log_end_offset", "End of the metadata log.", (double)cluster->log_end_offset);
    expose_gauge(e, "kafka_server_raftmetrics_log_end_epoch", "Epoch at the end of the metadata log.", cluster->epoch);
    expose_gauge(e, "kafka_server_raftmetrics_number_of_voters", "Voters of the metadata quorum.", 1);
}

/* ---- what one node has none of --------------------------------------------------------------------------------------- */

/* Followers, groups and transactions of others are what these count; a node of its own has 0, as Kafka's has. */
static const struct {
    const char *name, *type, *label, *value;
} zeros[] = {
#define GAUGE(name) {name, "gauge", NULL, NULL},
#define COUNTER(name) {name "_total", "counter", NULL, NULL},
    GAUGE("kafka_server_replicamanager_underreplicatedpartitions")
    GAUGE("kafka_server_replicamanager_underminisrpartitioncount")
    GAUGE("kafka_server_replicamanager_reassigningpartitions")
    COUNTER("kafka_server_replicamanager_isrexpands")
    COUNTER("kafka_server_replicamanager_isrshrinks")
    COUNTER("kafka_server_replicamanager_failedisrupdates")
    {"kafka_server_replicafetchermanager_maxlag", "gauge", "clientId", "Replica"},
    {"kafka_server_replicafetchermanager_minfetchrate", "gauge", "clientId", "Replica"},
    {"kafka_server_replicafetchermanager_deadthreadcount", "gauge", "clientId", "Replica"},
    {"kafka_server_replicafetchermanager_failedpartitionscount", "gauge", "clientId", "Replica"},
    {"kafka_server_replicaalterlogdirsmanager_maxlag", "gauge", "clientId", "ReplicaAlterLogDirs"},
    {"kafka_server_replicaalterlogdirsmanager_minfetchrate", "gauge", "clientId", "ReplicaAlterLogDirs"},
    {"kafka_server_replicaalterlogdirsmanager_deadthreadcount", "gauge", "clientId", "ReplicaAlterLogDirs"},
    {"kafka_server_replicaalterlogdirsmanager_failedpartitionscount", "gauge", "clientId", "ReplicaAlterLogDirs"},
    COUNTER("kafka_server_brokertopicmetrics_replicationbytesin")
    COUNTER("kafka_server_brokertopicmetrics_replicationbytesout")
    COUNTER("kafka_server_brokertopicmetrics_reassignmentbytesin")
    COUNTER("kafka_server_brokertopicmetrics_reassignmentbytesout")
    COUNTER("kafka_server_brokertopicmetrics_fetchmessageconversions")
    COUNTER("kafka_server_brokertopicmetrics_producemessageconversions")
    COUNTER("kafka_server_brokertopicmetrics_invalidmagicnumberrecords")
    COUNTER("kafka_server_brokertopicmetrics_nokeycompactedtopicrecords")
    COUNTER("kafka_server_delayedproducemetrics_expires")
    GAUGE("kafka_server_assignmentsmanager_queuedreplicatodirassignments")
    GAUGE("kafka_controller_kafkacontroller_preferredreplicaimbalancecount")
    GAUGE("kafka_controller_kafkacontroller_metadataerrorcount")
    GAUGE("kafka_controller_kafkacontroller_timedoutbrokerheartbeatcount")
    GAUGE("kafka_controller_kafkacontroller_controlledshutdownbrokercount")
    GAUGE("kafka_controller_kafkacontroller_ignoredstaticvoters")
    COUNTER("kafka_controller_controllerstats_uncleanleaderelections")
    COUNTER("kafka_controller_controllerstats_electionfromeligibleleaderreplicas")
    GAUGE("kafka_server_raftmetrics_number_of_observers")
    GAUGE("kafka_server_raftmetrics_number_unknown_voter_connections")
    GAUGE("kafka_coordinator_transaction_transactionmarkerchannelmanager_logappendretryqueuesize")
    GAUGE("kafka_coordinator_transaction_transactionmarkerchannelmanager_unknowndestinationqueuesize")
};

static void expose_zeros(struct exposition *e) {
    for (int i = 0; i < COUNT_OF(zeros); i++) {
        expose_family(e, zeros[i].name, zeros[i].type, "Of what this node has none of.");
        expose_begin(e);
        if (zeros[i].label)
            expose_label_str(e, zeros[i].label, zeros[i].value);
        expose_int(e, 0);
    }
}

void expose_kafka(struct exposition *e, const struct numbers *numbers) {
    expose_cluster(e, numbers);
    expose_topics(e, numbers);
    expose_replicas(e, numbers);
    expose_shares(e, numbers);
    expose_share_partitions(e, numbers);
    expose_logs(e, numbers);
    expose_cleaner(e, numbers);
    expose_purgatory(e, numbers);
    expose_partitions(e, numbers);
    expose_zeros(e);
    expose_coordinators(e, numbers);
}
