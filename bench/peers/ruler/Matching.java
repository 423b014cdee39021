// SPDX-License-Identifier: Apache-2.0
// AWS Event Ruler by itself: java -cp ... Matching.java RULES EVENTS SECONDS, of CPU.
// Prints one line of JSON; CPU is of the whole process, its compiler and collector included, after
// passes that are not counted.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.sun.management.OperatingSystemMXBean;
import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import software.amazon.event.ruler.Machine;

public class Matching {
  // CPU time until its compiler has nothing left to do: after 2 s an event costs four times of what it
  // does after 6.
  static final long WARM_NS = 6_000_000_000L;
  static final ObjectMapper JSON = new ObjectMapper();

  // The pattern as Ruler writes it.
  static void add(ArrayNode patterns, String operator, JsonNode pattern) {
    switch (operator) {
      case "equals" -> patterns.add(pattern.asText());
      case "iequals" -> patterns.addObject().put("equals-ignore-case", pattern.asText());
      case "startswith" -> patterns.addObject().put("prefix", pattern.asText());
      case "endswith" -> patterns.addObject().put("suffix", pattern.asText());
      case "matchwildcard" -> patterns.addObject().put("wildcard", pattern.asText());
      case "contains" -> patterns.addObject().put("wildcard", "*" + pattern.asText() + "*");
      case "greaterthan" -> patterns.addObject().putArray("numeric").add(">").add(pattern.asInt());
      default -> throw new IllegalArgumentException(operator);
    }
  }

  // {"name", "operator", "values": {path: pattern}} as Ruler writes a rule.
  static String written(JsonNode rule) throws Exception {
    ObjectNode root = JSON.createObjectNode();
    String operator = rule.get("operator").asText();
    rule.get("values").properties().forEach(value -> {
      String[] path = value.getKey().split("\\.");
      ObjectNode at = root;
      for (int i = 0; i + 1 < path.length; ++i) at = at.withObject("/" + path[i]);
      add(at.putArray(path[path.length - 1]), operator, value.getValue());
    });
    return JSON.writeValueAsString(root);
  }

  static long pass(Machine machine, List<String> events) throws Exception {
    long matches = 0;
    for (String event : events) matches += machine.rulesForJSONEvent(event).size();
    return matches;
  }

  public static void main(String[] words) throws Exception {
    Machine machine = new Machine();
    for (JsonNode rule : JSON.readTree(new File(words[0]))) {
      machine.addRule(rule.get("name").asText(), written(rule));
    }
    List<String> events = Files.readAllLines(Path.of(words[1]));
    long limit = (long) (Double.parseDouble(words[2]) * 1e9);
    var cpu = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    long begin = cpu.getProcessCpuTime();
    while (cpu.getProcessCpuTime() - begin < WARM_NS) pass(machine, events);
    long passes = 0;
    long matches = 0;
    long before = cpu.getProcessCpuTime();
    do {
      matches = pass(machine, events);
      ++passes;
    } while (cpu.getProcessCpuTime() - before < limit);
    double us = (cpu.getProcessCpuTime() - before) / 1e3 / passes / events.size();
    System.out.println("{\"us\": " + us + ", \"matches\": " + matches + "}");
  }
}
