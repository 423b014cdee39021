// SPDX-License-Identifier: Apache-2.0
#include "async/clock_watch.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace millrace::async {

namespace {

constexpr int64_t kNever = int64_t{1} << 33;  // in seconds: the year 2242

}  // namespace

struct ClockWatch::Timer {
  explicit Timer(Executor executor)
      : descriptor(executor, ::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC)) {}
  void arm() {
    itimerspec never{};
    never.it_value.tv_sec = kNever;
    ::timerfd_settime(descriptor.native_handle(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                      &never, nullptr);
  }
  // Fails with ECANCELED, and can be waited for again.
  void clear() {
    uint64_t times = 0;
    [[maybe_unused]] auto got = ::read(descriptor.native_handle(), &times, sizeof(times));
  }
  boost::asio::posix::stream_descriptor descriptor;
};

ClockWatch::ClockWatch(Executor executor) : timer_(std::make_unique<Timer>(executor)) {
  timer_->arm();
}

ClockWatch::~ClockWatch() = default;

Task<void> ClockWatch::next() {
  co_await timer_->descriptor.async_wait(boost::asio::posix::descriptor_base::wait_read,
                                         boost::asio::use_awaitable);
  timer_->clear();
  timer_->arm();
}

}  // namespace millrace::async
