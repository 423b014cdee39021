// SPDX-License-Identifier: Apache-2.0
#include "services/grpc/live_call.h"

#include "rpc/status.h"

namespace millrace::rpc {
namespace {

void run(std::vector<std::function<void()>>& calls) {
  for (auto& call : calls) call();
}

Error too_late() { return Error(ErrorKind::Timeout, "RPC-0007", "the call's deadline has passed"); }

Error client_has_left() {
  return Error(ErrorKind::Unavailable, "RPC-0010", "the client has left or its time is over");
}

}  // namespace

LiveCall::LiveCall(grpc::GenericCallbackServerContext& context, const Method* method, Caller caller,
                   Ended ended)
    : context_(&context),
      method_(method),
      name_(context.method()),
      caller_(std::move(caller)),
      ended_(std::move(ended)) {}

std::shared_ptr<LiveCall> LiveCall::open(grpc::GenericCallbackServerContext& context,
                                         const Method* method, Caller caller, Ended ended) {
  std::shared_ptr<LiveCall> call(
      new LiveCall(context, method, std::move(caller), std::move(ended)));
  call->self_ = call;
  return call;
}

void LiveCall::serve() {
  std::shared_ptr<LiveCall> self;
  {
    std::scoped_lock lock(mutex_);
    if (finished_) return;
    self = self_;
    if (!method_->is_stream()) {
      // The alarm keeps its function for as long as it lives itself.
      alarm_.Set(caller_.deadline, [weak = std::weak_ptr(self)](bool is_due) {
        auto call = is_due ? weak.lock() : nullptr;
        if (call) call->finish(too_late());
      });
    }
  }
  if (const auto* handler = std::get_if<StreamHandler>(&method_->handler)) return (*handler)(self);
  read([self](const grpc::ByteBuffer* request) {
    if (!request) return self->finish(client_has_left());
    std::get<UnaryHandler>(self->method_->handler)(self, *request);
  });
}

void LiveCall::read(Got got) {
  {
    std::scoped_lock lock(mutex_);
    bool can = !client_is_done_ && !finished_ && !how_;
    if (can) {
      ASSERT_MSG(!reading_, "two reads of one call");
      reading_ = std::move(got);
      StartRead(&incoming_);
      return;
    }
  }
  got(nullptr);
}

void LiveCall::write(grpc::ByteBuffer message, std::function<void(bool)> written) {
  {
    std::scoped_lock lock(mutex_);
    if (!how_ && !finished_) {
      outgoing_.push_back({std::move(message), std::move(written)});
      if (outgoing_.size() == 1) StartWrite(&outgoing_.front().message);
      return;
    }
  }
  if (written) written(false);
}

void LiveCall::finish(Result<void> how) { end(std::move(how), false); }

void LiveCall::end(Result<void> how, bool at_once) {
  Later later;
  {
    std::scoped_lock lock(mutex_);
    if (!how_) how_ = std::move(how);
    if (at_once || outgoing_.empty()) finish_now(later);
  }
  run(later);
}

// gRPC gives back the write that is under way, if there is one, as failed.
void LiveCall::finish_now(Later& later) {
  if (finished_) return;
  finished_ = true;
  if (!how_->ok()) error_ = how_->error();
  if (!context_) return;  // gRPC is done with it
  auto status = grpc::Status::OK;
  if (error_) {
    status = status_of(*error_);
    context_->AddTrailingMetadata(std::string(kErrorTrailer),
                                  error_detail(*error_, caller_.request_id));
  }
  Finish(std::move(status));
  later.emplace_back([this, keep = self_] { alarm_.Cancel(); });
}

void LiveCall::OnReadDone(bool ok) {
  Got got;
  grpc::ByteBuffer message;
  {
    std::scoped_lock lock(mutex_);
    got = std::exchange(reading_, {});
    if (!ok) client_is_done_ = true;
    message.Swap(&incoming_);
  }
  if (got) got(ok ? &message : nullptr);
}

void LiveCall::OnWriteDone(bool ok) {
  Later later;
  {
    std::scoped_lock lock(mutex_);
    auto first = std::move(outgoing_.front());
    outgoing_.pop_front();
    if (first.written)
      later.emplace_back([written = std::move(first.written), ok] { written(ok); });
    if (!finished_ && !outgoing_.empty()) {
      StartWrite(&outgoing_.front().message);
    } else if (how_) {
      finish_now(later);
    }
  }
  run(later);
}

void LiveCall::OnCancel() { end(client_has_left(), true); }

void LiveCall::OnDone() {
  Later later;
  std::shared_ptr<LiveCall> self;
  std::optional<Error> error;
  {
    std::scoped_lock lock(mutex_);
    self = std::move(self_);
    context_ = nullptr;
    finished_ = true;
    error = error_;
    for (auto& left : outgoing_) {
      if (left.written) later.emplace_back([written = std::move(left.written)] { written(false); });
    }
    outgoing_.clear();
    for (auto& call : on_end_) later.push_back(std::move(call));
    on_end_.clear();
    on_drain_ = {};
  }
  ended_({.call = *this,
          .method = method_,
          .name = name_,
          .caller = caller_,
          .error = error,
          .took = std::chrono::steady_clock::now() - begin_});
  run(later);
}

void LiveCall::on_end(std::function<void()> ended) {
  {
    std::scoped_lock lock(mutex_);
    if (self_) {
      on_end_.push_back(std::move(ended));
      return;
    }
  }
  ended();
}

void LiveCall::on_drain(std::function<void()> drain) {
  {
    std::scoped_lock lock(mutex_);
    if (!is_draining_) {
      on_drain_ = std::move(drain);
      return;
    }
  }
  drain();
}

void LiveCall::drain() {
  std::function<void()> call;
  {
    std::scoped_lock lock(mutex_);
    is_draining_ = true;
    call = std::exchange(on_drain_, {});
  }
  if (call) call();
}

}  // namespace millrace::rpc
