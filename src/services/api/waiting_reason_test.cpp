// SPDX-License-Identifier: Apache-2.0
#include "services/api/waiting_reason.h"

#include <gtest/gtest.h>

namespace millrace::api {
namespace {

kernel::WorkerRow worker(std::string labels, int slots = 4, bool is_open = true) {
  kernel::WorkerRow row;
  row.labels = std::move(labels);
  row.slots = slots;
  row.session = SessionId{is_open ? 7 : 0};
  return row;
}

TEST(WaitingReason, NamesWhatNobodyOffers) {
  EXPECT_EQ(waiting_reason("gpu", {worker("os=linux"), worker("runtime=python")}),
            "needs label gpu: 2 workers do not offer it");
  EXPECT_EQ(waiting_reason("runtime=python", {worker("gpu")}),
            "needs runtime python: 1 worker does not offer it");
  EXPECT_EQ(waiting_reason("gpu,os=linux", {worker("os=linux"), worker("gpu"), worker("gpu")}),
            "needs label gpu: 1 worker does not offer it; needs label os=linux: 2 workers do not "
            "offer it");
}

TEST(WaitingReason, CountsTheSlotsOfThoseWhoCould) {
  EXPECT_EQ(waiting_reason("gpu", {worker("gpu", 2), worker("gpu,os=linux", 3), worker("", 9)}),
            "waits for a slot: 5 slots of 2 workers are taken");
  EXPECT_EQ(waiting_reason("", {worker("", 1)}), "waits for a slot: 1 slot of 1 worker is taken");
}

TEST(WaitingReason, OfSeveralServersItNamesThem) {
  auto at = [](std::string name, int64_t home, std::string labels) {
    auto row = worker(std::move(labels), 2);
    row.name = std::move(name);
    row.home = home;
    return row;
  };
  std::map<int64_t, std::string> servers{{7, "n1"}, {8, "n2"}};
  std::vector<kernel::WorkerRow> workers{at("a", 8, "gpu"), at("b", 7, ""), at("c", 9, "gpu")};
  EXPECT_EQ(waiting_reason("gpu", workers, servers),
            "waits for a slot: 2 slots of 1 worker are taken (a at server n2)");
  for (const char* name : {"d", "e", "f"}) workers.push_back(at(name, 7, "gpu"));
  EXPECT_EQ(
      waiting_reason("gpu", workers, servers),
      "waits for a slot: 8 slots of 4 workers are taken (a at server n2, d at server n1, e at "
      "server n1, ...)");
  // Of a server that is gone nobody counts.
  EXPECT_EQ(waiting_reason("gpu", {at("b", 7, ""), at("c", 9, "gpu")}, servers),
            "needs label gpu: 1 worker does not offer it");
}

TEST(WaitingReason, WhoHasLeftDoesNotCount) {
  EXPECT_EQ(waiting_reason("gpu", {worker("gpu", 2, false)}), "no worker has a session");
  EXPECT_EQ(waiting_reason("gpu", {worker("gpu", 2, false), worker("")}),
            "needs label gpu: 1 worker does not offer it");
}

}  // namespace
}  // namespace millrace::api
