// SPDX-License-Identifier: Apache-2.0
#include "telemetry/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/result.h"

namespace millrace::telemetry {
namespace {

// [a-zA-Z_:][a-zA-Z0-9_:]*
bool is_metric_name(std::string_view name) {
  auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
  };
  auto allowed = [&](char c) { return letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && letter(name[0]) && std::ranges::all_of(name, allowed);
}

std::string escape(std::string_view text, bool quotes) {
  std::string out;
  for (char c : text) {
    if (c == '\\') out += "\\\\";
    if (c == '\n') out += "\\n";
    if (c == '"') out += quotes ? "\\\"" : "\"";
    if (c != '\\' && c != '\n' && c != '"') out += c;
  }
  return out;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// `a="1",b="2"`
std::string label_text(const Labels& labels) {
  std::string out;
  for (const auto& [key, value] : labels) {
    ASSERT_MSG(is_metric_name(key), "a label's name");
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", key, escape(value, true));
  }
  return out;
}

std::string in_braces(std::string_view labels) {
  return labels.empty() ? "" : fmt::format("{{{}}}", labels);
}

void append_histogram(std::string& out, std::string_view name, std::string_view labels,
                      const Histogram& histogram) {
  uint64_t count = 0;
  for (size_t i = 0; i <= histogram.bounds().size(); ++i) {
    count += histogram.bucket(i);
    bool last = i == histogram.bounds().size();
    out += fmt::format("{}_bucket{{{}{}le=\"{}\"}} {}\n", name, labels, labels.empty() ? "" : ",",
                       last ? "+Inf" : number(histogram.bounds()[i]), count);
  }
  out += fmt::format("{}_sum{} {}\n", name, in_braces(labels), number(histogram.sum()));
  out += fmt::format("{}_count{} {}\n", name, in_braces(labels), count);
}

}  // namespace

Histogram::Histogram(std::span<const double> upper_bounds)
    : bounds_(upper_bounds.begin(), upper_bounds.end()),
      buckets_(std::make_unique<std::atomic<uint64_t>[]>(bounds_.size() + 1)) {
  ASSERT(std::ranges::is_sorted(bounds_));
}

void Histogram::observe(double value) {
  // Few buckets, and most values fall into the first ones.
  size_t i = 0;
  while (i < bounds_.size() && value > bounds_[i]) ++i;
  buckets_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

// One of the four is set.
struct Registry::Series {
  std::unique_ptr<Counter> counter;
  std::unique_ptr<Gauge> gauge;
  std::unique_ptr<Histogram> histogram;
  std::function<double()> read;
};

struct Registry::Family {
  Type type;
  std::string help;
  std::map<std::string, Series> series;  // by their labels
};

Registry::Registry() = default;
Registry::~Registry() = default;

Registry::Series& Registry::series(Type type, std::string_view name, std::string_view help,
                                   const Labels& labels) {
  ASSERT_MSG(is_metric_name(name), name);
  ASSERT_MSG(name.ends_with("_total") == (type == Type::Counter), name);
  auto [family, is_new] = families_.try_emplace(std::string(name), Family{type, {}, {}});
  if (is_new) family->second.help = help;
  ASSERT_MSG(family->second.type == type, name);
  return family->second.series[label_text(labels)];
}

Counter& Registry::counter(std::string_view name, std::string_view help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  auto& counter = series(Type::Counter, name, help, labels).counter;
  if (!counter) counter = std::make_unique<Counter>();
  return *counter;
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  auto& gauge = series(Type::Gauge, name, help, labels).gauge;
  if (!gauge) gauge = std::make_unique<Gauge>();
  return *gauge;
}

Histogram& Registry::histogram(std::string_view name, std::string_view help,
                               std::span<const double> upper_bounds, const Labels& labels) {
  std::lock_guard lock(mutex_);
  auto& histogram = series(Type::Histogram, name, help, labels).histogram;
  if (!histogram) histogram = std::make_unique<Histogram>(upper_bounds);
  return *histogram;
}

void Registry::counter_from(std::string_view name, std::string_view help,
                            std::function<double()> read) {
  std::lock_guard lock(mutex_);
  series(Type::Counter, name, help, {}).read = std::move(read);
}

void Registry::gauge_from(std::string_view name, std::string_view help,
                          std::function<double()> read) {
  std::lock_guard lock(mutex_);
  series(Type::Gauge, name, help, {}).read = std::move(read);
}

std::string Registry::expose() const {
  static constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
  std::lock_guard lock(mutex_);
  std::string out;
  for (const auto& [name, family] : families_) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escape(family.help, false), name,
                       kTypes[static_cast<size_t>(family.type)]);
    for (const auto& [labels, one] : family.series) {
      if (one.histogram) {
        append_histogram(out, name, labels, *one.histogram);
        continue;
      }
      out += name + in_braces(labels) + ' ';
      if (one.counter) out += std::to_string(one.counter->value());
      if (one.gauge) out += std::to_string(one.gauge->value());
      if (one.read) out += number(one.read());
      out += '\n';
    }
  }
  return out;
}

}  // namespace millrace::telemetry
