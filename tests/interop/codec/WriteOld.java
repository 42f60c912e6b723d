import java.io.FileOutputStream;
import java.nio.ByteBuffer;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.MemoryRecords;

/** WriteOld FILE: a segment of messages of magic 0, then of magic 1, in every codec they had; offsets from 0, 40 in all. */
final class WriteOld {
    public static void main(String[] args) throws Exception {
        long offset = 0;
        try (FileOutputStream out = new FileOutputStream(args[0])) {
            for (int magic = 0; magic <= 1; magic++)
                for (Compression compression : List.of(Compression.NONE, Compression.gzip().build(), Compression.snappy().build(), Compression.lz4().build())) {
                    MemoryRecords records = BatchCheck.oldMessages(magic, compression,
                        magic == 0 ? TimestampType.NO_TIMESTAMP_TYPE : TimestampType.CREATE_TIME, offset, 5, 1500000000000L + offset * 1000);
                    ByteBuffer buffer = records.buffer();
                    byte[] bytes = new byte[buffer.remaining()];
                    buffer.get(bytes);
                    out.write(bytes);
                    offset += 5;
                }
        }
    }
}
