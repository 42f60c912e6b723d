"""Reads the schema notation described in src/protocol/schema/README.md."""
import re

PRIMITIVES = {"bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64", "uuid", "string", "bytes",
              "records"}
MAX_VERSION = 32767


def snake(name):
    name = name.replace("KRaft", "Kraft")
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()


def versions(text):
    """"0-4", "3+", "2", "none" -> (lowest, highest) or None."""
    if text == "none":
        return None
    if text.endswith("+"):
        return (int(text[:-1]), MAX_VERSION)
    low, _, high = text.partition("-")
    return (int(low), int(high or low))


def meet(a, b):
    if a is None or b is None:
        return None
    low, high = max(a[0], b[0]), min(a[1], b[1])
    return (low, high) if low <= high else None


class Field:
    def __init__(self, text):
        words = text.split()
        self.name, kind, self.versions = words[0], words[1], versions(words[2])
        match = re.match(r"^(\[\])?(\w+)(\?)?(?:\((.*?)\))?$", kind)
        self.is_array, self.type = bool(match.group(1)), match.group(2)
        self.nullable = None
        if match.group(3):
            self.nullable = versions(match.group(4)) if match.group(4) else (0, MAX_VERSION)
        self.tag, self.tagged, self.default, self.ignorable, self.never_flexible = None, None, None, False, False
        rest = words[3:]
        while rest:
            word = rest.pop(0)
            if word == "tag":
                number = rest.pop(0)
                match = re.match(r"(\d+)(?:\((.*)\))?$", number)
                self.tag = int(match.group(1))
                self.tagged = versions(match.group(2)) if match.group(2) else (0, MAX_VERSION)
            elif word.startswith("="):
                self.default = word[1:].strip('"')
            elif word == "ignorable":
                self.ignorable = True
            elif word == "flexible(none)":
                self.never_flexible = True
        self.c_name = snake(self.name)
        if self.c_name in ("default", "register", "int", "double", "float", "char", "short", "long", "static"):
            self.c_name += "_"
        self.fields = []  # of an inline struct
        self.struct = None  # Struct, for non-primitive types

    @property
    def is_struct(self):
        return self.type not in PRIMITIVES


class Struct:
    def __init__(self, name, fields):
        self.name, self.fields, self.c_name = name, fields, None


class Message:
    def __init__(self, line):
        words = line.split()
        self.kind, self.name = words[0], words[2]
        self.key = None if words[1] == "-" else int(words[1])
        self.removed = "(removed)" in words
        self.versions = versions(words[words.index("versions") + 1])
        self.flexible = versions(words[words.index("flexible") + 1]) if "flexible" in words else None
        self.listeners = words[words.index("listeners") + 1].split(",") if "listeners" in words else []
        self.unstable_latest = "unstable-latest" in words
        self.c_name = snake(self.name)
        self.fields, self.structs = [], []  # structs in order of definition before use


def parse(text):
    messages, stack, named = [], [], None
    for raw in text.splitlines():
        line = raw.split("#")[0].rstrip()
        if not line.strip():
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        if depth == 0:
            message = Message(line)
            messages.append(message)
            message.named = {}
            stack = [message.fields]
            continue
        words = line.split()
        if words[0] == "struct":
            fields = []
            messages[-1].named[words[1]] = fields
        else:
            field = Field(line.strip())
            stack[depth - 1].append(field)
            fields = field.fields
        del stack[depth:]
        stack.append(fields)
    for message in messages:
        if not message.removed:
            resolve(message)
    return messages


def resolve(message):
    """Gives each struct its C name once and orders them so that each is defined before use."""
    done = {}

    def visit(fields):
        for field in fields:
            if not field.is_struct:
                continue
            if field.type not in done:
                inner = field.fields or message.named[field.type]
                visit(inner)
                struct = Struct(field.type, inner)
                struct.c_name = message.c_name + "_" + snake(field.type)
                done[field.type] = struct
                message.structs.append(struct)
            field.struct = done[field.type]

    visit(message.fields)
