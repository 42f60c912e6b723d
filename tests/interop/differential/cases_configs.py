"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources."""
from wire import *

CASES = []
SET, DELETE, APPEND, SUBTRACT = range(4)
TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32


def case(fn):
    CASES.append(fn)
    return fn


def change(s, note, *resources, version=1, validate=False):
    """resources: (type, name, [(key, operation, value)])"""
    s.ask("IncrementalAlterConfigs", version, {"ValidateOnly": validate, "Resources": [{"ResourceType": t, "ResourceName": n, "Configs": [
        {"Name": k, "ConfigOperation": op, "Value": v} for k, op, v in configs]} for t, n, configs in resources]}, note)


def replace(s, note, *resources, version=2, validate=False):
    s.ask("AlterConfigs", version, {"ValidateOnly": validate, "Resources": [{"ResourceType": t, "ResourceName": n, "Configs": [
        {"Name": k, "Value": v} for k, v in configs]} for t, n, configs in resources]}, note)


def describe(s, note, *resources, version=4, synonyms=True, documentation=False):
    return s.ask("DescribeConfigs", version, {"IncludeSynonyms": synonyms, "IncludeDocumentation": documentation, "Resources": [
        {"ResourceType": t, "ResourceName": n, "ConfigurationKeys": keys} for t, n, keys in resources]}, note)


@case
def describe_configs(s):
    s.create("dc", 1, {"retention.ms": "5000", "cleanup.policy": "compact,delete"})
    for v in s.versions("DescribeConfigs"):
        for synonyms in (False, True):
            describe(s, f"a topic, synonyms {synonyms}", (TOPIC, "dc", None), version=v, synonyms=synonyms)
            describe(s, f"this broker, synonyms {synonyms}", (BROKER, "1", None), version=v, synonyms=synonyms)
        describe(s, "documentation", (TOPIC, "dc", None), version=v, documentation=True)
        describe(s, "broker documentation", (BROKER, "1", None), version=v, documentation=True, synonyms=False)
        describe(s, "the default broker", (BROKER, "", None), version=v)
        describe(s, "keys", (TOPIC, "dc", ["retention.ms", "nope", "retention.ms"]), (BROKER, "1", ["log.retention.ms", "nope"]), version=v)
        describe(s, "no keys", (TOPIC, "dc", []), version=v)
        describe(s, "bad topics", (TOPIC, "nope", None), (TOPIC, "a b", None), (TOPIC, "", None), version=v)
        describe(s, "bad brokers", (BROKER, "2", None), (BROKER, "x", None), (BROKER, " 1", None), (BROKER, "-1", None), version=v)
        describe(s, "bad loggers", (LOGGER, "", None), (LOGGER, "5", None), (LOGGER, "x", None), version=v)
        describe(s, "metrics", (METRICS, "", None), (METRICS, "m", None), (METRICS, "m", ["metrics"]), version=v)
        describe(s, "groups", (GROUP, "", None), (GROUP, "g", None), version=v, documentation=True)
        for type in (0, 1, 3, 77, -1):
            describe(s, f"type {type}", (type, "x", None), (TOPIC, "dc", ["retention.ms"]), version=v)
        describe(s, "nothing", version=v)
        describe(s, "the same twice", (TOPIC, "dc", ["retention.ms"]), (TOPIC, "dc", ["segment.ms"]), version=v)


