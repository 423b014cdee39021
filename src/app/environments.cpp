// SPDX-License-Identifier: Apache-2.0
#include "app/environments.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "app/staged_releases.h"
#include "async/thread.h"
#include "base/files.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "packs/files.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kLongestBuildMs = 15 * 60'000;
// Written last: an environment without it is no environment.
constexpr std::string_view kReadyMark = "/.millrace-ready";
// What StackStorm's actions import without naming it: sdk/python/pyproject.toml names them too.
constexpr std::string_view kOfStackStorm[] = {"requests", "six",    "PyYAML",   "python-dateutil",
                                              "pytz",     "Jinja2", "eventlet", "mock"};

bool is_there(const std::string& folder) {
  return ::access((folder + std::string(kReadyMark)).c_str(), F_OK) == 0 &&
         ::access((folder + "/bin/python").c_str(), X_OK) == 0;  // a link to what may be gone
}

Error not_built(std::string_view step, std::string_view why) {
  return Error(ErrorKind::Unavailable, "APP-0044", fmt::format("{}: {}", step, why));
}

// The last lines that pip wrote say what is wrong; before them it tells what it does.
std::string last_lines(std::string_view text, size_t count = 8) {
  auto lines = split(trim(text), '\n');
  std::string out;
  for (size_t i = lines.size() - std::min(count, lines.size()); i < lines.size(); ++i) {
    out += fmt::format("{}{}", out.empty() ? "" : "\n", trim(lines[i]));
  }
  return out;
}

Result<void> run_step(std::string_view step, Command command) {
  auto end = run_command(command);
  if (!end.ok()) return not_built(step, end.error().message());
  if (end->exit_code == 0) return {};
  return not_built(step, fmt::format("{} ended with {}:\n{}", command.argv[0], end->exit_code,
                                     last_lines(end->tail)));
}

// Of the server's own environment: where the packages are, and the way there.
std::vector<std::string> own_environment(
    const std::vector<std::pair<std::string, std::string>>& given) {
  std::vector<std::string> env;
  for (const auto& [name, value] : given) env.push_back(fmt::format("{}={}", name, value));
  constexpr std::string_view kPassedOn[] = {
      "PIP_",         "http_proxy=", "https_proxy=",   "no_proxy=",     "HTTP_PROXY=",
      "HTTPS_PROXY=", "NO_PROXY=",   "SSL_CERT_FILE=", "SSL_CERT_DIR=", "REQUESTS_CA_BUNDLE="};
  for (char** entry = environ; *entry; ++entry) {
    std::string_view variable = *entry;
    for (auto name : kPassedOn) {
      if (variable.starts_with(name)) env.emplace_back(variable);
    }
  }
  return env;
}

std::string real_path(const std::string& program,
                      const std::vector<std::pair<std::string, std::string>>& env) {
  std::error_code ec;
  if (program.find('/') != program.npos) return fs::canonical(program, ec).string();
  for (const auto& [name, value] : env) {
    if (name != "PATH") continue;
    for (auto folder : split(value, ':')) {
      auto path = fmt::format("{}/{}", folder, program);
      if (::access(path.c_str(), X_OK) == 0) return fs::canonical(path, ec).string();
    }
  }
  return program;
}

}  // namespace

Environments::Environments(const std::string& data) : data_(fs::absolute(data).string()) {}

Environments::~Environments() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Result<void> Environments::build(const Wanted& wanted, const std::vector<std::string>& env,
                                 const std::atomic<bool>& stop) {
  if (is_there(wanted.folder)) return {};
  std::error_code ec;
  fs::remove_all(wanted.folder, ec);
  fs::create_directories(wanted.folder, ec);
  if (ec) return not_built(wanted.folder, ec.message());
  auto step = [&](std::string_view what, std::vector<std::string> argv) {
    return run_step(what, {.argv = std::move(argv),
                           .env = env,
                           .cwd = fs::path(wanted.requirements).parent_path().string(),
                           .within_ms = kLongestBuildMs,
                           .stop = &stop});
  };
  TRY(step("python3 -m venv", {wanted.python, "-m", "venv", wanted.folder}));
  std::vector<std::string> pip = {wanted.folder + "/bin/python", "-m",         "pip",    "install",
                                  "--disable-pip-version-check", "--no-input", "--quiet"};
  auto install = pip;
  install.insert(install.end(), {"-r", wanted.requirements});
  TRY(step("pip install -r requirements.txt", std::move(install)));
  if (wanted.of_stackstorm) {
    auto more = pip;
    more.insert(more.end(), std::begin(kOfStackStorm), std::end(kOfStackStorm));
    // Many actions import none of them: who does says so when it fails.
    if (auto done = step("pip install of what StackStorm has", std::move(more)); !done.ok()) {
      log_warn("environment.not_whole", done.error(), {{"folder", wanted.folder}});
    }
  }
  return replace_file(wanted.folder + std::string(kReadyMark), wanted.python + "\n");
}

