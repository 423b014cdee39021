// SPDX-License-Identifier: Apache-2.0
#include "app/for_others.h"

namespace millrace::app {
namespace {

Error not_serving() {
  return Error(ErrorKind::Unavailable, "API-0010",
               "the server is starting or stopping: come back in a moment")
      .with_retry_after(1000);
}

}  // namespace

rpc::CommandHandlers ForOthers::handlers() {
  auto submit = [this](rpc::Forwarded request, Reply reply) {
    loop_.post([this, request = std::move(request), reply = std::move(reply)]() mutable {
      if (!api_) return reply(not_serving());
      async::spawn("forwarded", *scope_, answer(std::move(request), std::move(reply)));
    });
  };
  auto run_blocking = [this](Job job) {
    loop_.post([this, job = std::move(job)] {
      if (!api_) return job(not_serving());
      async::spawn("read_files", *scope_, run(job));
    });
  };
  return {.submit = std::move(submit),
          .run_blocking = std::move(run_blocking),
          .blobs = &blobs_,
          .read_release = [this](const auto& want) { return releases_.read(want); },
          .on_output =
              [this](Of<ExecutionId> execution, rpc::OnOutput chunk) {
                return engine_.on_output(execution, std::move(chunk));
              },
          .forget_output = [this](int64_t number) { engine_.forget(number); },
          .lend = [this](kernel::PermitAsk ask,
                         rpc::OnPermits lent) { engine_.lend(std::move(ask), std::move(lent)); },
          .take_back = [this](int64_t number) { engine_.take_back(number); }};
}

void ForOthers::begin(api::Api& api) {
  scope_.emplace(loop_.executor());
  api_ = &api;
}

Task<void> ForOthers::end() {
  api_ = nullptr;
  if (scope_) co_await scope_->stop();
}

Task<void> ForOthers::answer(rpc::Forwarded request, Reply reply) {
  auto answer = co_await api_->handle_forwarded({.method = std::move(request.method),
                                                 .target = std::move(request.target),
                                                 .headers = std::move(request.headers),
                                                 .body = std::move(request.body),
                                                 .who = std::move(request.who),
                                                 .peer = std::move(request.address),
                                                 .hops = request.hops,
                                                 .request_id = std::move(request.request_id),
                                                 .trace = std::move(request.trace),
                                                 .left = request.left});
  if (!answer.ok()) co_return reply(answer.error());
  reply(rpc::ForwardedAnswer{answer->status, std::move(answer->content_type),
                             std::move(answer->headers), std::move(answer->body)});
}

Task<void> ForOthers::run(Job job) {
  auto done = co_await pool_.run([&job] { job({}); });
  // Never begun, where the pool has no place; what it threw has no answer.
  if (!done.ok()) job(done.error());
}

}  // namespace millrace::app