@case
def topic_configs(s):
    s.create("tc", 1)
    show = lambda note, *keys: describe(s, note, (TOPIC, "tc", list(keys)))
    for v in s.versions("IncrementalAlterConfigs"):
        change(s, "set", (TOPIC, "tc", [("retention.ms", SET, "1000"), ("segment.ms", SET, "77")]), version=v)
        s.published()
        show("after set", "retention.ms", "segment.ms")
        change(s, "delete", (TOPIC, "tc", [("retention.ms", DELETE, None)]), version=v)
        change(s, "delete again", (TOPIC, "tc", [("retention.ms", DELETE, "x"), ("nope", DELETE, None)]), version=v)
        change(s, "append", (TOPIC, "tc", [("cleanup.policy", APPEND, "compact")]), version=v)
        change(s, "append again", (TOPIC, "tc", [("cleanup.policy", APPEND, "compact,compact")]), version=v)
        change(s, "subtract", (TOPIC, "tc", [("cleanup.policy", SUBTRACT, "delete")]), version=v)
        change(s, "subtract the last", (TOPIC, "tc", [("cleanup.policy", SUBTRACT, "compact")]), version=v)
        change(s, "append to no list", (TOPIC, "tc", [("retention.ms", APPEND, "5")]), version=v)
        change(s, "append a bad one", (TOPIC, "tc", [("cleanup.policy", APPEND, "x")]), version=v)
        change(s, "append to an unknown one", (TOPIC, "tc", [("nope", APPEND, "x")]), version=v)
        change(s, "null", (TOPIC, "tc", [("retention.ms", SET, None)]), version=v)
        change(s, "unknown", (TOPIC, "tc", [("nope", SET, "1")]), version=v)
        change(s, "bad value", (TOPIC, "tc", [("retention.ms", SET, "x"), ("segment.ms", SET, "5")]), version=v)
        change(s, "twice a key", (TOPIC, "tc", [("retention.ms", SET, "1"), ("retention.ms", SET, "2")]), version=v)
        change(s, "twice a resource", (TOPIC, "tc", [("retention.ms", SET, "1")]), (TOPIC, "tc", [("segment.ms", SET, "2")]), (TOPIC, "nope", [("retention.ms", SET, "1")]), version=v)
        change(s, "no such topic", (TOPIC, "nope", [("retention.ms", SET, "1")]), (TOPIC, "", [("retention.ms", SET, "1")]), (TOPIC, "a b", [("retention.ms", SET, "1")]), version=v)
        change(s, "lags", (TOPIC, "tc", [("min.compaction.lag.ms", SET, "10"), ("max.compaction.lag.ms", SET, "5")]), version=v)
        if v > 0:  # version 0 cannot carry it
            change(s, "a long value", (TOPIC, "tc", [("leader.replication.throttled.replicas", SET, "0:1," * 9000)]), version=v)
        change(s, "only validate", (TOPIC, "tc", [("retention.ms", SET, "4")]), version=v, validate=True)
        change(s, "only validate a bad one", (TOPIC, "tc", [("retention.ms", SET, "y")]), version=v, validate=True)
        change(s, "good and bad", (TOPIC, "tc", [("flush.ms", SET, "4")]), (TOPIC, "nope", [("flush.ms", SET, "4")]), version=v)
        change(s, "nothing", version=v)
        change(s, "no keys", (TOPIC, "tc", []), version=v)
        for type in (0, 1, 3, 77):
            change(s, f"type {type}", (type, "x", [("a", SET, "b")]), version=v)
    s.published()
    describe(s, "after", (TOPIC, "tc", None))
    for v in s.versions("AlterConfigs"):
        replace(s, "replace", (TOPIC, "tc", [("retention.ms", "2000")]), version=v)
        replace(s, "null", (TOPIC, "tc", [("retention.ms", None)]), version=v)
        replace(s, "unknown", (TOPIC, "tc", [("nope", "1")]), version=v)
        replace(s, "bad", (TOPIC, "tc", [("retention.ms", "x")]), version=v)
        replace(s, "twice a key", (TOPIC, "tc", [("retention.ms", "1"), ("retention.ms", "2")]), version=v)
        replace(s, "no such topic", (TOPIC, "nope", [("retention.ms", "1")]), version=v)
        replace(s, "validate", (TOPIC, "tc", [("segment.ms", "1")]), version=v, validate=True)
        replace(s, "logger", (LOGGER, "1", [("x", "INFO")]), version=v)
        replace(s, "type 77", (77, "1", [("x", "INFO")]), version=v)
        replace(s, "nothing", version=v)
    s.published()
    describe(s, "replaced", (TOPIC, "tc", None))
    replace(s, "all gone", (TOPIC, "tc", []))


