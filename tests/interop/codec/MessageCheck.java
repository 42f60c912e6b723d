import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.zip.ZipFile;
import org.apache.kafka.common.protocol.*;

/**
 * Every generated message class in Kafka's jars against our codec, every version, both directions, byte for byte and
 * value for value: MessageCheck PROGRAM from-kafka|to-kafka SEEDS.
 */
final class MessageCheck {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static int failures, cases;

    private static void fail(String text) {
        if (++failures <= 8)
            System.out.println("differs: " + (text.length() > 900 ? text.substring(0, 900) + "..." : text));
    }

    /** Name as in our tables -> class, for all that Kafka's generator made: each has a JSON converter beside it. */
    private static Map<String, Class<?>> kafkaMessages(Set<String> ours) throws Exception {
        Map<String, Class<?>> found = new TreeMap<>();
        for (String path : System.getProperty("java.class.path").split(":")) {
            if (!new File(path).getName().matches("kafka.*\\.jar"))
                continue;
            try (ZipFile jar = new ZipFile(path)) {
                for (var entries = jar.entries(); entries.hasMoreElements(); ) {
                    String entry = entries.nextElement().getName();
                    if (!entry.endsWith("JsonConverter.class") || entry.contains("$"))
                        continue;
                    Class<?> of;
                    try {
                        of = Class.forName(entry.replace("JsonConverter.class", "").replace('/', '.'));
                    } catch (ClassNotFoundException e) {
                        continue; // a converter of something else
                    }
                    if (!Message.class.isAssignableFrom(of))
                        continue;
                    String name = of.getSimpleName();
                    if (!ours.contains(name) && name.endsWith("Data"))
                        name = name.substring(0, name.length() - 4);
                    if (found.put(name, of) != null)
                        throw new IllegalStateException("two classes for " + name);
                }
            }
        }
        return found;
    }

    private static byte[] encode(Message message, int version) {
        ByteBuffer buffer = MessageUtil.toByteBufferAccessor(message, (short) version).buffer();
        byte[] bytes = new byte[buffer.remaining()];
        buffer.get(bytes);
        return bytes;
    }

    /** Without what 4.4 renamed or added and gave no version of its own. */
    private static String in43(String json) {
        return json.replace("\"acceptableRecoveryLagLegacy\":", "\"acceptableRecoveryLag\":")
            .replace("\"generationId\":", "\"generationIdOrMemberEpoch\":")
            .replaceAll(",\"(stored|failed)DescriptionTopologyEpoch\":-?[0-9]+", "");
    }

