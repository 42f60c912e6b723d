import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import org.slf4j.impl.StaticLoggerBinder;

/** The tests' frame: reports, expectations, and the broker, which is asked for over standard input and output. */
final class Suite {
    interface Body {
        void run() throws Exception;
    }

    static String bootstrap;
    private static String wanted = "";
    private static int failed;
    private static final List<Pattern> expectedWarnings = new ArrayList<>();
    private static final BufferedReader answers = new BufferedReader(new InputStreamReader(System.in));

    private Suite() {
    }

    /** `run` does it and answers: "broker key=value ..." starts one, "restart" and "kill" the running one. */
    static String ask(String what) throws IOException {
        System.out.println("ASK " + what);
        System.out.flush();
        String answer = answers.readLine();
        expect(answer != null && !answer.startsWith("error"), what + ": " + answer);
        return answer;
    }

    static void useBroker(String settings) throws IOException {
        bootstrap = ask("broker " + settings);
    }

    /** A client warns of nothing unless the test expects it. */
    static void expectWarnings(String... patterns) {
        Arrays.stream(patterns).map(Pattern::compile).forEach(expectedWarnings::add);
    }

    static void test(String name, Body body) {
        if (!name.contains(wanted))
            return;
        expectedWarnings.clear();
        StaticLoggerBinder.takeLines();
        try {
            body.run();
            for (String line : StaticLoggerBinder.takeLines())
                expect(expectedWarnings.stream().anyMatch(p -> p.matcher(line).find()), "the client warns: " + line);
            System.out.println("ok " + name);
        } catch (Throwable e) {
            failed++;
            StackTraceElement at = Arrays.stream(e.getStackTrace())
                .filter(f -> f.getFileName() != null && f.getFileName().matches("\\w+Tests.java")).findFirst().orElse(null);
            String text = String.valueOf(e).replace('\n', ' ');
            System.out.println("FAIL " + name + ": " + text.substring(0, Math.min(1200, text.length())) + " at " + at);
            if (!(e instanceof AssertionError))
                e.printStackTrace(System.out);
        }
        System.out.flush();
    }

    static void expect(boolean condition, String why) {
        if (!condition)
            throw new AssertionError(why);
    }

    static void expectEqual(Object got, Object expected, String what) {
        if (!Objects.deepEquals(got, expected)) {
            String g = String.valueOf(got), e = String.valueOf(expected);
            throw new AssertionError(what + ": got " + g.substring(0, Math.min(400, g.length())) + ", wanted " + e.substring(0, Math.min(400, e.length())));
        }
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(120, TimeUnit.SECONDS);
    }

    /** The call, or the future it returns, fails with exactly this class. */
    static <E extends Throwable> E expectFails(Class<E> wantedClass, java.util.concurrent.Callable<?> call) throws Exception {
        try {
            Object result = call.call();
            if (result instanceof Future<?> future)
                get(future);
        } catch (Throwable e) {
            Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
            if (cause.getClass() == wantedClass)
                return wantedClass.cast(cause);
            throw new AssertionError("got " + cause + ", wanted " + wantedClass.getSimpleName());
        }
        throw new AssertionError("passed, wanted " + wantedClass.getSimpleName());
    }

    /** Asks again until it is true; for state that tells no event. */
    static void eventually(String what, java.util.concurrent.Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(180);
        while (!condition.call()) {
            expect(System.nanoTime() < end, what + ": not within 180 s");
            Thread.sleep(20);
        }
    }

    public static void main(String[] args) throws Exception {
        wanted = args.length > 0 ? args[0] : "";
        useBroker("num.partitions=3 log.cleaner.backoff.ms=200");
        DataTests.run();
        AdminTests.run();
        ConfigTests.run();
        ShareTests.run();
        RestartTests.run();
        ClassicGroupTests.run();
        ConsumerGroupTests.run();
        TransactionTests.run();
        System.out.flush();
        System.exit(failed == 0 ? 0 : 1);
    }
}