@case
def broker_configs(s):
    for name in ("", "1"):
        bad = [("node.id", "5"), ("log.dirs", "/x"), ("num.io.threads", "abc"), ("num.io.threads", "100"), ("num.io.threads", "1"), ("num.io.threads", "16"), ("num.io.threads", "4"),
               ("num.network.threads", "7"), ("listeners", "PLAINTEXT://:1"), ("ssl.keystore.location", "/x"), ("my.custom", "5"), ("log.retention.ms", "-5"), ("log.retention.ms", "x"),
               ("log.segment.bytes", "5"), ("log.segment.bytes", "2000000"), ("log.cleanup.policy", "x"), ("log.cleanup.policy", "compact"), ("compression.type", "x"), ("message.max.bytes", "-1"),
               ("max.connections", "-1"), ("max.connections", "100000"), ("min.insync.replicas", "2"), ("min.insync.replicas", "0"), ("cordoned.log.dirs", "/nope"), ("unclean.leader.election.enable", "true"),
               ("log.message.timestamp.type", "x"), ("log.roll.ms", "0"), ("log.cleaner.threads", "2"), ("log.cleaner.threads", "9"), ("num.partitions", "3"), ("auto.create.topics.enable", "false"),
               ("background.threads", "5"), ("num.replica.fetchers", "2"), ("log.preallocate", "true"), ("log.flush.interval.messages", "0"), ("metric.reporters", "x"), ("", "1"),
               ("listener.name.plaintext.ssl.keystore.location", "/x"), ("leader.replication.throttled.rate", "5"), ("leader.replication.throttled.rate", "-1"), ("connections.max.idle.ms", "5"),
               ("producer.id.expiration.ms", "0"), ("producer.id.expiration.ms", "5"), ("transaction.partition.verification.enable", "x"), ("log.retention.hours", "5")]
        for key, value in bad:
            change(s, f"broker {name!r} {key}={value}", (BROKER, name, [(key, SET, value)]), validate=True)
        change(s, f"broker {name!r} append unknown", (BROKER, name, [("foo.bar", APPEND, "x")]), validate=True)
        change(s, f"broker {name!r} append no list", (BROKER, name, [("num.io.threads", APPEND, "1")]), validate=True)
        change(s, f"broker {name!r} append", (BROKER, name, [("log.cleanup.policy", APPEND, "compact")]), validate=True)
        change(s, f"broker {name!r} null", (BROKER, name, [("log.retention.ms", SET, None)]), validate=True)
        change(s, f"broker {name!r} operation 9", (BROKER, name, [("log.retention.ms", 9, "1")]), validate=True)
        change(s, f"broker {name!r} delete isr", (BROKER, name, [("min.insync.replicas", DELETE, None)]), validate=True)
        change(s, f"broker {name!r} delete unknown", (BROKER, name, [("foo", DELETE, None)]), validate=True)
        replace(s, f"broker {name!r} replace", (BROKER, name, [("log.retention.ms", "5")]), validate=True)
        replace(s, f"broker {name!r} replace bad", (BROKER, name, [("node.id", "5")]), validate=True)
    change(s, "other brokers", (BROKER, "2", [("log.retention.ms", SET, "5")]), (BROKER, "x", [("log.retention.ms", SET, "5")]), (BROKER, "-1", [("log.retention.ms", SET, "5")]))
    change(s, "set", (BROKER, "", [("log.retention.ms", SET, "700000"), ("log.cleanup.policy", SET, "compact"), ("my.custom", SET, "x")]))
    change(s, "set one", (BROKER, "1", [("log.retention.ms", SET, "800000"), ("log.roll.ms", SET, "900000")]))
    s.create("bc", 1, {"segment.ms": "5"})
    s.published()
    describe(s, "topic above broker", (TOPIC, "bc", None))
    describe(s, "brokers", (BROKER, "", None), (BROKER, "1", ["log.retention.ms", "log.roll.ms", "log.cleanup.policy", "my.custom", "log.roll.hours", "log.retention.hours"]))
    change(s, "away", (BROKER, "", [("log.retention.ms", DELETE, None), ("log.cleanup.policy", DELETE, None), ("my.custom", DELETE, None)]))
    change(s, "away one", (BROKER, "1", [("log.retention.ms", DELETE, None), ("log.roll.ms", DELETE, None)]))
    s.published()
    describe(s, "afterwards", (BROKER, "", None), (TOPIC, "bc", None))


@case
def other_configs(s):
    for note, configs in (("interval", [("interval.ms", SET, "1000")]), ("bad interval", [("interval.ms", SET, "5")]), ("no number", [("interval.ms", SET, "x")]), ("match", [("match", SET, "client_id=a")]),
                          ("bad match", [("match", SET, "x=y")]), ("unknown", [("foo", SET, "1")]), ("metrics", [("metrics", SET, "a,b")]), ("append", [("metrics", APPEND, "c")])):
        change(s, f"metrics {note}", (METRICS, "sub", configs), validate=True)
    change(s, "metrics no name", (METRICS, "", [("interval.ms", SET, "1000")]))
    for note, configs in (("timeout", [("consumer.session.timeout.ms", SET, "50000")]), ("too small", [("consumer.session.timeout.ms", SET, "1")]), ("unknown", [("foo", SET, "1")]),
                          ("no number", [("consumer.heartbeat.interval.ms", SET, "x")]), ("share", [("share.auto.offset.reset", SET, "x")])):
        change(s, f"group {note}", (GROUP, "g1", configs), validate=True)
    change(s, "group no name", (GROUP, "", [("consumer.session.timeout.ms", SET, "50000")]))
    for name, configs in (("", [("root", SET, "INFO")]), ("x", [("root", SET, "INFO")]), ("2", [("root", SET, "INFO")]), ("1", [("no.such.logger", SET, "INFO")]), ("1", [("root", SET, "debug")]),
                          ("1", [("root", DELETE, None)]), ("1", [("root", APPEND, "INFO")]), ("1", [("root", 9, "INFO")])):
        change(s, f"logger {name!r} {configs}", (LOGGER, name, configs))
    change(s, "keep metrics", (METRICS, "sub", [("interval.ms", SET, "1000"), ("match", SET, "client_id=a")]))
    change(s, "keep group", (GROUP, "g1", [("consumer.session.timeout.ms", SET, "50000")]))
    s.published()
    describe(s, "metrics", (METRICS, "sub", None))
    describe(s, "group", (GROUP, "g1", None))
    for v in s.versions("ListConfigResources"):
        for types in ([], [METRICS], [GROUP], [LOGGER], [BROKER], [TOPIC], [77], [METRICS, GROUP, METRICS]):
            answer = s.ask("ListConfigResources", v, {"ResourceTypes": types}, quiet=True)
            s.tell(f"ListConfigResources v{v} {types}", [r for r in answer.get("ConfigResources", []) if r.get("ResourceType", METRICS) != TOPIC] + [answer.get("ErrorCode")])
            s.tell(f"order v{v} {types}", list(dict.fromkeys(r.get("ResourceType") for r in answer.get("ConfigResources", []))) if v else 0)
