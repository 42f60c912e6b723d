"""Writes one message as C: struct, init, decode, encode, and JSON for what stands in logs."""
from schema import MAX_VERSION, meet

C_TYPES = {"bool": "bool", "int8": "int8_t", "int16": "int16_t", "uint16": "uint16_t", "int32": "int32_t",
           "uint32": "uint32_t", "int64": "int64_t", "float64": "double", "uuid": "struct uuid",
           "string": "struct slice", "bytes": "struct slice", "records": "struct records"}
SIZES = {"bool": 1, "int8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "float64": 8, "uuid": 16,
         "string": 1, "bytes": 1, "records": 1}
SIZED = ("string", "bytes", "records")


def condition(field_versions, within):
    """The C condition for `version` being in field_versions, given that it is in `within`; "" when always."""
    met = meet(field_versions, within)
    if met is None:
        return "false"
    tests = []
    if met[0] > within[0]:
        tests.append(f"version >= {met[0]}")
    if met[1] < within[1]:
        tests.append(f"version <= {met[1]}")
    return " && ".join(tests)


class Writer:
    def __init__(self, message):
        self.message, self.lines, self.indent = message, [], 0

    def put(self, text=""):
        self.lines.append("    " * self.indent + text if text else "")

    def open(self, text):
        self.put(text + " {")
        self.indent += 1

    def close(self, text="}"):
        self.indent -= 1
        self.put(text)

    # --- types

    def element_type(self, field):
        return f"struct {field.struct.c_name}" if field.is_struct else C_TYPES[field.type]

    def declare(self, c_name, fields):
        self.open(f"struct {c_name}")
        for field in fields:
            kind = self.element_type(field)
            if field.is_array:
                self.put(f"{kind} *{field.c_name};")
                self.put(f"int32_t {field.c_name}_count;{' /* -1: null */' if field.nullable else ''}")
            elif field.is_struct and field.nullable:
                self.put(f"{kind} *{field.c_name}; /* NULL: null */")
            else:
                self.put(f"{kind} {field.c_name};")
        if not fields:
            self.put("char no_fields;")
        self.close("};")

    def default_value(self, field):
        """None when it is all zeros."""
        default = field.default
        if field.is_array:
            return None
        if field.type in ("string", "bytes"):
            return "SLICE_NULL" if default == "null" else "SLICE_EMPTY"
        if field.type == "records":
            return None
        if field.is_struct or default in (None, "", "0", "false", "null"):
            return None
        if field.type == "bool":
            return default
        if field.type == "int64":
            return f"INT64_C({default})"
        if field.type == "uuid":
            return None
        return default

    def inits(self, fields, target):
        """Statements that set what is not zero."""
        for field in fields:
            if field.is_array:
                if field.default == "null":
                    self.put(f"{target}->{field.c_name}_count = -1;")
            elif field.is_struct:
                if not field.nullable and self.needs_init(field.struct.fields):
                    self.put(f"{field.struct.c_name}_init(&{target}->{field.c_name});")
            else:
                value = self.default_value(field)
                if value and value != "SLICE_NULL":
                    self.put(f"{target}->{field.c_name} = {value};")

    def needs_init(self, fields):
        for field in fields:
            if field.is_array:
                if field.default == "null":
                    return True
            elif field.is_struct:
                if not field.nullable and self.needs_init(field.struct.fields):
                    return True
            elif self.default_value(field) not in (None, "SLICE_NULL"):
                return True
        return False

    # --- is a field at its default

    def differs(self, field, target):
        """C expression: the field is not at its default."""
        at = f"{target}->{field.c_name}"
        if field.is_array:
            return f"{at}_count != {-1 if field.default == 'null' else 0}"
        if field.is_struct:
            if field.nullable and field.default == "null":
                return f"{at} != NULL"
            if field.nullable:
                parts = [self.differs(inner, at) for inner in field.struct.fields]
                return f"({at} == NULL || " + " || ".join(parts) + ")"
            parts = [self.differs(inner, f"(&{at})") for inner in field.struct.fields]
            return "(" + " || ".join(parts) + ")"
        if field.type in ("string", "bytes"):
            return f"{at}.ptr != NULL" if field.default == "null" else f"({at}.ptr == NULL || {at}.size != 0)"
        if field.type == "records":
            return f"({at}.bytes.ptr != NULL || {at}.pieces != NULL)"
        if field.type == "uuid":
            return f"!uuid_is_zero({at})"
        return f"{at} != {self.default_value(field) or 0}"

    # --- decode

    def flexible(self, field=None):
        """C expression: this message's version is flexible."""
        message = self.message
        if field is not None and field.never_flexible:
            return "false"
        met = meet(message.flexible, message.versions)
        if met is None:
            return "false"
        return condition(met, message.versions) or "true"

    def nullable(self, field):
        if not field.nullable:
            return "false"
        return condition(field.nullable, self.message.versions) or "true"

    def element_size_min(self, field):
        if not field.is_struct:
            return SIZES[field.type]
        total = 0
        for inner in field.struct.fields:
            if meet(inner.versions, self.message.versions) == self.message.versions and inner.tag is None:
                total += 1 if inner.is_array or inner.is_struct else SIZES[inner.type]
        return max(1, total)

    def decode_struct_here(self, field, target):
        """Of a nullable struct that is not null."""
        at = f"{target}->{field.c_name}"
        self.put(f"{at} = arena_try_alloc(d->arena, sizeof *{at});")
        self.open(f"if ({at})")
        self.put(f"memset({at}, 0, sizeof *{at});")
        self.put(f"{field.struct.c_name}_decode(d, version, {at});")
        self.close("} else {")
        self.indent += 1
        self.put("decoder_fail(d, ERR_NO_MEMORY);")
        self.close()

    def decode_value(self, field, target, as_tag=False):
        """A nullable struct has a byte before it, a varint when it is tagged: 1, or else it is null."""
        at = f"{target}->{field.c_name}"
        if field.is_array:
            self.put(f"{at} = decode_array(d, {self.flexible(field)}, {self.nullable(field)}, "
                     f"{self.element_size_min(field)}, sizeof *{at}, &{at}_count);")
            self.open(f"for (int32_t i = 0; i < {at}_count; i++)")
            if field.is_struct:
                self.put(f"{field.struct.c_name}_decode(d, version, &{at}[i]);")
            elif field.type in SIZED:
                self.put(f"{at}[i] = decode_{field.type}(d, {self.flexible(field)}, false);")
            else:
                self.put(f"{at}[i] = decode_{field.type}(d);")
            self.close()
        elif field.is_struct and field.nullable:
            if as_tag:
                self.put(f"{at} = NULL;")
            self.open("if (decode_uvarint(d) > 0)" if as_tag else "if (decode_int8(d) >= 0 && !d->err)")
            self.decode_struct_here(field, target)
            self.close()
        elif field.is_struct:
            self.put(f"{field.struct.c_name}_decode(d, version, &{at});")
        elif field.type in SIZED:
            self.put(f"{at} = decode_{field.type}(d, {self.flexible(field)}, {self.nullable(field)});")
        else:
            self.put(f"{at} = decode_{field.type}(d);")

    def split(self, fields):
        """[(field, versions in which it stands in line)], [(field, versions in which it is tagged)]"""
        plain, tagged = [], []
        for field in fields:
            where = meet(field.versions, self.message.versions)
            if where is None:
                continue
            as_tag = meet(where, field.tagged) if field.tag is not None else None
            if as_tag is None:
                plain.append((field, where))
                continue
            tagged.append((field, as_tag))
            if as_tag[0] > where[0]:
                plain.append((field, (where[0], as_tag[0] - 1)))
        return plain, sorted(tagged, key=lambda pair: pair[0].tag)

    def guarded(self, where):
        test = condition(where, self.message.versions)
        if test:
            self.open(f"if ({test})")
        return bool(test)

    def decode_body(self, fields, target):
        plain, tagged = self.split(fields)
        for field, where in plain:
            is_guarded = self.guarded(where)
            self.decode_value(field, target)
            if is_guarded:
                self.close()
        flexible = self.flexible()
        if flexible == "false":
            return
        if flexible != "true":
            self.open(f"if ({flexible})")
        for field, _ in tagged:  # what it is when its tag is not there
            if field.is_struct and field.nullable and field.default != "null" and not field.is_array:
                at = f"{target}->{field.c_name}"
                self.put(f"{at} = arena_try_alloc(d->arena, sizeof *{at});")
                self.put(f"if ({at})")
                self.put(f"    {field.struct.c_name}_init({at});")
                self.put("else")
                self.put("    decoder_fail(d, ERR_NO_MEMORY);")
        if not tagged:
            self.put("decode_skip_tags(d);")
        else:
            self.open("for (uint32_t count = decode_uvarint(d); count > 0 && !d->err; count--)")
            self.put("uint32_t tag = decode_uvarint(d), size = decode_uvarint(d);")
            self.put("const uint8_t *end = d->end, *payload = decoder_take(d, size);")
            self.put("if (!payload)")
            self.put("    break;")
            self.open("switch (tag)")
            for field, where in tagged:
                self.put(f"case {field.tag}:")
                self.indent += 1
                is_guarded = self.guarded(where)
                self.put("d->ptr = payload;")
                self.put("d->end = payload + size;")
                self.decode_value(field, target, as_tag=True)
                self.put("d->end = end;")
                self.put("d->ptr = payload + size;")
                if is_guarded:
                    self.close()
                self.put("break;")
                self.indent -= 1
            self.put("default:")
            self.put("    break;")
            self.close()
            self.close()
        if flexible != "true":
            self.close()

    # --- encode

    def encode_value(self, field, target, as_tag=False):
        at = f"{target}->{field.c_name}"
        nullable = self.nullable(field)
        if field.is_array:
            self.put(f"encode_count(e, {at}_count, {self.flexible(field)}, {nullable});")
            self.open(f"for (int32_t i = 0; i < {at}_count; i++)")
            if field.is_struct:
                self.put(f"{field.struct.c_name}_encode(e, version, &{at}[i]);")
            elif field.type == "records":
                self.put(f"encode_records(e, &{at}[i], {self.flexible(field)}, false);")
            elif field.type in SIZED:
                self.put(f"encode_{field.type}(e, {at}[i], {self.flexible(field)}, false);")
            else:
                self.put(f"encode_{field.type}(e, {at}[i]);")
            self.close()
        elif field.is_struct and field.nullable:
            self.put(f"encode_uvarint(e, {at} ? 1 : 0);" if as_tag else f"encode_int8(e, {at} ? 1 : -1);")
            self.put(f"if ({at})")
            self.put(f"    {field.struct.c_name}_encode(e, version, {at});")
        elif field.is_struct:
            self.put(f"{field.struct.c_name}_encode(e, version, &{at});")
        elif field.type == "records":
            self.put(f"encode_records(e, &{at}, {self.flexible(field)}, {nullable});")
        elif field.type in SIZED:
            self.put(f"encode_{field.type}(e, {at}, {self.flexible(field)}, {nullable});")
        elif field.name == "ErrorCode" and field.type == "int16":
            self.put(f"encode_error_code(e, {at});")
        else:
            self.put(f"encode_{field.type}(e, {at});")

    def encode_body(self, fields, target):
        message = self.message
        plain, tagged = self.split(fields)
        for field in fields:  # values that this version cannot carry
            where = meet(field.versions, message.versions)
            if field.ignorable or where == message.versions:
                continue
            test = condition(where, message.versions) if where else "false"
            if not test:
                continue
            self.put(f"if (!({test}) && {self.differs(field, target)})")
            self.put("    encode_fail(e, ERR_INVALID);")
        for field, where in plain:
            is_guarded = self.guarded(where)
            self.encode_value(field, target)
            if is_guarded:
                self.close()
        flexible = self.flexible()
        if flexible == "false":
            return
        if flexible != "true":
            self.open(f"if ({flexible})")
        if not tagged:
            self.put("encode_uvarint(e, 0);")
        else:
            for i, (field, where) in enumerate(tagged):
                test = condition(where, message.versions)
                test = f"{test} && " if test else ""
                self.put(f"bool has{i} = {test}{self.differs(field, target)};")
            self.put("encode_uvarint(e, " + " + ".join(f"(uint32_t)has{i}" for i in range(len(tagged))) + ");")
            for i, (field, where) in enumerate(tagged):
                self.open(f"if (has{i})")
                self.put(f"size_t begin = encode_tag_begin(e, {field.tag});")
                self.encode_value(field, target, as_tag=True)
                self.put("encode_tag_end(e, begin);")
                self.close()
        if flexible != "true":
            self.close()

    # --- JSON

    def json_element(self, field, at, pointer):
        if field.is_struct:
            self.put(f"{field.struct.c_name}_json(buf, version, {at if pointer else '&' + at});")
        elif field.type == "records":
            self.put(f"json_add_bytes(buf, {at}.bytes);")
        elif field.type in ("string", "bytes", "uuid", "float64"):
            self.put(f"json_add_{field.type}(buf, {at});")
        elif field.type == "bool":
            self.put(f'buf_add_str(buf, {at} ? "true" : "false");')
        else:
            self.put(f'buf_printf(buf, "%lld", (long long){at});')

    def json_body(self, fields, target):
        self.put('const char *comma = "{";')
        for field in fields:
            where = meet(field.versions, self.message.versions)
            if where is None:
                continue
            is_guarded = self.guarded(where)
            name = field.name[0].lower() + field.name[1:]
            at = f"{target}->{field.c_name}"
            self.put(f'buf_printf(buf, "%s\\"{name}\\":", comma);')
            self.put('comma = ",";')
            if field.is_array:
                self.open(f"if ({at}_count < 0)")
                self.put('buf_add_str(buf, "null");')
                self.close("} else {")
                self.indent += 1
                self.put("buf_add_byte(buf, '[');")
                self.open(f"for (int32_t i = 0; i < {at}_count; i++)")
                self.put("if (i > 0)")
                self.put("    buf_add_byte(buf, ',');")
                self.json_element(field, f"{at}[i]", False)
                self.close()
                self.put("buf_add_byte(buf, ']');")
                self.close()
            elif field.is_struct and field.nullable:
                self.open(f"if (!{at})")
                self.put('buf_add_str(buf, "null");')
                self.close("} else {")
                self.indent += 1
                self.json_element(field, at, True)
                self.close()
            else:
                self.json_element(field, at, False)
            if is_guarded:
                self.close()
        self.put('buf_add_str(buf, *comma == \'{\' ? "{}" : "}");')

    # --- one struct's functions

    def functions(self, c_name, fields, static, with_json):
        """static: an inner struct, whose init is in the header and whose codec is private."""
        if static:
            self.open(f"static void {c_name}_decode(struct decoder *d, int version, struct {c_name} *x)")
            if self.needs_init(fields):
                self.put(f"{c_name}_init(x);")
        else:
            self.open(f"enum err {c_name}_decode(struct decoder *d, int version, struct {c_name} *x)")
            self.put(f"{c_name}_init(x);")
        self.put("(void)version;")
        self.decode_body(fields, "x")
        if not static:
            self.put("return d->err;")
        self.put("(void)d;") if static and not fields else None
        self.close()
        self.put()
        if static:
            self.open(f"static void {c_name}_encode(struct encoder *e, int version, const struct {c_name} *x)")
        else:
            self.open(f"enum err {c_name}_encode(struct encoder *e, int version, const struct {c_name} *x)")
        self.put("(void)version;")
        self.put("(void)x;")
        self.encode_body(fields, "x")
        if not static:
            self.put("return e->err;")
        self.close()
        self.put()
        if with_json:
            self.open(f"{'static ' if static else ''}void {c_name}_json(struct buf *buf, int version, "
                      f"const struct {c_name} *x)")
            self.put("(void)version;")
            self.put("(void)x;")
            self.json_body(fields, "x")
            self.close()
            self.put()