std::optional<Environments::Wanted> Environments::wanted_by(const kernel::WorkOrder& order) const {
  bool is_python = order.python_runner || order.runtime.ref == "core.python";
  if (!is_python || order.runtime.interpreter.empty()) return std::nullopt;
  auto file = release_path(data_, order.pack, order.release) + "/requirements.txt";
  auto text = read_file(file, 1 << 20);
  if (!text.ok()) return std::nullopt;  // it has none
  Wanted wanted{.folder = {},
                .requirements = std::move(file),
                .python = real_path(order.runtime.interpreter[0], default_env_),
                .of_stackstorm = order.python_runner};
  std::string key = packs::digest_of({{"requirements", *std::move(text)},
                                      {"python", wanted.python},
                                      {"more", wanted.of_stackstorm ? "stackstorm" : ""}});
  wanted.folder = fmt::format("{}/envs/{}/{}", data_, order.pack, key.substr(0, 16));
  return wanted;
}

void Environments::serve(worker::WorkerConfig& config) {
  default_env_ = config.run.env;
  env_ = own_environment(config.run.env);
  auto bring = std::exchange(config.prepare, {});
  auto prepare = [this](const kernel::WorkOrder& order) -> std::optional<worker::Preparation> {
    auto wanted = wanted_by(order);
    if (!wanted || is_there(wanted->folder)) return std::nullopt;
    return worker::Preparation{
        fmt::format("the Python environment of pack '{}'", order.pack),
        [this, wanted = *std::move(wanted)](auto ready) { want(wanted, ready); }};
  };
  config.prepare = [bring, prepare](const auto& order) -> std::optional<worker::Preparation> {
    auto first = bring ? bring(order) : std::nullopt;
    if (!first) return prepare(order);
    // What it needs can be told once it is here.
    return worker::Preparation{
        first->what, [prepare, order, begin = std::move(first->begin)](auto ready) {
          begin([prepare, order, ready = std::move(ready)](Result<void> brought) {
            auto then = brought.ok() ? prepare(order) : std::nullopt;
            then ? then->begin(ready) : ready(std::move(brought));
          });
        }};
  };
  config.run.python = [this](const auto& order) {
    auto wanted = wanted_by(order);
    return wanted && is_there(wanted->folder) ? wanted->folder + "/bin/python" : std::string();
  };
}

void Environments::want(Wanted wanted, const Ready& ready) {
  std::lock_guard lock(mutex_);
  if (!thread_.joinable()) {
    auto started = async::start_thread("environments", [this] { work(); });
    if (!started.ok()) return ready(started.error());
    thread_ = *std::move(started);
  }
  auto& waiting = waiting_[wanted.folder];
  waiting.push_back(ready);
  if (waiting.size() == 1) queue_.push_back(std::move(wanted));
  changed_.notify_all();
}

void Environments::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    Wanted wanted = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    log_info("environment.builds", {{"folder", wanted.folder}});
    auto built = build(wanted, env_, stopping_);
    if (built.ok()) {
      log_info("environment.built", {{"folder", wanted.folder}});
    } else {
      log_error("environment.not_built", built.error(), {{"folder", wanted.folder}});
    }
    lock.lock();
    auto waiting = waiting_.extract(wanted.folder);
    lock.unlock();
    for (auto& ready : waiting.mapped()) ready(built);
  }
}

}  // namespace millrace::app
