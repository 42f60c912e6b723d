"""Writes the API table, error codes, and the tables of configuration keys and features."""
import csv, os
from codec import has_json
from schema import meet, snake


def rows(path):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def apis(requests, responses):
    by_key = {r.key: r for r in responses}
    h = ["/* The APIs of the protocol. Generated; see src/protocol/schema. */", "#ifndef PROTOCOL_API_KEYS_H",
         "#define PROTOCOL_API_KEYS_H", "", "enum api_key {"]
    c = ['#include "protocol/api.h"', "", "const struct api api_table[API_COUNT] = {"]
    for request in sorted(requests, key=lambda r: r.key):
        name = request.name.removesuffix("Request")
        upper = snake(name).upper()
        h.append(f"    API_{upper} = {request.key},")
        if request.removed:
            c.append(f"    [API_{upper}] = {{.name = \"{name}\", .version_min = 0, .version_max = -1}},")
            continue
        low, high = request.versions
        flexible = request.flexible[0] if request.flexible else 32767
        answer = by_key[request.key]
        answer_flexible = answer.flexible[0] if answer.flexible else 32767
        if upper == "API_VERSIONS":
            answer_flexible = 32767
        c.append(f"    [API_{upper}] = {{\"{name}\", {low}, {high}, {flexible}, {answer_flexible}, "
                 f"{'true' if 'broker' in request.listeners else 'false'}, "
                 f"{'true' if 'controller' in request.listeners else 'false'}, "
                 f"{'true' if request.unstable_latest else 'false'}}},")
    h += ["    API_COUNT", "};", "", "#endif"]
    c.append("};")
    return "\n".join(h) + "\n", "\n".join(c) + "\n"


def errors(path):
    h = ["/* Kafka's error codes. Generated; see src/protocol/schema/tables. */", "#ifndef PROTOCOL_ERRORS_H",
         "#define PROTOCOL_ERRORS_H", "", "#include <stdbool.h>", "#include <stdint.h>", "", "enum kafka_error {"]
    c = ['#include "protocol/errors.h"', "", "static const struct {", "    const char *name;", "    bool retriable;",
         "} table[] = {"]
    for code, name, retriable, *_ in rows(path):
        h.append(f"    KAFKA_{name} = {code},")
        c.append(f"    [{code} + 1] = {{\"{name}\", {retriable}}},")
    h += ["};", "", "/* The name, e.g. \"NOT_LEADER_OR_FOLLOWER\"; \"UNKNOWN\" for a code that is not in the table. */",
          "const char *kafka_error_name(int code);", "bool kafka_error_is_retriable(int code);", "", "#endif"]
    c += ["};", "", "static bool is_known(int code) {",
          "    return code >= -1 && code + 1 < (int)(sizeof table / sizeof table[0]) && table[code + 1].name;", "}", "",
          "const char *kafka_error_name(int code) {", "    return is_known(code) ? table[code + 1].name : \"UNKNOWN\";",
          "}", "", "bool kafka_error_is_retriable(int code) {",
          "    return is_known(code) && table[code + 1].retriable;", "}"]
    return "\n".join(h) + "\n", "\n".join(c) + "\n"


def default_text(type_, default):
    """As Kafka's DescribeConfigs writes it; the tables show lists in brackets and classes by `class NAME`."""
    if type_ == "LIST" and default.startswith("["):
        return ",".join(item.strip() for item in default[1:-1].split(","))
    return default.removeprefix("class ") if type_ == "CLASS" else default


def configs(folder):
    synonyms = {row[0]: [s.strip() for s in row[1].split(",")] for row in rows(os.path.join(folder, "topic-broker-synonyms.tsv"))}
    c = ['#include "protocol/config_defs.h"', ""]
    for kind in ("broker", "topic", "group"):
        table = rows(os.path.join(folder, f"config-{kind}.tsv"))
        for row in table:
            if kind == "topic" and row[0] in synonyms:
                c.append(f"static const char *const synonyms_of_{row[0].replace('.', '_')}[] = {{"
                         + ", ".join(quoted(s) for s in synonyms[row[0]]) + ", 0};")
        c.append(f"const struct config_def {kind}_config_defs[] = {{")
        for row in table:
            name, type_, default, valid, importance = (row + [""] * 5)[:5]
            null = default == "null"
            required = default == "(required)"
            also = f"synonyms_of_{name.replace('.', '_')}" if kind == "topic" and name in synonyms else "0"
            c.append(f"    {{{quoted(name)}, CONFIG_{type_}, {'0' if null or required else quoted(default_text(type_, default))}, "
                     f"{quoted(valid)}, CONFIG_IMPORTANCE_{importance}, {also}}},")
        c.append("};")
        c.append(f"const int {kind}_config_def_count = sizeof {kind}_config_defs / sizeof {kind}_config_defs[0];")
        c.append("")
    c.append("const struct feature_def feature_defs[] = {")
    for row in rows(os.path.join(folder, "features.tsv")):
        level_of = row[2]
        c.append(f"    {{{quoted(row[0])}, {row[1]}, {quoted(level_of)}, {row[4]}, {quoted(row[3].strip('{}'))}}},")
    c += ["};", "const int feature_def_count = sizeof feature_defs / sizeof feature_defs[0];", "",
          "const struct metadata_version_def metadata_version_defs[] = {"]
    for row in rows(os.path.join(folder, "metadata-versions.tsv")):
        c.append(f"    {{{row[0]}, {quoted(row[1])}, {row[2]}}},")
    c += ["};", "const int metadata_version_def_count = sizeof metadata_version_defs / sizeof metadata_version_defs[0];"]
    return "\n".join(c) + "\n"


