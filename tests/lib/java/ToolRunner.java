import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/** Runs main classes one after another in one JVM, each with its own arguments, input and outputs. A line in: class, input
 *  and arguments in base64; a line out: exit status, standard output and standard error in base64. */
public final class ToolRunner {
    /** What ends a tool. Some catch it as any other failure and end again: the first word counts. */
    private static final class Ended extends Error {
        Ended(int status) {
            super("ended by the tool runner", null, false, false);
            if (first == null)
                first = status;
        }
    }

    private static Integer first;
    private static final List<Runnable> hooks = new ArrayList<>();

    private ToolRunner() {
    }

    private static String decode(String text) {
        return new String(Base64.getDecoder().decode(text), StandardCharsets.UTF_8);
    }

    private static String encode(ByteArrayOutputStream bytes) {
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }

    private static int run(String mainClass, String[] args, PrintStream err) {
        first = null;
        try {
            Class.forName(mainClass).getMethod("main", String[].class).invoke(null, (Object) args);
            return 0;
        } catch (InvocationTargetException e) {
            for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause())
                if (cause instanceof Ended)
                    return first;
            e.getCause().printStackTrace(err);
            return 1;
        } catch (ReflectiveOperationException e) {
            e.printStackTrace(err);
            return 127;
        }
    }

    public static void main(String[] unused) throws Exception {
        Exit.setExitProcedure((status, message) -> {
            if (message != null)
                System.err.println(message);
            throw new Ended(status);
        });
        Exit.setHaltProcedure((status, message) -> {
            throw new Ended(status);
        });
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook)); /* some close their clients there */
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        PrintStream answers = System.out;
        InputStream nothing = InputStream.nullInputStream();
        for (String line; (line = lines.readLine()) != null;) {
            String[] words = line.split(" ", -1);
            String[] args = new String[words.length - 2];
            for (int i = 0; i < args.length; i++)
                args[i] = decode(words[i + 2]);
            ByteArrayOutputStream out = new ByteArrayOutputStream(), err = new ByteArrayOutputStream();
            PrintStream errors = new PrintStream(err, true, StandardCharsets.UTF_8);
            System.setIn(words[1].isEmpty() ? nothing : new ByteArrayInputStream(Base64.getDecoder().decode(words[1])));
            System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
            System.setErr(errors);
            int status = run(words[0], args, errors);
            hooks.forEach(Runnable::run);
            hooks.clear();
            System.out.flush();
            answers.println(status + " " + encode(out) + " " + encode(err));
            answers.flush();
        }
    }
}
