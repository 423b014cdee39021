// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <optional>

#include "base/charset.h"
#include "base/json.h"
#include "base/mutants.h"
#include "base/text.h"
#include "engine/machine/transition.h"
#include "engine/transitions/limits.h"
#include "engine/transitions/lose_run.h"
#include "engine/transitions/messages.h"
#include "engine/transitions/run_elsewhere.h"
#include "engine/transitions/work_off.h"
#include "engine/transitions/work_order.h"
#include "kernel/hidden.h"
#include "kernel/limits.h"
#include "kernel/printed.h"
#include "packs/config.h"
#include "packs/output.h"
#include "packs/parameters.h"
#include "packs/secrets.h"

namespace millrace::engine {

using namespace kernel;

namespace {

struct End {
  ExecutionStatus status;
  FailureClass failure;
};

// How a run's end and the state of its execution together make the final status.
End end_of(const Completion& completion, const ExecutionRow& row) {
  // A cancel that was committed first has won, however the process ended.
  if (row.status == ExecutionStatus::Canceling && !mutant(Mutant::CancelLoses)) {
    return {ExecutionStatus::Canceled, FailureClass::Canceled};
  }
  switch (completion.end) {
    case RunEnd::Exited:
      if (completion.exit_code == 0 && !completion.says_failed) {
        return {ExecutionStatus::Succeeded, FailureClass::None};
      }
      return {ExecutionStatus::Failed, FailureClass::UserError};
    case RunEnd::Signaled: return {ExecutionStatus::Failed, FailureClass::UserError};
    case RunEnd::TimedOut: return {ExecutionStatus::Timeout, FailureClass::Timeout};
    case RunEnd::Canceled: return {ExecutionStatus::Canceled, FailureClass::Canceled};
    case RunEnd::SpawnFailed: return {ExecutionStatus::Failed, FailureClass::Spawn};
    case RunEnd::Lost: return {ExecutionStatus::Failed, FailureClass::InfraLost};
  }
  return {ExecutionStatus::Failed, FailureClass::InfraLost};
}

// In a few words, for people.
std::string summary_of(const Completion& completion) {
  if (!completion.message.empty()) return completion.message;
  return completion.end == RunEnd::Exited ? fmt::format("exit code {}", completion.exit_code) : "";
}

// Where bytes are no text a result cannot hold them: what stands there then is marked.
void put_text(Value& result, std::string_view name, std::string_view bytes) {
  Repaired text = repair_utf8(bytes);
  if (text.replaced > 0) {
    result.set(fmt::format("{}_note", name),
               fmt::format("{} bytes are no UTF-8, the first at {}; here each is U+FFFD, the "
                           "execution's output has them as they came",
                           text.replaced, text.first));
  }
  result.set(name, text.text);
}

// A stream is there whole, or it is not there and the result says why: who reads it fails then,
// and does not go on with nothing.
void put_stream(Value& result, std::string_view name, const StreamOutput& stream,
                const Result<std::string>& stored) {
  bool is_blob = !stream.blob.empty();
  if (is_blob) result.set(fmt::format("{}_size", name), stream.size);
  if (stream.dropped > 0) result.set(fmt::format("{}_dropped", name), stream.dropped);
  if (!is_blob) return put_text(result, name, stream.bytes);
  if (stored.ok()) return put_text(result, name, *stored);
  std::string why = stored.error().message();
  if (stored.error().kind() == ErrorKind::TooLarge) why += "; the execution's output has it whole";
  result.set(fmt::format("{}_error", name), why);
}

// As StackStorm's shell runners have it: without its last line end, and a list or map where it is
// one in JSON. Numbers stay text, which they make numbers: 1.10 would become 1.1. The execution's
// output keeps each byte.
void read_as_stackstorm(Value& result, std::string_view name) {
  const Value* found = result.find(name);
  if (!found || !found->is_string()) return;
  std::string_view text = found->as_string();
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  std::string_view content = trim(text);
  bool may_be_data = (content.starts_with('[') || content.starts_with('{')) &&
                     std::ssize(text) <= kReadByDecision.most;
  auto data = may_be_data ? parse_json(content) : Result<Value>(Value(text));
  result.set(name, data.ok() ? *std::move(data) : Value(std::string(text)));
}

// Workflows of StackStorm packs read the results of its runners under these names.
void add_stackstorm_names(const Action& action, bool succeeded, const Value& output,
                          Value& result) {
  if (action.runner_type.starts_with("local-shell-")) {
    result.set("return_code", result["exit_code"]);
    result.set("succeeded", succeeded);
    result.set("failed", !succeeded);
    for (std::string_view name : {"stdout", "stderr"}) read_as_stackstorm(result, name);
  } else if (action.sdk == Sdk::Python) {
    result.set("result", output);
  } else if (action.sdk == Sdk::Ssh && output.is_map()) {
    for (const auto& host : output.as_map()) result.set(host.name(), host.value);
  } else if (action.runner_type == "http-request" && output.is_map()) {
    for (std::string_view name : {"status_code", "headers", "body"}) result.set(name, output[name]);
    bool is_text = output["body"].is_string() || output["body"].is_null();
    result.set("parsed", !is_text);
  }
}

void note_short_secrets(const Action& action, const Value& parameters, Value& result) {
  std::string names = packs::SecretScalars(action, parameters).unmasked();
  if (names.empty()) return;
  result.set("mask_note", fmt::format("not masked: {}; a secret of fewer than 4 bytes would hide "
                                      "ordinary text",
                                      names));
}

// What was run, and the secrets that it was given.
struct Called {
  std::optional<TenantCatalog::ActionRef> found;  // none: its release is gone
  Value parameters;                               // null: none is secret
  Value config = Value::map();                    // what is secret of the pack's

