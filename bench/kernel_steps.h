// SPDX-License-Identifier: Apache-2.0
// One step: an execution is updated on its version, an outbox row and a dedupe key are written,
// the message that woke it is deleted. Ours through the committer, and the floor.
#pragma once

#include <memory>
#include <string_view>

#include "flight.h"

namespace millrace::bench {

// What both sides do next, from the same counters.
struct StepNumbers {
  static constexpr int64_t kExecutions = 4096;
  int64_t n = 0;  // of the step
  int64_t execution() const { return n % kExecutions + 1; }
  int64_t version() const { return n / kExecutions + 2; }
};

class KernelSteps {
 public:
  explicit KernelSteps(std::unique_ptr<Flight> flight);
  // The messages that so many steps will delete.
  void prepare(int64_t steps);
  int64_t run(int64_t steps, int64_t in_flight);

 private:
  std::unique_ptr<store::Step> make();

  std::unique_ptr<Flight> flight_;
  StepNumbers next_;
  int64_t messages_ = 0;
};

// `Db` is BareSqlite or BarePostgres.
template <typename Db>
class BareKernelSteps {
 public:
  explicit BareKernelSteps(std::unique_ptr<Db> db);
  void prepare(int64_t steps);
  int64_t run(int64_t steps, int64_t in_flight);

 private:
  void fill_executions();
  void step();

  std::unique_ptr<Db> db_;
  typename Db::Statement update_, outbox_, dedupe_, ack_, message_;
  StepNumbers next_;
  int64_t messages_ = 0;
};

}  // namespace millrace::bench
