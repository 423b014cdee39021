// SPDX-License-Identifier: Apache-2.0
#include "rules/webhook.h"

#include <fmt/format.h>

#include "base/text.h"

namespace millrace::rules {

namespace {

constexpr size_t kLongestWebhookName = 200;
constexpr std::string_view kOfUrls =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-";

}  // namespace

std::string_view webhook_name(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

std::string webhook_name_fault(std::string_view name) {
  if (name.size() > kLongestWebhookName) {
    return fmt::format("expected at most {} bytes, found {}", kLongestWebhookName, name.size());
  }
  if (name == kAnyTriggersWebhook) return "'st2' takes what any trigger fires: expected another";
  for (auto part : split(name, '/')) {
    if (part == "." || part == "..") return "expected no part '.' or '..'";
    if (!part.empty() && part.find_first_not_of(kOfUrls) == std::string_view::npos) continue;
    return "expected a name of letters, digits, '.', '_', '~' and '-', in parts with '/' between "
           "them";
  }
  return {};
}

std::string_view webhook_of_rule(const RuleSpec& spec) {
  if (spec.trigger != kStackstormWebhook || !spec.trigger_parameters.is_map()) return {};
  const Value* url = spec.trigger_parameters.find("url");
  if (!url || !url->is_string()) return {};
  auto name = webhook_name(url->as_string());
  return webhook_name_fault(name).empty() ? name : std::string_view();
}

}  // namespace millrace::rules
