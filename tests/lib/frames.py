"""Kafka's protocol by hand, for what no client would send: frames over a plain socket, a few requests in their oldest
served version, and record batches."""
import socket, struct

PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS, INCREMENTAL_ALTER_CONFIGS = 0, 1, 2, 3, 18, 19, 44

_CRC = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    _CRC.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    table = _CRC
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def string(text):
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def header(key, version, correlation=1, client_id="test"):
    return struct.pack(">hhi", key, version, correlation) + string(client_id)


def frame(body):
    return struct.pack(">i", len(body)) + body


def request(key, version, body=b"", correlation=1, client_id="test"):
    return frame(header(key, version, correlation, client_id) + body)


def api_versions(correlation=1):
    return request(API_VERSIONS, 0, b"", correlation)


def metadata(topic, correlation=1):
    return request(METADATA, 4, struct.pack(">i", 1) + string(topic) + b"\x01", correlation)


def create_topic(topic, partitions=1, configs=(), correlation=1):
    body = struct.pack(">i", 1) + string(topic) + struct.pack(">ihi", partitions, 1, 0) + struct.pack(">i", len(configs))
    for key, value in configs:
        body += string(key) + string(value)
    return request(CREATE_TOPICS, 2, body + struct.pack(">i?", 30000, False), correlation)


def set_topic_config(topic, key, value, correlation=1):
    body = struct.pack(">ib", 1, 2) + string(topic) + struct.pack(">i", 1) + string(key) + b"\0" + string(value) + b"\0"
    return request(INCREMENTAL_ALTER_CONFIGS, 0, body, correlation)


def varint(n):
    n = (n << 1) ^ (n >> 63)
    out = b""
    while n > 0x7F:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def batch(values, attributes=0, timestamp=1700000000000, payload=None, count=None):
    records = b""
    for i, value in enumerate(values):
        record = b"\x00" + varint(0) + varint(i) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(record)) + record
    count = len(values) if count is None else count
    tail = struct.pack(">hiqqqhii", attributes, count - 1, timestamp, timestamp, -1, -1, -1, count) + (records if payload is None else payload)
    return struct.pack(">qiib", 0, len(tail) + 9, -1, 2) + struct.pack(">I", crc32c(tail)) + tail


def produce(topic, records, partition=0, acks=-1, correlation=1, timeout_ms=30000):
    body = string(None) + struct.pack(">hi", acks, timeout_ms) + struct.pack(">i", 1) + string(topic)
    return request(PRODUCE, 7, body + struct.pack(">iii", 1, partition, len(records)) + records, correlation)


def fetch(topic, offset=0, partition=0, max_wait_ms=0, min_bytes=1, max_bytes=1 << 20, correlation=1):
    body = struct.pack(">iiiib", -1, max_wait_ms, min_bytes, max_bytes, 0) + struct.pack(">i", 1) + string(topic)
    return request(FETCH, 4, body + struct.pack(">iiqi", 1, partition, offset, max_bytes), correlation)


def list_offsets(topic, timestamp, partition=0, correlation=1):
    body = struct.pack(">i", -1) + struct.pack(">i", 1) + string(topic) + struct.pack(">iiq", 1, partition, timestamp)
    return request(LIST_OFFSETS, 1, body, correlation)


class Closed(Exception):
    """The server closed the connection."""


class Wire:
    def __init__(self, port, timeout_s=60, source=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout_s, source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed

    def _read(self, size):
        parts = []
        while size:
            try:
                part = self.socket.recv(min(size, 1 << 20))
            except ConnectionResetError:
                raise Closed
            if not part:
                raise Closed
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def read(self):
        """An answer: (correlation id, bytes after it)."""
        body = self._read(struct.unpack(">i", self._read(4))[0])
        return struct.unpack(">i", body[:4])[0], body[4:]

    def ask(self, data):
        self.send(data)
        return self.read()[1]

    def is_closed(self):
        """Waits for the close; False when an answer comes instead."""
        try:
            self._read(1)
        except Closed:
            return True
        return False

    def close(self):
        self.socket.close()

    # Error codes and what else the tests ask for.
    def create(self, topic, **options):
        answer = self.ask(create_topic(topic, **options))
        at = 8 + 2 + len(topic)  # throttle, array, name
        return struct.unpack(">h", answer[at:at + 2])[0]

    def set_topic_config(self, topic, key, value):
        return struct.unpack(">h", self.ask(set_topic_config(topic, key, value))[8:10])[0]

    def produce(self, topic, records, **options):
        """(error code, base offset)"""
        answer = self.ask(produce(topic, records, **options))
        at = 4 + 2 + len(topic) + 4 + 4
        return struct.unpack(">hq", answer[at:at + 10])

    def fetch(self, topic, offset=0, **options):
        """(error code, high watermark, records)"""
        answer = self.ask(fetch(topic, offset, **options))
        at = 4 + 4 + 2 + len(topic) + 4 + 4
        code, high, _, aborted = struct.unpack(">hqqi", answer[at:at + 22])
        at += 22 + max(aborted, 0) * 16
        return code, high, answer[at + 4:]

    def end_offset(self, topic, partition=0, timestamp=-1):
        answer = self.ask(list_offsets(topic, timestamp, partition))
        at = 4 + 2 + len(topic) + 4 + 4
        code, _, offset = struct.unpack(">hqq", answer[at:at + 18])
        if code:
            raise AssertionError(f"ListOffsets of {topic}: error {code}")
        return offset
