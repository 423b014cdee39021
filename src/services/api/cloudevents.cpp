// SPDX-License-Identifier: Apache-2.0
#include "services/api/cloudevents.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/charset.h"
#include "base/excerpt.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "base/problems.h"
#include "base/text.h"
#include "base/time.h"
#include "engine/machine/catalog.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"
#include "net/media_type.h"
#include "net/uri.h"
#include "rules/schedule.h"
#include "services/api/admission.h"
#include "services/api/parse.h"

namespace millrace::api {
namespace {

// U+0000 to U+001F and U+007F to U+009F; npos: none.
size_t first_control(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    auto byte = static_cast<unsigned char>(text[at]);
    if (byte < 0x20 || byte == 0x7f) return at;
    bool is_c1 = byte == 0xc2 && at + 1 < text.size() && (text[at + 1] & 0x60) == 0;
    if (is_c1) return at;
  }
  return text.npos;
}

// How an attribute of the specification breaks what it has to be beside a text; empty: it does not.
std::string wrong_form(std::string_view name, std::string_view text) {
  if (name == "time") {
    auto time = parse_rfc3339(text);
    return time.ok() ? "" : time.error().message();
  }
  std::string_view expected;
  if (name == "source" && !net::is_uri_reference(text)) {
    expected = "a URI or a reference to one (RFC 3986; spaces are written %20)";
  } else if (name == "dataschema" && !net::is_uri(text)) {
    expected = "a URI with its scheme (RFC 3986)";
  } else if (name == "datacontenttype" && !net::is_media_type(text)) {
    expected = "a media type such as application/json";
  } else if (name == "subject" && text.empty()) {
    expected = "a text";
  }
  if (expected.empty()) return {};
  return fmt::format("expected {}, found {}", expected, json_excerpt(text, 64));
}

constexpr std::string_view kAnyTrigger = "core.cloudevent";
constexpr size_t kLongestAttribute = 1024;
constexpr size_t kLongestName = 64;  // CloudEvents: they should not exceed 20

Error bad_event(std::vector<Problem> problems) {
  return Error(ErrorKind::Invalid, "API-0050",
               fmt::format("not a CloudEvent 1.0: {} {}", problems.front().path,
                           problems.front().message))
      .with_problems(std::move(problems));
}

Value bytes_value(std::string_view bytes) {
  if (is_utf8(bytes)) return bytes;
  return Value::map({{"base64", base64_encode(bytes)}});
}

// The value that data of a content type is; nothing when it is JSON and empty.
Result<std::optional<Value>> read_data(std::string_view bytes, std::string_view content_type) {
  auto type = media_type(content_type);
  auto charset = charset_of(content_type);
  if (is_json(type)) {
    TRY(auto text, to_utf8(bytes, charset.empty() ? "utf-8" : charset));
    if (trim(text).empty()) return std::optional<Value>();
    TRY(Value data, parse_json(text, kPayloadLimits));
    return std::optional(std::move(data));
  }
  if (charset.empty()) {
    return std::optional(bytes_value(net::is_text(type) ? without_mark(bytes) : bytes));
  }
  TRY(auto text, to_utf8(bytes, charset));
  return std::optional(Value(text));
}

// Turns one event, given as its JSON form, into what the engine takes, and notes what is wrong
// with it. `where` stands before the names of its attributes.
class Reader {
 public:
  Reader(const engine::TenantCatalog& catalog, std::string where, std::vector<Problem>& problems)
      : catalog_(catalog), where_(std::move(where)), problems_(problems) {}

  engine::NewEvent read(Value map) {
    engine::NewEvent event;
    if (auto version = attribute(map, "specversion"); version != "1.0") {
      report("specversion", fmt::format("expected 1.0, found '{}'", version.substr(0, 32)));
    }
    event.source_id = required(map, "id");
    event.source = required(map, "source");
    if (!event.source.empty()) check_form("source", event.source);
    event.type = required(map, "type");
    if (map.is_map()) check_others(map);
    take_data(map);
    auto named = attribute(map, "trigger");
    event.trigger = named.empty() ? event.type : named;
    if (const auto* trigger = catalog_.find_trigger(event.trigger)) {
      event.payload = map["data"].is_null() ? Value::map() : map["data"];
      check_payload(*trigger, event.payload);
    } else if (named.empty()) {
      event.trigger = kAnyTrigger;
      event.trigger_parameters = Value::map({{"source", event.source}, {"type", event.type}});
      event.payload = std::move(map);
    } else {
      report("trigger",
             fmt::format("unknown trigger '{}'{}", named, catalog_.suggest_trigger(named)));
    }
    check_not_ours(event, named.empty() ? "type" : "trigger");
    event.payload_json = to_json(event.payload);
    return event;
  }

 private:
  void report(std::string_view name, std::string message) {
    problems_.push_back({where_ + std::string(name), std::move(message)});
  }

