// SPDX-License-Identifier: Apache-2.0
//
// Structured output: what a run printed becomes `output`, or the execution says why not (B7).
#include <sys/resource.h>

#include "harness.h"

namespace millrace::engine {
namespace {

// `ci.check` with a declared output.
std::shared_ptr<const Pack> declaring_pack() {
  auto pack = std::make_shared<Pack>(*test_pack());
  for (auto& action : pack->actions) {
    if (action.ref == "ci.check") {
      auto number = Value::map({{"n", Value::map({{"type", "integer"}})}});
      action.output_schema = Value::map({{"type", "object"}, {"properties", number}});
    }
    if (action.ref == "ci.shell") {
      action.output_schema = Value::map({{"type", "object"}});
      action.output_format = OutputFormat::Json;
    }
    if (action.ref != "ci.build") continue;
    Parameter pin{.name = "pin"};
    pin.schema = Value::map();
    pin.secret = true;
    action.parameters.push_back(pin);
  }
  Action keeps = *pack->find_action("ci.check");
  keeps.ref = "ci.keeps";
  keeps.keeps_output_errors = true;
  pack->actions.push_back(std::move(keeps));
  return pack;
}

class Output : public EngineTest {
 protected:
  std::vector<std::shared_ptr<const Pack>> packs() override {
    return {core_pack(), declaring_pack()};
  }
  void SetUp() override {
    EngineTest::SetUp();
    open_worker(1);
  }

