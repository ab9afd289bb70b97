import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.processor.api.RecordMetadata;

/**
 * What the scorer does, as a Kafka Streams application: one record in, one prediction with its record embedded out.
 *
 * <p>Options are words {@code name=value}; those with a dot go to Kafka Streams as they are. Without {@code model} the
 * record is embedded unparsed in a constant text of equal length. The JSON is read by Jackson's streaming parser, its
 * fastest; the model is called record by record, because that is how the library hands records out.
 */
public final class StreamsPeer {
    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        for (String argument : arguments) {
            int at = argument.indexOf('=');
            options.put(argument.substring(0, at), argument.substring(at + 1));
        }
        Properties properties = new Properties();
        options.forEach((name, value) -> {
            if (name.contains(".")) {
                properties.put(name, value);
            }
        });
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        String model = options.get("model");
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(options.get("input"), Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
                .processValues(() -> model == null ? new Embed() : new Score(model))
                .to(options.get("output"), Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        CountDownLatch over = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            over.countDown();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse
                    .SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        over.await();
        System.exit(1);
    }

    private static byte[] embedded(byte[] head, byte[] record) {
        byte[] value = Arrays.copyOf(head, head.length + record.length + 1);
        System.arraycopy(record, 0, value, head.length, record.length);
        value[value.length - 1] = '}';
        return value;
    }

    /** No model: as many bytes out, nothing read. */
    private static final class Embed implements FixedKeyProcessor<byte[], byte[], byte[]> {
        private static final byte[] HEAD = ("{\"record_id\":\"b-00-123456\",\"district_id\":\"g7-123456\","
                + "\"event_time\":1700000001230,\"scored_at\":1700000000123,\"prediction\":123456.789,"
                + "\"model_version\":\"v1\",\"route\":\"champion\",\"source\":{\"topic\":\"bench.districts\","
                + "\"partition\":1,\"offset\":123456},\"record\":").getBytes(StandardCharsets.UTF_8);
        private FixedKeyProcessorContext<byte[], byte[]> context;

        @Override
        public void init(FixedKeyProcessorContext<byte[], byte[]> context) {
            this.context = context;
        }

        @Override
        public void process(FixedKeyRecord<byte[], byte[]> record) {
            context.forward(record.withValue(embedded(HEAD, record.value())));
        }
    }

    /** The same ONNX file as Longshore's, one thread a session, one session a task. */
    private static final class Score implements FixedKeyProcessor<byte[], byte[], byte[]> {
        private final String file;
        private final JsonFactory json = new JsonFactory();
        private final StringBuilder head = new StringBuilder(512);
        private final Map<String, Integer> places = new HashMap<>();
        private OrtEnvironment environment;
        private OrtSession session;
        private float[] numeric;
        private String[] nominal;
        private FixedKeyProcessorContext<byte[], byte[]> context;

        Score(String file) {
            this.file = file;
        }

        @Override
        public void init(FixedKeyProcessorContext<byte[], byte[]> context) {
            this.context = context;
            try {
                environment = OrtEnvironment.getEnvironment();
                OrtSession.SessionOptions options = new OrtSession.SessionOptions();
                options.setIntraOpNumThreads(1);
                options.setInterOpNumThreads(1);
                session = environment.createSession(file, options);
                Map<String, String> names = session.getMetadata().getCustomMetadata();
                numeric = new float[place(names.get("longshore.numeric"), 0)];
                nominal = new String[place(names.get("longshore.nominal"), 1_000)];
            } catch (OrtException | IOException error) {
                throw new IllegalStateException(error);
            }
        }

        /** Where each column of a JSON list of names goes; how many there are. */
        private int place(String list, int first) throws IOException {
            List<String> names = new ArrayList<>();
            try (JsonParser parser = json.createParser(list == null ? "[]" : list)) {
                while (parser.nextToken() != null) {
                    if (parser.currentToken() == JsonToken.VALUE_STRING) {
                        names.add(parser.getText());
                    }
                }
            }
            for (int i = 0; i < names.size(); i++) {
                places.put(names.get(i), first + i);
            }
            return names.size();
        }

        @Override
        public void process(FixedKeyRecord<byte[], byte[]> record) {
            Arrays.fill(numeric, Float.NaN);
            Arrays.fill(nominal, "");
            String id = "";
            String key = "";
            long eventTime = 0;
            try (JsonParser parser = json.createParser(record.value())) {
                parser.nextToken();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    JsonToken token = parser.nextToken();
                    Integer place = places.get(name);
                    if (place != null && token != JsonToken.VALUE_NULL) {
                        if (place < 1_000) {
                            numeric[place] = (float) parser.getDoubleValue();
                        } else {
                            nominal[place - 1_000] = parser.getText();
                        }
                    } else if (name.equals("record_id")) {
                        id = parser.getText();
                    } else if (name.equals("district_id")) {
                        key = parser.getText();
                    } else if (name.equals("event_time")) {
                        eventTime = parser.getLongValue();
                    }
                }
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
            byte[] head = head(id, key, eventTime, predict(), context.recordMetadata().orElseThrow());
            context.forward(record.withValue(embedded(head, record.value())));
        }

        private double predict() {
            long[] numericShape = {1, numeric.length};
            long[] nominalShape = {1, nominal.length};
            Map<String, OnnxTensor> inputs = new HashMap<>();
            try {
                if (numeric.length > 0) {
                    inputs.put("numeric", OnnxTensor.createTensor(environment, FloatBuffer.wrap(numeric), numericShape));
                }
                if (nominal.length > 0) {
                    inputs.put("nominal", OnnxTensor.createTensor(environment, nominal, nominalShape));
                }
                try (OrtSession.Result result = session.run(inputs)) {
                    return ((OnnxTensor) result.get(0)).getFloatBuffer().get(0);
                }
            } catch (OrtException error) {
                throw new IllegalStateException(error);
            } finally {
                inputs.values().forEach(OnnxTensor::close);
            }
        }

        private byte[] head(String id, String key, long eventTime, double prediction, RecordMetadata source) {
            JsonStringEncoder encoder = JsonStringEncoder.getInstance();
            head.setLength(0);
            head.append("{\"record_id\":\"");
            encoder.quoteAsString(id, head);
            head.append("\",\"district_id\":\"");
            encoder.quoteAsString(key, head);
            head.append("\",\"event_time\":").append(eventTime)
                    .append(",\"scored_at\":").append(System.currentTimeMillis())
                    .append(",\"prediction\":").append(prediction)
                    .append(",\"model_version\":\"v1\",\"route\":\"champion\",\"source\":{\"topic\":\"");
            encoder.quoteAsString(source.topic(), head);
            head.append("\",\"partition\":").append(source.partition())
                    .append(",\"offset\":").append(source.offset()).append("},\"record\":");
            return head.toString().getBytes(StandardCharsets.UTF_8);
        }

        @Override
        public void close() {
            try {
                session.close();
            } catch (OrtException error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
