import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.StringWriter;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import net.minidev.json.JSONStyle;
import net.minidev.json.JSONValue;
import net.minidev.json.parser.JSONParser;
import org.apache.commons.lang.StringEscapeUtils;
import org.apache.velocity.VelocityContext;
import org.apache.velocity.app.VelocityEngine;
import org.apache.velocity.app.event.EventCartridge;
import org.apache.velocity.app.event.InvalidReferenceEventHandler;
import org.apache.velocity.app.event.ReferenceInsertionEventHandler;
import org.apache.velocity.context.Context;
import org.apache.velocity.exception.VelocityException;
import org.apache.velocity.runtime.log.NullLogChute;
import org.apache.velocity.util.introspection.Info;
import org.apache.velocity.util.introspection.SecureUberspector;

/**
 * Renders mapping templates with Apache Velocity 1.7 itself: one JSON request a line on stdin, one answer a line on
 * stdout. What is ours here is {@code $input} and {@code $util}, made of the libraries that API Gateway's are
 * believed to be made of.
 *
 * <p>A request has template, body, params (path, querystring and header), context, stageVariables and nulls. An answer
 * is a list with one object for each of the nulls: text and context, which holds the overrides that the template made,
 * or error. Nobody documents what a null is on API Gateway, so {@code nulls} says it: "kept" as Velocity has it (a #set
 * to null keeps the old value), "set" lets #set unset, "empty" makes every null reference an empty string. An undefined
 * reference prints nothing in all three.
 */
public final class Mapping {
    /** $input. */
    public static final class Input {
        private static final Object MISSING = new Object();
        private static final Pattern STEP = Pattern.compile("\\.([A-Za-z_][\\w-]*)|\\['([^'\\\\]+)'\\]|\\[(\\d+)\\]");

        private final String body;
        private final Map<String, Map<String, Object>> params;

        Input(String body, Map<String, Map<String, Object>> params) {
            this.body = body;
            this.params = params;
        }

        public String getBody() {
            return body;
        }

        public Object path(String path) throws Exception {
            Object value = found(path);
            return value == MISSING ? null : value;
        }

        public String json(String path) throws Exception {
            Object value = found(path);
            return value == MISSING ? "" : JSONValue.toJSONString(value, JSONStyle.LT_COMPRESS);
        }

        public Object params() {
            return params;
        }

        public Object params(String name) {
            for (String place : List.of("path", "querystring", "header")) {
                if (params.get(place).containsKey(name)) {
                    return params.get(place).get(name);
                }
            }
            return "";
        }

        /** The value at a path of the subset $ .name ['name'] [0]; an empty body has none. */
        private Object found(String path) throws Exception {
            Object value = body.isEmpty() ? MISSING : parsed(body);
            Matcher steps = STEP.matcher(path);
            int at = 1;
            for (; at < path.length() && steps.find(at) && steps.start() == at; at = steps.end()) {
                String name = steps.group(1) != null ? steps.group(1) : steps.group(2);
                int index = name == null ? Integer.parseInt(steps.group(3)) : -1;
                if (name != null && value instanceof Map && ((Map<?, ?>) value).containsKey(name)) {
                    value = ((Map<?, ?>) value).get(name);
                } else if (name == null && value instanceof List && index < ((List<?>) value).size()) {
                    value = ((List<?>) value).get(index);
                } else {
                    value = MISSING;
                }
            }
            if (!path.startsWith("$") || at != path.length()) {
                throw new IllegalArgumentException("a path outside of the subset: " + path);
            }
            return value;
        }
    }

    /** $util. */
    public static final class Util {
        public String escapeJavaScript(String text) {
            return StringEscapeUtils.escapeJavaScript(text);
        }

        public Object parseJson(String text) throws Exception {
            return parsed(text);
        }

        public String urlEncode(String text) {
            return URLEncoder.encode(text, StandardCharsets.UTF_8);
        }

        public String urlDecode(String text) {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        }

        public String base64Encode(String text) {
            return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
        }

        public String base64Decode(String text) {
            return new String(Base64.getDecoder().decode(text), StandardCharsets.UTF_8);
        }
    }

