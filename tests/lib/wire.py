"""Kafka's protocol from the schema files, for tests that need a request exactly as they say: encode any request from a
dict, decode any answer to one; record batches with every field free; a connection that sends frames.

    conn = Connection(port)
    answer = conn.ask("Metadata", 12, {"Topics": [{"Name": "t"}]})          # fields not given have their defaults
    answer = conn.ask("Produce", 11, {"Acks": 1, ...: batch([record(b"k", b"v")])})
"""
import functools, glob, os, re, socket, struct, sys, uuid, zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tools", "gen"))
import schema  # noqa: E402

INTEGERS = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}
ZERO_UUID = "00000000-0000-0000-0000-000000000000"


class Closed(Exception):
    """The peer closed the connection instead of answering."""


class Malformed(Exception):
    """Bytes that are not what the schema says."""


def capitalise(fields):
    """A few fields of Kafka's begin with a small letter; here all begin with a large one."""
    for field in fields:
        field.name = field.name[0].upper() + field.name[1:]
        if field.struct:
            capitalise(field.struct.fields)


@functools.lru_cache(None)
def messages():
    """{("request", name without suffix): Message, ("response", ...): ..., ("key", number): name}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "src/protocol/schema/[0-9]*.msg"))):
        for message in schema.parse(open(path).read()):
            if message.kind in ("request", "response") and not message.removed:
                name = message.name.removesuffix("Request").removesuffix("Response")
                capitalise(message.fields)
                found[message.kind, name] = message
                found["key", message.key] = name
    return found


def not_served_yet():
    """The keys of the requests that docs/PLAN.md says are not served yet."""
    text = open(os.path.join(ROOT, "docs/PLAN.md")).read()
    section = text.split("## Requests not served yet", 1)[1].split("\n## ", 1)[0]
    return {messages()["request", name].key for row in re.findall(r"^\| .*", section, re.M) for name in re.findall(r"`(\w+)`", row)}


def within(versions, version):
    return versions is not None and versions[0] <= version <= versions[1]


# ---- encoding --------------------------------------------------------------------------------------------------------

def uvarint(n):
    out = bytearray()
    n &= 0xffffffff
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def varlong(n):
    n = ((n << 1) ^ (n >> 63)) & 0xffffffffffffffff
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def default_of(field):
    text = field.default
    if field.is_array:
        return None if text == "null" else []
    if text == "null":
        return None
    kind = field.type
    if kind in INTEGERS:
        return float(text or 0) if kind == "float64" else int(text or "0", 0)
    if kind == "bool":
        return text == "true"
    if kind == "string":
        return text or ""
    if kind in ("bytes", "records"):
        return b""
    if kind == "uuid":
        return ZERO_UUID
    return {}


class Writer:
    def __init__(self, version, flexible):
        self.version, self.flexible, self.out = version, flexible, bytearray()

    def length(self, n, short=False):
        """n < 0: null."""
        if self.flexible:
            self.out += uvarint(n + 1)
        else:
            self.out += struct.pack(">h" if short else ">i", n)

    def value(self, field, value, version, element=False):
        kind = field.type
        if field.is_array and not element:
            self.length(-1 if value is None else len(value))
            for item in value or []:
                self.value(field, item, version, True)
        elif kind in INTEGERS:
            self.out += struct.pack(INTEGERS[kind], value)
        elif kind == "bool":
            self.out.append(int(value))
        elif kind == "uuid":
            self.out += uuid.UUID(str(value)).bytes
        elif kind == "string":
            flexible, self.flexible = self.flexible, self.flexible and not field.never_flexible
            raw = None if value is None else value if isinstance(value, bytes) else value.encode()
            self.length(-1 if raw is None else len(raw), short=True)
            self.out += raw or b""
            self.flexible = flexible
        elif kind in ("bytes", "records"):
            self.length(-1 if value is None else len(value))
            self.out += value or b""
        else:
            if field.nullable and not element:
                self.out += struct.pack(">b", -1 if value is None else 1)
                if value is None:
                    return
            self.fields(field.struct.fields, value, version)

    def fields(self, fields, values, version):
        known = {field.name for field in fields}
        for name in values:
            if name not in known and name != "_tags":
                raise KeyError(f"no field {name}; there are {sorted(known)}")
        tags = []
        for field in fields:
            tagged = field.tag is not None and within(field.tagged, version) and within(field.versions, version)
            if tagged:
                value = values.get(field.name, default_of(field))
                if value != default_of(field):
                    inner = Writer(self.version, True)
                    if field.struct and field.nullable and not field.is_array:  # not a byte, here
                        inner.out += uvarint(0 if value is None else 1)
                    if not field.struct or field.is_array or not field.nullable:
                        inner.value(field, value, version)
                    elif value is not None:
                        inner.fields(field.struct.fields, value, version)
                    tags.append((field.tag, bytes(inner.out)))
            elif within(field.versions, version):
                self.value(field, values.get(field.name, default_of(field)), version)
        if self.flexible:
            tags += values.get("_tags", [])
            self.out += uvarint(len(tags))
            for tag, raw in sorted(tags):
                self.out += uvarint(tag) + uvarint(len(raw)) + raw


def encode_body(name, version, values):
    message = messages()["request", name]
    writer = Writer(version, within(message.flexible, version))
    writer.fields(message.fields, values, version)
    return bytes(writer.out)


def encode_request(name, version, values, correlation=1, client_id="differ", body=None, header_tags=()):
    message = messages()["request", name]
    header = Writer(version, False)
    header.out += struct.pack(">hhi", message.key, version, correlation)
    raw = None if client_id is None else client_id.encode()
    header.length(-1 if raw is None else len(raw), short=True)
    header.out += raw or b""
    if within(message.flexible, version) or (name == "ApiVersions" and version >= 3):
        header.out += uvarint(len(header_tags))
        for tag, value in header_tags:
            header.out += uvarint(tag) + uvarint(len(value)) + value
    return bytes(header.out) + (encode_body(name, version, values) if body is None else body)


# ---- decoding --------------------------------------------------------------------------------------------------------

class Reader:
    def __init__(self, raw, flexible):
        self.raw, self.at, self.flexible = raw, 0, flexible

    def take(self, n):
        if n < 0 or self.at + n > len(self.raw):
            raise Malformed(f"{n} bytes wanted at {self.at} of {len(self.raw)}")
        self.at += n
        return self.raw[self.at - n:self.at]

    def integer(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def uvarint(self):
        n = shift = 0
        while True:
            byte = self.take(1)[0]
            n |= (byte & 0x7f) << shift
            if byte < 0x80:
                return n
            shift += 7

    def length(self, short=False):
        return self.uvarint() - 1 if self.flexible else self.integer(">h" if short else ">i")

    def value(self, field, version, element=False):
        kind = field.type
        if field.is_array and not element:
            count = self.length()
            return None if count < 0 else [self.value(field, version, True) for _ in range(count)]
        if kind in INTEGERS:
            return self.integer(INTEGERS[kind])
        if kind == "bool":
            return self.take(1)[0] != 0
        if kind == "uuid":
            return str(uuid.UUID(bytes=bytes(self.take(16))))
        if kind == "string":
            n = self.length(short=True)
            return None if n < 0 else bytes(self.take(n)).decode(errors="backslashreplace")
        if kind in ("bytes", "records"):
            n = self.length()
            return None if n < 0 else bytes(self.take(n))
        if field.nullable and not element and self.integer(">b") < 0:
            return None
        return self.fields(field.struct.fields, version)

    def fields(self, fields, version):
        values, tagged = {}, {}
        for field in fields:
            if not within(field.versions, version):
                continue
            if field.tag is not None and within(field.tagged, version):
                tagged[field.tag] = field
            else:
                values[field.name] = self.value(field, version)
        if self.flexible:
            for _ in range(self.uvarint()):
                tag, size = self.uvarint(), self.uvarint()
                end = self.at + size
                if tag in tagged:
                    field = tagged[tag]
                    if field.struct and field.nullable and not field.is_array:  # not a byte, here
                        values[field.name] = self.fields(field.struct.fields, version) if self.uvarint() else None
                    else:
                        values[field.name] = self.value(field, version)
                else:
                    values.setdefault("_tags", []).append((tag, bytes(self.take(size))))
                if self.at != end:
                    raise Malformed(f"tag {tag} has another size")
        return values


def decode_response(name, version, raw):
    """(correlation, {field: value}); tagged fields only where they were sent."""
    message = messages()["response", name]
    flexible = within(message.flexible, version)
    reader = Reader(raw, flexible)
    correlation = reader.integer(">i")
    if flexible and name != "ApiVersions":
        for _ in range(reader.uvarint()):
            reader.uvarint()
            reader.take(reader.uvarint())
    values = reader.fields(message.fields, version)
    if reader.at != len(raw):
        raise Malformed(f"{len(raw) - reader.at} bytes behind the message")
    return correlation, values


# ---- record batches ---------------------------------------------------------------------------------------------------

def _crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


_TABLE = _crc32c_table()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xff] ^ crc >> 8
    return crc ^ 0xffffffff


def record(key=None, value=b"v", ts_delta=0, offset_delta=0, headers=(), attributes=0):
    body = struct.pack(">b", attributes) + varlong(ts_delta) + varlong(offset_delta)
    for part in (key, value):
        body += varlong(-1) if part is None else varlong(len(part)) + part
    body += varlong(len(headers))
    for name, part in headers:
        body += varlong(len(name)) + name + (varlong(-1) if part is None else varlong(len(part)) + part)
    return varlong(len(body)) + body


def records(count, key=b"k", value=b"v"):
    return [record(key, value, offset_delta=i) for i in range(count)]


def batch(items, base_offset=0, epoch=-1, magic=2, attributes=0, last_delta=None, base_ts=1700000000000, max_ts=None, pid=-1,
          pepoch=-1, seq=-1, count=None, compress=None, crc=None, length=None):
    """compress: applied to the records' bytes; the codec goes into `attributes` separately."""
    n = len(items)
    payload = b"".join(items)
    if compress:
        payload = compress(payload)
    tail = struct.pack(">hiqqqhii", attributes, n - 1 if last_delta is None else last_delta, base_ts,
                       base_ts if max_ts is None else max_ts, pid, pepoch, seq, n if count is None else count) + payload
    size = 9 + len(tail) if length is None else length
    return struct.pack(">qiibI", base_offset, size, epoch, magic, crc32c(tail) if crc is None else crc) + tail