  const Action* action() const { return found ? found->action.get() : nullptr; }
};

Called called_by(Context& ctx, const ExecutionRow& row) {
  Called called{.found = ctx.catalog(row.tenant).find_action(row.action, row.release)};
  if (!called.found) return called;
  const Action& action = *called.action();
  if (packs::may_hold_secrets(action, row.parameters_json)) {
    auto given = parse_json(row.parameters_json, kOwnJson);
    if (given.ok()) called.parameters = *std::move(given);  // may fail: then nothing is revealed
  }
  const Pack& pack = *called.found->pack;
  called.config = packs::secret_parts(pack.config_schema, config_of_run(ctx, row, pack, action));
  return called;
}

// How a run ended, as its worker tells it.
class FinishRun final : public Transition {
 public:
  FinishRun(WorkerId worker, RunEnded ended, MessageId message, std::function<void()> done,
            std::optional<Error> unreadable = {})
      : worker_(worker),
        completion_(std::move(ended.completion)),
        stored_(std::move(ended.stored)),
        unheard_(ended.unheard),
        message_(message),
        unreadable_(std::move(unreadable)),
        done_(std::move(done)) {}
  std::string_view name() const override { return "finish_run"; }
  About about() const override {
    return {.tenant = completion_.tenant,
            .subject = completion_.key.execution.value,
            .message = message_,
            .holds_up = completion_.key.execution};
  }
  Turn turn() const override { return Turn::shared(completion_.key.execution); }
  void want(Wanted& wanted) const override {
    wanted.lineages.push_back({completion_.tenant, completion_.key.execution});
    ++wanted.queue_heads;
    if (message_) wanted.messages.push_back({completion_.tenant, message_});
    if (unheard_) wanted.stored_ends.push_back({completion_.tenant, completion_.key.execution});
  }
  ExecutionId tree(const Loaded&) const override { return completion_.key.execution; }
  // The worker may forget the run only once somebody else remembers it (K1).
  void fail(const Error&) override { done_(); }
  Whose whose() const override { return Whose::Machine; }
  Decided decide(Context& ctx) const override;

