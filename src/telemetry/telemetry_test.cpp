// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <thread>

#include "telemetry/metrics.h"
#include "telemetry/trace.h"

namespace millrace::telemetry {
namespace {

TEST(Metrics, ExpositionIsPrometheusText) {
  Registry registry;
  registry.counter("b_total", "Events \"taken\".\nAll of them.").add(3);
  registry.gauge("a_bytes", "Size.", {{"kind", "x\"y\\z\n"}}).set(-5);
  registry.gauge("a_bytes", "Size.", {{"kind", "b"}, {"on", "d"}}).set(7);
  registry.gauge_from("c_seconds", "Age.", [] { return 1.5; });
  EXPECT_EQ(registry.expose(),
            "# HELP a_bytes Size.\n# TYPE a_bytes gauge\n"
            "a_bytes{kind=\"b\",on=\"d\"} 7\n"
            "a_bytes{kind=\"x\\\"y\\\\z\\n\"} -5\n"
            "# HELP b_total Events \"taken\".\\nAll of them.\n# TYPE b_total counter\n"
            "b_total 3\n"
            "# HELP c_seconds Age.\n# TYPE c_seconds gauge\nc_seconds 1.5\n");
}

TEST(Metrics, HistogramBucketsAreCumulativeAndBoundsInclusive) {
  Registry registry;
  const double bounds[] = {0.5, 1};
  Histogram& histogram = registry.histogram("h_seconds", "Times.", bounds, {{"x", "y"}});
  for (double value : {0.25, 0.5, 0.75, 8.0}) histogram.observe(value);
  EXPECT_EQ(registry.expose(),
            "# HELP h_seconds Times.\n# TYPE h_seconds histogram\n"
            "h_seconds_bucket{x=\"y\",le=\"0.5\"} 2\n"
            "h_seconds_bucket{x=\"y\",le=\"1\"} 3\n"
            "h_seconds_bucket{x=\"y\",le=\"+Inf\"} 4\n"
            "h_seconds_sum{x=\"y\"} 9.5\n"
            "h_seconds_count{x=\"y\"} 4\n");
}

TEST(Metrics, TheSameNameAndLabelsAreTheSameMetric) {
  Registry registry;
  Counter& one = registry.counter("a_total", "");
  EXPECT_EQ(&one, &registry.counter("a_total", ""));
  EXPECT_NE(&one, &registry.counter("a_total", "", {{"x", "y"}}));
}

TEST(Metrics, UpdatesFromManyThreadsAreAllCounted) {
  Registry registry;
  Counter& counter = registry.counter("a_total", "");
  Histogram& histogram = registry.histogram("h", "", kCountBounds);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) {
        counter.add();
        histogram.observe(1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counter.value(), 40'000U);
  EXPECT_EQ(histogram.bucket(0), 40'000U);
  EXPECT_EQ(histogram.sum(), 40'000.0);
}

TEST(MetricsDeathTest, NamesThatPrometheusRefusesAreAMistake) {
  Registry registry;
  registry.counter("a_total", "");
  EXPECT_DEATH(registry.counter("requests", ""), "requests");
  EXPECT_DEATH(registry.gauge("b_total", ""), "b_total");
  EXPECT_DEATH(registry.gauge("a-b", ""), "a-b");
}

TEST(Metrics, ProcessMetricsAreThere) {
  Registry registry;
  add_process_metrics(registry);
  std::string text = registry.expose();
  for (const char* name :
       {"process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ",
        "process_max_fds ", "process_start_time_seconds "}) {
    size_t at = text.find(std::string("\n") + name);
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_GT(std::stod(text.substr(at + 1 + std::string_view(name).size())), 0) << name;
  }
}

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceContext, ParseAndPrintAreInverse) {
  auto context = TraceContext::parse(kParent);
  ASSERT_TRUE(context);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(context->trace_id(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(context->span_id(), "b7ad6b7169203331");
  EXPECT_EQ(context->traceparent(), kParent);
}

TEST(TraceContext, InvalidHeadersAreRefused) {
  std::string good(kParent);
  auto with = [&](size_t at, std::string_view part) {
    return std::string(good).replace(at, part.size(), part);
  };
  for (const std::string& bad : {std::string(), good.substr(1), good + "-00", good + "0",
                                 with(0, "ff"), with(3, "0AF"), with(3, std::string(32, '0')),
                                 with(36, std::string(16, '0')), with(35, "_"), with(53, "0g")}) {
    EXPECT_FALSE(TraceContext::parse(bad)) << bad;
  }
}

TEST(TraceContext, LaterVersionsAreReadAsTheFirst) {
  std::string later = "01" + std::string(kParent.substr(2));
  EXPECT_TRUE(TraceContext::parse(later));
  EXPECT_TRUE(TraceContext::parse(later + "-more"));
  EXPECT_FALSE(TraceContext::parse(later + "more"));
}

TEST(TraceContext, AChildKeepsTheTraceAndHasItsOwnSpan) {
  uint64_t next = 0;
  RandomBits random = [&] { return next++; };  // starts with a zero, which is no id
  TraceContext made = TraceContext::make(random);
  EXPECT_EQ(made, (TraceContext{1, 2, 3, true}));
  EXPECT_EQ(made.child(random), (TraceContext{1, 2, 4, true}));
}

}  // namespace
}  // namespace millrace::telemetry
