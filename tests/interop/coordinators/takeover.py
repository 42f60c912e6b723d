"""A directory that is Kafka's and Myelin's by turns."""
import os
from harness import *
from wire import Connection


class Directory:
    def __init__(self, **settings):
        self.kafka = Kafka({k.replace("_", "."): v for k, v in settings.items()}, begin=False)
        self.myelin = Myelin(config_file=self.kafka.write_config(), dir=self.kafka.dir, begin=False)
        self.myelin.port = self.kafka.port
        self.running = self.conn = None

    def turn(self, name, kill=False):
        """The other server, or the same again, takes the directory; with a connection to it. Only Kafka is killed: what
        Myelin has in its journal nobody else reads."""
        if self.running:
            self.conn.close()
            self.running.kill() if kill and self.running is self.kafka else self.running.stop()
        self.running = {"kafka": self.kafka, "myelin": self.myelin}[name]
        if self.running is self.myelin and not os.path.exists(os.path.join(self.kafka.settings["log.dirs"], "meta.properties")):
            run([MYELIN, "storage", "format", "-t", self.kafka.cluster_id, "-c", self.myelin.config_file, "--standalone"])
        self.running.begin()
        self.conn = Connection(self.running.port, timeout_s=60)
        return self.conn

    def leave(self):
        """The server stops; nobody has the directory."""
        self.stop()
        self.running = None

    def ask(self, *args, **options):
        return self.conn.ask(*args, **options)

    def coordinator(self, group):
        """The group's coordinator is there and has loaded."""
        def answers():
            found = self.ask("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": [group]})["Coordinators"][0]["ErrorCode"]
            return not found and self.ask("ConsumerGroupDescribe", 1, {"GroupIds": [group]})["Groups"][0]["ErrorCode"] in (0, 69)
        eventually(answers, what=f"the coordinator of {group}")

    def create(self, topic, partitions):
        eventually(lambda: self.ask("Metadata", 12, {"Topics": []})["Brokers"], what="a broker in the metadata")
        answer = self.ask("CreateTopics", 7, {"Topics": [{"Name": topic, "NumPartitions": partitions, "ReplicationFactor": 1}], "TimeoutMs": 60000})
        return answer["Topics"][0]["TopicId"]

    def stop(self):
        self.conn.close()
        self.running.stop()
