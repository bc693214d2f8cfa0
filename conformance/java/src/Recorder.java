package vouchsafe;

import com.azure.core.http.HttpHeaderName;
import com.azure.core.http.HttpPipelineCallContext;
import com.azure.core.http.HttpPipelineNextPolicy;
import com.azure.core.http.HttpPipelineNextSyncPolicy;
import com.azure.core.http.HttpResponse;
import com.azure.core.http.policy.HttpPipelinePolicy;
import com.azure.json.JsonProviders;
import com.azure.json.JsonReader;
import com.azure.json.JsonWriter;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import reactor.core.publisher.Mono;

/**
 * Writes down what the vaults answer, for conformance/contract.py to hold against Microsoft's own description: one line of
 * JSON for every answer that reaches a client. Nothing that a client sends or reads is changed.
 */
final class Recorder implements HttpPipelinePolicy {
    private static final String FILE = System.getenv("CONFORMANCE_RECORDING");
    /** Stands for every `value`, which may be secret; it is base64url as well as text. */
    private static final String REPLACED = "replaced";

    @Override
    public Mono<HttpResponse> process(HttpPipelineCallContext context, HttpPipelineNextPolicy next) {
        return next.process().map(HttpResponse::buffer).flatMap(answered -> answered.getBodyAsByteArray()
                .defaultIfEmpty(new byte[0]).map(body -> {
                    record(context, answered, body);
                    return answered;
                }));
    }

    @Override
    public HttpResponse processSync(HttpPipelineCallContext context, HttpPipelineNextSyncPolicy next) {
        HttpResponse answered = next.processSync().buffer();
        byte[] body = answered.getBodyAsByteArray().block();
        record(context, answered, body == null ? new byte[0] : body);
        return answered;
    }

    private static void record(HttpPipelineCallContext context, HttpResponse answered, byte[] body) {
        if (FILE == null) return;
        String contentType = answered.getHeaderValue(HttpHeaderName.CONTENT_TYPE);
        contentType = contentType == null ? "" : contentType.split(";")[0];
        Map<String, Object> line = new HashMap<>();
        line.put("method", context.getHttpRequest().getHttpMethod().toString());
        line.put("path", context.getHttpRequest().getUrl().getPath());
        line.put("status", answered.getStatusCode());
        line.put("content_type", contentType);
        try {
            line.put("body", contentType.equals("application/json") ? read(body) : new String(body, StandardCharsets.UTF_8));
            write(line);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static Object read(byte[] body) throws IOException {
        try (JsonReader reader = JsonProviders.createReader(body)) {
            Object read = reader.readUntyped();
            if (!(read instanceof Map<?, ?> members) || !(members.get("value") instanceof String)) return read;
            Map<Object, Object> shown = new HashMap<>(members);
            shown.put("value", REPLACED);
            return shown;
        }
    }

    private static void write(Map<String, Object> line) throws IOException {
        var bytes = new ByteArrayOutputStream();
        try (JsonWriter writer = JsonProviders.createWriter(bytes)) {
            writer.writeMap(line, JsonWriter::writeUntyped);
        }
        bytes.write('\n');
        // One write at the end of the file, so that lines of several processes do not mix.
        Files.write(Path.of(FILE), bytes.toByteArray(), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }
}
