// SPDX-License-Identifier: Apache-2.0
#include "conductor/machines.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/json.h"

namespace millrace::conductor {
namespace {

namespace fs = std::filesystem;

TEST(Machines, AnEventThatAStatusDoesNotListChangesNothing) {
  EXPECT_EQ(task_transition(Status::Running, "action_succeeded"), Status::Succeeded);
  EXPECT_EQ(task_transition(Status::Canceled, "action_succeeded"), std::nullopt);
  EXPECT_EQ(task_transition(Status::Running, "action_succeede"), std::nullopt);
  EXPECT_EQ(workflow_transition(Status::Failed, "workflow_running"), std::nullopt);
}

TEST(Machines, AnActionThatTimesOutFailsARunningTask) {
  EXPECT_EQ(task_transition(Status::Running, "action_timeout"), Status::Failed);
  EXPECT_EQ(task_transition(Status::Scheduled, "action_timeout"), Status::Timeout);
}

// The tables against the extract from the reference, when it is there.
class RecordedMachine : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const char* named = std::getenv("MILLRACE_CONFORMANCE_DIR");
    fs::path base =
        named ? fs::path(named) : fs::path(MILLRACE_SOURCE_DIR) / "../shared/conformance";
    fs::path file = base / "orquesta" / "state-machines.json";
    if (!fs::exists(file)) GTEST_SKIP() << "0 transitions checked: no file " << file;
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    recorded_ = (*parse_json(text.str()))[GetParam()];
  }
  Value recorded_;
};

TEST_P(RecordedMachine, HasTheTransitionsOfTheReferenceAndNoOthers) {
  bool workflow = std::string_view(GetParam()) == "workflow";
  std::vector<std::string> events;
  for (const auto& [from, row] : recorded_.as_map()) {
    for (const auto& entry : row.as_map()) events.emplace_back(entry.name());
  }
  size_t transitions = 0;
  for (int i = 0; i < kStatusCount; ++i) {
    auto from = static_cast<Status>(i);
    const Value& row = recorded_[to_string(from)];
    EXPECT_EQ(row.is_map(), (workflow ? kWorkflowStates : kTaskStates).has(from));
    for (const std::string& event : events) {
      auto to = workflow ? workflow_transition(from, event) : task_transition(from, event);
      const Value* expected = row.find(event);
      ASSERT_EQ(to.has_value(), expected != nullptr) << to_string(from) << " " << event;
      if (!to) continue;
      EXPECT_EQ(to_string(*to), expected->as_string()) << to_string(from) << " " << event;
      // An event may stand in several rows; each transition is met once per time it is listed.
      ++transitions;
    }
  }
  EXPECT_GT(transitions, 0u);
}

INSTANTIATE_TEST_SUITE_P(Both, RecordedMachine, testing::Values("workflow", "task"));

}  // namespace
}  // namespace millrace::conductor
