// SPDX-License-Identifier: Apache-2.0
#include "app/environments.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <tuple>

#include "app/staged_releases.h"
#include "async/thread.h"
#include "base/files.h"
#include "base/log.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "packs/files.h"
#include "services/worker/runtime_words.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr int64_t kLongestBuildMs = 15 * 60'000;
// Written last: an environment without it is no environment.
constexpr std::string_view kReadyMark = "/.millrace-ready";
// What StackStorm's actions import without naming it: sdk/python/pyproject.toml names them too.
constexpr std::string_view kOfStackStorm[] = {"requests", "six",    "PyYAML",   "python-dateutil",
                                              "pytz",     "Jinja2", "eventlet", "mock"};

worker::RuntimeWords words_of(const Environments::Wanted& wanted) {
  return {.env_dir = wanted.folder,
          .pack_dir = wanted.pack_dir,
          .manifest_path = wanted.pack_dir + "/" + wanted.recipe.manifest,
          .interpreter = wanted.interpreter};
}

// The program that the environment brings; empty: none.
std::string own_interpreter(const Environments::Wanted& wanted) {
  return words_of(wanted).in(wanted.recipe.interpreter);
}

bool is_there(const Environments::Wanted& wanted) {
  std::string own = own_interpreter(wanted);  // a link to what may be gone
  return ::access((wanted.folder + std::string(kReadyMark)).c_str(), F_OK) == 0 &&
         (own.empty() || ::access(own.c_str(), X_OK) == 0);
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
  constexpr std::string_view kPassedOn[] = {"PIP_",
                                            "npm_config_",
                                            "NPM_CONFIG_",
                                            "http_proxy=",
                                            "https_proxy=",
                                            "no_proxy=",
                                            "HTTP_PROXY=",
                                            "HTTPS_PROXY=",
                                            "NO_PROXY=",
                                            "SSL_CERT_FILE=",
                                            "SSL_CERT_DIR=",
                                            "REQUESTS_CA_BUNDLE=",
                                            "NODE_EXTRA_CA_CERTS="};
  for (char** entry = environ; *entry; ++entry) {
    std::string_view variable = *entry;
    for (auto name : kPassedOn) {
      if (variable.starts_with(name)) env.emplace_back(variable);
    }
  }
  return env;
}

// What npm reads lies in the folder that it fills: package.json, its lock, .npmrc, archives.
Result<void> copy_files(const std::string& from, const std::string& to) {
  std::error_code ec;
  for (fs::directory_iterator at(from, ec), end; !ec && at != end; at.increment(ec)) {
    if (!at->is_regular_file(ec)) continue;
    auto copy = fs::path(to) / at->path().filename();
    fs::copy_file(at->path(), copy, ec);
    if (!ec) fs::permissions(copy, fs::perms::owner_all, ec);
    if (ec) break;
  }
  if (ec) return not_built(to, ec.message());
  return {};
}

std::string lines(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += word + '\n';
  return out;
}

std::string first_words(const std::vector<std::string>& command) {
  std::string out;
  for (size_t i = 0; i < command.size() && i < 4; ++i) out += (i ? " " : "") + command[i];
  return out;
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
  if (is_there(wanted)) return {};
  std::error_code ec;
  fs::remove_all(wanted.folder, ec);
  fs::create_directories(wanted.folder, ec);
  if (ec) return not_built(wanted.folder, ec.message());
  auto step = [&](std::string_view what, std::vector<std::string> argv) {
    return run_step(what, {.argv = std::move(argv),
                           .env = env,
                           .cwd = wanted.pack_dir,
                           .within_ms = kLongestBuildMs,
                           .stop = &stop});
  };
  const EnvironmentRecipe& recipe = wanted.recipe;
  auto words = words_of(wanted);
  if (recipe.create.empty()) {
    TRY(copy_files(wanted.pack_dir, wanted.folder));
  } else {
    TRY(step(first_words(recipe.create), words.in(recipe.create)));
  }
  std::string own = own_interpreter(wanted);
  if (!own.empty()) words.interpreter = own;
  TRY(step(first_words(recipe.install), words.in(recipe.install)));
  if (wanted.of_stackstorm) {
    std::vector<std::string> more = {
        words.interpreter, "-m",     "pip", "install", "--disable-pip-version-check",
        "--no-input",      "--quiet"};
    more.insert(more.end(), std::begin(kOfStackStorm), std::end(kOfStackStorm));
    // Many actions import none of them: who does says so when it fails.
    if (auto done = step("pip install of what StackStorm has", std::move(more)); !done.ok()) {
      log_warn("environment.not_whole", done.error(), {{"folder", wanted.folder}});
    }
  }
  return replace_file(wanted.folder + std::string(kReadyMark), wanted.interpreter + "\n");
}

