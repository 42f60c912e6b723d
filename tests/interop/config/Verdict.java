import java.util.Properties;
import kafka.server.KafkaConfig;
import org.apache.kafka.common.utils.Utils;

/** What Apache Kafka says to each configuration file: one line, "ok" or "refused: why". */
public class Verdict {
    public static void main(String[] files) throws Exception {
        for (String file : files) {
            String verdict = "ok";
            try {
                Properties properties = Utils.loadProps(file);
                new KafkaConfig(properties, false);
            } catch (Throwable error) {
                verdict = "refused: " + String.valueOf(error.getMessage()).replace('\n', ' ');
            }
            System.out.println("VERDICT " + verdict);
        }
    }
}
