package vouchsafe;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Runs scenarios of conformance/scenarios.toml by their names, several at once, inside the process that the agent attests.
 *
 * <p>The clients are Microsoft's libraries as published. The world is the JSON file that CONFORMANCE_WORLD names;
 * conformance/run.py writes it and reads the verdicts, one line of JSON each.
 */
final class Main {
    private static final int AT_ONCE = 6;

    private Main() {}

    /** A story; it fails by throwing. */
    interface Scenario {
        void tell() throws Exception;
    }

    public static void main(String[] names) throws Exception {
        Map<String, Scenario> scenarios = new HashMap<>();
        Identities.register(scenarios);
        Refusals.register(scenarios);
        Secrets.register(scenarios);
        Keys.register(scenarios);
        Cryptography.register(scenarios);
        KeyRefusals.register(scenarios);
        KeysInAToken.register(scenarios);
        KeyRelease.register(scenarios);
        Certificates.register(scenarios);
        CertificateKeys.register(scenarios);
        var pool = Executors.newFixedThreadPool(AT_ONCE);
        List<Future<Boolean>> judged = new ArrayList<>();
        for (String name : names) judged.add(pool.submit(() -> judge(name, scenarios.get(name))));
        boolean passed = true;
        for (Future<Boolean> each : judged) passed &= each.get();
        System.exit(passed ? 0 : 1);
    }

    private static boolean judge(String name, Scenario scenario) {
        long started = System.nanoTime();
        String said = null;
        try {
            if (scenario == null) throw new AssertionError("no scenario is called `" + name + "` here: register it");
            scenario.tell();
        } catch (Throwable failure) {
            var text = new StringWriter();
            failure.printStackTrace(new PrintWriter(text));
            said = text.toString();
        }
        double seconds = (System.nanoTime() - started) / 1e9;
        System.out.println("{\"scenario\": " + quoted(name) + ", \"passed\": " + (said == null) + ", \"seconds\": " + seconds
                + ", \"said\": " + (said == null ? "null" : quoted(said)) + "}");
        return said == null;
    }

    private static String quoted(String text) {
        var quoted = new StringBuilder("\"");
        for (char character : text.toCharArray()) {
            if (character < ' ' || character == '"' || character == '\\' || character > '~') {
                quoted.append(String.format("\\u%04x", (int) character));
            } else {
                quoted.append(character);
            }
        }
        return quoted.append('"').toString();
    }
}
