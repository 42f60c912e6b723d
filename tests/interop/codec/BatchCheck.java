import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.*;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.utils.*;

/** Record batches and compressed bytes, ours read by Kafka and Kafka's by us, at every level: BatchCheck PROGRAM. */
final class BatchCheck {
    private record Rec(int delta, long timestamp, byte[] key, byte[] value, Header[] headers) { }

    private static int failures, cases;

    private static void fail(String text) {
        if (++failures <= 10)
            System.out.println("differs: " + (text.length() > 600 ? text.substring(0, 600) + "..." : text));
    }

    private static byte[] bytes(Random random, int size, boolean mayBeNull) {
        if (mayBeNull && random.nextInt(6) == 0)
            return null;
        byte[] bytes = new byte[size];
        int kinds = 1 + random.nextInt(200);
        for (int i = 0; i < size; i++)
            bytes[i] = (byte) random.nextInt(kinds);
        return bytes;
    }

    private static List<Rec> records(Random random) {
        List<Rec> records = new ArrayList<>();
        int count = 1 + random.nextInt(random.nextInt(10) == 0 ? 400 : 8);
        long timestamp = random.nextInt(5) == 0 ? 0 : 1700000000000L;
        for (int i = 0, delta = 0; i < count; i++) {
            Header[] headers = new Header[random.nextInt(3)];
            for (int k = 0; k < headers.length; k++)
                headers[k] = new RecordHeader("h" + "x".repeat(random.nextInt(200)), bytes(random, random.nextInt(90), true));
            int size = random.nextInt(50) == 0 ? random.nextInt(200000) : random.nextInt(300);
            records.add(new Rec(delta, timestamp, bytes(random, random.nextInt(100), true), bytes(random, size, true), headers));
            delta += random.nextInt(10) == 0 ? 1 + random.nextInt(100000) : 1;
            timestamp += random.nextInt(3) == 0 ? random.nextInt(100000000) - Math.min(timestamp, 50000000) : random.nextInt(2);
        }
        return records;
    }

    private static void dumpBytes(StringBuilder out, byte[] bytes) {
        if (bytes == null)
            out.append("null");
        else
            out.append('"').append(HexFormat.of().formatHex(bytes)).append('"');
    }

    private static byte[] array(ByteBuffer buffer) {
        return buffer == null ? null : Utils.toArray(buffer);
    }

    private static String dump(MemoryRecords records) {
        StringBuilder out = new StringBuilder();
        for (MutableRecordBatch b : records.batches()) {
            DefaultRecordBatch batch = (DefaultRecordBatch) b;
            batch.ensureValid();
            ByteBuffer raw = ByteBuffer.allocate(batch.sizeInBytes());
            batch.writeTo(raw);
            out.append(String.format("batch %d %d %d %d %d %d %d %d %d\n", batch.baseOffset(), batch.lastOffset(),
                batch.partitionLeaderEpoch(), raw.getShort(21), batch.maxTimestamp(), batch.producerId(), batch.producerEpoch(),
                batch.baseSequence(), batch.countOrNull()));
            for (org.apache.kafka.common.record.internal.Record record : batch) {
                out.append("record ").append(record.offset()).append(' ').append(record.timestamp()).append(' ');
                dumpBytes(out, array(record.key()));
                out.append(' ');
                dumpBytes(out, array(record.value()));
                for (Header header : record.headers()) {
                    out.append(' ');
                    dumpBytes(out, header.key().getBytes(StandardCharsets.UTF_8));
                    out.append('=');
                    dumpBytes(out, header.value());
                }
                out.append('\n');
            }
        }
        return out.toString();
    }

    private static void readHere(Child child, String at, MemoryRecords records) throws Exception {
        byte[] raw = Utils.toArray(records.buffer());
        String wanted = dump(records);
        cases++;
        try {
            String got = new String(child.ask('R', out -> out.write(raw)), StandardCharsets.UTF_8);
            if (!got.equals(wanted))
                fail(at + ": read here " + got + " not " + wanted);
        } catch (Child.Refused refused) {
            fail(at + ": " + refused.getMessage());
        }
    }

    private static final long PRODUCER = 4000;

    private static byte[] buildHere(Child child, long base, int attributes, int codec, int level, long producer, List<Rec> records)
        throws Exception {
        return child.ask('B', out -> {
            out.writeLong(base);
            out.writeShort(attributes);
            out.writeByte(codec);
            out.writeInt(level);
            out.writeLong(producer);
            out.writeShort(producer < 0 ? -1 : 3);
            out.writeInt(producer < 0 ? -1 : 77);
            out.writeInt(records.size());
            for (Rec record : records) {
                out.writeInt(record.delta);
                out.writeLong(record.timestamp);
                writeBytes(out, record.key);
                writeBytes(out, record.value);
                out.writeInt(record.headers.length);
                for (Header header : record.headers) {
                    writeBytes(out, header.key().getBytes(StandardCharsets.UTF_8));
                    writeBytes(out, header.value());
                }
            }
        });
    }

