import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.KeyValueStore;

/** A Kafka Streams application: words counted (a repartition topic, a store), and two streams joined within a window.
 *  lines -> counts (word, how often so far);  left, right -> joined ("l+r" of equal keys not further than a minute apart).
 *  Arguments: "key=value" settings; it prints its states, ends on SIGTERM, and on the end of standard input. */
public class StreamsApp {
    static final Duration WINDOW = Duration.ofMinutes(1), GRACE = Duration.ofDays(1);

    static void topology(StreamsBuilder builder) {
        builder.stream("lines", Consumed.with(Serdes.String(), Serdes.String()))
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
            .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>with(Serdes.String(), Serdes.Long()).withCachingDisabled())
            .toStream().mapValues(count -> Long.toString(count))
            .to("counts", Produced.with(Serdes.String(), Serdes.String()));
        builder.stream("left", Consumed.with(Serdes.String(), Serdes.String()))
            .join(builder.stream("right", Consumed.with(Serdes.String(), Serdes.String())), (l, r) -> l + "+" + r,
                  JoinWindows.ofTimeDifferenceAndGrace(WINDOW, GRACE), StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()))
            .to("joined", Produced.with(Serdes.String(), Serdes.String()));
    }

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "100");
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("max.poll.interval.ms"), "60000");
        for (String arg : args)
            settings.put(arg.substring(0, arg.indexOf('=')), arg.substring(arg.indexOf('=') + 1));
        StreamsBuilder builder = new StreamsBuilder();
        topology(builder);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setStateListener((now, before) -> System.out.println("state " + now));
        streams.setUncaughtExceptionHandler(error -> {
            System.out.println("error " + error);
            error.printStackTrace(System.out);
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(30))));
        streams.start();
        for (int c; (c = System.in.read()) >= 0; )
            if (c == 't')
                System.out.println("tasks " + streams.metadataForLocalThreads().stream().mapToInt(thread -> thread.activeTasks().size()).sum()
                    + " standby " + streams.metadataForLocalThreads().stream().mapToInt(thread -> thread.standbyTasks().size()).sum());
            else if (c == 'e')
                System.out.println("endpoints " + streams.metadataForAllStreamsClients().stream().map(client -> client.port() + ":" + client.topicPartitions().size())
                    .sorted().toList());
        System.exit(0);
    }
}
