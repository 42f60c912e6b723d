"""Where answers may differ. `where` is searched in "case: Api vN note .path", `kafka` and `myelin` in the two values as JSON.
docs/DIFFERENCES.md has what a user can meet of it."""
RULES = [
    # ApiVersions 5 is Kafka 4.4's (KIP-1242).
    {"where": r"^api_versions: keys .*\.18\.MaxVersion$", "kafka": "^4$", "myelin": "^5$"},
    {"where": r"^api_versions: frame ApiVersions", "kafka": "0004\"$", "myelin": "0005\"$"},
    # As are DeleteGroups 3, and 1 of the requests of streams groups.
    {"where": r"^api_versions: keys .*\.42\.MaxVersion$", "kafka": "^2$", "myelin": "^3$"},
    {"where": r"^api_versions: keys .*\.8[89]\.MaxVersion$", "kafka": "^0$", "myelin": "^1$"},
    # Whether the creation of a topic has failed by now is told as soon as it is known; the case waits for it and compares then.
    {"where": r"^streams_topologies: StreamsGroupHeartbeat v0 m (three replicas|many missing) \.Status\[0\]\.StatusDetail$", "kafka": "Creation failed"},
    {"where": r"^streams_topologies: StreamsGroupHeartbeat v0 m (three replicas|many missing) \.Status\[0\]\.StatusDetail$", "myelin": "Creation failed"},
    # TxnOffsetCommit 6 is Kafka 4.4's (topic ids).
    {"where": r"^api_versions: keys .*\.28\.MaxVersion$", "kafka": "^5$", "myelin": "^6$"},
    # Kafka fails the whole request with -1 when one name is empty; the others are answered here, and that one with 17.
    {"where": r"^describe_topic_partitions: DescribeTopicPartitions v0 an empty name"},
    # Kafka divides session ids into ranges and fails with -1 on ids between them; here they are sessions that are not there.
    {"where": r"^fetch_sessions: Fetch v13 id -?\d+ \[0\]\.ErrorCode$", "kafka": "^-1$", "myelin": "^70$"},
    {"where": r"^fetch_sessions: Fetch v13 id -?\d+ \[1\]$"},
    # A member that has an epoch and no id: Kafka fails on its own code.
    {"where": r"^consumer_commits: OffsetFetch v9 nobody, an epoch .*ErrorCode$", "kafka": "^-1$", "myelin": "^25$"},
    # Kafka fails on its own code where a count in the assignment cannot be; here that is an assignment that cannot be read.
    {"where": r"^consumer_upgrade_refused: .* the assignment cannot be read .Error", "kafka": "^(-1|null)$"},
    # Of several equally bad things one is told, in the order of a hash map.
    {"where": r"^random_topics: .*ErrorMessage$", "kafka": "Unknown topic config name", "myelin": "Unknown topic config name"},
    {"where": r"^random_configs: .*ErrorMessage$", "kafka": "because its type is not LIST", "myelin": "because its type is not LIST"},
    # The texts are our own.
    {"where": r"^describe_configs: .*\.Documentation$"},
    # Settings of streams groups that are Kafka 4.4's.
    {"where": r"DescribeConfigs .*\.(group\.streams\.(assignors|rack\.aware\.assignment\.tags|topology\.description\.plugin\.class)|streams\.(assignor\.name|rack\.aware\.assignment\.tags))$",
     "kafka": "absent"},
    # Kafka 4.4's: how often task offsets are told; static members.
    {"where": r"^streams_.*\.TaskOffsetIntervalMs$", "kafka": "^0$", "myelin": "^60000$"},
    # The last member's leave ends the assignment too.
    {"where": r"^streams_two_members_share: StreamsGroupDescribe v0 empty .*\.AssignmentEpoch$", "kafka": "^4$", "myelin": "^5$"},
    {"where": r"^streams_groups_beside_others: StreamsGroupDescribe v0 at last .*\.AssignmentEpoch$", "kafka": "^2$", "myelin": "^3$"},
    # An active task that becomes a standby of the same member does so at once.
    {"where": r"^streams_standbys: .*(StandbyTasks|GroupState)$"},
    # So it has been told of a standby that it does not say it has: it is told again.
    {"where": r"^streams_standbys: StreamsGroupHeartbeat v0 m beats gave one up 0_0 \.(Active|Warmup)Tasks$", "kafka": "^null$"},
]