std::optional<Environments::Wanted> Environments::read_wanted(
    const kernel::WorkOrder& order) const {
  const EnvironmentRecipe& recipe = order.runtime.environment;
  Wanted wanted{.folder = {},
                .pack_dir = release_path(data_, order.pack, order.release),
                .recipe = recipe,
                .interpreter = real_path(order.runtime.interpreter[0], default_env_),
                .of_stackstorm = order.sdk == Sdk::Python && !recipe.interpreter.empty()};
  auto manifest = read_file(wanted.pack_dir + "/" + recipe.manifest, 1 << 20);
  if (!manifest.ok()) return std::nullopt;  // it has none
  // may fail: most packs have no lock
  auto lock = read_file(wanted.pack_dir + "/package-lock.json", 16 << 20);
  std::string key = packs::digest_of({{"requirements", *std::move(manifest)},
                                      {"lock", recipe.create.empty() && lock.ok() ? *lock : ""},
                                      {"create", lines(recipe.create)},
                                      {"install", lines(recipe.install)},
                                      {"python", wanted.interpreter},
                                      {"more", wanted.of_stackstorm ? "stackstorm" : ""}});
  wanted.folder = fmt::format("{}/envs/{}/{}", data_, order.pack, key.substr(0, 16));
  return wanted;
}

std::optional<Environments::Wanted> Environments::wanted_by(const kernel::WorkOrder& order) {
  constexpr size_t kMostKnown = 4096;
  const Runtime& runtime = order.runtime;
  bool has_recipe = order.runner == Runner::Script && !runtime.environment.manifest.empty() &&
                    !runtime.environment.install.empty() && !runtime.interpreter.empty();
  if (!has_recipe) return std::nullopt;
  auto key = fmt::format("{} {} {} {}", order.pack, order.release, runtime.ref,
                         static_cast<int>(order.sdk));
  std::lock_guard lock(mutex_);
  if (auto at = known_.find(key); at != known_.end()) return at->second;
  auto wanted = read_wanted(order);
  bool is_here = ::access(release_path(data_, order.pack, order.release).c_str(), F_OK) == 0;
  if (!is_here) return wanted;
  if (known_.size() >= kMostKnown) known_.clear();
  return known_.emplace(std::move(key), std::move(wanted)).first->second;
}

void Environments::serve(worker::WorkerConfig& config) {
  default_env_ = config.run.env;
  env_ = own_environment(config.run.env);
  auto bring = std::exchange(config.prepare, {});
  auto prepare = [this](const kernel::WorkOrder& order) -> std::optional<worker::Preparation> {
    auto wanted = wanted_by(order);
    if (!wanted || is_there(*wanted)) return std::nullopt;
    return worker::Preparation{
        fmt::format("the environment of pack '{}' ({})", order.pack, wanted->recipe.manifest),
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
  sdk_ = config.run.sdk;
  config.run.environment = [this](const auto& order) {
    compile_once(order);
    auto wanted = wanted_by(order);
    return wanted && is_there(*wanted) ? wanted->folder : std::string();
  };
}

void Environments::want(Wanted wanted, const Ready& ready) {
  {
    std::lock_guard lock(mutex_);
    auto& waiting = waiting_[wanted.folder];
    waiting.push_back(ready);
    if (waiting.size() > 1) return;
  }
  auto begun = do_later([this, wanted] { build_wanted(wanted); });
  if (begun.ok()) return;
  std::unique_lock lock(mutex_);
  auto waiting = waiting_.extract(wanted.folder);
  lock.unlock();
  for (auto& each : waiting.mapped()) each(begun);
}

void Environments::build_wanted(const Wanted& wanted) {
  log_info("environment.builds", {{"folder", wanted.folder}});
  auto built = build(wanted, env_, stopping_);
  if (built.ok()) {
    log_info("environment.built", {{"folder", wanted.folder}});
  } else {
    log_error("environment.not_built", built.error(), {{"folder", wanted.folder}});
  }
  std::unique_lock lock(mutex_);
  auto waiting = waiting_.extract(wanted.folder);
  lock.unlock();
  for (auto& ready : waiting.mapped()) ready(built);
}

// Nobody waits for it: a run that comes first compiles for itself.
void Environments::compile_once(const kernel::WorkOrder& order) {
  constexpr size_t kMostKnown = 4096;
  constexpr int64_t kLongestMs = 5 * 60'000;
  bool is_python = order.sdk == Sdk::Python || order.runtime.ref == "core.python";
  auto folder = release_path(data_, order.pack, order.release);
  if (!is_python || order.runtime.interpreter.empty() || compiled_.contains(folder)) return;
  if (compiled_.size() >= kMostKnown) compiled_.clear();
  compiled_.insert(folder);
  auto wanted = wanted_by(order);
  std::string own = wanted && is_there(*wanted) ? own_interpreter(*wanted) : std::string();
  std::vector<std::string> argv = {own.empty() ? order.runtime.interpreter[0] : own, "-m",
                                   "compileall", "-q", folder};
  auto sdk = sdk_ ? sdk_(Sdk::Python) : Result<std::string>(std::string());
  if (sdk.ok() && !sdk->empty()) argv.push_back(*sdk);
  // may fail: then each run compiles for itself
  std::ignore = do_later([this, argv = std::move(argv)] {
    auto end = run_command(
        {.argv = argv, .env = env_, .cwd = "/", .within_ms = kLongestMs, .stop = &stopping_});
    if (!end.ok()) log_warn("environment.not_compiled", end.error(), {});
  });
}

Result<void> Environments::do_later(std::function<void()> job) {
  std::lock_guard lock(mutex_);
  if (!thread_.joinable()) {
    TRY(thread_, async::start_thread("environments", [this] { work(); }));
  }
  jobs_.push_back(std::move(job));
  changed_.notify_all();
  return {};
}

void Environments::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
  }
}

}  // namespace millrace::app
