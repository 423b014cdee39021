// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "store/sql.h"

namespace millrace::sql {

// What goes wrong with a statement: it is slow, it fails, or both.
struct Fault {
  enum class On : uint8_t { Reader, Writer };
  On on = On::Reader;
  std::string text;   // a part of the statement; empty: any
  int64_t bound = 0;  // only when this number is bound to it; 0: whatever is
  int skip = 0;       // as many are left alone first
  int times = -1;     // then so many fail; -1: until it is taken away
  int64_t delay_ms = 0;
  std::string_view code = kBusy;  // empty: it is only slow
};

// A store whose reads, writes and commits fail or are slow when a test says so, and come back when
// it says so. Thread-safe; a fault that is added or taken away holds for the next statement.
class FaultStore final : public Store {
 public:
  explicit FaultStore(Store& inner) : inner_(inner) {}

  int add(Fault fault) {
    std::lock_guard lock(mutex_);
    faults_.push_back({++last_, std::move(fault)});
    return last_;
  }
  void remove(int number) {
    std::lock_guard lock(mutex_);
    faults_.remove_if([&](const auto& each) { return each.first == number; });
  }
  void clear() {
    std::lock_guard lock(mutex_);
    faults_.clear();
  }
  // How many statements have failed or were slowed down.
  int64_t struck() const { return struck_; }
  // How many statements with this in their text have been run.
  int64_t seen(const std::string& text) const {
    std::lock_guard lock(mutex_);
    int64_t count = 0;
    for (const auto& each : log_) count += each.find(text) != std::string::npos ? 1 : 0;
    return count;
  }
  void forget_seen() {
    std::lock_guard lock(mutex_);
    log_.clear();
  }

  Result<std::unique_ptr<Connection>> open_writer() override {
    TRY(auto inner, inner_.open_writer());
    return wrap(Fault::On::Writer, std::move(inner));
  }
  Result<std::unique_ptr<Connection>> open_reader() override {
    TRY(auto inner, inner_.open_reader());
    return wrap(Fault::On::Reader, std::move(inner));
  }
  void cut_reads(std::chrono::steady_clock::time_point at) override { inner_.cut_reads(at); }
  Result<void> backup(const std::string& target) override { return inner_.backup(target); }
  Result<int64_t> checkpoint() override { return inner_.checkpoint(); }
  Result<std::unique_ptr<Listening>> listen(Listener listener) override {
    return inner_.listen(std::move(listener));
  }

 private:
  class FaultStatement final : public Statement {
   public:
    FaultStatement(FaultStore& store, Fault::On on, std::string text, Statement& inner)
        : store_(store), on_(on), text_(std::move(text)), inner_(inner) {}
    void bind_int(int index, int64_t value) override {
      bound_.push_back(value);
      inner_.bind_int(index, value);
    }
    void bind_text(int index, std::string_view value) override { inner_.bind_text(index, value); }
    void bind_blob(int index, std::string_view value) override { inner_.bind_blob(index, value); }
    Result<bool> step() override {
      if (!begun_) {
        begun_ = true;
        TRY(store_.strike(on_, text_, bound_));
      }
      return inner_.step();
    }
    void reset() override {
      begun_ = false;
      bound_.clear();
      inner_.reset();
    }
    int64_t affected() const override { return inner_.affected(); }
    int64_t column_int(int column) const override { return inner_.column_int(column); }
    std::string_view column_bytes(int column) const override { return inner_.column_bytes(column); }

   private:
    FaultStore& store_;
    Fault::On on_;
    std::string text_;
    Statement& inner_;
    std::vector<int64_t> bound_;
    bool begun_ = false;
  };

  class FaultConnection final : public Connection {
   public:
    FaultConnection(FaultStore& store, Fault::On on, std::unique_ptr<Connection> inner)
        : store_(store), on_(on), inner_(std::move(inner)) {}
    Result<Statement*> prepare(std::string_view text) override {
      TRY(Statement * inner, inner_->prepare(text));
      auto& made = statements_[inner];
      if (!made) {
        made = std::make_unique<FaultStatement>(store_, on_, std::string(text), *inner);
      }
      return static_cast<Statement*>(made.get());
    }
    Result<void> await() override { return inner_->await(); }
    Result<void> run(std::string_view script) override { return inner_->run(script); }
    Result<void> lock_numbering() override { return inner_->lock_numbering(); }
    void notify(const Hint& hint) override { inner_->notify(hint); }
    bool in_transaction() const override { return inner_->in_transaction(); }
    int64_t log_bytes() const override { return inner_->log_bytes(); }
    Result<std::vector<std::string>> check_integrity() override {
      return inner_->check_integrity();
    }

   private:
    FaultStore& store_;
    Fault::On on_;
    std::unique_ptr<Connection> inner_;
    std::map<Statement*, std::unique_ptr<FaultStatement>> statements_;
  };

  Result<std::unique_ptr<Connection>> wrap(Fault::On on, std::unique_ptr<Connection> inner) {
    return std::unique_ptr<Connection>(
        std::make_unique<FaultConnection>(*this, on, std::move(inner)));
  }

  Result<void> strike(Fault::On on, const std::string& text, const std::vector<int64_t>& bound) {
    int64_t delay_ms = 0;
    std::string_view code;
    {
      std::lock_guard lock(mutex_);
      log_.push_back(text);
      for (auto& [number, fault] : faults_) {
        if (fault.on != on || text.find(fault.text) == std::string::npos) continue;
        if (fault.bound != 0 && std::ranges::find(bound, fault.bound) == bound.end()) continue;
        if (fault.skip > 0) {
          --fault.skip;
          continue;
        }
        if (fault.times == 0) continue;
        if (fault.times > 0) --fault.times;
        delay_ms = fault.delay_ms;
        code = fault.code;
        ++struck_;
        break;
      }
    }
    if (delay_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    if (code.empty()) return {};
    bool internal = code == kConstraint || code == kDamaged || code == kStatement;
    return Error(internal ? ErrorKind::Internal : ErrorKind::Unavailable, std::string(code),
                 "planted fault in: " + text.substr(0, 60));
  }

  Store& inner_;
  mutable std::mutex mutex_;
  std::list<std::pair<int, Fault>> faults_;
  std::vector<std::string> log_;
  int last_ = 0;
  std::atomic<int64_t> struck_{0};
};

}  // namespace millrace::sql