    /** Overrides, each of which may be set once. */
    public static final class Once extends LinkedHashMap<String, Object> {
        @Override
        public Object put(String name, Object value) {
            if (containsKey(name)) {
                throw new IllegalStateException("an override may be set once: " + name);
            }
            return super.put(name, value);
        }
    }

    /** Makes every null reference an empty string. */
    private static final class Empty implements InvalidReferenceEventHandler {
        @Override
        public Object invalidGetMethod(Context c, String reference, Object object, String property, Info info) {
            return "";
        }

        @Override
        public Object invalidMethod(Context c, String reference, Object object, String method, Info info) {
            return "";
        }

        @Override
        public boolean invalidSetMethod(Context c, String left, String right, Info info) {
            return false;
        }
    }

    /** Objects as LinkedHashMap and lists as json-smart's: what JsonPath makes, and what prints as {a=1} and [1]. */
    private static Object parsed(String text) throws Exception {
        return new JSONParser(JSONParser.MODE_PERMISSIVE).parse(text, JSONValue.defaultReader.DEFAULT_ORDERED);
    }

    private static VelocityEngine engine(boolean setNull) {
        VelocityEngine engine = new VelocityEngine();
        engine.setProperty("runtime.log.logsystem.class", NullLogChute.class.getName());
        engine.setProperty("runtime.introspector.uberspect", SecureUberspector.class.getName());
        engine.setProperty("velocimacro.library", "");
        engine.setProperty("directive.set.null.allowed", Boolean.toString(setNull));
        engine.init();
        return engine;
    }

    @SuppressWarnings("unchecked")
    private static Once overrides(Object given) {
        Once made = new Once();
        for (String place : List.of("header", "path", "querystring")) {
            Once names = new Once();
            names.putAll(((Map<String, Map<String, Object>>) given).getOrDefault(place, Map.of()));
            made.put(place, names);
        }
        return made;
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> rendered(VelocityEngine engine, Map<String, Object> request, boolean empty) {
        Map<String, Object> context = new LinkedHashMap<>((Map<String, Object>) request.get("context"));
        context.replaceAll((name, given) -> name.endsWith("Override") ? overrides(given) : given);
        VelocityContext velocity = new VelocityContext();
        velocity.put("input", new Input((String) request.get("body"), (Map<String, Map<String, Object>>) request.get("params")));
        velocity.put("util", new Util());
        velocity.put("context", context);
        velocity.put("stageVariables", request.get("stageVariables"));
        EventCartridge events = new EventCartridge();
        events.addEventHandler((ReferenceInsertionEventHandler) (reference, value) -> value == null ? "" : value);
        if (empty) {
            events.addEventHandler(new Empty());
        }
        events.attachToContext(velocity);
        StringWriter text = new StringWriter();
        try {
            engine.evaluate(velocity, text, "template", (String) request.get("template"));
        } catch (VelocityException | IllegalStateException | StackOverflowError e) {
            return Map.of("error", String.valueOf(e.getCause() == null ? e : e.getCause()));
        }
        return Map.of("text", text.toString(), "context", context);
    }

    /** ASCII, so that lone surrogates survive. */
    private static String ascii(String json) {
        StringBuilder made = new StringBuilder();
        for (char c : json.toCharArray()) {
            made.append(c < 127 ? String.valueOf(c) : String.format("\\u%04x", (int) c));
        }
        return made.toString();
    }

    @SuppressWarnings("unchecked")
    public static void main(String[] arguments) throws Exception {
        VelocityEngine kept = engine(false);
        VelocityEngine set = engine(true);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line; (line = in.readLine()) != null; ) {
            Map<String, Object> request = (Map<String, Object>) parsed(line);
            List<Object> answers = new ArrayList<>();
            for (Object nulls : (List<?>) request.get("nulls")) {
                answers.add(rendered("set".equals(nulls) ? set : kept, request, "empty".equals(nulls)));
            }
            System.out.println(ascii(JSONValue.toJSONString(answers, JSONStyle.LT_COMPRESS)));
        }
    }
}
