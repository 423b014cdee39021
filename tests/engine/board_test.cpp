// SPDX-License-Identifier: Apache-2.0
// Who waits for an end, and who listens: by tenant and id.
#include "engine/board.h"

#include <gtest/gtest.h>

namespace millrace::engine {
namespace {

using namespace kernel;

constexpr Of<ExecutionId> kOurs{TenantId{1}, ExecutionId{7}};
constexpr Of<ExecutionId> kTheirs{TenantId{2}, ExecutionId{7}};

ExecutionRow ended(Of<ExecutionId> of) {
  ExecutionRow row;
  row.tenant = of.tenant;
  row.id = of.id;
  return row;
}

OutputChunk chunk(Of<ExecutionId> of, std::string bytes) {
  return {of.tenant, {of.id, 1, 1}, Stream::Stdout, 0, std::move(bytes)};
}

TEST(Board, TheEndOfAnotherTenantsExecutionIsNobodysAnswer) {
  Board board;
  int answers = 0;
  board.watch(1, kOurs, [&](const Result<ExecutionRow>&) { ++answers; });
  board.ended(ended(kTheirs));
  EXPECT_EQ(answers, 0);
  board.ended(ended(kOurs));
  EXPECT_EQ(answers, 1);
}

TEST(Listeners, HearTheOutputOfTheirTenantsExecution) {
  Listeners listeners;
  std::string heard;
  listeners.output(chunk(kTheirs, "theirs"));
  listeners.on_output(kOurs, [&](const OutputChunk& piece) { heard += piece.bytes; });
  listeners.output(chunk(kTheirs, "theirs too"));
  EXPECT_EQ(heard, "");
  listeners.output(chunk(kOurs, "ours"));
  EXPECT_EQ(heard, "ours");
}

}  // namespace
}  // namespace millrace::engine
