// SPDX-License-Identifier: Apache-2.0
#include "store.h"

#include <algorithm>

#include "adapters/store_sqlite/store_sqlite.h"
#include "store/migrate.h"

namespace millrace::sim {

namespace {

// In one thread nobody comes whom it would pay to wait for.
constexpr std::string_view kNoWaiting = "PRAGMA busy_timeout=0";

}  // namespace

class SimStore::FaultStatement final : public sql::Statement {
 public:
  FaultStatement(SimStore& store, bool writer, std::string text, sql::Statement& inner)
      : store_(store), writer_(writer), text_(std::move(text)), inner_(inner) {}
  void bind_int(int index, int64_t value) override {
    bound_.push_back(value);
    inner_.bind_int(index, value);
  }
  void bind_text(int index, std::string_view value) override { inner_.bind_text(index, value); }
  void bind_blob(int index, std::string_view value) override { inner_.bind_blob(index, value); }
  Result<bool> step() override {
    if (begun_) return inner_.step();
    begun_ = true;
    const StoreFault* fault = store_.strike(writer_, text_, bound_);
    if (!fault) return inner_.step();
    if (fault->although_done) TRY(inner_.step());
    bool internal = fault->code == sql::kConstraint;
    return Error(internal ? ErrorKind::Internal : ErrorKind::Unavailable, fault->code,
                 "planted fault in: " + text_.substr(0, 60));
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
  SimStore& store_;
  bool writer_;
  std::string text_;
  sql::Statement& inner_;
  std::vector<int64_t> bound_;
  bool begun_ = false;
};

class SimStore::FaultConnection final : public sql::Connection {
 public:
  FaultConnection(SimStore& store, bool writer, std::unique_ptr<sql::Connection> inner)
      : store_(store), writer_(writer), inner_(std::move(inner)) {}
  Result<sql::Statement*> prepare(std::string_view text) override {
    TRY(sql::Statement * inner, inner_->prepare(text));
    auto& made = statements_[inner];
    if (!made) {
      made = std::make_unique<FaultStatement>(store_, writer_, std::string(text), *inner);
    }
    return static_cast<sql::Statement*>(made.get());
  }
  Result<void> run(std::string_view script) override { return inner_->run(script); }
  Result<void> lock_numbering() override { return inner_->lock_numbering(); }
  void notify(const sql::Hint& hint) override { inner_->notify(hint); }
  bool in_transaction() const override { return inner_->in_transaction(); }

  // What a crash leaves: nothing of an open transaction.
  void come_back() {
    for (auto& [inner, statement] : statements_) statement->reset();
    if (inner_->in_transaction()) (void)inner_->run("ROLLBACK");
    is_lent = false;
  }
  bool is_writer() const { return writer_; }
  bool is_lent = false;

 private:
  SimStore& store_;
  bool writer_;
  std::unique_ptr<sql::Connection> inner_;
  std::map<sql::Statement*, std::unique_ptr<FaultStatement>> statements_;
};

class SimStore::Lent final : public sql::Connection {
 public:
  explicit Lent(FaultConnection& of) : of_(of) { of_.is_lent = true; }
  ~Lent() override { of_.come_back(); }
  Result<sql::Statement*> prepare(std::string_view text) override { return of_.prepare(text); }
  Result<void> run(std::string_view script) override { return of_.run(script); }
  void notify(const sql::Hint& hint) override { of_.notify(hint); }
  bool in_transaction() const override { return of_.in_transaction(); }

 private:
  FaultConnection& of_;
};

SimStore::SimStore() = default;
SimStore::~SimStore() = default;

Result<std::unique_ptr<SimStore>> SimStore::open() {
  auto store = std::unique_ptr<SimStore>(new SimStore());
  static int number = 0;
  std::string folder = "/millrace-sim-" + std::to_string(++number);
  TRY(store->inner_, store_sqlite::open(folder, {.reader_limit_ms = 60'000, .vfs = "memdb"}));
  TRY(store->inspector_, store->inner_->open_writer());
  TRY(store->inspector_->run(kNoWaiting));
  TRY(store::migrate(*store->inspector_));
  TRY(auto* names, store->inspector_->prepare("SELECT name FROM sqlite_master WHERE type = 'table' "
                                              "AND name NOT LIKE 'sqlite%'"));
  for (;;) {
    TRY(bool more, names->step());
    if (!more) break;
    std::string name(names->column_bytes(0));
    if (name != "meta") store->tables_.push_back(std::move(name));
  }
  names->reset();
  return store;
}

std::unique_ptr<SimStore::FaultConnection> SimStore::wrap(bool writer,
                                                          std::unique_ptr<sql::Connection> inner) {
  return std::make_unique<FaultConnection>(*this, writer, std::move(inner));
}

std::unique_ptr<sql::Connection> SimStore::lend(bool writer) {
  for (auto& each : made_) {
    if (each->is_writer() == writer && !each->is_lent) return std::make_unique<Lent>(*each);
  }
  return nullptr;
}

Result<std::unique_ptr<sql::Connection>> SimStore::open_writer() {
  if (auto known = lend(true)) return known;
  TRY(auto inner, inner_->open_writer());
  TRY(inner->run(kNoWaiting));
  made_.push_back(wrap(true, std::move(inner)));
  return lend(true);
}

Result<std::unique_ptr<sql::Connection>> SimStore::open_reader() {
  if (auto known = lend(false)) return known;
  TRY(auto inner, inner_->open_reader());
  TRY(inner->run(kNoWaiting));
  made_.push_back(wrap(false, std::move(inner)));
  return lend(false);
}

void SimStore::clear() {
  heal_all();
  auto must = [](Result<void> done) { ASSERT_MSG(done.ok(), done.error().describe()); };
  must(inspector_->run("BEGIN IMMEDIATE"));
  for (const auto& table : tables_) {
    auto remove = inspector_->prepare("DELETE FROM " + table);
    ASSERT(remove.ok());
    auto done = (*remove)->execute();
    ASSERT_MSG(done.ok(), done.error().describe());
  }
  must(inspector_->run("DELETE FROM meta WHERE name <> 'schema'"));
  must(inspector_->run("COMMIT"));
}

const StoreFault* SimStore::strike(bool writer, const std::string& text,
                                   const std::vector<int64_t>& bound) {
  for (size_t i = 0; i < faults_.size(); ++i) {
    auto& fault = faults_[i];
    if (fault.of_writer != writer || text.find(fault.text) == std::string::npos) continue;
    if (fault.bound != 0 && std::ranges::find(bound, fault.bound) == bound.end()) continue;
    ++struck_;
    struck_fault_ = fault;
    if (fault.times > 0 && --fault.times == 0) {
      faults_.erase(faults_.begin() + static_cast<ptrdiff_t>(i));
    }
    return &struck_fault_;
  }
  return nullptr;
}

}  // namespace millrace::sim
