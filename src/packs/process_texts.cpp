// SPDX-License-Identifier: Apache-2.0
#include "packs/process_texts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/excerpt.h"
#include "base/json.h"
#include "base/json_schema.h"
#include "packs/parameters.h"

namespace millrace::packs {
namespace {

constexpr size_t kLongestWord = 131'071;  // Linux: MAX_ARG_STRLEN without its NUL
constexpr size_t kLongestPath = 4095;     // PATH_MAX

// As the worker writes it: the entries of a list beside each other, so that a NUL stays one.
std::string word_of(const Value& value) {
  if (value.is_string()) return std::string(value.as_string());
  if (value.is_list()) {
    std::string out;
    for (const Value& entry : value.as_list()) out += word_of(entry) + ',';
    if (!out.empty()) out.pop_back();
    return out;
  }
  return value.is_null() ? std::string() : to_json(value);
}

std::string c_string_fault(std::string_view text, size_t longest) {
  if (size_t at = text.find('\0'); at != std::string_view::npos) {
    return fmt::format(
        "expected text that a process can be given, found a NUL character at byte {}", at);
  }
  if (text.size() <= longest) return {};
  return fmt::format(
      "expected at most {} bytes, which is what Linux gives a process in one piece, "
      "found {}",
      longest, text.size());
}

bool is_header_name(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  auto is_allowed = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.contains(c);
  };
  return !name.empty() && std::ranges::all_of(name, is_allowed);
}

bool is_control(char c) {
  auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

class Texts {
 public:
  Texts(const Value& values, Problems& problems) : values_(values), problems_(problems) {}

  void word(std::string_view name, size_t longest) {
    if (const Value* value = values_.find(name)) {
      add(name, c_string_fault(word_of(*value), longest));
    }
  }

  void env() {
    const Value& env = values_["env"];
    if (!env.is_map()) return;
    for (const auto& entry : env.as_map())
      add("env", env_fault(entry.name(), word_of(entry.value)));
  }

  void url() {
    const Value& url = values_["url"];
    if (!url.is_string()) return;
    auto is_foreign = [](char c) { return is_control(c) || c == ' ' || c == '\t'; };
    if (std::ranges::any_of(url.as_string(), is_foreign)) {
      add("url", "expected no spaces or control characters (write them as %20)");
    }
  }

  void headers() {
    const Value& headers = values_["headers"];
    if (!headers.is_map()) return;
    for (const auto& entry : headers.as_map()) {
      std::string shown = json_excerpt(entry.name(), 64);
      if (!is_header_name(entry.name())) {
        add("headers", fmt::format("{} is no name of a header", shown));
      } else if (std::ranges::any_of(word_of(entry.value), is_control)) {
        add("headers", fmt::format("{}: expected no control characters in its value", shown));
      }
    }
  }

 private:
  void add(std::string_view name, std::string fault) {
    if (!fault.empty() && !problems_.full()) {
      problems_.add(json_pointer("", name), std::move(fault));
    }
  }

  const Value& values_;
  Problems& problems_;
};

}  // namespace

std::string env_fault(std::string_view name, std::string_view value) {
  std::string shown = json_excerpt(name, 64);
  if (name.empty()) return "expected a name, found an empty one";
  if (name.find_first_of(std::string_view("=\0", 2)) != std::string_view::npos) {
    return fmt::format("{} is no name of a variable: expected one without '=' and NUL", shown);
  }
  if (name.starts_with("MILLRACE_")) {
    return fmt::format("{} may not be set: what begins with MILLRACE_ is the server's", shown);
  }
  constexpr size_t kEquals = 1;
  auto fault =
      c_string_fault(value, kLongestWord - kEquals - std::min(name.size(), kLongestWord - 1));
  return fault.empty() ? fault : fmt::format("{}: {}", shown, fault);
}

void check_process_texts(const Action& action, const Value& values, Problems& problems) {
  Texts texts(values, problems);
  if (action.runner == Runner::Http) {
    texts.url();
    texts.headers();
  }
  if (action.runner != Runner::Shell && action.runner != Runner::Script) return;
  if (action.runner == Runner::Shell) texts.word("cmd", kLongestWord);
  for (const auto& name : argument_names(action)) texts.word(name, kLongestWord);
  texts.word("cwd", kLongestPath);
  texts.env();
}

}  // namespace millrace::packs
