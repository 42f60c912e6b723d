package myelin.peer;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** A broker under test as a process: `myelin server` on ports from the pool that the suite was given, with a directory, a
 *  server.properties and a log of its own. It may be stopped and started again on the same directory and ports. */
public final class Node implements AutoCloseable {
    private static final Deque<Integer> PORTS = new ArrayDeque<>();
    private static final Pattern ANY_PORT = Pattern.compile("([^,:/]+)://([^,:]*):0(?=,|$)");
    private static final Pattern LISTENER = Pattern.compile("([^,:/]+)://([^,]*):(\\d+)");
    private static final long START_TIMEOUT_S = 120;

    static {
        for (String port : System.getProperty("myelin.ports", "").split(",")) {
            if (!port.isEmpty())
                PORTS.add(Integer.parseInt(port));
        }
    }

    private final Path dir;
    private final Path log;
    private final Path properties;
    private final Map<String, String> settings = new TreeMap<>();
    private final Map<String, Integer> listeners = new LinkedHashMap<>();
    private final List<Integer> taken = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();
    private Process process;

    /** Ports 0 in `listeners` and `advertised.listeners` become ports of the pool, the same one for a listener in both. */
    public Node(Path dir, Map<String, ?> given) throws IOException {
        this.dir = Files.createDirectories(dir);
        this.log = dir.resolve("server.log");
        this.properties = dir.resolve("server.properties");
        given.forEach((key, value) -> settings.put(key, String.valueOf(value)));
        settings.put("listeners", withPorts(settings.get("listeners")));
        if (settings.containsKey("advertised.listeners"))
            settings.put("advertised.listeners", withPorts(settings.get("advertised.listeners")));
        settings.put("myelin.http.listener", "127.0.0.1:" + takePort());
        Matcher matcher = LISTENER.matcher(settings.get("listeners"));
        while (matcher.find())
            listeners.put(matcher.group(1), Integer.parseInt(matcher.group(3)));
    }

    private String withPorts(String text) {
        return ANY_PORT.matcher(text).replaceAll(found -> {
            int port = listeners.computeIfAbsent(found.group(1), name -> takePort());
            return Matcher.quoteReplacement(found.group(1) + "://" + found.group(2) + ":" + port);
        });
    }

    private int takePort() {
        synchronized (PORTS) {
            if (PORTS.isEmpty())
                throw new IllegalStateException("the suite's ports are all taken");
            int port = PORTS.removeFirst();
            taken.add(port);
            return port;
        }
    }

    public int port(String listener) {
        Integer port = listeners.get(listener);
        if (port == null)
            throw new IllegalArgumentException("no listener " + listener + " in " + listeners);
        return port;
    }

    public boolean has(String listener) {
        return listeners.containsKey(listener);
    }

    public Map<String, String> settings() {
        return settings;
    }

    /** A property that counts from the next start on. */
    public void set(String key, String value) {
        settings.put(key, value);
    }

    private void writeProperties() throws IOException {
        List<String> lines = new ArrayList<>();
        settings.forEach((key, value) -> lines.add(key + "=" + value.replace("\\", "\\\\").replace("\n", "\\n")));
        Files.write(properties, lines, StandardCharsets.UTF_8);
    }

    private ProcessBuilder command(String... arguments) {
        List<String> command = new ArrayList<>(List.of(System.getProperty("myelin.program")));
        command.addAll(Arrays.asList(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).directory(dir.toFile()).redirectErrorStream(true);
        return builder.redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()));
    }

    public void format(String clusterId, boolean standalone, Map<String, Short> levels) throws IOException, InterruptedException {
        writeProperties();
        List<String> arguments = new ArrayList<>(List.of("storage", "format", "-c", properties.toString(), "-t", clusterId));
        if (standalone)
            arguments.add("--standalone");
        levels.forEach((feature, level) -> arguments.addAll(List.of("-f", feature + "=" + level)));
        int code = command(arguments.toArray(new String[0])).start().waitFor();
        if (code != 0)
            throw new IOException("storage format: exit status " + code + ": " + lastWords());
    }

    /** Returns when the process serves. */
    public synchronized void start() {
        if (running())
            throw new IllegalStateException("runs already");
        try {
            writeProperties();
            for (int port : listeners.values())
                waitUntilFree(port);
            long from = Files.exists(log) ? Files.size(log) : 0;
            process = command("server", properties.toString()).start();
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_TIMEOUT_S);
            while (!written(from).contains("serving")) {
                if (!process.isAlive())
                    throw new IllegalStateException("the server ended: " + lastWords());
                if (System.nanoTime() > end)
                    throw new IllegalStateException("the server does not serve: " + lastWords());
                Thread.sleep(5);
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    /** io_uring's last references to a listener go some time after the process that had it. */
    private static void waitUntilFree(int port) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_TIMEOUT_S);
        while (true) {
            try (ServerSocket socket = new ServerSocket()) {
                socket.setReuseAddress(true);
                socket.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
                return;
            } catch (IOException e) {
                if (System.nanoTime() > end)
                    throw new IllegalStateException("port " + port + " is taken");
                Thread.sleep(10);
            }
        }
    }

    public synchronized boolean running() {
        return process != null && process.isAlive();
    }

    /** A clean stop; what went wrong in the run is told by close(). */
    public synchronized void stop() {
        if (process == null)
            return;
        process.destroy();
        try {
            if (!process.waitFor(START_TIMEOUT_S, TimeUnit.SECONDS)) {
                failures.add("the server does not stop: " + lastWords());
                process.destroyForcibly().waitFor();
            } else if (process.exitValue() != 0) {
                failures.add("the server stopped with " + process.exitValue() + ": " + lastWords());
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
        process = null;
    }

    @Override
    public void close() {
        stop();
        synchronized (PORTS) {
            PORTS.addAll(taken);
            taken.clear();
        }
        if (!failures.isEmpty())
            throw new AssertionError(String.join("; ", failures));
    }

    private String written(long from) throws IOException {
        byte[] bytes = Files.readAllBytes(log);
        return new String(bytes, (int) Math.min(from, bytes.length), (int) Math.max(0, bytes.length - from), StandardCharsets.UTF_8);
    }

    /** The report of a sanitizer or a failed check when there is one, else the last lines. */
    private String lastWords() {
        try {
            String[] lines = written(0).split("\n");
            for (int i = 0; i < lines.length; i++) {
                if (lines[i].matches(".*(ERROR: \\w+Sanitizer|runtime error:|check failed).*"))
                    return String.join(" | ", Arrays.copyOfRange(lines, i, Math.min(lines.length, i + 20)));
            }
            return String.join(" | ", Arrays.copyOfRange(lines, Math.max(0, lines.length - 8), lines.length));
        } catch (IOException e) {
            return e.toString();
        }
    }
}
