// SPDX-License-Identifier: Apache-2.0
#include "adapters/blob_s3/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <future>
#include <random>

#include "adapters/blob_s3/answers.h"
#include "async/deadline.h"
#include "async/thread.h"
#include "base/log.h"

namespace millrace::blob_s3 {
namespace {

constexpr int kTries = 5;
constexpr std::chrono::milliseconds kLongestPause{5'000};
// S3 refuses what is a quarter of an hour away.
constexpr int64_t kSkewMs = 300'000;

net::HttpClientOptions http_options(const Options& options) {
  return {.connect_timeout = std::min(options.timeout, std::chrono::milliseconds(10'000)),
          .read_timeout = options.timeout,
          .ca_file = options.ca_file};
}

bool may_pass(const Result<Answer>& answer) {
  if (!answer.ok()) {
    auto kind = answer.error().kind();
    return kind == ErrorKind::Unavailable || kind == ErrorKind::Timeout;
  }
  int status = answer->status;
  return status >= 500 || status == 429 || status == 408 ||
         (status == 400 && text_of(answer->body, "Code") == "RequestTimeout");
}

bool is_answer(const Answer& answer) {
  int status = answer.status;
  return status / 100 == 2 || status == 404 || status == 412 || status == 416;
}

// "Fri, 24 May 2013 00:00:00 GMT"; nothing: it is none.
std::optional<int64_t> date_ms(std::string_view header) {
  std::tm tm{};
  std::string text(header);
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &tm);
  if (!end || *end != '\0') return std::nullopt;
  return int64_t{timegm(&tm)} * 1000;
}

// Full jitter: many clients do not come back at once.
async::Duration pause_before(int attempt, std::chrono::milliseconds first) {
  static thread_local std::minstd_rand dice{std::random_device{}()};
  auto longest = std::min(kLongestPause, first * (1 << std::min(attempt, 10)));
  return async::Duration(dice() % static_cast<unsigned>(longest.count() + 1));
}

Result<net::Url> endpoint_of(const Options& options) {
  auto wrong = [](std::string what) { return Error(ErrorKind::Invalid, "BLB-0004", what); };
  if (options.bucket.empty() || options.bucket.find('/') != options.bucket.npos) {
    return wrong("blob.s3.bucket: expected the name of a bucket");
  }
  if (options.region.empty()) return wrong("blob.s3.region: expected the region of the bucket");
  if (!options.prefix.empty() && !options.prefix.ends_with('/')) {
    return wrong("blob.s3.prefix: expected nothing, or names that end with '/'");
  }
  std::string text = options.endpoint.empty()
                         ? fmt::format("https://s3.{}.amazonaws.com", options.region)
                         : options.endpoint;
  auto url = net::parse_url(text);
  if (!url.ok()) return wrong("blob.s3.endpoint: " + url.error().message());
  if (url->target != "/") {
    return wrong(fmt::format("blob.s3.endpoint: expected no path, found '{}'", url->target));
  }
  bool in_path = options.path_style.value_or(!options.endpoint.empty());
  if (!in_path) url->host = options.bucket + '.' + url->host;
  return url;
}

}  // namespace

Client::Client(Options options, net::Url endpoint)
    : options_(std::move(options)),
      endpoint_(std::move(endpoint)),
      host_(endpoint_.authority()),
      http_(http_options(options_)) {}

Result<std::unique_ptr<Client>> Client::open(Options options) {
  TRY(auto endpoint, endpoint_of(options));
  std::unique_ptr<Client> client(new Client(std::move(options), std::move(endpoint)));
  TRY(client->keys_, client->options_.keys());
  TRY(client->thread_, async::start_thread("blob_s3", [self = client.get()] {
        self->loop_.block_on(self->serve());
      }));
  return client;
}

Client::~Client() {
  if (!thread_.joinable()) return;
  stop_.notify();
  thread_.join();
}

Task<void> Client::serve() {
  co_await stop_.wait();
  co_await scope_.stop();
}

Result<Keys> Client::keys() {
  std::lock_guard lock(mutex_);
  return keys_;
}

bool Client::has_other_keys() {
  auto read = options_.keys();
  if (!read.ok()) {
    log_warn("blob_s3.keys_not_read", read.error());
    return false;
  }
  std::lock_guard lock(mutex_);
  if (*read == keys_) return false;
  keys_ = *std::move(read);
  return true;
}

Result<Answer> Client::ask(Question question) {
  auto done = std::make_shared<std::promise<Result<Answer>>>();
  auto answered = done->get_future();
  auto run = [](Client& self, Question asked,
                std::shared_ptr<std::promise<Result<Answer>>> promise) -> Task<void> {
    promise->set_value(co_await self.answer(std::move(asked)));
  };
  loop_.post([this, run, question = std::move(question), done]() mutable {
    async::spawn("s3", scope_, run(*this, std::move(question), std::move(done)));
  });
  return answered.get();
}

Task<Result<Answer>> Client::send(const Question& question) {
  bool in_path = endpoint_.host.size() <= options_.bucket.size() ||
                 !endpoint_.host.starts_with(options_.bucket + '.') ||
                 options_.path_style.value_or(!options_.endpoint.empty());
  Request request{.method = question.method,
                  .path = in_path ? '/' + options_.bucket + '/' + question.key : '/' + question.key,
                  .query = question.query,
                  .headers = question.headers,
                  .body = question.body};
  CO_TRY(auto with, keys());
  sign(request, {host_, options_.region, options_.now_ms() + ahead_ms_}, with);
  net::ClientRequest sent{
      .method = request.method,
      .url = fmt::format("{}://{}{}", endpoint_.tls ? "https" : "http", host_, target_of(request)),
      .headers = std::move(request.headers),
      .body = std::move(request.body)};
  co_return co_await async::with_deadline(options_.timeout, http_.send(std::move(sent)));
}

Task<Result<Answer>> Client::answer(Question question) {
  bool set_clock = false;
  bool read_keys = false;
  for (int tries = 1;; ++tries) {
    auto answer = co_await send(question);
    if (answer.ok() && is_answer(*answer)) co_return answer;
    if (answer.ok() && answer->status == 403) {
      // A HEAD has no body that says why.
      auto theirs = date_ms(answer->find_header("date"));
      int64_t ahead = theirs ? *theirs - options_.now_ms() : 0;
      bool is_skewed = theirs && std::abs(ahead - ahead_ms_) > kSkewMs;
      if (is_skewed && !std::exchange(set_clock, true)) {
        ahead_ms_ = ahead;
        log_warn("blob_s3.clock", {{"ahead_ms", ahead}, {"do", "set the clock of this machine"}});
        continue;
      }
      if (!std::exchange(read_keys, true) && has_other_keys()) continue;
    }
    if (!may_pass(answer) || tries == kTries) co_return failed(question, answer, tries);
    co_await async::sleep_for(pause_before(tries - 1, options_.first_pause));
  }
}

Error Client::failed(const Question& question, const Result<Answer>& last, int tries) const {
  std::string why = last.ok() ? fmt::format("{} {} {}", last->status, text_of(last->body, "Code"),
                                            text_of(last->body, "Message"))
                              : last.error().message();
  return Error(ErrorKind::Unavailable, "BLB-0003",
               fmt::format("S3 at {}: {} '{}' failed{}: {}", host_, question.method, question.key,
                           tries > 1 ? fmt::format(" {} times", tries) : "", why));
}

}  // namespace millrace::blob_s3