    private static boolean sameJson(String ours, String kafkas) throws IOException {
        String a = in43(ours), b = in43(kafkas);
        return a.equals(b) || JSON.readTree(a).equals((x, y) -> // numbers may be written in two ways
            x.isNumber() && y.isNumber() && x.doubleValue() == y.doubleValue() || x.equals(y) ? 0 : 1, JSON.readTree(b));
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes.length > 200 ? Arrays.copyOf(bytes, 200) : bytes);
    }

    private static void decodeHere(Child child, String name, int version, String at, byte[] sent, byte[] plain, String dump)
        throws Exception {
        try {
            DataInputStream answer = new DataInputStream(new ByteArrayInputStream(child.ask('D', out -> {
                Child.writeText(out, name);
                out.writeShort(version);
                out.write(sent);
            })));
            byte[] bytes = Child.sized(answer);
            String ours = new String(Child.sized(answer), StandardCharsets.UTF_8);
            if (!Arrays.equals(bytes, plain))
                fail(at + ": encoded again " + hex(bytes) + " not " + hex(plain));
            else if (!sameJson(ours, dump))
                fail(at + ": decoded " + ours + " not " + dump);
        } catch (Child.Refused refused) {
            fail(at + ": " + refused.getMessage() + " for " + hex(sent) + " " + dump);
        }
    }

    private static void fromKafka(Child child, String name, Class<?> of, int version, int seed) throws Exception {
        String at = name + " v" + version + " seed " + seed;
        Values values = new Values(version, seed);
        Message message = (Message) of.getDeclaredConstructor().newInstance();
        values.fill(message);
        StringBuilder dump = new StringBuilder();
        values.dump(dump, message);
        byte[] plain = encode(message, version);
        decodeHere(child, name, version, at, plain, plain, dump.toString());
        cases++;
        if (seed < 3)
            return;
        values.addUnknownTags(message); // are skipped: the broker hands no message on
        byte[] tagged = encode(message, version);
        if (tagged.length != plain.length) {
            decodeHere(child, name, version, at + " with unknown tags", tagged, plain, dump.toString());
            cases++;
        }
    }

    private static void toKafka(Child child, String name, Class<?> of, int version, int seed) throws Exception {
        String at = name + " v" + version + " seed " + seed;
        cases++;
        try {
            DataInputStream answer = new DataInputStream(new ByteArrayInputStream(child.ask('G', out -> {
                Child.writeText(out, name);
                out.writeShort(version);
                out.writeInt(seed);
            })));
            byte[] bytes = Child.sized(answer);
            String ours = new String(Child.sized(answer), StandardCharsets.UTF_8);
            Message message = (Message) of.getDeclaredConstructor().newInstance();
            ByteBuffer buffer = ByteBuffer.wrap(bytes);
            try {
                message.read(new ByteBufferAccessor(buffer), (short) version);
            } catch (RuntimeException e) {
                fail(at + ": Kafka refuses " + hex(bytes) + " of " + ours + ": " + e);
                return;
            }
            StringBuilder dump = new StringBuilder();
            new Values(version, 0).dump(dump, message);
            if (buffer.hasRemaining())
                fail(at + ": Kafka leaves " + buffer.remaining() + " bytes of " + hex(bytes));
            else if (!sameJson(ours, dump.toString()))
                fail(at + ": Kafka reads " + dump + " not " + ours);
            else if (!Arrays.equals(encode(message, version), bytes))
                fail(at + ": Kafka writes " + hex(encode(message, version)) + " not " + hex(bytes));
        } catch (Child.Refused refused) {
            fail(at + ": " + refused.getMessage());
        }
    }

    public static void main(String[] args) throws Exception {
        boolean from = args[1].equals("from-kafka");
        int seeds = Integer.parseInt(args[2]), messages = 0, versions = 0;
        try (Child child = new Child(args[0])) {
            Map<String, String[]> ours = new TreeMap<>();
            for (String line : child.lines('L'))
                ours.put(line.split("\t")[0], line.split("\t"));
            Map<String, Class<?>> kafkas = kafkaMessages(ours.keySet());
            for (String name : kafkas.keySet())
                if (!ours.containsKey(name))
                    fail(name + " is not in our table");
            for (String name : ours.keySet()) {
                String[] row = ours.get(name);
                int low = Integer.parseInt(row[3]), high = Integer.parseInt(row[4]), flexible = Integer.parseInt(row[5]);
                Class<?> of = kafkas.get(name);
                if (of == null) {
                    System.out.println("only-ours " + name + " " + low + " " + high);
                    continue;
                }
                Message any = (Message) of.getDeclaredConstructor().newInstance();
                int kafkaLow = any.lowestSupportedVersion(), kafkaHigh = any.highestSupportedVersion();
                if (kafkaLow < low || kafkaHigh > high)
                    fail(name + ": versions " + low + "-" + high + ", Kafka has " + kafkaLow + "-" + kafkaHigh);
                for (int version = low; version <= high; version++) {
                    if (version < kafkaLow || version > kafkaHigh) {
                        System.out.println("only-ours " + name + " " + version + " " + version);
                        continue;
                    }
                    if ((version >= flexible) != Values.isFlexible(of, version))
                        fail(name + " v" + version + " is flexible on one side only");
                    versions++;
                    for (int seed = 0; seed < seeds; seed++)
                        if (from)
                            fromKafka(child, name, of, version, seed);
                        else
                            toKafka(child, name, of, version, seed);
                }
                messages++;
            }
        }
        System.out.println(cases + " values of " + messages + " messages in " + versions + " versions: " + failures + " differ");
        System.exit(failures == 0 ? 0 : 1);
    }
}
