// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"
#include "engine/machine/transition.h"
#include "engine/transitions/lose_run.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/work_off.h"

namespace millrace::engine {

using namespace kernel;

namespace {

struct Parsed {
  Value output;
  std::string error;
};

// The result wraps the output, errors and states wrap the result: all of it must be readable again.
constexpr JsonLimits kOutputLimits{.max_depth = 48};

Parsed parse_jsonl(std::string_view text) {
  Parsed parsed{Value::list(), {}};
  size_t number = 0;
  for (auto line : split(text, '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    auto value = parse_json(line, kOutputLimits);
    if (!value.ok()) return {Value(), fmt::format("line {}: {}", number, value.error().message())};
    parsed.output.push_back(std::move(*value));
  }
  return parsed;
}

Parsed parse_output(OutputFormat format, std::string_view text) {
  auto from = [](Result<Value> value) {
    return value.ok() ? Parsed{std::move(*value), {}} : Parsed{Value(), value.error().message()};
  };
  auto yaml = [&]() -> Result<Value> {
    TRY(auto root,
        parse_yaml(text, "stdout", {.max_bytes = 16 << 20, .max_depth = kOutputLimits.max_depth}));
    return std::move(root.value);
  };
  switch (format) {
    case OutputFormat::Text: return {};
    case OutputFormat::Json:
      return trim(text).empty() ? Parsed{} : from(parse_json(text, kOutputLimits));
    case OutputFormat::Yaml: return from(yaml());
    case OutputFormat::Jsonl: return parse_jsonl(text);
  }
  return {};
}

struct End {
  ExecutionStatus status;
  FailureClass failure;
};

// How a run's end and the state of its execution together make the final status.
End end_of(const Completion& completion, const ExecutionRow& row) {
  // A cancel that was committed first has won, however the process ended.
  if (row.status == ExecutionStatus::Canceling) {
    return {ExecutionStatus::Canceled, FailureClass::Canceled};
  }
  switch (completion.end) {
    case RunEnd::Exited:
      if (completion.exit_code == 0) return {ExecutionStatus::Succeeded, FailureClass::None};
      return {ExecutionStatus::Failed, FailureClass::UserError};
    case RunEnd::Signaled: return {ExecutionStatus::Failed, FailureClass::UserError};
    case RunEnd::TimedOut: return {ExecutionStatus::Timeout, FailureClass::Timeout};
    case RunEnd::Canceled: return {ExecutionStatus::Canceled, FailureClass::Canceled};
    case RunEnd::SpawnFailed: return {ExecutionStatus::Failed, FailureClass::Spawn};
    case RunEnd::Lost: return {ExecutionStatus::Failed, FailureClass::InfraLost};
  }
  return {ExecutionStatus::Failed, FailureClass::InfraLost};
}

void put_stream(Value& result, std::string_view name, const StreamOutput& stream) {
  if (stream.blob.empty()) {
    result.set(name, stream.bytes);
  } else {
    // Too large to stand here: the output resource serves it.
    result.set(name, Value());
    result.set(std::string(name) + "_size", stream.size);
  }
  if (stream.dropped > 0) result.set(std::string(name) + "_dropped", stream.dropped);
}

// Workflows of StackStorm packs read the results of its runners under these names.
void add_stackstorm_names(const Action& action, const Completion& completion, const Value& output,
                          Value& result) {
  bool succeeded = completion.end == RunEnd::Exited && completion.exit_code == 0;
  if (action.runner_type.starts_with("local-shell-")) {
    result.set("return_code", completion.exit_code);
    result.set("succeeded", succeeded);
    result.set("failed", !succeeded);
  } else if (action.python_runner) {
    result.set("result", output);
  }
}

// How a run ended, as its worker tells it.
class FinishRun final : public Transition {
 public:
  FinishRun(Completion completion, std::string stdout_bytes, std::function<void()> done)
      : completion_(std::move(completion)),
        stdout_bytes_(std::move(stdout_bytes)),
        done_(std::move(done)) {}
  std::string_view name() const override { return "finish_run"; }
  About about() const override {
    return {.tenant = completion_.tenant,
            .subject = completion_.key.execution.value,
            .holds_up = completion_.key.execution};
  }
  Turn turn() const override { return Turn::shared(completion_.key.execution); }
  void want(Wanted& wanted) const override {
    wanted.lineages.push_back({completion_.tenant, completion_.key.execution});
    ++wanted.queue_heads;
  }
  ExecutionId tree(const Loaded&) const override { return completion_.key.execution; }
  // The worker may forget the run only once somebody else remembers it (K1).
  void fail(const Error&) override { done_(); }
  bool insists() const override { return true; }
  Decided decide(Context& ctx) const override;

 private:
  void write_outputs(Context& ctx) const;
  Value result(Context& ctx, const ExecutionRow& row) const;
  std::unique_ptr<Decision> acknowledged(Context& ctx) const {
    return ctx.decided([this](Deliveries&) { done_(); });
  }
  Completion completion_;
  std::string stdout_bytes_;
  std::function<void()> done_;
};

void FinishRun::write_outputs(Context& ctx) const {
  auto write = [&](Stream stream, const StreamOutput& content) {
    if (content.size == 0 && content.dropped == 0) return;
    ctx.changes.outputs.push_back(
        {completion_.key.execution, completion_.tenant, completion_.key.attempt, stream, content});
  };
  write(Stream::Stdout, completion_.out);
  write(Stream::Stderr, completion_.err);
}

Value FinishRun::result(Context& ctx, const ExecutionRow& row) const {
  Value result = Value::map();
  put_stream(result, "stdout", completion_.out);
  put_stream(result, "stderr", completion_.err);
  result.set("exit_code", completion_.exit_code);
  Value output = completion_.output;
  auto found = ctx.catalog(row.tenant).find_action(row.action, row.release);
  if (found && output.is_null() && completion_.end == RunEnd::Exited) {
    std::string_view text =
        completion_.out.blob.empty() ? completion_.out.bytes : std::string_view(stdout_bytes_);
    auto parsed = parse_output(found->action->output_format, text);
    output = std::move(parsed.output);
    if (!parsed.error.empty()) result.set("output_error", parsed.error);
  }
  if (!found) result.set("output_error", "the release of the action is not there to tell its form");
  if (found) add_stackstorm_names(*found->action, completion_, output, result);
  result.set("output", std::move(output));
  if (!completion_.message.empty()) result.set("message", completion_.message);
  return result;
}

Decided FinishRun::decide(Context& ctx) const {
  Of<ExecutionId> of{completion_.tenant, completion_.key.execution};
  const auto* stored = ctx.rows().execution(of);
  // A holder with an old epoch cannot commit anything (K6), and a final status never changes (K9).
  if (!stored || is_final(stored->status) || stored->key() != completion_.key || !stored->worker) {
    return acknowledged(ctx);
  }
  ctx.free_slot(stored->worker);
  bool canceling = stored->status == ExecutionStatus::Canceling;
  if (canceling) ctx.changes.outbox_done.push_back({of.tenant, OutboxId{of.id.value}});
  if (completion_.end == RunEnd::Lost && !canceling) {
    lose_run(ctx, *stored, completion_.message);
  } else {
    write_outputs(ctx);
    End end = end_of(completion_, *stored);
    ExecutionRow& row = ctx.edit(*stored);
    if (completion_.started_ms > 0) row.started = completion_.started_ms;
    finish(ctx, of.id, end.status, end.failure, result(ctx, row));
  }
  start_waiting(ctx);  // who waits comes before the next step
  TRY(work_off(ctx));
  return acknowledged(ctx);
}

}  // namespace

Message finish_run(Completion completion, std::string stdout_bytes, std::function<void()> done) {
  return std::make_unique<FinishRun>(std::move(completion), std::move(stdout_bytes),
                                     std::move(done));
}

}  // namespace millrace::engine
