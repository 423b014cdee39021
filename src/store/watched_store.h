// SPDX-License-Identifier: Apache-2.0
// For tests only: a store over another that sees every statement, counts what would be messages to
// an engine over a network, and fails where it is told to.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "store/sql.h"

namespace millrace::store::testing {

// What was seen on all connections of a store. Of one thread at a time.
struct Watch {
  std::set<std::string, std::less<>> texts;
  int64_t rows = 0;      // statements run, each row of a batch counted
  int64_t messages = 0;  // a statement on its own, or a batch
  // May give the error with which a statement fails before it is run.
  std::function<std::optional<Error>(std::string_view text)> fail;

  std::optional<Error> error_of(std::string_view text) const {
    return fail ? fail(text) : std::nullopt;
  }
};

class WatchedStatement final : public sql::Statement {
 public:
  WatchedStatement(sql::Statement& inner, std::string text, Watch& watch)
      : inner_(inner), text_(std::move(text)), watch_(watch) {}
  void bind_int(int index, int64_t value) override { inner_.bind_int(index, value); }
  void bind_text(int index, std::string_view value) override { inner_.bind_text(index, value); }
  void bind_blob(int index, std::string_view value) override { inner_.bind_blob(index, value); }
  Result<bool> step() override {
    if (!running_) {
      if (auto error = watch_.error_of(text_)) return *error;
      ++watch_.rows;
      ++watch_.messages;
    }
    running_ = true;
    return inner_.step();
  }
  void reset() override {
    running_ = false;
    inner_.reset();
  }
  int64_t affected() const override { return inner_.affected(); }
  int64_t column_int(int column) const override { return inner_.column_int(column); }
  std::string_view column_bytes(int column) const override { return inner_.column_bytes(column); }

 private:
  sql::Statement& inner_;
  std::string text_;
  Watch& watch_;
  bool running_ = false;
};

class WatchedBatch final : public sql::Batch {
 public:
  WatchedBatch(std::unique_ptr<sql::Batch> inner, std::string text, Watch& watch)
      : inner_(std::move(inner)), text_(std::move(text)), watch_(watch) {}
  void bind_int(int index, int64_t value) override { inner_->bind_int(index, value); }
  void bind_text(int index, std::string_view value) override { inner_->bind_text(index, value); }
  void bind_blob(int index, std::string_view value) override { inner_->bind_blob(index, value); }
  void end_row() override {
    ++watch_.rows;
    inner_->end_row();
  }
  Result<std::span<const int64_t>> flush() override {
    if (auto error = watch_.error_of(text_)) return *error;
    ++watch_.messages;
    return inner_->flush();
  }
  Result<void> put_off(Check check) override {
    if (auto error = watch_.error_of(text_)) return *error;
    ++watch_.messages;
    return inner_->put_off(std::move(check));
  }

 private:
  std::unique_ptr<sql::Batch> inner_;
  std::string text_;
  Watch& watch_;
};

class WatchedConnection final : public sql::Connection {
 public:
  WatchedConnection(std::unique_ptr<sql::Connection> inner, Watch& watch)
      : inner_(std::move(inner)), watch_(watch) {}
  Result<sql::Statement*> prepare(std::string_view text) override {
    TRY(auto* inner, inner_->prepare(text));
    watch_.texts.emplace(text);
    auto& statement = statements_[std::string(text)];
    if (!statement) statement.emplace(*inner, std::string(text), watch_);
    return static_cast<sql::Statement*>(&*statement);
  }
  Result<std::unique_ptr<sql::Batch>> batch(std::string_view text) override {
    TRY(auto inner, inner_->batch(text));
    watch_.texts.emplace(text);
    return std::unique_ptr<sql::Batch>(
        std::make_unique<WatchedBatch>(std::move(inner), std::string(text), watch_));
  }
  Result<std::unique_ptr<sql::Batch>> ahead(std::string_view text) override {
    watch_.texts.emplace(text);
    return inner_->ahead(text);
  }
  Result<void> await() override { return inner_->await(); }
  sql::Committed commit() override {
    watch_.texts.emplace("COMMIT");
    if (auto error = watch_.error_of("COMMIT")) return {{}, *error};
    ++watch_.messages;
    return inner_->commit();
  }
  Result<void> run(std::string_view script) override { return inner_->run(script); }
  Result<void> lock_numbering() override { return inner_->lock_numbering(); }
  void notify(const sql::Hint& hint) override { inner_->notify(hint); }
  bool in_transaction() const override { return inner_->in_transaction(); }
  int64_t log_bytes() const override { return inner_->log_bytes(); }
  Result<bool> give_back(int64_t pages) override { return inner_->give_back(pages); }
  Result<std::vector<std::string>> check_integrity() override { return inner_->check_integrity(); }

 private:
  std::unique_ptr<sql::Connection> inner_;
  Watch& watch_;
  std::map<std::string, std::optional<WatchedStatement>, std::less<>> statements_;
};

class WatchedStore final : public sql::Store {
 public:
  explicit WatchedStore(sql::Store& inner) : inner_(inner) {}
  Result<std::unique_ptr<sql::Connection>> open_writer() override {
    return watched(inner_.open_writer());
  }
  Result<std::unique_ptr<sql::Connection>> open_reader() override {
    return watched(inner_.open_reader());
  }
  void cut_reads(std::chrono::steady_clock::time_point at) override { inner_.cut_reads(at); }
  Result<void> backup(const std::string& target) override { return inner_.backup(target); }
  Result<int64_t> checkpoint() override { return inner_.checkpoint(); }
  Result<std::unique_ptr<sql::Listening>> listen(sql::Listener listener) override {
    return inner_.listen(std::move(listener));
  }

  Watch watch;

 private:
  Result<std::unique_ptr<sql::Connection>> watched(Result<std::unique_ptr<sql::Connection>> inner) {
    if (!inner.ok()) return inner;
    return std::unique_ptr<sql::Connection>(
        std::make_unique<WatchedConnection>(std::move(*inner), watch));
  }
  sql::Store& inner_;
};

}  // namespace millrace::store::testing
