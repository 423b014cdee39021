// SPDX-License-Identifier: Apache-2.0
// A connection between an agent and a server in one process: it keeps the order of what is said,
// may be slow, and is cut where the test wants it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "agent/remote_source.h"
#include "agent/sessions.h"

namespace millrace::agent {

// One way: a queue that a thread of its own empties.
template <typename Message>
class Way {
 public:
  explicit Way(std::function<void(Message)> deliver)
      : deliver_(std::move(deliver)), thread_([this] { run(); }) {}
  ~Way() {
    cut();
    thread_.join();
  }
  void put(Message message) {
    std::lock_guard lock(mutex_);
    if (cut_) return;
    queue_.push_back(std::move(message));
    changed_.notify_all();
  }
  // What is on its way is lost.
  void cut() {
    std::lock_guard lock(mutex_);
    cut_ = true;
    queue_.clear();
    changed_.notify_all();
  }
  // Nothing arrives until `go_on`.
  void hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void go_on() {
    std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  // Returns when nothing is being delivered, from a thread that does not deliver.
  void join_delivery() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !delivering_; });
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return cut_ || (!held_ && !queue_.empty()); });
      if (cut_) return;
      Message message = std::move(queue_.front());
      queue_.pop_front();
      delivering_ = true;
      lock.unlock();
      deliver_(std::move(message));
      lock.lock();
      delivering_ = false;
      changed_.notify_all();
    }
  }

  std::function<void(Message)> deliver_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Message> queue_;
  bool cut_ = false;
  bool held_ = false;
  bool delivering_ = false;
  std::thread thread_;
};

// Both ways, from `connect` until `cut`. Connects again by itself when an end has closed it.
class Pipe {
 public:
  Pipe(RemoteSource& agent, Sessions& server, std::string worker = {})
      : agent_(agent), server_(server), worker_(std::move(worker)) {}
  ~Pipe() { cut(); }

  void connect() {
    std::lock_guard lock(mutex_);
    live_ = std::make_shared<Live>(*this);
    live_->id = server_.connected(std::make_shared<ToAgentLink>(live_), {worker_, "a pipe"});
    live_->to_agent =
        std::make_unique<Way<ToAgent>>([this](ToAgent m) { agent_.received(std::move(m)); });
    live_->to_server = std::make_unique<Way<FromAgent>>(
        [this, id = live_->id](FromAgent m) { server_.received(id, std::move(m)); });
    live_->open = true;
    agent_.connected(*live_);
  }
  // What is on its way is lost, at either end or at both.
  void cut() {
    auto live = take();
    if (!live) return;
    live->open = false;
    live->to_server->cut();
    live->to_agent->cut();
    live->to_server->join_delivery();
    live->to_agent->join_delivery();
    agent_.disconnected();
    server_.disconnected(live->id);
  }
  // The agent notices, the server does not.
  void leave_half_open() {
    auto live = take();
    live->open = false;
    live->to_server->cut();
    live->to_agent->cut();
    live->to_server->join_delivery();
    live->to_agent->join_delivery();
    agent_.disconnected();
    dead_.push_back(std::move(live));
  }
  void hold_to_agent() { live_->to_agent->hold(); }
  void hold_to_server() { live_->to_server->hold(); }
  void let_go() {
    live_->to_agent->go_on();
    live_->to_server->go_on();
  }
  // An end has closed it.
  bool was_closed() const { return closed_; }
  // An agent that says what it likes.
  void say(FromAgent message) { live_->to_server->put(std::move(message)); }

 private:
  struct Live final : Link<FromAgent> {
    explicit Live(Pipe& its_pipe) : pipe(its_pipe) {}
    void send(FromAgent message) override {
      if (open) to_server->put(std::move(message));
    }
    void close(const Error&) override { pipe.closed_ = true; }
    Pipe& pipe;
    Sessions::ConnectionId id = 0;
    std::atomic<bool> open = false;
    std::unique_ptr<Way<ToAgent>> to_agent;
    std::unique_ptr<Way<FromAgent>> to_server;
  };
  struct ToAgentLink final : Link<ToAgent> {
    explicit ToAgentLink(std::weak_ptr<Live> its_live) : live(std::move(its_live)) {}
    void send(ToAgent message) override {
      if (auto there = live.lock(); there && there->open) there->to_agent->put(std::move(message));
    }
    void close(const Error& why) override {
      if (auto there = live.lock()) there->close(why);
    }
    std::weak_ptr<Live> live;
  };
  std::shared_ptr<Live> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(live_, {});
  }

  RemoteSource& agent_;
  Sessions& server_;
  std::string worker_;
  std::mutex mutex_;
  std::shared_ptr<Live> live_;
  std::vector<std::shared_ptr<Live>> dead_;
  std::atomic<bool> closed_ = false;
};

}  // namespace millrace::agent
