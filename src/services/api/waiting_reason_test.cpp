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

TEST(WaitingReason, WhoHasLeftDoesNotCount) {
  EXPECT_EQ(waiting_reason("gpu", {worker("gpu", 2, false)}), "no worker has a session");
  EXPECT_EQ(waiting_reason("gpu", {worker("gpu", 2, false), worker("")}),
            "needs label gpu: 1 worker does not offer it");
}

}  // namespace
}  // namespace millrace::api
