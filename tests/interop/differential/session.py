"""One server as the cases see it: asks, keeps what was asked and answered in a form in which two servers can be compared.

What two servers cannot have in common gets a name instead: ports, directories, topic ids, producer ids they gave out,
times near now, positions in the metadata log, sizes of file systems. Lists whose order Kafka leaves open are sorted."""
import contextlib, json, re, time, uuid
from wire import *

NEAR_MS = 3 * 3600_000
ANSWER_S, DEADLINE_S = 60, 120  # for one answer, and for what comes in the end
ORDERED = {"Fetch", "records"}
POSITIONS = {("ApiVersions", "FinalizedFeaturesEpoch"), ("DescribeQuorum", "LogEndOffset"), ("DescribeQuorum", "HighWatermark"),
             ("DescribeQuorum", "LeaderEpoch"), ("DescribeLogDirs", "TotalBytes"), ("DescribeLogDirs", "UsableBytes")}


class Session:
    def __init__(self, server, name):
        self.server, self.name, self.conn = server, name, Connection(server.port, timeout_s=ANSWER_S)
        self.conns, self.log, self.ids, self.pids, self.case, self.cluster_id = [self.conn], [], {}, {}, "", None
        self.members, self.stamp, self.loaded = {}, 0, set()
        self.ranges = {k["ApiKey"]: (k["MinVersion"], k["MaxVersion"]) for k in self.conn.ask("ApiVersions", 0)["ApiKeys"]}

    # ---- asking ----

    def new_connection(self):
        conn = Connection(self.server.port, timeout_s=ANSWER_S)
        self.conns.append(conn)
        return conn

    def versions(self, name):
        """Of Kafka 4.3.1; set by the runner for both servers."""
        low, high = self.common[messages()["request", name].key]
        return range(low, high + 1)

    def ask(self, name, version, values=None, note="", conn=None, quiet=False, adjust=None, **options):
        """`adjust` gets an answer before it is kept, to set right what one of the two says."""
        try:
            answer = (conn or self.conn).ask(name, version, values or {}, **options)
        except Closed:
            answer = "connection closed"
        except AssertionError:
            answer = "no answer"
        except Malformed as error:
            answer = f"malformed: {error}"
        if isinstance(answer, dict):
            self.learn(name, answer)
            if adjust:
                adjust(answer)
        if not quiet:
            self.log.append((f"{self.case}: {name} v{version} {note}".strip(), name, self.normal(name, answer)))
        return answer if isinstance(answer, dict) else {}

    def each(self, name, values, note="", versions=None, **options):
        """The same at every version; the answers."""
        return [self.ask(name, v, values() if callable(values) else values, note, **options) for v in versions or self.versions(name)]

    def frame(self, raw, note, answers=True):
        """A frame as given; what comes back is compared byte for byte but for nothing."""
        conn = Connection(self.server.port, timeout_s=10)
        try:
            conn.send_frame(raw)
            got = conn.receive_frame().hex() if answers else ""
        except Closed:
            got = "connection closed"
        except AssertionError:
            got = "no answer"
        conn.close()
        self.log.append((f"{self.case}: frame {note}", "frame", got))

    def tell(self, note, value):
        """Something else to compare."""
        self.log.append((f"{self.case}: {note}", "value", self.normal("value", value)))

    def close(self):
        for conn in self.conns:
            conn.close()

    # ---- answers that come later ----

    def begin(self, name, version, values=None, note="", conn=None, **options):
        """Sends on a connection of its own, or `conn`; the answer is for end()."""
        conn = conn or self.new_connection()
        conn.send_frame(encode_request(name, version, values or {}, **options))
        return conn, name, version, note

    def end(self, begun):
        conn, name, version, note = begun
        try:
            answer = decode_response(name, version, conn.receive_frame())[1]
            self.learn(name, answer)
        except Closed:
            answer = "connection closed"
        except AssertionError:
            answer = "no answer"
        self.log.append((f"{self.case}: {name} v{version} {note}".strip(), name, self.normal(name, answer)))
        return answer if isinstance(answer, dict) else {}

    # ---- topics ----

    def create(self, name, partitions=1, configs=None, wait=True):
        answer = self.ask("CreateTopics", 7, {"Topics": [{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": [
            {"Name": k, "Value": v} for k, v in (configs or {}).items()]}], "TimeoutMs": 30000}, quiet=True)
        topic = answer["Topics"][0]
        if topic["ErrorCode"]:
            raise AssertionError(f"{self.name}: cannot create {name}: {topic}")
        self.ids[topic["TopicId"]] = name
        for index in range(partitions if wait else 0):
            self.wait_leader(name, index)
        return topic["TopicId"]

    def wait_leader(self, name, index):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            answer = self.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": name, "Partitions": [{"PartitionIndex": index, "Timestamp": -1}]}]}, quiet=True)
            if answer["Topics"][0]["Partitions"][0]["ErrorCode"] == 0:
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.name}: {name}-{index} has no leader")

    def wait_gone(self, name):
        end = time.monotonic() + DEADLINE_S
        while self.ask("Metadata", 12, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": False}, quiet=True)["Topics"][0]["ErrorCode"] == 0:
            assert time.monotonic() < end, f"{name} does not go"
            time.sleep(0.02)

    def until(self, condition, what, every_s=0.05):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"{self.name}: {what}"
            time.sleep(every_s)

    def published(self):
        """What was written to the metadata before this is in force everywhere in the server. Kafka's parts are told of a
        change one after the other, and of the next change when all have been; so a second change tells that the first is."""
        resource = {"ResourceType": 32, "ResourceName": "published"}
        for _ in range(2):
            self.stamp += 1
            value = str(45000 + self.stamp)
            self.ask("IncrementalAlterConfigs", 1, {"Resources": [{**resource, "Configs": [
                {"Name": "consumer.session.timeout.ms", "ConfigOperation": 0, "Value": value}]}]}, quiet=True)
            self.until(lambda: value in str(self.ask("DescribeConfigs", 4, {"Resources": [{**resource, "ConfigurationKeys": None}]}, quiet=True)),
                       "a change is not published", every_s=0.005)

    def id(self, name):
        return next((key for key, value in self.ids.items() if value == name), None)

    def produce(self, topic, data, index=0, version=11, acks=-1, quiet=True, note="", **options):
        answer = self.ask("Produce", version, {"Acks": acks, "TimeoutMs": 30000, "TopicData": [
            {"Name": topic, "TopicId": self.id(topic) or ZERO_UUID, "PartitionData": [{"Index": index, "Records": data}]}]}, note,
            quiet=quiet, **options)
        return answer["Responses"][0]["PartitionResponses"][0] if answer.get("Responses") else answer

    # ---- comparing ----

    def learn(self, name, answer):
        if name in ("InitProducerId", "EndTxn") and answer.get("ProducerId", -1) >= 0:
            self.pids.setdefault(answer["ProducerId"], f"pid#{len(self.pids)}")
        if name == "JoinGroup":
            for member in [answer.get("MemberId") or ""] + [m["MemberId"] for m in answer.get("Members") or []]:
                if re.search(r"-[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$", member):
                    self.members.setdefault(member, f"{member[:-37]}-member#{len(self.members)}")
        for topic in answer.get("Topics") or []:
            if isinstance(topic, dict) and topic.get("TopicId", ZERO_UUID) != ZERO_UUID and topic.get("Name") and not topic.get("ErrorCode"):
                if name == "Metadata":
                    self.ids.setdefault(topic["TopicId"], topic["Name"])

    def normal(self, name, value, key=""):
        if isinstance(value, dict):
            return {k: self.normal(name, v, k) for k, v in sorted(value.items())}
        if isinstance(value, list):
            items = [self.normal(name, v, key) for v in value]
            return items if name in ORDERED or key == "Replicas" else sorted(items, key=lambda x: (identity(x), json.dumps(x, sort_keys=True)))
        if isinstance(value, bytes):
            if key != "Records":
                return value.hex()
            found = batches(value)
            for one in found:
                if "plain" in one:
                    del one["payload"], one["size"]
            return self.normal("Fetch", found, key)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int):
            if key == "Port":
                return "port"
            if key in ("ProducerId", "pid") and value in self.pids:
                return self.pids[value]
            if (name, key) in POSITIONS and value >= 0:
                return "position"
            return "now" if abs(value - time.time() * 1000) < NEAR_MS else value
        if isinstance(value, str):
            if key == "_raw":
                return value
            if value in self.members:
                return self.members[value]
            with contextlib.suppress(ValueError):
                if len(value) == 36 and value != ZERO_UUID:
                    uuid.UUID(value)
                    return f"id({self.ids.get(value, '?')})"
            return self.text(value)
        return value

    def text(self, value):
        value = value.replace(self.server.dir, "DIR").replace(self.cluster_id or "none", "CLUSTER")
        value = re.sub(r"-92233[67]\d{13}", "MIN", value)
        for port in (self.server.port, getattr(self.server, "controller_port", 0)):
            value = re.sub(rf"(?<!\d){port}(?!\d)", "PORT", value) if port else value
        return re.sub(r"\d{13}", lambda m: "NOW" if abs(int(m.group()) - time.time() * 1000) < NEAR_MS else m.group(), value)