    private static void writeBytes(DataOutputStream out, byte[] bytes) throws IOException {
        out.writeInt(bytes == null ? -1 : bytes.length);
        if (bytes != null)
            out.write(bytes);
    }

    private static void batches(Child child, int seed, int codec, int level, Compression compression) throws Exception {
        Random random = new Random(seed * 31L + codec);
        String at = "seed " + seed + " codec " + codec + " level " + level;
        List<Rec> records = records(random);
        long base = random.nextInt(3) == 0 ? 0 : random.nextLong() >>> 2, producer = random.nextBoolean() ? PRODUCER : -1;
        boolean transactional = producer >= 0 && random.nextBoolean();
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(new ByteBufferOutputStream(1024), (byte) 2, compression,
            TimestampType.CREATE_TIME, base, -1, producer, (short) (producer < 0 ? -1 : 3), producer < 0 ? -1 : 77, transactional,
            false, -1, 64 << 20);
        for (Rec record : records)
            builder.appendWithOffset(base + record.delta, record.timestamp, record.key, record.value, record.headers);
        MemoryRecords theirs = builder.build();
        readHere(child, at, theirs);
        byte[] ours = buildHere(child, base, transactional ? 16 : 0, codec, level, producer, records);
        MemoryRecords back = MemoryRecords.readableRecords(ByteBuffer.wrap(ours));
        if (!dump(back).equals(dump(theirs)))
            fail(at + ": Kafka reads " + dump(back) + " not " + dump(theirs));
        else if (codec == 0 && !Arrays.equals(ours, Utils.toArray(theirs.buffer())))
            fail(at + ": the bytes of an uncompressed batch differ");
        cases++;
    }

    /** Streams of any size, which batches do not show: empty, around the block sizes, incompressible. */
    private static void streams(Child child, int codec, int level, Compression compression) throws Exception {
        Random random = new Random(codec * 100L + level);
        for (int size : new int[] {0, 1, 100, 32767, 32768, 32769, 65535, 65536, 65537, 300000}) {
            byte[] plain = random.nextBoolean() ? bytes(random, size, false) : new byte[size];
            if (random.nextInt(3) == 0)
                random.nextBytes(plain);
            String at = "stream of " + size + " codec " + codec + " level " + level;
            cases++;
            byte[] packed = child.ask('C', out -> {
                out.writeByte(codec);
                out.writeInt(level);
                out.write(plain);
            });
            try (InputStream in = compression.wrapForInput(ByteBuffer.wrap(packed), (byte) 2, BufferSupplier.create())) {
                if (!Arrays.equals(in.readAllBytes(), plain))
                    fail(at + ": Kafka reads other bytes");
            } catch (Exception e) {
                fail(at + ": Kafka: " + e);
            }
            ByteBufferOutputStream theirs = new ByteBufferOutputStream(1024);
            try (OutputStream out = compression.wrapForOutput(theirs, (byte) 2)) {
                out.write(plain);
            }
            theirs.buffer().flip();
            decompressHere(child, at, codec, Utils.toArray(theirs.buffer()), plain);
            if (codec == 2) // what clients that are not Java write: one block without framing
                decompressHere(child, at + " without framing", codec, org.xerial.snappy.Snappy.compress(plain), plain);
        }
    }

    private static void decompressHere(Child child, String at, int codec, byte[] packed, byte[] plain) throws Exception {
        try {
            byte[] got = child.ask('U', out -> {
                out.writeByte(codec);
                out.writeInt(plain.length);
                out.write(packed);
            });
            if (!Arrays.equals(got, plain))
                fail(at + ": decompressed here to other bytes");
        } catch (Child.Refused refused) {
            fail(at + ": " + refused.getMessage());
        }
    }

