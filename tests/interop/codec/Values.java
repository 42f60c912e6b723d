import java.lang.reflect.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.types.*;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.*;

/**
 * Fills and dumps Kafka's generated message classes by reflection. Which fields a version has, of which type and
 * whether they may be null is taken from the classes' own schemas, so that nothing here rests on ours.
 */
final class Values {
    enum Mode { DEFAULT, LEAST, MOST, RANDOM }

    private static final int[] EDGES = {1, 126, 127, 128, 16382, 16383, 16384, 32767};
    private final short version;
    private final Mode mode;
    private final Random random;

    Values(int version, int seed) {
        this.version = (short) version;
        this.mode = seed < 3 ? Mode.values()[seed] : Mode.RANDOM;
        this.random = new Random(seed);
    }

    /** A Java field with its definition in the schema of this version. */
    private record Member(java.lang.reflect.Field field, Type type) { }

    private static final Map<String, List<Member>> MEMBERS = new HashMap<>();

    private static String plain(String name) {
        return name.replace("_", "").toLowerCase(Locale.ROOT);
    }

    private static Schema schema(Class<?> of, int version) throws ReflectiveOperationException {
        java.lang.reflect.Field field = of.getDeclaredField("SCHEMAS");
        field.setAccessible(true);
        Schema[] schemas = (Schema[]) field.get(null);
        return version < schemas.length ? schemas[version] : null;
    }

    private static List<Member> members(Class<?> of, int version) throws ReflectiveOperationException {
        String key = of.getName() + version;
        List<Member> members = MEMBERS.get(key);
        if (members != null)
            return members;
        Map<String, Type> types = new HashMap<>();
        for (BoundField bound : schema(of, version).fields()) {
            if (bound.def.type instanceof TaggedFields tagged)
                for (Field field : tagged.fields().values())
                    types.put(plain(field.name), field.type);
            else
                types.put(plain(bound.def.name), bound.def.type);
        }
        members = new ArrayList<>();
        for (java.lang.reflect.Field field : of.getDeclaredFields()) {
            Type type = Modifier.isStatic(field.getModifiers()) ? null : types.remove(plain(field.getName()));
            if (type != null) {
                field.setAccessible(true);
                members.add(new Member(field, type));
            }
        }
        if (!types.isEmpty())
            throw new IllegalStateException(of + " has no fields for " + types.keySet());
        MEMBERS.put(key, members);
        return members;
    }

    static boolean isFlexible(Class<?> of, int version) throws ReflectiveOperationException {
        for (BoundField bound : schema(of, version).fields())
            if (bound.def.type instanceof TaggedFields)
                return true;
        return false;
    }

    private long number(long least, long most) {
        if (mode == Mode.LEAST)
            return least;
        if (mode == Mode.MOST)
            return most;
        return switch (random.nextInt(6)) {
            case 0 -> least;
            case 1 -> most;
            case 2 -> Math.max(least, random.nextInt(3) - 1);
            default -> most == Long.MAX_VALUE ? random.nextLong() : least + (long) (random.nextDouble() * (most - least));
        };
    }

    private int length(int most) {
        if (mode == Mode.LEAST)
            return 0;
        if (mode == Mode.MOST)
            return most;
        return random.nextInt(40) == 0 ? EDGES[random.nextInt(EDGES.length)] : random.nextInt(20);
    }

    private String text() {
        int length = length(32767);
        StringBuilder text = new StringBuilder();
        for (int size = 0; size < length; ) {
            String next = random.nextInt(10) != 0 ? String.valueOf((char) (' ' + random.nextInt(95)))
                : new String[] {"\n", "\"", "\u00e9", "\u20ac", "\ud83d\ude00"}[random.nextInt(5)];
            int bytes = next.getBytes(StandardCharsets.UTF_8).length;
            if (size + bytes > length)
                continue;
            text.append(next);
            size += bytes;
        }
        return text.toString();
    }

    private byte[] bytes() {
        byte[] bytes = new byte[length(40000)];
        random.nextBytes(bytes);
        return bytes;
    }

    private Object value(Class<?> of, Type type) throws ReflectiveOperationException {
        if (of == boolean.class || of == Boolean.class)
            return number(0, 1) == 1;
        if (of == byte.class || of == Byte.class)
            return (byte) number(Byte.MIN_VALUE, Byte.MAX_VALUE);
        if (of == short.class || of == Short.class)
            return (short) number(Short.MIN_VALUE, Short.MAX_VALUE);
        if (of == int.class || of == Integer.class)
            return type == Type.UINT16 ? (int) number(0, 65535) : (int) number(Integer.MIN_VALUE, Integer.MAX_VALUE);
        if (of == long.class || of == Long.class)
            return type == Type.UNSIGNED_INT32 ? number(0, 0xffffffffL) : number(Long.MIN_VALUE, Long.MAX_VALUE);
        if (of == double.class)
            return switch (mode) {
                case LEAST -> Double.NEGATIVE_INFINITY;
                case MOST -> Double.POSITIVE_INFINITY;
                default -> new double[] {0.1, -1.5, 1e300, -1e-300, 12345678.9, -0.0}[random.nextInt(6)];
            };
        if (of == Uuid.class)
            return new Uuid(number(Long.MIN_VALUE, Long.MAX_VALUE), number(Long.MIN_VALUE, Long.MAX_VALUE));
        if (of == String.class)
            return text();
        if (of == byte[].class)
            return bytes();
        if (of == ByteBuffer.class)
            return ByteBuffer.wrap(bytes());
        if (BaseRecords.class.isAssignableFrom(of))
            return MemoryRecords.readableRecords(ByteBuffer.wrap(bytes()));
        Constructor<?> constructor = of.getDeclaredConstructor();
        constructor.setAccessible(true);
        Object struct = constructor.newInstance();
        fill(struct);
        return struct;
    }