def has_json(message):
    return message.kind not in ("request", "response", "header")


def init_inline(w, c_name, fields):
    w.open(f"static inline void {c_name}_init(struct {c_name} *x)")
    w.put("memset(x, 0, sizeof *x);")
    w.inits(fields, "x")
    w.close()


def header(message):
    w = Writer(message)
    guard = "PROTOCOL_" + message.c_name.upper() + "_H"
    low, high = message.versions
    w.put(f"/* {message.name}, versions {low}-{high}. Generated; see src/protocol/schema. */")
    w.put(f"#ifndef {guard}")
    w.put(f"#define {guard}")
    w.put()
    w.put('#include "protocol/codec.h"')
    w.put()
    w.put(f"enum {{ {message.c_name.upper()}_VERSION_MIN = {low}, {message.c_name.upper()}_VERSION_MAX = {high} }};")
    w.put()
    for struct in message.structs:
        w.declare(struct.c_name, struct.fields)
        init_inline(w, struct.c_name, struct.fields)
    w.declare(message.c_name, message.fields)
    init_inline(w, message.c_name, message.fields)
    w.put()
    w.put(f"enum err {message.c_name}_decode(struct decoder *d, int version, struct {message.c_name} *x) MUST_USE;")
    w.put(f"enum err {message.c_name}_encode(struct encoder *e, int version, const struct {message.c_name} *x) "
          "MUST_USE;")
    if has_json(message):
        w.put(f"void {message.c_name}_json(struct buf *buf, int version, const struct {message.c_name} *x);")
    w.put()
    w.put("#endif")
    return "\n".join(w.lines) + "\n"


def source(messages):
    lines = []
    for message in messages:
        lines.append(f'#include "protocol/{message.c_name}.h"')
    lines.append("")
    for message in messages:
        w = Writer(message)
        for struct in message.structs:
            w.functions(struct.c_name, struct.fields, True, has_json(message))
        w.functions(message.c_name, message.fields, False, has_json(message))
        lines += w.lines
    return "\n".join(lines) + "\n"
