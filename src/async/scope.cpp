// SPDX-License-Identifier: Apache-2.0
#include "async/scope.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include "async/cancel.h"
#include "base/log.h"

namespace millrace::async {

struct Scope::Entry {
  std::string name;
  boost::asio::cancellation_signal stop;
};

namespace {

void log_failure(std::string_view task, const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    if (!is_cancel(e)) log_error("task.failed", {{"task", task}, {"error", e.what()}});
  }
}

Task<void> log_result(std::string name, Task<Result<void>> task) {
  auto result = co_await std::move(task);
  if (!result.ok()) log_error("task.failed", result.error(), {{"task", name}});
}

}  // namespace

Scope::Scope(Executor loop) : executor_(std::move(loop)) {}

Scope::~Scope() { ASSERT_MSG(tasks_.empty(), "a scope was destroyed before it was joined"); }

void Scope::cancel() {
  for (Entry& task : tasks_) task.stop.emit(boost::asio::cancellation_type::terminal);
}

Task<void> Scope::join() {
  while (!tasks_.empty()) co_await joiner_.park(Waiter::Cancel::IsIgnored);
}

Task<void> Scope::stop() {
  cancel();
  return join();
}

void Scope::start(std::string_view name, Task<void> task) {
  auto entry = tasks_.emplace(tasks_.end());
  entry->name = name;
  auto on_end = [this, entry](std::exception_ptr failure) { ended(entry, std::move(failure)); };
  boost::asio::co_spawn(executor_, std::move(task),
                        boost::asio::bind_cancellation_slot(entry->stop.slot(), on_end));
}

void Scope::ended(std::list<Entry>::iterator entry, std::exception_ptr failure) {
  if (failure) log_failure(entry->name, failure);
  tasks_.erase(entry);
  if (tasks_.empty()) joiner_.resume();
}

void spawn(std::string_view name, Scope& scope, Task<void> task) {
  scope.start(name, std::move(task));
}

void spawn(std::string_view name, Scope& scope, Task<Result<void>> task) {
  spawn(name, scope, log_result(std::string(name), std::move(task)));
}

}  // namespace millrace::async