    private static void controlBatches(Child child) throws Exception {
        ByteBuffer room = ByteBuffer.allocate(4096);
        for (ControlRecordType type : List.of(ControlRecordType.ABORT, ControlRecordType.COMMIT)) {
            MemoryRecords records = MemoryRecords.withEndTransactionMarker(7, 1700000000000L, 5, 4000, (short) 3, new EndTransactionMarker(type, 9));
            readHere(child, "marker " + type, records);
            byte[] key = {0, 0, 0, (byte) type.type()}, value = {0, 0, 0, 0, 0, 9};
            byte[] ours = buildHere(child, 7, 48, 0, 0, 4000, List.of(new Rec(0, 1700000000000L, key, value, new Header[0])));
            ByteBuffer.wrap(ours).putInt(12, 5).putInt(53, -1); // leader epoch; a marker has no sequence
            ByteBuffer.wrap(ours).putInt(17, (int) Checksums.crc32c(ours, 21, ours.length - 21));
            if (!Arrays.equals(ours, Utils.toArray(records.buffer())))
                fail("marker " + type + ": the bytes differ");
        }
        VotersRecord voters = new VotersRecord();
        voters.voters().add(new VotersRecord.Voter().setVoterId(1));
        readHere(child, "leader change", MemoryRecords.withLeaderChangeMessage(0, 1, 2, room, new LeaderChangeMessage().setLeaderId(1)));
        readHere(child, "snapshot header", MemoryRecords.withSnapshotHeaderRecord(0, 1, 2, room.clear(), new SnapshotHeaderRecord().setLastContainedLogTimestamp(3)));
        readHere(child, "snapshot footer", MemoryRecords.withSnapshotFooterRecord(0, 1, 2, room.clear(), new SnapshotFooterRecord()));
        readHere(child, "kraft version", MemoryRecords.withKRaftVersionRecord(0, 1, 2, room.clear(), new KRaftVersionRecord().setKRaftVersion((short) 1)));
        readHere(child, "voters", MemoryRecords.withVotersRecord(0, 1, 2, room.clear(), voters));
    }

    /** Messages as brokers and clients before 0.11 wrote them. */
    static MemoryRecords oldMessages(int magic, Compression compression, TimestampType type, long base, int count, long timestamp) {
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(new ByteBufferOutputStream(1024), (byte) magic, compression,
            type, base, timestamp + 500, -1, (short) -1, -1, false, false, -1, 64 << 20);
        for (int i = 0; i < count; i++)
            builder.appendWithOffset(base + i, magic == 0 ? -1 : timestamp + i, i % 3 == 0 ? null : ("k" + i).getBytes(),
                i % 7 == 6 ? null : ("old value " + (base + i) + " " + "x".repeat(i)).getBytes());
        return builder.build();
    }

    private static void oldMessagesReadHere(Child child) throws Exception {
        for (int magic = 0; magic <= 1; magic++)
            for (Compression compression : List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(), Compression.lz4().build()))
                for (TimestampType type : magic == 0 ? List.of(TimestampType.NO_TIMESTAMP_TYPE) : List.of(TimestampType.CREATE_TIME, TimestampType.LOG_APPEND_TIME))
                    for (int count : new int[] {1, 2, 300}) {
                        String at = "magic " + magic + " " + compression.type() + " " + type + " of " + count;
                        MemoryRecords records = oldMessages(magic, compression, type, 1000, count, 1700000000000L);
                        StringBuilder wanted = new StringBuilder();
                        for (org.apache.kafka.common.record.internal.Record record : records.records()) {
                            wanted.append("record ").append(record.offset()).append(' ').append(record.timestamp()).append(' ');
                            dumpBytes(wanted, array(record.key()));
                            wanted.append(' ');
                            dumpBytes(wanted, array(record.value()));
                            wanted.append('\n');
                        }
                        byte[] raw = Utils.toArray(records.buffer());
                        cases++;
                        try {
                            String got = new String(child.ask('O', out -> out.write(raw)), StandardCharsets.UTF_8);
                            if (!got.contentEquals(wanted))
                                fail(at + ": read here " + got + " not " + wanted);
                        } catch (Child.Refused refused) {
                            fail(at + ": " + refused.getMessage());
                        }
                    }
    }

    private static final class Checksums {
        static long crc32c(byte[] bytes, int at, int size) {
            java.util.zip.CRC32C crc = new java.util.zip.CRC32C();
            crc.update(bytes, at, size);
            return crc.getValue();
        }
    }

    public static void main(String[] args) throws Exception {
        try (Child child = new Child(args[0])) {
            for (int seed = 0; seed < 60; seed++)
                batches(child, seed, 0, 0, Compression.NONE);
            for (int level = -1; level <= 9; level++)
                if (level != 0)
                    both(child, 1, level, Compression.gzip().level(level).build());
            both(child, 2, 0, Compression.snappy().build());
            for (int level = 1; level <= 17; level += 4)
                both(child, 3, level, Compression.lz4().level(level).build());
            for (int level : new int[] {-131072, -5, 1, 3, 9, 19, 22})
                both(child, 4, level, Compression.zstd().level(level).build());
            controlBatches(child);
            oldMessagesReadHere(child);
        }
        System.out.println(cases + " batches and streams: " + failures + " differ");
        System.exit(failures == 0 ? 0 : 1);
    }

    private static void both(Child child, int codec, int level, Compression compression) throws Exception {
        for (int seed = 0; seed < 8; seed++)
            batches(child, seed, codec, level, compression);
        streams(child, codec, level, compression);
    }
}
