package org.slf4j.impl;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.ILoggerFactory;
import org.slf4j.Logger;
import org.slf4j.helpers.MessageFormatter;
import org.slf4j.spi.LoggerFactoryBinder;

/** What Kafka's own classes log at WARN and above: kept, for tests that ask, and printed to standard error as
 *  "WARN logger: message". Stands before other bindings of slf4j on the class path. */
public final class StaticLoggerBinder implements LoggerFactoryBinder, ILoggerFactory {
    public static final String REQUESTED_API_VERSION = "1.7.36";
    private static final StaticLoggerBinder SINGLETON = new StaticLoggerBinder();
    private static final List<String> lines = new ArrayList<>();

    public static StaticLoggerBinder getSingleton() {
        return SINGLETON;
    }

    @Override
    public ILoggerFactory getLoggerFactory() {
        return this;
    }

    @Override
    public String getLoggerFactoryClassStr() {
        return StaticLoggerBinder.class.getName();
    }

    /** The lines since the last call. */
    public static List<String> takeLines() {
        synchronized (lines) {
            List<String> taken = new ArrayList<>(lines);
            lines.clear();
            return taken;
        }
    }

    private static void log(String level, String logger, Object[] args) {
        int first = args[0] instanceof String ? 0 : 1; /* a marker may come first */
        Object[] values = args.length == first + 2 && args[first + 1] instanceof Object[]
            ? (Object[]) args[first + 1] : java.util.Arrays.copyOfRange(args, first + 1, args.length);
        var tuple = MessageFormatter.arrayFormat((String) args[first], values);
        String line = level + " " + logger + ": " + tuple.getMessage() + (tuple.getThrowable() == null ? "" : " " + tuple.getThrowable());
        synchronized (lines) {
            lines.add(line);
        }
        System.err.println(line);
    }

    @Override
    public Logger getLogger(String name) {
        return (Logger) Proxy.newProxyInstance(Logger.class.getClassLoader(), new Class<?>[] {Logger.class}, (proxy, method, args) -> {
            switch (method.getName()) {
                case "warn", "error" -> log(method.getName().toUpperCase(), name, args);
                case "getName", "toString" -> { return name; }
                case "isWarnEnabled", "isErrorEnabled" -> { return true; }
                case "hashCode" -> { return name.hashCode(); }
                case "equals" -> { return proxy == args[0]; }
                default -> { }
            }
            return method.getReturnType() == boolean.class ? false : null;
        });
    }
}
