// SPDX-License-Identifier: Apache-2.0
#include "services/api/webhook_event.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "auth/crypto.h"
#include "auth/signed_form.h"
#include "base/charset.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/transitions/commands.h"
#include "kernel/event_source.h"
#include "rules/webhook.h"
#include "services/api/admission.h"
#include "services/api/parse.h"

namespace millrace::api {
namespace {

constexpr size_t kLongestDeliveryId = 256;

constexpr std::string_view kTokenHeaders[] = {"content-type", "user-agent"};

// The body as a value, and its JSON text: the bytes as they came where they are JSON.
struct Body {
  Value value;
  std::string_view json;  // into the request, or into `made`
  std::string made;
};

Result<void> check_utf8(std::string_view text) {
  if (is_utf8(text)) return {};
  return to_utf8(text, "utf-8").error();
}

// A name or a value of a form: in the form's charset, the bytes behind percent escapes too.
Result<std::string> field_text(std::string bytes, std::string_view charset,
                               std::string_view field) {
  auto text = charset == "utf-8" && is_utf8(bytes) ? Result<std::string>(std::move(bytes))
                                                   : to_utf8(bytes, charset);
  if (text.ok() || text.error().kind() == ErrorKind::Unsupported) return text;
  return Error(
      text.error().kind(), "API-0060",
      fmt::format("the form's field '{}': {}", repair_utf8(field).text, text.error().message()));
}

// StackStorm's rules read each field as a list, and what GitHub has in `payload` as its text.
enum class FormStyle : uint8_t { Ours, Stackstorm };

Result<Value> form_value(std::string_view text, std::string_view charset, FormStyle style) {
  if (charset.starts_with("utf-16")) {
    return Error(ErrorKind::Unsupported, "API-0061",
                 fmt::format("a form: expected a charset whose characters begin with ASCII, such "
                             "as utf-8, found '{}'",
                             charset));
  }
  if (size_t found = net::query_fields(text); found > net::kMostQueryFields) {
    return Error(ErrorKind::Invalid, "API-0060",
                 fmt::format("expected at most {} fields in a form, found {}",
                             net::kMostQueryFields, found));
  }
  std::vector<std::pair<std::string, std::string>> fields;
  if (!net::parse_query(text, fields)) {
    return Error(ErrorKind::Invalid, "API-0060", "the form's body has a broken percent escape");
  }
  for (auto& [name, value] : fields) {
    std::string field = name;
    TRY(name, field_text(std::move(name), charset, field));
    TRY(value, field_text(std::move(value), charset, field));
  }
  // Senders of JSON that may also send a form put it there; other text is a field as any other.
  if (style == FormStyle::Ours && fields.size() == 1 && fields.front().first == "payload") {
    auto payload = trim(fields.front().second);
    bool is_meant = payload.starts_with('{') || payload.starts_with('[');
    if (is_meant) return parse_json(payload, kPayloadLimits);
  }
  // In the order in which their names came first; a field that is repeated is a list.
  std::vector<std::pair<std::string, ValueList>> named;
  std::map<std::string, size_t> places;
  for (auto& [name, value] : fields) {
    auto [place, is_new] = places.try_emplace(name, named.size());
    if (is_new && named.size() >= kPayloadLimits.max_keys) {
      return Error(
          ErrorKind::Invalid, "API-0060",
          fmt::format("expected at most {} names of fields in a form", kPayloadLimits.max_keys));
    }
    if (is_new) named.emplace_back(name, ValueList());
    named[place->second].second.emplace_back(std::move(value));
  }
  Value map = Value::map();
  for (auto& [name, values] : named) {
    bool is_one = style == FormStyle::Ours && values.size() == 1;
    map.set(name, is_one ? std::move(values[0]) : Value(std::move(values)));
  }
  return map;
}

Result<Body> read_body(const net::HttpRequest& request, FormStyle style) {
  Body body;
  auto content_type = request.headers.find("content-type");
  auto type = media_type(content_type);
  auto charset = charset_of(content_type);
  if (charset.empty() || charset == "utf8") charset = "utf-8";
  bool is_form = type == "application/x-www-form-urlencoded";
  std::string decoded;
  std::string_view text = request.body;
  if (is_form && charset != "utf-8") {
    TRY(check_not_encoded(request));  // its parts are decoded, when they are apart
  } else {
    TRY(text, body_text(request, decoded));
  }
  if (text.empty()) {
    body.made = "null";
    return body;
  }
  if (is_json(type) || type.empty()) {
    TRY(body.value, parse_json(text, kPayloadLimits));
    body.json = trim(text);
    if (!decoded.empty()) body.made = body.json;
    return body;
  }
  if (is_form) {
    TRY(body.value, form_value(text, charset, style));
  } else if (type.starts_with("text/")) {
    TRY(check_utf8(text));
    body.value = Value(text);
  } else {
    return Error(ErrorKind::Unsupported, "API-0061",
                 fmt::format("expected Content-Type application/json, "
                             "application/x-www-form-urlencoded or text, found '{}'",
                             type));
  }
  body.made = to_json(body.value);
  return body;
}

std::string hash_of(std::string_view text) {
  return hex_encode(auth::bytes_of(auth::sha256(text)));
}

// The sender's id of what it delivers, the same when it tries again; empty: it gives none. Points
// into the request or the body.
Result<std::string_view> delivery_id(const auth::SignatureScheme* scheme,
                                     const net::HttpRequest& request, const Value& body) {
  if (!scheme) return std::string_view();
  auto check = [](std::string_view where, std::string_view id) -> Result<std::string_view> {
    if (id.size() <= kLongestDeliveryId) return id;
    return Error(ErrorKind::Invalid, "API-0060",
                 fmt::format("{}: expected at most {} bytes, found {}", where, kLongestDeliveryId,
                             id.size()));
  };
  if (!scheme->id_header.empty()) {
    return check(scheme->id_header, request.headers.find(scheme->id_header));
  }
  if (scheme->id_member.empty()) return std::string_view();
  const Value* id = &body;
  for (auto part : split(scheme->id_member, '.')) {
    id = id->is_map() ? id->find(part) : nullptr;
    if (!id) return std::string_view();
  }
  if (!id->is_string()) return std::string_view();
  return check(scheme->id_member, id->as_string());
}

// What tells a second delivery of the same from a new one. A sender that gives no id signs anew
// with the time of each try, but sends the same body.
std::string delivery_key(const auth::SignatureScheme* scheme, const net::HttpRequest& request,
                         std::string_view id) {
  if (!id.empty() || !scheme || !scheme->signs_time()) return std::string(id);
  return "sha256:" + hash_of(request.body);
}

// `x-github-event` is `X-Github-Event`, as StackStorm's rules read it.
std::string capitalized(std::string_view header) {
  std::string text(header);
  for (size_t i = 0; i < text.size(); ++i) {
    bool begins = i == 0 || text[i - 1] == '-';
    if (begins && text[i] >= 'a' && text[i] <= 'z') text[i] = static_cast<char>(text[i] - 32);
  }
  return text;
}

// Whether a header may hold a credential. What its scheme allows is asked before.
bool may_be_secret(std::string_view header) {
  constexpr std::string_view kWords[] = {"authorization", "cookie",   "token",     "secret",
                                         "password",      "passwd",   "api-key",   "apikey",
                                         "access-key",    "auth-key", "signature", "credential"};
  if (header.starts_with("proxy-")) return true;
  return std::ranges::any_of(kWords, [&](auto word) { return header.contains(word); });
}

void append_field(std::string& json, std::string_view name, std::string_view text) {
  append_json_string(json, name);
  json += ':';
  append_json_string(json, text);
}

Result<Value> event_headers(const auth::SignatureScheme* scheme, const net::HttpRequest& request,
                            bool is_stackstorm) {
  auto allowed = scheme ? scheme->event_headers : std::span<const std::string_view>(kTokenHeaders);
  Value headers = Value::map();
  for (auto name : allowed) {
    auto value = request.headers.find(name);
    if (!is_utf8(value)) {
      return Error(ErrorKind::Invalid, "API-0060",
                   fmt::format("the header {}: expected UTF-8, found other bytes", name));
    }
    if (value.empty()) continue;
    headers.set(is_stackstorm ? capitalized(name) : std::string(name), value);
  }
  if (!is_stackstorm) return headers;
  for (const auto& [written, value] : request.headers.lines()) {
    auto name = to_lower_ascii(written);
    bool is_signature = scheme && name == scheme->signature_header;
    if (is_signature || may_be_secret(name) || !is_utf8(value)) continue;
    auto shown = capitalized(name);
    if (!headers.find(shown)) headers.set(shown, value);
  }
  return headers;
}

// Whatever has the same signature is the same delivery: a form that is signed by its fields can be
// written in many ways.
std::string body_hash(const kernel::WebhookRow& endpoint, const auth::SignatureScheme& scheme,
                      const net::HttpRequest& request) {
  if (!scheme.signs("{form}")) return hash_of(request.body);
  auto text = signed_url(endpoint, request);
  bool is_form =
      media_type(request.headers.find("content-type")) == "application/x-www-form-urlencoded";
  if (is_form) text += auth::sorted_form(request.body).value_or("");
  return hash_of(text);
}

}  // namespace

std::string signed_url(const kernel::WebhookRow& endpoint, const net::HttpRequest& request) {
  auto query = request.target.find('?');
  if (query == std::string_view::npos) return endpoint.url;
  return endpoint.url + std::string(request.target.substr(query));
}

Result<engine::NewEvent> webhook_event(const kernel::WebhookRow& endpoint,
                                       const auth::SignatureScheme* scheme,
                                       const net::HttpRequest& request) {
  bool is_stackstorm = endpoint.trigger == rules::kStackstormWebhook;
  TRY(auto body, read_body(request, is_stackstorm ? FormStyle::Stackstorm : FormStyle::Ours));
  if (!body.made.empty()) body.json = body.made;
  TRY(auto delivery, delivery_id(scheme, request, body.value));
  TRY(Value headers, event_headers(scheme, request, is_stackstorm));

  engine::NewEvent event;
  event.trigger = endpoint.trigger;
  event.sender = engine::Sender::Hook;
  event.endpoint = endpoint.id;
  event.source = kernel::own_source(kernel::SourceKind::Webhook, endpoint.name);
  event.source_id = delivery_key(scheme, request, delivery);
  event.type = event.source;
  std::string_view named = is_stackstorm ? "url" : "name";
  event.trigger_parameters = Value::map({{named, endpoint.name}});
  if (scheme && scheme->needs_body_dedupe())
    event.body_hash = body_hash(endpoint, *scheme, request);
  // The text is put together around the body as it came: no second encoding of what is large.
  auto& json = event.payload_json;
  json.reserve(body.json.size() + 512);
  json += '{';
  append_field(json, "name", endpoint.name);
  json += ',';
  append_field(json, "scheme", endpoint.scheme);
  json += R"(,"headers":)";
  append_json(json, headers);
  json += ',';
  append_field(json, "delivery", delivery);
  json += R"(,"body":)";
  json += body.json;
  json += '}';
  event.payload = Value::map({{"name", endpoint.name},
                              {"scheme", endpoint.scheme},
                              {"headers", std::move(headers)},
                              {"delivery", delivery},
                              {"body", std::move(body.value)}});
  return event;
}

}  // namespace millrace::api