  // Optional attributes and extensions.
  void check_others(const Value& map) {
    constexpr std::string_view kSeen[] = {"specversion", "id",   "source",     "type",
                                          "trigger",     "data", "data_base64"};
    for (const auto& entry : map.as_map()) {
      std::string_view name = entry.name();
      if (std::ranges::find(kSeen, name) != std::end(kSeen)) continue;
      check_name(name);
      if (!entry.value.is_null()) check_value(name, entry.value);  // null: it is not set
    }
  }

  void check_name(std::string_view name) {
    auto is_allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    if (!name.empty() && name.size() <= kLongestName && std::ranges::all_of(name, is_allowed)) {
      return;
    }
    report(name.substr(0, kLongestName),
           fmt::format("expected a name of 1 to {} of a-z and 0-9", kLongestName));
  }

  void check_value(std::string_view name, const Value& value) {
    constexpr std::string_view kTexts[] = {"time", "subject", "dataschema", "datacontenttype"};
    bool is_text = std::ranges::find(kTexts, name) != std::end(kTexts);
    if (value.is_string()) {
      size_t at = first_control(value.as_string());
      at == std::string_view::npos ? check_form(name, value.as_string()) : report_control(name, at);
    } else if (is_text) {
      report(name, fmt::format("expected string, found {}", value.type_name()));
    } else if (!value.is_bool() && !is_32_bit(value)) {
      report(name, fmt::format("expected a string, a boolean or an integer of 32 bits, found {}",
                               value.is_number() ? to_json(value) : value.type_name()));
    }
  }

  void check_form(std::string_view name, std::string_view text) {
    if (auto wrong = wrong_form(name, text); !wrong.empty()) report(name, std::move(wrong));
  }

  static bool is_32_bit(const Value& value) {
    return value.is_int() && std::in_range<int32_t>(value.as_int());
  }

  void report_control(std::string_view name, size_t at) {
    report(name, fmt::format("expected no control characters (CloudEvents 1.0, 'String'), found "
                             "one at byte {}",
                             at));
  }

  // Of core.cloudevent by its name the data may be anything: whoever sends that means a trial.
  void check_payload(const Trigger& trigger, const Value& payload) {
    if (trigger.payload_schema.is_null() || trigger.ref == kAnyTrigger) return;
    for (const Problem& problem : validate_json(trigger.payload_schema, payload)) {
      if (problems_.size() < kMostProblems) report("data" + problem.path, problem.message);
    }
  }

  void check_not_ours(const engine::NewEvent& event, std::string_view names_trigger) {
    if (auto prefix = kernel::reserved_prefix(event.source); !prefix.empty()) {
      report("source", kernel::reserved_message(prefix));
    }
    auto instead = rules::fired_by_server(event.trigger);
    if (instead.empty()) return;
    report(names_trigger,
           fmt::format("'{}' is fired by the server alone: {}", event.trigger, instead));
  }

  std::string attribute(const Value& map, std::string_view name) {
    const Value* found = map.find(name);
    if (!found) return {};
    if (!found->is_string()) {
      report(name, fmt::format("expected string, found {}", found->type_name()));
      return {};
    }
    if (found->size() > kLongestAttribute) {
      report(name, fmt::format("longer than {} bytes", kLongestAttribute));
      return {};
    }
    if (size_t at = first_control(found->as_string()); at != std::string_view::npos) {
      report_control(name, at);
      return {};
    }
    return std::string(found->as_string());
  }

  std::string required(const Value& map, std::string_view name) {
    size_t before = problems_.size();
    auto text = attribute(map, name);
    if (text.empty() && problems_.size() == before) report(name, "missing");
    return text;
  }

  // Puts what data_base64 holds in the place of `data`, as if it had come as the body of a request.
  void take_data(Value& map) {
    const Value* encoded = map.find("data_base64");
    if (!encoded || encoded->is_null()) return;
    std::string bytes;
    if (map.find("data")) {
      report("data_base64", "stands beside data: only one may");
    } else if (!encoded->is_string() || !base64_decode(encoded->as_string(), bytes)) {
      report("data_base64", "expected base64");
    }
    map.mutable_map().erase("data_base64");
    const Value& declared = map["datacontenttype"];
    std::string content_type(declared.is_string() ? declared.as_string() : std::string_view());
    auto data = read_data(bytes, content_type);
    if (!data.ok()) return report("data_base64", data.error().message());
    if (*data) map.set("data", std::move(**data));
    // Without the charset that the text then no longer has.
    if (!charset_of(content_type).empty()) map.set("datacontenttype", media_type(content_type));
  }

