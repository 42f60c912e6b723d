import java.util.*;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.message.ApiMessageType.ListenerType;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import java.io.*;
import java.nio.ByteBuffer;

/** The API table and both headers of every version, error codes and configuration keys: TableCheck PROGRAM. With another
 *  argument, for a Kafka without its server: settings of streams groups alone, and the list of requests that brokers serve. */
final class TableCheck {
    private static int failures;

    private static void same(String what, Object ours, Object kafkas) {
        if (!Objects.equals(ours, kafkas) && ++failures <= 40)
            System.out.println("differs: " + what + ": " + ours + ", Kafka has " + kafkas);
    }

    private static void apis(Child child) throws Exception {
        Map<Integer, String[]> ours = new TreeMap<>();
        for (String line : child.lines('A'))
            ours.put(Integer.parseInt(line.split("\t")[0]), line.split("\t"));
        for (ApiKeys api : ApiKeys.values()) {
            String[] row = ours.remove((int) api.id);
            if (row == null) {
                same("API " + api, null, api.id);
                continue;
            }
            same("name of " + api.id, row[1], api.name);
            if (!api.hasValidVersion()) {
                same(api + " is removed", Integer.parseInt(row[3]) < Integer.parseInt(row[2]), true);
                continue;
            }
            int low = Integer.parseInt(row[2]), high = Integer.parseInt(row[3]);
            same(api + " lowest", low, (int) api.messageType.lowestSupportedVersion());
            if (high > api.messageType.highestSupportedVersion(true))
                System.out.println("only-ours " + api.name + " " + (api.messageType.highestSupportedVersion(true) + 1) + " " + high);
            else
                same(api + " highest", high, (int) api.messageType.highestSupportedVersion(true));
            if (high == api.messageType.highestSupportedVersion(true))
                same(api + " latest unstable", row[7].equals("1"), api.messageType.latestVersionUnstable());
            same(api + " on brokers", row[5].equals("1"), api.inScope(ListenerType.BROKER));
            same(api + " on controllers", row[6].equals("1"), api.inScope(ListenerType.CONTROLLER));
            for (short version = (short) low; version <= api.messageType.highestSupportedVersion(true); version++)
                for (String client : new String[] {"", "a client", null})
                    headers(child, api, version, client);
        }
        for (String[] row : ours.values())
            System.out.println("only-ours API " + row[1]);
    }

    private static byte[] bytes(Message message, short version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    private static void headers(Child child, ApiKeys api, short version, String client) throws Exception {
        int correlation = api.id * 1000003 + version;
        DataInputStream answer = new DataInputStream(new ByteArrayInputStream(child.ask('H', out -> {
            out.writeShort(api.id);
            out.writeShort(version);
            out.writeInt(correlation);
            Child.writeText(out, client);
        })));
        byte[] request = bytes(new RequestHeaderData().setRequestApiKey(api.id).setRequestApiVersion(version)
            .setCorrelationId(correlation).setClientId(client), api.requestHeaderVersion(version));
        byte[] response = bytes(new ResponseHeaderData().setCorrelationId(correlation), api.responseHeaderVersion(version));
        same(api + " v" + version + " request header", HexFormat.of().formatHex(Child.sized(answer)), HexFormat.of().formatHex(request));
        same(api + " v" + version + " response header", HexFormat.of().formatHex(Child.sized(answer)), HexFormat.of().formatHex(response));
    }

    private static void errors(Child child) throws Exception {
        Map<Integer, String> ours = new TreeMap<>(), kafkas = new TreeMap<>();
        for (String line : child.lines('E'))
            ours.put(Integer.parseInt(line.split("\t")[0]), line);
        for (Errors error : Errors.values())
            kafkas.put((int) error.code(), error.code() + "\t" + error.name() + "\t" + (error.exception() instanceof RetriableException));
        Set<Integer> codes = new TreeSet<>(ours.keySet());
        codes.addAll(kafkas.keySet());
        for (int code : codes)
            if (!kafkas.containsKey(code))
                System.out.println("only-ours error " + ours.get(code).replace('\t', ' '));
            else
                same("error " + code, ours.get(code), kafkas.get(code));
    }

    /** As DescribeConfigs writes it. A required key has none in ours. */
    private static String text(ConfigDef.ConfigKey key) {
        Object value = key.defaultValue == ConfigDef.NO_DEFAULT_VALUE ? null : key.defaultValue;
        return value == null ? "null" : ConfigDef.convertToString(value, key.type);
    }

    private static void configs(Child child) throws Exception {
        Map<String, String> ours = new TreeMap<>(), kafkas = new TreeMap<>();
        for (String line : child.lines('K')) {
            String[] row = line.split("\t", -1);
            ours.put(row[0] + " " + row[1], line);
        }
        Map<String, ConfigDef> defs = Map.of("broker", kafka.server.KafkaConfig.configDef(),
            "topic", org.apache.kafka.storage.internals.log.LogConfig.configDefCopy(),
            "group", org.apache.kafka.coordinator.group.GroupConfig.CONFIG_DEF);
        defs.forEach((kind, def) -> def.configKeys().forEach((name, key) -> {
            kafkas.put(kind + " " + name, String.join("\t", kind, name, key.type.name(), text(key),
                key.importance.name(), key.validator == null ? "" : key.validator.toString()));
        }));
        Set<String> names = new TreeSet<>(ours.keySet());
        names.addAll(kafkas.keySet());
        for (String name : names)
            if (!kafkas.containsKey(name) && name.contains("streams."))
                System.out.println("only-ours config " + name);
            else
                same(name, ours.get(name), kafkas.get(name));
    }

    /** What a broker of this version says that it serves, one a line, to compare with what ours says. */
    private static void served() {
        for (ApiKeys api : ApiKeys.apisForListener(ListenerType.BROKER))
            System.out.println("served " + api.id + " " + api.oldestVersion() + " " + api.latestVersion(false));
    }

    /** Settings of streams groups: a group's, and the brokers' that they begin with. */
    private static void streamsConfigs(Child child) throws Exception {
        Map<String, String> ours = new TreeMap<>(), kafkas = new TreeMap<>();
        for (String line : child.lines('K')) {
            String[] row = line.split("\t", -1);
            if (row[1].startsWith("streams.") || row[1].startsWith("group.streams."))
                ours.put(row[0] + " " + row[1], line);
        }
        Map.of("broker", org.apache.kafka.coordinator.group.GroupCoordinatorConfig.CONFIG_DEF,
            "group", org.apache.kafka.coordinator.group.GroupConfig.CONFIG_DEF)
            .forEach((kind, def) -> def.configKeys().forEach((name, key) -> {
                if (name.startsWith("streams.") || name.startsWith("group.streams."))
                    kafkas.put(kind + " " + name, String.join("\t", kind, name, key.type.name(), text(key), key.importance.name(),
                        key.validator == null ? "" : key.validator.toString()));
            }));
        Set<String> names = new TreeSet<>(ours.keySet());
        names.addAll(kafkas.keySet());
        for (String name : names)
            same(name, ours.get(name), kafkas.get(name));
    }

    public static void main(String[] args) throws Exception {
        try (Child child = new Child(args[0])) {
            apis(child);
            errors(child);
            if (args.length > 1) {
                served();
                streamsConfigs(child);
            } else {
                configs(child);
            }
        }
        System.out.println("tables: " + failures + " rows differ");
        System.exit(failures == 0 ? 0 : 1);
    }
}