def gzip(payload):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(payload) + packer.flush()


def old_message(magic, key=b"k", value=b"v", offset=0, timestamp=1700000000000, attributes=0):
    """A message of the formats before batches."""
    body = struct.pack(">bb", magic, attributes) + (struct.pack(">q", timestamp) if magic else b"")
    for part in (key, value):
        body += struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part
    return struct.pack(">qiI", offset, len(body) + 4, zlib.crc32(body)) + body


def read_varint(raw, at):
    """The number, and where the next begins."""
    shift = n = 0
    while True:
        n |= (raw[at] & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if raw[at - 1] < 0x80:
            return (n >> 1) ^ -(n & 1), at


def keys_and_values(one):
    """Of the records of a batch that batches() gave, which is not compressed; null is None."""
    raw, at, found = bytes.fromhex(one["payload"]), 0, []
    while at < len(raw):
        size, at = read_varint(raw, at)
        end = at + size
        _, at = read_varint(raw, at + 1)
        _, at = read_varint(raw, at)
        parts = []
        for _ in range(2):
            n, at = read_varint(raw, at)
            parts.append(None if n < 0 else raw[at:at + n])
            at += max(n, 0)
        found.append(tuple(parts))
        at = end
    return found


def batches(raw):
    """The whole batches in fetched bytes, as dicts; what is cut off at the end is `_rest`."""
    found, at = [], 0
    while at + 61 <= len(raw):
        size = 12 + struct.unpack_from(">i", raw, at + 8)[0]
        if at + size > len(raw):
            break
        base, _, epoch, magic, crc = struct.unpack_from(">qiibI", raw, at)
        names = ("attributes", "last_delta", "base_ts", "max_ts", "pid", "pepoch", "seq", "count")
        found.append({"base": base, "size": size, "epoch": epoch, "magic": magic,
                      "crc_ok": crc32c(raw[at + 21:at + size]) == crc,
                      **dict(zip(names, struct.unpack_from(">hiqqqhii", raw, at + 21))),
                      "payload": raw[at + 61:at + size].hex()})
        if found[-1]["attributes"] & 7 == 1:  # two programs may compress the same otherwise
            found[-1]["plain"] = zlib.decompress(raw[at + 61:at + size], wbits=31).hex()
        at += size
    if at < len(raw):
        found.append({"_rest": len(raw) - at})
    return found


# ---- connections ------------------------------------------------------------------------------------------------------

class Connection:
    def __init__(self, port, timeout_s=30):
        self.port, self.timeout_s, self.correlation, self.sock = port, timeout_s, 0, None

    def open(self):
        if not self.sock:
            self.sock = socket.create_connection(("127.0.0.1", self.port), self.timeout_s)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def send_frame(self, raw):
        self.open()
        try:
            self.sock.sendall(struct.pack(">i", len(raw)) + raw)
        except OSError:
            self.close()
            raise Closed() from None

    def send_bytes(self, raw):
        self.open()
        self.sock.sendall(raw)

    def _read(self, n):
        out = b""
        while len(out) < n:
            try:
                got = self.sock.recv(n - len(out))
            except (ConnectionResetError, BrokenPipeError):
                got = b""
            except socket.timeout:
                self.close()
                raise AssertionError(f"no answer within {self.timeout_s} s") from None
            if not got:
                self.close()
                raise Closed()
            out += got
        return out

    def receive_frame(self):
        return self._read(struct.unpack(">i", self._read(4))[0])

    def ask(self, name, version, values=None, **options):
        """The answer as a dict; Closed when there is none."""
        self.correlation += 1
        self.send_frame(encode_request(name, version, values or {}, correlation=self.correlation, **options))
        raw = self.receive_frame()
        if name == "ApiVersions" and not within(messages()["response", name].versions, version):
            version = 0
        correlation, answer = decode_response(name, version, raw)
        if correlation != self.correlation:
            raise Malformed(f"correlation {correlation}, wanted {self.correlation}")
        return answer
