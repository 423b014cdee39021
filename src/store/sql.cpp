// SPDX-License-Identifier: Apache-2.0
#include "store/sql.h"

#include <optional>

namespace millrace::sql {
namespace {

// For an engine in the process, where a row costs no message.
class RowByRow final : public Batch {
 public:
  explicit RowByRow(Statement& statement) : statement_(statement) {}
  void bind_int(int index, int64_t value) override { statement_.bind_int(index, value); }
  void bind_text(int index, std::string_view value) override { statement_.bind_text(index, value); }
  void bind_blob(int index, std::string_view value) override { statement_.bind_blob(index, value); }
  void end_row() override {
    if (failed_) return;
    auto stepped = statement_.step();
    touched_.push_back(statement_.affected());
    statement_.reset();
    if (!stepped.ok()) failed_ = std::move(stepped).error();
  }
  Result<std::span<const int64_t>> flush() override {
    done_.swap(touched_);
    touched_.clear();
    if (failed_) return *std::exchange(failed_, std::nullopt);
    return std::span<const int64_t>(done_);
  }

 private:
  Statement& statement_;
  std::vector<int64_t> touched_;
  std::vector<int64_t> done_;
  std::optional<Error> failed_;
};

}  // namespace

Result<void> Batch::put_off(Check check) {
  TRY(auto touched, flush());
  return check ? check(touched) : Result<void>();
}

Committed Connection::commit() {
  if (auto rows = await(); !rows.ok()) return {std::move(rows), {}};
  auto statement = prepare("COMMIT");
  if (!statement.ok()) return {{}, std::move(statement).error()};
  auto done = (*statement)->execute();
  if (!done.ok()) return {{}, std::move(done).error()};
  return {};
}

Result<std::unique_ptr<Batch>> Connection::batch(std::string_view text) {
  TRY(auto* statement, prepare(text));
  return std::unique_ptr<Batch>(std::make_unique<RowByRow>(*statement));
}

}  // namespace millrace::sql