 private:
  void write_outputs(Context& ctx) const;
  std::string why_lost() const {
    return completion_.message.empty() ? std::string("its worker has ended it")
                                       : completion_.message;
  }
  // What the action printed as its output format says, or why there is none.
  struct Output {
    Value value;
    std::string error;
    bool is_stored = true;  // false: what it printed cannot be read, which is no fault of the run
  };
  Output output(const Action* action, const Value& parameters, const Value& config) const;
  Output printed(const Action* action, const Value& parameters) const;
  Value result(const Action* action, Output printed, bool succeeded) const;
  std::unique_ptr<Decision> acknowledged(Context& ctx) const {
    return ctx.decided([this](Deliveries&) { done_(); });
  }
  std::unique_ptr<Decision> handed_on(Context& ctx, const ExecutionRow& row) const;
  bool is_told_otherwise(const Loaded& rows) const;
  WorkerId worker_;
  Completion completion_;
  StoredStreams stored_;
  bool unheard_;
  MessageId message_;  // 0: its worker is of this server, and worker_
  std::optional<Error> unreadable_;
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

// Data is compared with the secrets whole, once it is data: hiding parts of what is parsed later
// would change it.
FinishRun::Output FinishRun::output(const Action* action, const Value& parameters,
                                    const Value& config) const {
  Output out = printed(action, parameters);
  bool has_output =
      action && (action->output_format != OutputFormat::Text || !completion_.output.is_null());
  bool is_good = completion_.end == RunEnd::Exited && completion_.exit_code == 0;
  if (has_output && is_good && out.error.empty()) {
    out.error = packs::output_fault(*action, out.value);
  }
  if (action && (!parameters.is_null() || config.size() > 0)) {
    out.value = packs::SecretScalars(*action, parameters, config).hidden_in(out.value);
  }
  return out;
}

FinishRun::Output FinishRun::printed(const Action* action, const Value& parameters) const {
  if (!completion_.is_read && !completion_.output.is_null()) return {completion_.output, {}};
  if (completion_.end != RunEnd::Exited) return {};
  if (!action) return {Value(), "the release is gone that says how its output is to be read"};
  if (action->says_result()) return {completion_.output, completion_.output_error};
  if (action->output_format == OutputFormat::Text) return {};
  const auto& out = completion_.out;
  if (out.dropped > 0) {
    return {Value(),
            fmt::format("stdout is not whole: {} bytes beyond the cap were dropped", out.dropped)};
  }
  if (out.size > kStructuredOutput.most) return {Value(), exceeds(kStructuredOutput, out.size)};
  if (!stored_.out.ok()) return {Value(), stored_.out.error().message(), false};
  std::string_view text = out.blob.empty() ? out.bytes : *stored_.out;
  std::string revealed;
  if (!out.hidden.empty() && !completion_.is_read) {
    revealed = reveal(text, out.hidden, packs::secret_values(*action, parameters));
    text = revealed;
  }
  text = without_mark(text);
  if (trim(text).empty() && !action->output_schema.is_null()) {
    return {Value(), "stdout is empty: expected the output that the action declares"};
  }
  if (completion_.is_read) return {completion_.output, completion_.output_error};
  auto printed = parse_printed(action->output_format, text);
  return {std::move(printed.value), std::move(printed.error)};
}

// What never started, or ended nobody knows how, has no exit code: null is not mistaken for 0. Of
// what was canceled or timed out 0 may be that, too.
Value FinishRun::result(const Action* action, Output printed, bool succeeded) const {
  Value result = Value::map();
  put_stream(result, "stdout", completion_.out, stored_.out);
  put_stream(result, "stderr", completion_.err, stored_.err);
  bool was_ended = completion_.end == RunEnd::Canceled || completion_.end == RunEnd::TimedOut;
  bool has_exit_code = completion_.end == RunEnd::Exited || completion_.end == RunEnd::Signaled ||
                       (was_ended && completion_.exit_code != 0);
  result.set("exit_code", has_exit_code ? Value(completion_.exit_code) : Value());
  if (!printed.error.empty()) result.set("output_error", printed.error);
  if (action) add_stackstorm_names(*action, succeeded, printed.value, result);
  result.set("output", std::move(printed.value));
  if (!completion_.message.empty()) result.set("message", completion_.message);
  return result;
}

// Its worker is of this server, the row is another one's. What it gave back goes by way of a row:
// with no secret in it.
std::unique_ptr<Decision> FinishRun::handed_on(Context& ctx, const ExecutionRow& row) const {
  RunEnded ended{completion_, stored_, unheard_};
  Called called = called_by(ctx, row);
  if (const Action* action = called.action()) {
    packs::SecretScalars secrets(*action, called.parameters, called.config);
    ended.completion.output = secrets.hidden_in(completion_.output);
  }
  send_end(ctx, row, ended);
  return acknowledged(ctx);
}

// Two servers have said that the run is lost, as its worker went from one to the other: one of them
// that it had never begun. The other one knew more, in whichever order they are heard.
bool FinishRun::is_told_otherwise(const Loaded& rows) const {
  return unheard_ && std::ranges::any_of(rows.stored_ends(), [&](const auto& other) {
           if (other.id == message_ || other.subject != completion_.key.execution.value)
             return false;
           auto ended = read_end(other.body_json);
           return !ended.ok() || (ended->completion.key == completion_.key && !ended->unheard);
         });
}

Decided FinishRun::decide(Context& ctx) const {
  Of<ExecutionId> of{completion_.tenant, completion_.key.execution};
  if (message_) {
    if (!ctx.rows().has_message(message_)) return ctx.decided();  // handled before (K4)
    ctx.changes.acked.push_back({of.tenant, message_});
  }
  if (unreadable_) return *unreadable_;
  const auto* stored = ctx.rows().execution(of);
  if (mutant(Mutant::AckBeforeCommit)) done_();
  if (mutant(Mutant::FinalWritten) && stored && is_final(stored->status)) {
    ctx.edit(*stored).status = ExecutionStatus::Failed;
    return acknowledged(ctx);
  }
  // A holder with an old epoch cannot commit anything (K6), and a final status never changes (K9).
  bool is_holder = stored && (stored->key() == completion_.key || mutant(Mutant::EpochNotChecked));
  // What another server hands on it has held against the worker of its session.
  bool is_of_worker = stored && stored->worker && (message_ || stored->worker == worker_);
  if (!message_ && !mutant(Mutant::SlotNotFreed)) ctx.free_slot(worker_, completion_.key);
  if (!is_holder || is_final(stored->status) || !is_of_worker) return acknowledged(ctx);
  if (is_elsewhere(ctx, *stored)) return handed_on(ctx, *stored);
  if (is_told_otherwise(ctx.rows())) return acknowledged(ctx);
  if (mutant(Mutant::SlotFreedTwice)) ctx.free_slot(stored->worker);
  bool canceling = stored->status == ExecutionStatus::Canceling;
  if (canceling && !mutant(Mutant::OutboxKept))
    ctx.changes.outbox_done.push_back({of.tenant, OutboxId{of.id.value}});
  // A worker whose session is over ends its runs unasked.
  bool lost = completion_.end == RunEnd::Lost || completion_.end == RunEnd::Canceled;
  if (lost && message_) {
    end_lease(ctx, *stored, unheard_, why_lost());
  } else if (lost && !canceling) {
    lose_run(ctx, *stored, why_lost());
  } else {
    write_outputs(ctx);
    End end = end_of(completion_, *stored);
    ExecutionRow& row = ctx.edit(*stored);
    const Called called = called_by(ctx, row);
    const Action* action = called.action();
    const Value& parameters = called.parameters;
    Output printed = output(action, parameters, called.config);
    // An output that is not what it was declared to be fails its run.
    bool is_owed = action && !action->keeps_output_errors && printed.is_stored;
    if (end.status == ExecutionStatus::Succeeded && is_owed && !printed.error.empty()) {
      end = {ExecutionStatus::Failed, FailureClass::UserError};
    }
    if (completion_.started_ms > 0) row.started = completion_.started_ms;
    bool succeeded = end.status == ExecutionStatus::Succeeded;
    Value ended = result(action, std::move(printed), succeeded);
    if (!parameters.is_null()) note_short_secrets(*action, parameters, ended);
    if (!retry_by_policy(ctx, of.id, end.status, summary_of(completion_))) {
      finish(ctx, of.id, end.status, end.failure, ended);
    }
  }
  if (!mutant(Mutant::QueueNotLooked)) start_waiting(ctx);  // who waits comes before the next step
  TRY(work_off(ctx));
  return acknowledged(ctx);
}

}  // namespace

Message finish_run(WorkerId worker, Completion completion, StoredStreams stored,
                   std::function<void()> done) {
  return std::make_unique<FinishRun>(worker, RunEnded{std::move(completion), std::move(stored)},
                                     MessageId{}, std::move(done));
}

Message finish_run(const MessageRow& message) {
  auto ended = read_end(message.body_json);
  auto nobody = [] {};
  if (ended.ok()) {
    return std::make_unique<FinishRun>(WorkerId{}, std::move(*ended), message.id, nobody);
  }
  RunEnded of{.completion = {.tenant = message.tenant, .key = {ExecutionId{message.subject}}}};
  return std::make_unique<FinishRun>(WorkerId{}, std::move(of), message.id, nobody,
                                     std::move(ended).error());
}

}  // namespace millrace::engine
