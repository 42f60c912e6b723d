"""Generates the protocol's C sources: main.py --schema DIR --out DIR. Files whose text is unchanged are left alone."""
import argparse, glob, os
import codec, schema, tables


def write(path, text):
    if os.path.exists(path) and open(path).read() == text:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--schema", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    out = os.path.join(args.out, "protocol")
    requests, responses, every, families = [], [], [], []
    for path in sorted(glob.glob(os.path.join(args.schema, "*.msg"))):
        messages = schema.parse(open(path).read())
        requests += [m for m in messages if m.kind == "request"]
        responses += [m for m in messages if m.kind == "response"]
        messages = [m for m in messages if not m.removed]
        every += messages
        if path.endswith("-records.msg"):
            families.append((os.path.basename(path)[:-len("-records.msg")].replace("-", "_"), messages))
        for message in messages:
            write(os.path.join(out, message.c_name + ".h"), codec.header(message))
        if messages:
            stem = os.path.splitext(os.path.basename(path))[0].replace("-", "_").lower()
            write(os.path.join(out, "codec_" + stem + ".c"), codec.source(messages))
    folder = os.path.join(args.schema, "tables")
    h, c = tables.apis(requests, responses)
    write(os.path.join(out, "api_keys.h"), h)
    write(os.path.join(out, "api_table.c"), c)
    h, c = tables.errors(os.path.join(folder, "errors.tsv"))
    write(os.path.join(out, "errors.h"), h)
    write(os.path.join(out, "errors.c"), c)
    write(os.path.join(out, "message_table.c"), tables.message_table(every))
    write(os.path.join(out, "record_table.c"), tables.record_table(families))
    write(os.path.join(out, "config_defs.c"), tables.configs(folder))


main()