def field_row(message, c_name, field):
    """One row of a struct's field table."""
    def pair(versions):
        met = meet(versions, message.versions)
        return "0, -1" if met is None else f"{met[0]}, {met[1]}"

    kind = "STRUCT" if field.is_struct else field.type.upper()
    count = f"offsetof(struct {c_name}, {field.c_name}_count)" if field.is_array else "0"
    star = "*" if field.is_array or (field.is_struct and field.nullable) else ""
    inner = f"&{field.struct.c_name}_fields" if field.is_struct else "NULL"
    tag = -1 if field.tag is None else field.tag
    return (f"    {{{quoted(field.name[0].lower() + field.name[1:])}, FIELD_{kind}, {'true' if field.is_array else 'false'}, "
            f"{'true' if field.is_struct and field.nullable and not field.is_array else 'false'}, {pair(field.versions)}, "
            f"{pair(field.nullable)}, {tag}, {pair(field.tagged if field.tag is not None else None)}, "
            f"offsetof(struct {c_name}, {field.c_name}), {count}, "
            f"sizeof({star}((struct {c_name} *)NULL)->{field.c_name}), {inner}}},")


def struct_table(message, c_name, fields):
    c = ["", f"static void {c_name}_init_any(void *x) {{", f"    {c_name}_init(x);", "}"]
    if fields:
        c.append(f"static const struct message_field {c_name}_field_table[] = {{")
        c += [field_row(message, c_name, field) for field in fields]
        c.append("};")
    table = f"{c_name}_field_table" if fields else "NULL"
    c.append(f"static const struct message_struct {c_name}_fields = {{sizeof(struct {c_name}), {c_name}_init_any, {table}, "
             f"{len(fields)}}};")
    return c


def message_table(messages):
    """Every message by name and its fields as data, for tests, fuzzing and dumps."""
    c = ['#include "protocol/message_table.h"', "", "#include <stddef.h>"]
    for m in messages:
        c.append(f'#include "protocol/{m.c_name}.h"')
    for m in messages:
        for struct in m.structs:
            c += struct_table(m, struct.c_name, struct.fields)
        c += struct_table(m, m.c_name, m.fields)
        c += ["", f"static enum err {m.c_name}_decode_any(struct decoder *d, int version, void *x) {{",
              f"    return {m.c_name}_decode(d, version, x);", "}",
              f"static enum err {m.c_name}_encode_any(struct encoder *e, int version, const void *x) {{",
              f"    return {m.c_name}_encode(e, version, x);", "}"]
        if has_json(m):
            c += [f"static void {m.c_name}_json_any(struct buf *buf, int version, const void *x) {{",
                  f"    {m.c_name}_json(buf, version, x);", "}"]
    c += ["", "const struct message_type message_types[] = {"]
    for m in messages:
        kind = {"request": "REQUEST", "response": "RESPONSE"}.get(m.kind, "RECORD")
        json = f"{m.c_name}_json_any" if has_json(m) else "NULL"
        flexible = meet(m.flexible, m.versions)
        c.append(f"    {{\"{m.name}\", MESSAGE_{kind}, {-1 if m.key is None else m.key}, {m.versions[0]}, {m.versions[1]}, "
                 f"{flexible[0] if flexible else m.versions[1] + 1}, sizeof(struct {m.c_name}), {m.c_name}_decode_any, "
                 f"{m.c_name}_encode_any, {json}, &{m.c_name}_fields}},")
    c += ["};", "const int message_type_count = sizeof message_types / sizeof message_types[0];"]
    return "\n".join(c) + "\n"


def record_table(families):
    """The record types of the cluster's own logs; families: [(name, messages)]."""
    c = ['#include "protocol/record_table.h"', ""]
    rows_ = []
    for family, messages in families:
        for m in messages:
            if m.kind not in ("metadata", "coordinator-key", "coordinator-value"):
                continue
            c += [f'#include "protocol/{m.c_name}.h"',
                  f"static enum err {m.c_name}_decode_record(struct decoder *d, int version, void *x) {{",
                  f"    return {m.c_name}_decode(d, version, x);", "}",
                  f"static void {m.c_name}_json_record(struct buf *buf, int version, const void *x) {{",
                  f"    {m.c_name}_json(buf, version, x);", "}"]
            rows_.append(f"    {{\"{family}\", {'true' if m.kind == 'coordinator-key' else 'false'}, {m.key}, \"{m.name}\", "
                         f"{m.versions[0]}, {m.versions[1]}, sizeof(struct {m.c_name}), {m.c_name}_decode_record, "
                         f"{m.c_name}_json_record}},")
    c += ["", "const struct record_type record_types[] = {", *rows_, "};",
          "const int record_type_count = sizeof record_types / sizeof record_types[0];"]
    return "\n".join(c) + "\n"