  const engine::TenantCatalog& catalog_;
  std::string where_;
  std::vector<Problem>& problems_;
};

Result<std::vector<engine::NewEvent>> read_batch(const Value& list,
                                                 const engine::TenantCatalog& catalog) {
  if (!list.is_list()) return bad_event({{"", "expected array"}});
  if (list.size() > kLargestBatch) {
    return bad_event(
        {{"", fmt::format("expected at most {} events, found {}", kLargestBatch, list.size())}});
  }
  std::vector<engine::NewEvent> events;
  std::vector<Problem> problems;
  for (const auto& item : list.as_list()) {
    auto where = fmt::format("/{}", events.size());
    if (!item.is_map()) problems.push_back({where, "expected object"});
    events.push_back(Reader(catalog, where + '/', problems).read(item));
  }
  if (!problems.empty()) return bad_event(std::move(problems));
  return events;
}

Result<std::vector<engine::NewEvent>> read_one(Value map, std::string where,
                                               const engine::TenantCatalog& catalog) {
  if (!map.is_map()) return bad_event({{"", "expected object"}});
  std::vector<Problem> problems;
  std::vector<engine::NewEvent> events;
  events.push_back(Reader(catalog, std::move(where), problems).read(std::move(map)));
  if (!problems.empty()) return bad_event(std::move(problems));
  return events;
}

// What stands between the quotes of a quoted string (RFC 9110, 5.6.4); other text as it is.
std::string unquote(std::string_view text) {
  if (text.size() < 2 || !text.starts_with('"') || !text.ends_with('"')) return std::string(text);
  text = text.substr(1, text.size() - 2);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  return out;
}

// The attribute in a header: first without quotes, then without percent escapes (binding 3.1.3.2).
Result<void> add_attribute(Value& map, const std::string& header, std::string_view value) {
  std::string text;
  auto name = std::string_view(header).substr(3);
  if (!net::percent_decode(unquote(value), false, text)) {
    return bad_event({{header, "a broken percent escape"}});
  }
  if (!is_utf8(text)) {
    return bad_event({{header, "expected UTF-8 text, percent-encoded"}});
  }
  constexpr std::string_view kElsewhere[] = {"data", "data_base64", "datacontenttype"};
  if (std::ranges::find(kElsewhere, name) != std::end(kElsewhere)) {
    return bad_event({{header, "is no header: the data is the body, its type the Content-Type"}});
  }
  if (map.find(name)) return bad_event({{header, "stands twice: only one may"}});
  map.set(name, text);
  return {};
}

// The JSON form of a binary event.
Result<Value> from_headers(const net::HttpRequest& request, std::string_view type) {
  Value map = Value::map();
  for (const auto& [name, value] : request.headers.lines()) {
    auto lower = to_lower_ascii(name);
    if (lower.starts_with("ce-")) TRY(add_attribute(map, lower, value));
  }
  auto content_type = trim(request.headers.find("content-type"));
  auto charset = charset_of(content_type);
  if (!is_utf8(content_type)) {
    return bad_event({{"Content-Type", "expected UTF-8, found other bytes"}});
  }
  auto wrong = content_type.empty() ? "" : wrong_form("datacontenttype", content_type);
  if (!wrong.empty()) return bad_event({{"Content-Type", std::move(wrong)}});
  // Without the charset that the text then no longer has.
  if (!type.empty()) map.set("datacontenttype", charset.empty() ? content_type : type);
  if (request.body.empty()) return map;
  if (is_json(type)) {
    if (trim(request.body).empty()) return map;
    std::string decoded;
    TRY(std::string_view text, body_text(request, decoded));
    TRY(Value data, parse_json(text, kPayloadLimits));
    map.set("data", std::move(data));
  } else {
    TRY(check_not_encoded(request));
    TRY(auto data, read_data(request.body, content_type));
    if (data) map.set("data", std::move(*data));
  }
  return map;
}

}  // namespace

Result<std::vector<engine::NewEvent>> read_cloudevents(const net::HttpRequest& request,
                                                       const engine::TenantCatalog& catalog) {
  auto type = media_type(request.headers.find("content-type"));
  if (type == "application/cloudevents-batch+json") {
    std::string decoded;
    TRY(std::string_view text, body_text(request, decoded));
    TRY(Value list, parse_json(text, kPayloadLimits));
    return read_batch(list, catalog);
  }
  if (type == "application/cloudevents+json") {
    std::string decoded;
    TRY(std::string_view text, body_text(request, decoded));
    TRY(Value map, parse_json(text, kPayloadLimits));
    return read_one(std::move(map), "/", catalog);
  }
  if (!request.headers.contains("ce-specversion")) {
    return Error(ErrorKind::Unsupported, "API-0051",
                 "expected Content-Type: application/cloudevents+json, "
                 "application/cloudevents-batch+json, or ce-* headers");
  }
  TRY(Value map, from_headers(request, type));
  return read_one(std::move(map), "ce-", catalog);
}

}  // namespace millrace::api
