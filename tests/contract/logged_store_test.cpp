// SPDX-License-Identifier: Apache-2.0
// What is told of statements, and what never is.
#include "store/logged_store.h"

#include <algorithm>

#include "store_contract.h"

namespace millrace::store::testing {
namespace {

using namespace kernel;

class LoggedStoreContract : public StoreContract {
 protected:
  struct Told {
    std::string text;
    int64_t rows;
    bool failed;
  };
  LoggedStoreContract() {
    desk_->close();
    logged_ = logged(must(GetParam().open(folder_.path())), [this](const StatementRun& run) {
      EXPECT_GE(run.us, 0);
      told_.push_back({std::string(run.text), run.rows, run.failed});
    });
  }
  const Told* told(std::string_view beginning) const {
    auto found = std::ranges::find_if(
        told_, [&](const Told& each) { return each.text.starts_with(beginning); });
    return found == told_.end() ? nullptr : &*found;
  }

  std::unique_ptr<sql::Store> logged_;
  std::vector<Told> told_;
};
STORE_CONTRACT(LoggedStoreContract);

TEST_P(LoggedStoreContract, TellsOfEachStatementAndNeverOfAValue) {
  auto db = must(logged_->open_writer());
  int64_t epoch = must(claim_shards(*db, 0, kAllShards));
  auto writer = must(Writer::open(*logged_, {.owner_epoch = epoch}));
  auto secret = event(1);
  secret.source = "hidden";
  secret.payload_json = R"({"token": "hidden"})";
  std::vector<std::unique_ptr<Step>> steps;
  steps.push_back(std::make_unique<Step>());
  steps.back()->changes = {.dedupe = {key("hidden")}, .events = {secret, event(2)}};
  ASSERT_EQ(writer->write(steps, {kNow, 0}).front().end, WriteEnd::Committed);
  auto reader = must(logged_->open_reader());
  ASSERT_TRUE(must(find_event(*reader, kTenant, EventId{1})));
  for (const char* text :
       {"INSERT INTO dedupe", "INSERT INTO event", "COMMIT", "SELECT id, tenant, event_trigger"}) {
    EXPECT_TRUE(told(text)) << text;
  }
  const auto* found = told("SELECT id, tenant, event_trigger");
  if (found) EXPECT_EQ(found->rows, 1);
  for (const auto& each : told_) {
    EXPECT_EQ(each.text.find("hidden"), std::string::npos) << each.text;
    EXPECT_FALSE(each.failed) << each.text;
  }
}

TEST_P(LoggedStoreContract, TellsWhatFailed) {
  auto db = must(logged_->open_writer());
  auto* put = must(db->prepare("INSERT INTO meta (name, value) VALUES ($1, $2)"));
  must(put->execute("a", "b"));
  told_.clear();
  ASSERT_FALSE(put->execute("a", "c").ok());
  ASSERT_TRUE(told("INSERT INTO meta"));
  EXPECT_TRUE(told("INSERT INTO meta")->failed);
}

}  // namespace
}  // namespace millrace::store::testing
