// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace millrace {
namespace {

class CaptureSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CaptureSink(std::function<void(std::string_view)> take) : take_(std::move(take)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    take_(std::string_view(msg.payload.data(), msg.payload.size()));
  }
  void flush_() override {}

  std::function<void(std::string_view)> take_;
};

// The process's sink. Lines come finished; spdlog only writes them.
struct Sink {
  std::shared_ptr<spdlog::logger> logger;
  LogFormat format;
};

std::unique_ptr<const Sink> make_sink(spdlog::sink_ptr target, LogFormat format) {
  auto logger = std::make_shared<spdlog::logger>("millrace", std::move(target));
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
  logger->set_level(spdlog::level::trace);
  logger->flush_on(spdlog::level::trace);
  return std::make_unique<const Sink>(Sink{std::move(logger), format});
}

std::atomic<LogLevel> g_level{LogLevel::Warn};

// Sinks are never destroyed: other threads may still write to an old one, and threads log until
// the process ends. The log is opened once or twice in a process's life.
class Sinks {
 public:
  Sinks() { use(make_sink(std::make_shared<spdlog::sinks::stderr_sink_mt>(), LogFormat::Text)); }
  void use(std::unique_ptr<const Sink> sink) {
    std::lock_guard lock(mutex_);
    current_ = sink.get();
    all_.push_back(std::move(sink));
  }
  const Sink& current() const { return *current_.load(std::memory_order_acquire); }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<const Sink>> all_;
  std::atomic<const Sink*> current_;
};

Sinks& sinks() {
  static auto& all = *new Sinks;
  return all;
}

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

// The character at `i` if a terminal obeys it or shows what follows in another order: DEL, C1, the
// marks, embeddings, overrides and isolates of right-to-left text (Unicode's Bidi_Control), and the
// ends of lines and paragraphs that are no control characters. 0: another one.
uint32_t unseen_at(std::string_view text, size_t i, size_t& bytes) {
  auto byte = [&](size_t k) -> uint32_t {
    return i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0;
  };
  bytes = byte(0) == 0x7F ? 1 : byte(0) == 0xE2 ? 3 : 2;
  uint32_t c = 0;
  if (bytes == 1) return 0x7F;
  if (byte(0) == 0xC2 || byte(0) == 0xD8) c = (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
  if (bytes == 3) c = (byte(0) & 0xF) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
  bool is_unseen = (c >= 0x80 && c < 0xA0) || c == 0x61C || c == 0x200E || c == 0x200F ||
                   (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  return is_unseen ? c : 0;
}

bool has_unseen(std::string_view text) {
  size_t bytes = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (unseen_at(text, i, bytes) != 0) return true;
  }
  return false;
}

// A finished line, in which they stand only in JSON strings.
std::string escaped(std::string line) {
  if (!has_unseen(line)) return line;
  std::string out;
  for (size_t i = 0; i < line.size();) {
    size_t bytes = 0;
    if (uint32_t c = unseen_at(line, i, bytes)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
      i += bytes;
    } else {
      out += line[i++];
    }
  }
  return out;
}

void append_json_field(std::string& out, const LogField& field) {
  out += ',';
  append_json_string(out, field.key());
  out += ':';
  switch (field.kind()) {
    case LogField::Kind::Bool: out += field.integer() != 0 ? "true" : "false"; break;
    case LogField::Kind::Int: out += fmt::format_int(field.integer()).c_str(); break;
    case LogField::Kind::Float: append_json(out, Value(field.real())); break;
    case LogField::Kind::Text: append_json_string(out, field.text()); break;
    case LogField::Kind::Id: fmt::format_to(std::back_inserter(out), "\"{}\"", field.integer());
  }
}

std::string json_line(LogLevel level, std::string_view event, LogFields fields,
                      const Error* error) {
  std::string out =
      fmt::format(R"({{"time":"{}","level":"{}","event":)", to_rfc3339(now_ms()), to_string(level));
  append_json_string(out, event);
  for (const LogField& field : fields) append_json_field(out, field);
  if (error != nullptr) {
    append_json_field(out, {"code", error->code()});
    append_json_field(out, {"error", error->message()});
    Value problems = Value::list();
    for (const Problem& problem : error->problems()) {
      problems.push_back(Value::map({{"path", problem.path}, {"message", problem.message}}));
    }
    if (problems.size() > 0) out += ",\"problems\":" + to_json(problems);
  }
  return out + '}';
}

// A value that holds a space, a quote, a control character or bytes that are no text is written as
// a JSON string: one event stays one line, and a terminal obeys none of it.
void append_text_field(std::string& out, const LogField& field) {
  fmt::format_to(std::back_inserter(out), " {}=", field.key());
  switch (field.kind()) {
    case LogField::Kind::Bool: out += field.integer() != 0 ? "true" : "false"; break;
    case LogField::Kind::Float: append_json(out, Value(field.real())); break;
    case LogField::Kind::Int:
    case LogField::Kind::Id: out += fmt::format_int(field.integer()).c_str(); break;
    case LogField::Kind::Text: {
      auto special = [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '"'; };
      bool plain = !field.text().empty() && std::ranges::none_of(field.text(), special) &&
                   !has_unseen(field.text()) && is_utf8(field.text());
      if (plain) {
        out += field.text();
      } else {
        append_json_string(out, field.text());
      }
    }
  }
}

std::string text_line(LogLevel level, std::string_view event, LogFields fields,
                      const Error* error) {
  std::string out = fmt::format("{} {:5} {}", to_rfc3339(now_ms()), to_string(level), event);
  for (const LogField& field : fields) append_text_field(out, field);
  if (error != nullptr) append_text_field(out, {"error", error->describe()});
  return out;
}

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::Debug: return "debug";
    case LogLevel::Info: return "info";
    case LogLevel::Warn: return "warn";
    case LogLevel::Error: return "error";
  }
  return "unknown";
}

std::string_view to_string(LogFormat format) {
  switch (format) {
    case LogFormat::Json: return "json";
    case LogFormat::Text: return "text";
  }
  return "unknown";
}

Result<void> open_log(const LogOptions& options) {
  spdlog::sink_ptr target;
  try {
    if (options.capture) {
      target = std::make_shared<CaptureSink>(options.capture);
    } else if (options.file.empty()) {
      target = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      target = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    }
  } catch (const spdlog::spdlog_ex& e) {
    return Error(ErrorKind::Unavailable, "BAS-0007",
                 fmt::format("log file '{}' cannot be opened: {}", options.file, e.what()));
  }
  sinks().use(make_sink(std::move(target), options.format));
  g_level = options.level;
  return {};
}

void set_log_level(LogLevel level) { g_level = level; }

bool log_enabled(LogLevel level) { return level >= g_level.load(std::memory_order_relaxed); }

void write_log(LogLevel level, std::string_view event, LogFields fields, const Error* error) {
  if (!log_enabled(level)) return;
  const Sink& sink = sinks().current();
  std::string line =
      escaped(sink.format == LogFormat::Json ? json_line(level, event, fields, error)
                                             : text_line(level, event, fields, error));
  sink.logger->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace millrace
