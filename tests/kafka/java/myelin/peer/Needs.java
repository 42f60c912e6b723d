package myelin.peer;

import org.opentest4j.TestAbortedException;

/** What a test asks for and a broker in another process cannot give. Tests that poll wrap the exception into a failure of
 *  theirs, so the last reason is kept for whoever judges the test. */
public final class Needs {
    private static volatile String reason;

    private Needs() {
    }

    public static TestAbortedException abort(String what) {
        reason = "needs " + what;
        return new TestAbortedException(reason);
    }

    static void forget() {
        reason = null;
    }

    static String lastReason() {
        return reason;
    }
}