  // Runs it to an end with exit code 0 and this stdout in a blob.
  ExecutionRow end_with_blob(const std::string& action, std::string_view bytes) {
    auto order = start_run(action);
    std::string ref = output_ref(order.tenant, order.key, Stream::Stdout);
    auto writer = blobs_->create(ref);
    EXPECT_TRUE(writer.ok());
    (*writer)->append(bytes);
    EXPECT_TRUE((*writer)->commit().ok());
    return end(order, {.blob = ref, .size = static_cast<int64_t>(bytes.size())});
  }
  WorkOrder start_run(const std::string& action, Value parameters = Value::map()) {
    EXPECT_TRUE(run(action, std::move(parameters)).ok());
    return worker_.next();
  }
  ExecutionRow end(const WorkOrder& order, StreamOutput out) {
    report(order, std::move(out));
    done_.get_future().wait();
    done_ = {};
    return stored(order.key.execution);
  }
  void report(const WorkOrder& order, StreamOutput out) {
    Completion completion;
    completion.tenant = order.tenant;
    completion.key = order.key;
    completion.out = std::move(out);
    engine_->finished(session_, std::move(completion), [&] { done_.set_value(); });
  }
  Value result_of(const ExecutionRow& row) {
    std::string json = row.result_json;
    if (json.empty()) {
      auto reader = store_->open_reader();
      auto blob = store::find_result_blob(**reader, row.tenant, row.id);
      EXPECT_TRUE(blob.ok() && *blob);
      if (blob.ok() && *blob) json = (*blob)->bytes;
    }
    auto value = parse_json(json);
    return value.ok() ? *value : Value();
  }
  std::string error_of(const ExecutionRow& row) {
    return std::string(result_of(row).string_or("output_error", ""));
  }
  std::promise<void> done_;
};

constexpr size_t kMost = 16 << 20;

std::string text_of_size(size_t size) { return '"' + std::string(size - 2, 'x') + '"'; }

TEST_F(Output, OfABlobUpToTheLimitIsParsed) {
  auto row = end_with_blob("ci.build", text_of_size(kMost));
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  EXPECT_EQ(result_of(row)["output"].size(), kMost - 2);
  EXPECT_EQ(error_of(row), "");
}

// What people, the next step and expressions read is the whole text, wherever its bytes lie.
// Who adopts a run has no order for it, and reads what is large all the same.
TEST_F(Output, OfAnAdoptedRunIsReadAsItsOrderSaid) {
  auto order = start_run("ci.build", Value::map({{"pin", "1234"}}));
  open_worker(1, "s1", {order.key});
  ASSERT_EQ(adopted_.size(), 1U);
  EXPECT_EQ(adopted_[0].key, order.key);
  EXPECT_EQ(adopted_[0].output_format, order.output_format);
  EXPECT_EQ(order.output_format, OutputFormat::Json);
  EXPECT_EQ(adopted_[0].secrets, order.secrets);
  EXPECT_EQ(order.secrets, std::vector<std::string>{"1234"});
}

TEST_F(Output, OfABlobIsInTheResult) {
  std::string text = text_of_size(100'000);
  auto row = end_with_blob("ci.build", text);
  EXPECT_EQ(result_of(row)["stdout"], Value(text));
  EXPECT_EQ(result_of(row).int_or("stdout_size", 0), 100'000);
}

TEST_F(Output, OfABlobAboveTheLimitIsNotThereAndSaysWhy) {
  auto row = end_with_blob("ci.build", text_of_size(kMost + 1));
  EXPECT_EQ(result_of(row).find("stdout"), nullptr) << "null would pass for an empty output";
  EXPECT_EQ(result_of(row).string_or("stdout_error", ""),
            "output in a result: 16777217 bytes were found, at most 16777216 are read; the "
            "execution's output has it whole");
}

TEST_F(Output, ThatIsNoTextIsMarked) {
  for (bool in_blob : {false, true}) {
    std::string bytes = "a\xFF" + std::string(in_blob ? 100'000 : 10, 'x') + "\xC3";
    auto row = in_blob ? end_with_blob("ci.build", bytes)
                       : end(start_run("ci.build"),
                             {.bytes = bytes, .size = static_cast<int64_t>(bytes.size())});
    Value result = result_of(row);
    EXPECT_TRUE(result.string_or("stdout_note", "")
                    .starts_with("2 bytes are no UTF-8, the first at 1; here each is U+FFFD"))
        << result.string_or("stdout_note", "");
    EXPECT_TRUE(result.string_or("stdout", "").starts_with("a\xEF\xBF\xBDx"));
  }
}

TEST_F(Output, AboveTheLimitIsNamedAndNotNullInSilence) {
  auto row = end_with_blob("ci.build", text_of_size(kMost + 1));
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  EXPECT_TRUE(result_of(row)["output"].is_null());
  EXPECT_EQ(error_of(row),
            "structured output: 16777217 bytes were found, at most 16777216 are read");
}

TEST_F(Output, AboveTheLimitFailsAnActionThatDeclaresItsOutput) {
  auto row = end_with_blob("ci.check", text_of_size(kMost + 1));
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  EXPECT_EQ(row.failure, FailureClass::UserError);
  EXPECT_NE(error_of(row), "");
}

TEST_F(Output, ThatIsNotThereIsSaidSo) {
  auto order = start_run("ci.build");
  auto row = end(order, {.blob = "output/1/00/gone.out", .size = 100'000});
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  EXPECT_NE(error_of(row).find("No such file or directory"), std::string::npos) << error_of(row);
  EXPECT_EQ(result_of(row).find("stdout"), nullptr);
  EXPECT_NE(result_of(row).string_or("stdout_error", "").find("No such file"), std::string::npos);
  order = start_run("ci.check");
  row = end(order, {.blob = "output/1/00/gone.out", .size = 100'000});
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded) << "it is no fault of the run";
  EXPECT_NE(error_of(row).find("No such file or directory"), std::string::npos) << error_of(row);
}

TEST_F(Output, ThatCannotBeOpenedIsSaidSo) {
  auto order = start_run("ci.check");
  std::string ref = output_ref(order.tenant, order.key, Stream::Stdout);
  std::string bytes = text_of_size(100'000);
  {
    auto writer = blobs_->create(ref);
    (*writer)->append(bytes);
    ASSERT_TRUE((*writer)->commit().ok());
  }
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none{3, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &none);  // while it is reported: the blob is read on this thread
  report(order, {.blob = ref, .size = static_cast<int64_t>(bytes.size())});
  setrlimit(RLIMIT_NOFILE, &before);
  done_.get_future().wait();
  auto row = stored(order.key.execution);
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded) << "it is no fault of the run";
  EXPECT_NE(error_of(row).find("Too many open files"), std::string::npos) << error_of(row);
}

TEST_F(Output, ThatIsNoJsonIsSaidSo) {
  auto row = end_with_blob("ci.build", std::string(100'000, '['));
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  EXPECT_NE(error_of(row), "");
  row = end_with_blob("ci.check", std::string(100'000, '['));
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  EXPECT_EQ(row.failure, FailureClass::UserError);
  EXPECT_NE(error_of(row), "");
}

// The stream is masked for people; the data is what was printed, but for values that are a secret.
TEST_F(Output, IsNotChangedByMaskingItsText) {
  auto order = start_run("ci.build", Value::map({{"pin", "1234"}}));
  ASSERT_EQ(order.secrets, std::vector<std::string>{"1234"});
  std::string masked =
      R"({"n": 5********5, "pin": "********", "t": "id-********", "m": "********"})";
  auto at = [&](std::string_view what) { return static_cast<int64_t>(masked.find(what)); };
  auto row = end(order, {.bytes = masked,
                         .size = static_cast<int64_t>(masked.size()),
                         .hidden = {{at("********5"), 0, 0},
                                    {at("********\", \"t"), 0, 0},
                                    {at("********\", \"m"), 0, 0}}});
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  EXPECT_EQ(error_of(row), "");
  EXPECT_EQ(to_json(result_of(row)["output"]),
            R"({"n":512345,"pin":"********","t":"id-1234","m":"********"})");
  EXPECT_EQ(result_of(row)["stdout"], Value(masked));
}

TEST_F(Output, OfAShortSecretSaysThatItIsNotMasked) {
  auto row = end(start_run("ci.build", Value::map({{"pin", "12"}})), {.bytes = "12", .size = 2});
  EXPECT_EQ(result_of(row)["output"], Value(12));
  EXPECT_TRUE(result_of(row).string_or("mask_note", "").starts_with("not masked: 'pin';"));
}

TEST_F(Output, IsTextInUtf8WithOrWithoutAMark) {
  std::string marked = "\xEF\xBB\xBF{\"a\": 1}";
  auto row =
      end(start_run("ci.build"), {.bytes = marked, .size = static_cast<int64_t>(marked.size())});
  EXPECT_EQ(to_json(result_of(row)["output"]), R"({"a":1})");
  for (std::string_view bytes : {"{\"a\": \"\xFC\"}", "{\"a\": 13835058055282163713}"}) {
    row = end(start_run("ci.build"),
              {.bytes = std::string(bytes), .size = static_cast<int64_t>(bytes.size())});
    EXPECT_TRUE(result_of(row)["output"].is_null());
    EXPECT_NE(error_of(row).find("byte"), std::string::npos) << error_of(row);
  }
}

TEST_F(Output, ThatWasCappedIsNotHeldForWhole) {
  auto order = start_run("ci.check");
  auto row = end(order, {.bytes = "{}", .size = 2, .dropped = 5});
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  EXPECT_EQ(error_of(row), "stdout is not whole: 5 bytes beyond the cap were dropped");
}

TEST_F(Output, ThatWasDeclaredAndNotPrintedFailsTheRun) {
  auto row = end(start_run("ci.check"), {});
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  EXPECT_EQ(error_of(row), "stdout is empty: expected the output that the action declares");
  EXPECT_EQ(end(start_run("ci.build"), {}).status, ExecutionStatus::Succeeded);
}

// An output is held against what its action declares; a failed run is not blamed twice.
TEST_F(Output, ThatIsNotWhatWasDeclaredFailsTheRun) {
  auto row = end(start_run("ci.check"), {.bytes = R"({"n": "a secret"})", .size = 17});
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  EXPECT_EQ(row.failure, FailureClass::UserError);
  EXPECT_EQ(error_of(row),
            "the output is not what the output_schema of 'ci.check' says: /n: "
            "expected integer, found string");
  EXPECT_EQ(to_json(result_of(row)["output"]), R"({"n":"a secret"})");
  row = end(start_run("ci.check"), {.bytes = "[1]", .size = 3});
  EXPECT_EQ(error_of(row),
            "the output is not what the output_schema of 'ci.check' says: the "
            "whole: expected object, found array");
  EXPECT_EQ(end(start_run("ci.check"), {.bytes = R"({"n": 1})", .size = 8}).status,
            ExecutionStatus::Succeeded);
  EXPECT_EQ(end(start_run("ci.build"), {.bytes = "[1]", .size = 3}).status,
            ExecutionStatus::Succeeded);
}

TEST_F(Output, ThatIsNotWhatWasDeclaredIsKeptWhereTheActionSaysSo) {
  auto row = end(start_run("ci.keeps"), {.bytes = "[1]", .size = 3});
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  EXPECT_NE(error_of(row), "");
  row = end(start_run("ci.keeps"), {.bytes = "{", .size = 1});
  EXPECT_EQ(row.status, ExecutionStatus::Succeeded);
  row = end(start_run("ci.build"), {.bytes = "{", .size = 1});
  EXPECT_EQ(row.status, ExecutionStatus::Failed) << "it was declared to be JSON";
  EXPECT_NE(error_of(row), "");
}

// 0 would tell of a success that was none.
TEST_F(Output, OfARunThatWasCanceledBeforeItStartedHasNoExitCode) {
  auto order = start_run("ci.shell");
  auto canceled = await<ExecutionRow>([&](Reply<ExecutionRow> reply) {
    engine_->submit(command::cancel(kTester, order.key.execution, std::move(reply)));
  });
  ASSERT_TRUE(canceled.ok());
  Completion completion{.tenant = order.tenant, .key = order.key, .end = RunEnd::Canceled};
  engine_->finished(session_, std::move(completion), [&] { done_.set_value(); });
  done_.get_future().wait();
  done_ = {};
  auto row = stored(order.key.execution);
  EXPECT_EQ(row.status, ExecutionStatus::Canceled);
  EXPECT_TRUE(result_of(row)["exit_code"].is_null()) << row.result_json;
  EXPECT_TRUE(result_of(row)["return_code"].is_null()) << row.result_json;
}

TEST_F(Output, ThatWasOwedIsNoSuccessForStackStormEither) {
  auto row = end(start_run("ci.shell"), {});
  EXPECT_EQ(row.status, ExecutionStatus::Failed);
  auto result = parse_json(row.result_json);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ((*result)["succeeded"], Value(false)) << row.result_json;
  EXPECT_EQ((*result)["failed"], Value(true));
  EXPECT_EQ((*result)["return_code"], Value(0));
}

}  // namespace
}  // namespace millrace::engine
