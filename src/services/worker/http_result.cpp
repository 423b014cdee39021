// SPDX-License-Identifier: Apache-2.0
#include "services/worker/http_result.h"

#include <fmt/format.h>

#include "base/charset.h"
#include "base/json.h"
#include "base/text.h"
#include "kernel/limits.h"
#include "net/content_coding.h"
#include "net/media_type.h"
#include "services/worker/mask.h"

namespace millrace::worker {
namespace {

constexpr JsonLimits kLimits{.max_depth = kernel::kStructuredDepth.most,
                             .max_bytes = kernel::kStructuredOutput.most};

// The data with a mask for each text that is a secret as a whole.
Value without_secrets(const Value& data, const SecretSet& secrets) {
  if (data.is_string()) {
    return secrets.contains(data.as_string()) ? Value(kMask) : data;
  }
  if (data.is_list()) {
    ValueList out;
    out.reserve(data.size());
    for (const Value& item : data.as_list()) out.push_back(without_secrets(item, secrets));
    return Value(std::move(out));
  }
  if (!data.is_map()) return data;
  Value out = Value::map();
  for (const auto& entry : data.as_map()) {
    out.set(entry.name(), without_secrets(entry.value, secrets));
  }
  return out;
}

class Body {
 public:
  Body(const net::ClientResponse& response, const SecretSet& secrets)
      : response_(response),
        secrets_(secrets),
        content_type_(response.find_header("Content-Type")),
        type_(net::media_type(content_type_)) {}

  void put(Value& result) const {
    auto content = net::decode_content(response_.body, response_.find_header("Content-Encoding"),
                                       kernel::kStructuredOutput.most);
    if (!content.ok()) return put_bytes(result, response_.body, content.error().message());
    auto text = to_utf8(*content, charset_of(*content));
    if (!text.ok()) {
      bool says_text = net::is_text(type_) || !net::charset_of(content_type_).empty();
      return put_bytes(result, *content, says_text ? text.error().message() : "");
    }
    if (!net::is_json(type_)) return put_text(result, *text);
    auto value = parse_json(*text, kLimits);
    if (value.ok()) {
      result.set("body", secrets_.empty() ? *std::move(value) : without_secrets(*value, secrets_));
    } else {
      put_text(result, *text);
      if (!text->empty()) result.set("body_error", value.error().message());
    }
  }

 private:
  std::string charset_of(std::string_view content) const {
    std::string named = net::charset_of(content_type_);
    if (!named.empty()) return named;
    bool is_marked = content.starts_with("\xFF\xFE") || content.starts_with("\xFE\xFF");
    return is_marked && net::is_text(type_) ? "utf-16" : "utf-8";
  }
  void put_text(Value& result, std::string_view text) const {
    result.set("body", masked(secrets_, text));
  }
  static void put_bytes(Value& result, std::string_view bytes, std::string_view error) {
    result.set("body", base64_encode(bytes));
    result.set("encoding", "base64");
    if (!error.empty()) result.set("body_error", error);
  }

  const net::ClientResponse& response_;
  const SecretSet& secrets_;
  std::string_view content_type_;
  std::string type_;
};

// A header is bytes; those of the past are ISO-8859-1 (RFC 9110, 5.5).
std::string header_text(std::string_view bytes) {
  if (is_utf8(bytes)) return std::string(bytes);
  auto text = to_utf8(bytes, "iso-8859-1");
  return text.ok() ? *std::move(text) : std::string();  // may fail: never, each byte is a letter
}

}  // namespace

Value http_result(const net::ClientResponse& response, const std::vector<std::string>& secrets,
                  int64_t elapsed_ms) {
  SecretSet set(secrets);
  Value headers = Value::map();
  for (const auto& [name, bytes] : response.headers) {
    std::string value = masked(set, header_text(bytes));
    if (const Value* before = headers.find(name)) {
      value = fmt::format("{}, {}", before->as_string(), value);
    }
    headers.set(name, value);
  }
  Value result = Value::map({{"status_code", response.status}, {"headers", std::move(headers)}});
  Body(response, set).put(result);
  result.set("elapsed_ms", elapsed_ms);
  return result;
}

}  // namespace millrace::worker
