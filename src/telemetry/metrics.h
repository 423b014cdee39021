// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Metrics in Prometheus' terms and text format. Whoever counts keeps a reference to its metric:
// an update is one or two relaxed atomic operations (5 to 20 ns), without a look-up or a lock.
// (prometheus-cpp counts in doubles by compare-and-swap and locks a mutex per observation.)
namespace millrace::telemetry {

// Only rises. Thread-safe, as are the others.
class alignas(64) Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_ = 0;
};

class alignas(64) Gauge {
 public:
  void set(int64_t n) { value_.store(n, std::memory_order_relaxed); }
  void add(int64_t n) { value_.fetch_add(n, std::memory_order_relaxed); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_ = 0;
};

class alignas(64) Histogram {
 public:
  explicit Histogram(std::span<const double> upper_bounds);
  void observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  uint64_t bucket(size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<uint64_t>[]> buckets_;  // one more than bounds: above the last
  std::atomic<double> sum_ = 0;
};

// Seconds: from half a millisecond to half a minute.
inline constexpr double kDurationBounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                             0.25,   0.5,   1,      2.5,   5,    10,    30};
// Bytes: from 256 B to 16 MiB.
inline constexpr double kSizeBounds[] = {256, 1024, 4096, 16384, 65536, 262144, 1048576, 16777216};
// Counts: batch sizes, queue lengths.
inline constexpr double kCountBounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

// All metrics of a process; they live as long as the registry. The same name and labels give the
// same metric. A name is `millrace_` + what + unit (`_seconds`, `_bytes`), counters end in
// `_total`; a wrong or a reused name is a programmer's mistake (ASSERT).
class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help,
                       std::span<const double> upper_bounds, const Labels& labels = {});
  // Values that are read when somebody asks; `read` is called by the thread that calls expose.
  void counter_from(std::string_view name, std::string_view help, std::function<double()> read);
  void gauge_from(std::string_view name, std::string_view help, std::function<double()> read);

  // The text exposition format 0.0.4, families in order of their names.
  std::string expose() const;

 private:
  struct Family;
  struct Series;
  enum class Type : uint8_t { Counter, Gauge, Histogram };
  Series& series(Type type, std::string_view name, std::string_view help, const Labels& labels);

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;
};

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// CPU seconds, resident memory, open file descriptors, start time: Prometheus' standard names.
void add_process_metrics(Registry& registry);

}  // namespace millrace::telemetry