    private static Class<?> elementClass(java.lang.reflect.Field field) {
        java.lang.reflect.Type generic = field.getGenericType();
        if (!(generic instanceof ParameterizedType))
            generic = field.getType().getGenericSuperclass(); // FooCollection extends ImplicitLinkedHashMultiCollection<Foo>
        return (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private Object array(Member member, boolean mayBeNull) throws ReflectiveOperationException {
        Class<?> element = elementClass(member.field);
        int count = mode == Mode.LEAST ? 0 : mode == Mode.MOST ? 2 : random.nextInt(4);
        if (mayBeNull && (mode == Mode.LEAST || mode == Mode.RANDOM && random.nextInt(4) == 0))
            return null;
        if (mode == Mode.RANDOM && element.getName().startsWith("java.") && random.nextInt(50) == 0)
            count = 126 + random.nextInt(4);
        Collection array;
        if (!member.field.getType().isInterface()) // a class of its own, where elements have keys
            array = (Collection) member.field.getType().getDeclaredConstructor().newInstance();
        else
            array = new ArrayList<>();
        Type elementType = member.type.arrayElementType().get();
        for (int i = 0; i < count; i++)
            array.add(value(element, elementType));
        return array;
    }

    void fill(Object message) throws ReflectiveOperationException {
        for (Member member : members(message.getClass(), version)) {
            boolean mayBeNull = member.type.isNullable();
            boolean hasDefault = !BaseRecords.class.isAssignableFrom(member.field.getType()) || mayBeNull;
            if (hasDefault && (mode == Mode.DEFAULT || mode == Mode.RANDOM && random.nextInt(8) == 0))
                continue;
            if (member.type.isArray())
                member.field.set(message, array(member, mayBeNull));
            else if (mayBeNull && (mode == Mode.LEAST || mode == Mode.RANDOM && random.nextInt(4) == 0))
                member.field.set(message, null);
            else
                member.field.set(message, value(member.field.getType(), member.type));
        }
    }

    /** Tags that no version knows, on every struct that can carry some. */
    @SuppressWarnings("unchecked")
    void addUnknownTags(Object message) throws ReflectiveOperationException {
        if (isFlexible(message.getClass(), version)) {
            Method method = message.getClass().getDeclaredMethod("unknownTaggedFields");
            method.setAccessible(true);
            List<RawTaggedField> tags = (List<RawTaggedField>) method.invoke(message);
            for (int tag = 1000; random.nextInt(3) != 0; tag += 1 + random.nextInt(100000))
                tags.add(new RawTaggedField(tag, bytes()));
        }
        for (Member member : members(message.getClass(), version)) {
            Object value = member.field.get(message);
            if (value instanceof Collection<?> elements) {
                for (Object element : elements)
                    if (element instanceof org.apache.kafka.common.protocol.Message)
                        addUnknownTags(element);
            } else if (value instanceof org.apache.kafka.common.protocol.Message) {
                addUnknownTags(value);
            }
        }
    }

    // ---- dumping

    private static void dumpBytes(StringBuilder out, ByteBuffer bytes) {
        out.append('"');
        for (int i = bytes.position(); i < bytes.limit(); i++)
            out.append(Character.forDigit(bytes.get(i) >> 4 & 15, 16)).append(Character.forDigit(bytes.get(i) & 15, 16));
        out.append('"');
    }

    private static void dumpText(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\')
                out.append('\\').append(c);
            else if (c < 0x20)
                out.append(String.format("\\u%04x", (int) c));
            else
                out.append(c);
        }
        out.append('"');
    }

    private void dumpValue(StringBuilder out, Object value) throws ReflectiveOperationException {
        if (value == null) {
            out.append("null");
        } else if (value instanceof Double d) {
            out.append(Double.isFinite(d) ? d.toString() : '"' + d.toString() + '"');
        } else if (value instanceof Number || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof String text) {
            dumpText(out, text);
        } else if (value instanceof Uuid) {
            out.append('"').append(value).append('"');
        } else if (value instanceof byte[] bytes) {
            dumpBytes(out, ByteBuffer.wrap(bytes));
        } else if (value instanceof ByteBuffer bytes) {
            dumpBytes(out, bytes.duplicate());
        } else if (value instanceof MemoryRecords records) {
            dumpBytes(out, records.buffer());
        } else if (value instanceof Collection<?> elements) {
            String before = "";
            out.append('[');
            for (Object element : elements) {
                out.append(before);
                dumpValue(out, element);
                before = ",";
            }
            out.append(']');
        } else {
            dump(out, value);
        }
    }

    void dump(StringBuilder out, Object message) throws ReflectiveOperationException {
        char before = '{';
        for (Member member : members(message.getClass(), version)) {
            out.append(before).append('"').append(member.field.getName()).append("\":");
            dumpValue(out, member.field.get(message));
            before = ',';
        }
        out.append(before == '{' ? "{}" : "}");
    }
}
