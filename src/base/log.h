// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"

// Structured logs: an event name (`worker.opened`: a noun and what happened, dotted) and
// key-values with the ids. One line per event, JSON for machines or text for a terminal.
//
//   log_info("execution.started", {{"execution", key.execution}, {"attempt", key.attempt}});
//
// The sink is the process's own (like stderr is): the only global state of the code base, set
// once by open_log. Before that warnings and errors go to stderr as text. Thread-safe.
namespace millrace {

enum class LogLevel : uint8_t { Debug, Info, Warn, Error };
enum class LogFormat : uint8_t { Json, Text };
std::string_view to_string(LogLevel level);
std::string_view to_string(LogFormat format);

struct LogOptions {
  LogLevel level = LogLevel::Info;
  LogFormat format = LogFormat::Json;
  std::string file;                                    // "" is stderr
  std::function<void(std::string_view line)> capture;  // of tests: takes the place of the file
};

// Errors (Unavailable, BAS-0007): the file cannot be opened.
Result<void> open_log(const LogOptions& options);
void set_log_level(LogLevel level);
bool log_enabled(LogLevel level);

// One key-value; holds views, so it lives only as long as the call.
class LogField {
 public:
  enum class Kind : uint8_t { Bool, Int, Float, Text, Id };

  template <typename T>
    requires std::is_arithmetic_v<T>
  LogField(std::string_view key, T number) : key_(key) {
    if constexpr (std::is_same_v<T, bool>) {
      kind_ = Kind::Bool;
      integer_ = number ? 1 : 0;
    } else if constexpr (std::is_integral_v<T>) {
      kind_ = Kind::Int;
      integer_ = static_cast<int64_t>(number);
    } else {
      kind_ = Kind::Float;
      real_ = static_cast<double>(number);
    }
  }
  template <typename Tag>
  LogField(std::string_view key, Id<Tag> id) : key_(key), kind_(Kind::Id), integer_(id.value) {}
  LogField(std::string_view key, std::string_view text)
      : key_(key), kind_(Kind::Text), text_(text) {}
  LogField(std::string_view key, const std::string& text) : LogField(key, std::string_view(text)) {}
  LogField(std::string_view key, const char* text) : LogField(key, std::string_view(text)) {}
  LogField(std::string_view key, const Secret& secret) = delete;

  std::string_view key() const { return key_; }
  Kind kind() const { return kind_; }
  int64_t integer() const { return integer_; }
  double real() const { return real_; }
  std::string_view text() const { return text_; }

 private:
  std::string_view key_;
  Kind kind_;
  union {
    int64_t integer_;
    double real_;
    std::string_view text_;
  };
};

using LogFields = std::initializer_list<LogField>;

void write_log(LogLevel level, std::string_view event, LogFields fields,
               const Error* error = nullptr);

inline void log_debug(std::string_view event, LogFields fields = {}) {
  if (log_enabled(LogLevel::Debug)) write_log(LogLevel::Debug, event, fields);
}
inline void log_info(std::string_view event, LogFields fields = {}) {
  if (log_enabled(LogLevel::Info)) write_log(LogLevel::Info, event, fields);
}
// `error` adds its code, message and problems.
inline void log_warn(std::string_view event, LogFields fields = {}) {
  write_log(LogLevel::Warn, event, fields);
}
inline void log_warn(std::string_view event, const Error& error, LogFields fields = {}) {
  write_log(LogLevel::Warn, event, fields, &error);
}
inline void log_error(std::string_view event, LogFields fields = {}) {
  write_log(LogLevel::Error, event, fields);
}
inline void log_error(std::string_view event, const Error& error, LogFields fields = {}) {
  write_log(LogLevel::Error, event, fields, &error);
}

}  // namespace millrace