IDENTITY = ("GroupId", "MemberId", "ResourceType", "ResourceName", "Name", "ConfigName", "TopicName", "TopicId", "Feature", "ApiKey", "Topic", "PartitionIndex", "Index", "Partition",
            "ReplicaId", "LogDir", "NodeId", "BrokerId", "ProducerId")


def identity(item):
    return "/".join(str(item[k]) for k in IDENTITY if k in item) if isinstance(item, dict) else ""


def by_name(items):
    """{what identifies an item: item}; None when nothing does, or not each."""
    if not all(isinstance(item, dict) for item in items):
        return None
    named = {identity(item): item for item in items}
    return named if len(named) == len(items) and "" not in named else None


def differences(a, b, path=""):
    """[(path, value of a, value of b)]"""
    if isinstance(a, dict) and isinstance(b, dict):
        found = []
        for key in sorted(set(a) | set(b)):
            if key not in a or key not in b:
                found.append((f"{path}.{key}", a.get(key, "(absent)"), b.get(key, "(absent)")))
            else:
                found += differences(a[key], b[key], f"{path}.{key}")
        return found
    if isinstance(a, list) and isinstance(b, list):
        x, y = by_name(a), by_name(b)
        if x is not None and y is not None and (a or b):
            found = differences(x, y, path)
            same_order = [k for k in x if k in y] == [k for k in y if k in x]
            return found + ([] if same_order else [(path + " order", list(x), list(y))])
        if len(a) == len(b):
            return [d for i, (x, y) in enumerate(zip(a, b)) for d in differences(x, y, f"{path}[{i}]")]
    return [] if a == b and type(a) is type(b) else [(path, a, b)]
