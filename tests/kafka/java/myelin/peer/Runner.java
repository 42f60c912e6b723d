package myelin.peer;

import org.junit.platform.engine.DiscoverySelector;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Runs the tests that a file lists, a line each: `class`, `class.method`, or `-class.method` for one that a listed class
 *  is to go without. Prints `ok`, `FAIL` or `SKIP` for each method, however many runs of it there are. */
public final class Runner implements TestExecutionListener {
    private static final long SILENCE_MAX_MS = 240_000;

    /** What the runs of a method came to. */
    private static final class Verdict {
        int passed;
        String failure;
        String aborted;
        Throwable cause;
        long begunAt = System.currentTimeMillis();
    }

    private final Map<String, Verdict> verdicts = new LinkedHashMap<>();
    private final Set<String> containers = new HashSet<>();
    private volatile long lastSignOfLife = System.currentTimeMillis();
    private boolean failed;

    public static void main(String[] arguments) throws IOException {
        Runner runner = new Runner();
        runner.watch();
        runner.run(Files.readAllLines(Path.of(arguments[0])));
        System.out.flush();
        Runtime.getRuntime().halt(runner.failed ? 1 : 0);
    }

    private void run(List<String> lines) {
        Set<String> classes = new HashSet<>();
        Map<String, Set<String>> only = new HashMap<>();
        Map<String, Set<String>> without = new HashMap<>();
        List<DiscoverySelector> selectors = new ArrayList<>();
        for (String line : lines) {
            String name = line.startsWith("-") ? line.substring(1) : line;
            int dot = name.lastIndexOf('.');
            boolean method = Character.isLowerCase(name.charAt(dot + 1));
            String type = method ? name.substring(0, dot) : name;
            if (line.startsWith("-")) {
                without.computeIfAbsent(type, key -> new HashSet<>()).add(name.substring(dot + 1));
            } else if (method) {
                only.computeIfAbsent(type, key -> new HashSet<>()).add(name.substring(dot + 1));
            }
            if (!line.startsWith("-") && classes.add(type))
                selectors.add(DiscoverySelectors.selectClass(type));
            if (!line.startsWith("-") && !method)
                only.computeIfAbsent(type, key -> new HashSet<>()).add("*");
        }
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request().selectors(selectors)
            .filters((PostDiscoveryFilter) test -> FilterResult.includedIf(isWanted(test, only, without)))
            .configurationParameter("junit.jupiter.extensions.autodetection.enabled", "true")
            .configurationParameter("junit.jupiter.execution.timeout.mode", "disabled")
            .build();
        Launcher launcher = LauncherFactory.create();
        launcher.execute(request, this);
        new ArrayList<>(verdicts.keySet()).forEach(this::tell);
    }

    private static boolean isWanted(TestDescriptor test, Map<String, Set<String>> only, Map<String, Set<String>> without) {
        if (!(test.getSource().orElse(null) instanceof MethodSource))
            return true;
        MethodSource source = (MethodSource) test.getSource().get();
        Set<String> wanted = only.getOrDefault(source.getClassName(), Set.of());
        return (wanted.contains("*") || wanted.contains(source.getMethodName()))
            && !without.getOrDefault(source.getClassName(), Set.of()).contains(source.getMethodName());
    }

    /** A test that hangs is told of with what every thread is at. */
    private void watch() {
        Thread thread = new Thread(() -> {
            while (System.currentTimeMillis() - lastSignOfLife < SILENCE_MAX_MS) {
                try {
                    Thread.sleep(1000);
                } catch (InterruptedException e) {
                    return;
                }
            }
            System.out.println("FAIL " + verdicts.keySet() + ": nothing ended for " + SILENCE_MAX_MS / 1000 + " s");
            Thread.getAllStackTraces().forEach((t, frames) -> System.out.println(t + "\n    " + Arrays.toString(frames)));
            System.out.flush();
            Runtime.getRuntime().halt(1);
        }, "junit-watch");
        thread.setDaemon(true);
        thread.start();
    }

    private static String methodOf(TestIdentifier id) {
        if (!(id.getSource().orElse(null) instanceof MethodSource))
            return null;
        MethodSource source = (MethodSource) id.getSource().get();
        return source.getClassName().substring(source.getClassName().lastIndexOf('.') + 1) + "." + source.getMethodName();
    }

    @Override
    public void executionStarted(TestIdentifier id) {
        lastSignOfLife = System.currentTimeMillis();
        Needs.forget();
        String method = methodOf(id);
        if (method == null)
            return;
        verdicts.computeIfAbsent(method, key -> new Verdict());
        if (id.isContainer())
            containers.add(method);
    }

    @Override
    public void executionSkipped(TestIdentifier id, String reason) {
        String method = methodOf(id);
        if (method == null || OneKind.REASON.equals(reason))
            return;
        verdicts.computeIfAbsent(method, key -> new Verdict()).aborted = reason;
    }

    @Override
    public void executionFinished(TestIdentifier id, TestExecutionResult result) {
        lastSignOfLife = System.currentTimeMillis();
        String method = methodOf(id);
        Throwable cause = result.getThrowable().orElse(null);
        if (method == null) {
            if (result.getStatus() != TestExecutionResult.Status.SUCCESSFUL)
                judge(verdicts.computeIfAbsent(id.getDisplayName(), key -> new Verdict()), result, cause, id);
            return;
        }
        Verdict verdict = verdicts.computeIfAbsent(method, key -> new Verdict());
        if (id.isTest() || result.getStatus() != TestExecutionResult.Status.SUCCESSFUL)
            judge(verdict, result, cause, id);
        if (id.isContainer() || !containers.contains(method))
            tell(method);
    }

    private static void judge(Verdict verdict, TestExecutionResult result, Throwable cause, TestIdentifier id) {
        String needs = Needs.lastReason();
        if (result.getStatus() == TestExecutionResult.Status.SUCCESSFUL) {
            verdict.passed++;
        } else if (result.getStatus() == TestExecutionResult.Status.ABORTED || needs != null) {
            verdict.aborted = needs != null ? needs : String.valueOf(cause);
        } else if (verdict.failure == null) {
            verdict.failure = id.getDisplayName() + ": " + cause;
            verdict.cause = cause;
        }
    }

    private void tell(String method) {
        Verdict verdict = verdicts.remove(method);
        if (verdict == null)
            return;
        if (verdict.failure != null) {
            failed = true;
            System.out.println("FAIL " + method + ": " + oneLine(verdict.failure));
            StringWriter trace = new StringWriter();
            verdict.cause.printStackTrace(new PrintWriter(trace));
            System.out.println(trace.toString().indent(4));
        } else if (verdict.aborted != null && verdict.passed == 0) {
            System.out.println("SKIP " + method + ": " + oneLine(verdict.aborted));
        } else if (verdict.passed > 0) {
            System.out.println("ok " + method + "  # " + verdict.passed + " in " + (System.currentTimeMillis() - verdict.begunAt) + " ms");
        }
        System.out.flush();
    }

    private static String oneLine(String text) {
        String line = text.replaceAll("\\s*\\n\\s*", " | ");
        return line.length() > 1200 ? line.substring(0, 1200) : line;
    }
}
