// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "broken.h"
#include "coverage.h"
#include "shrink.h"

namespace millrace::sim {
namespace {

constexpr std::string_view kUsage = R"(sim: simulated worlds, one for each seed
  --seed N            this one, with its trace when it fails; 1000000001 is the first with several
                      servers
  --keep A,B,...      of its operations only these, by number
  --seeds N           so many, from --first N (1); 100000 by default
  --minutes M         or until this time is over
  --alone             only such with one server; else every other one has several
  --coverage          fails when something of the list was never seen
  --trace             tells what happens
  --mutant NAME       a broken variant of the protocol: within how many seeds it is found
  --mutants           all of them, as the table of docs/reliability.md
)";

struct Options {
  uint64_t first = 1;
  uint64_t count = 100'000;
  double seconds = 1e9;
  bool one = false;
  bool trace = false;
  bool coverage = false;
  bool several = true;
  bool all_mutants = false;
  std::string mutant;
  std::set<size_t> keep;
};

// An assertion ends the process: whoever looks for the seed finds it.
uint64_t seed_in_hand = 0;
void on_abort(int) {
  char line[96];
  auto end = fmt::format_to_n(line, sizeof line, "seed {}: aborted\nrepro: ./dev sim --seed {}\n",
                              seed_in_hand, seed_in_hand);
  auto ignored = ::write(STDOUT_FILENO, line, static_cast<size_t>(end.out - line));
  (void)ignored;
  _exit(3);
}

class Clock {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void print_line(const std::string& line) { fmt::print("{}\n", line); }

// Numbers of the operations that a shrunk plan has kept.
std::string kept(const Plan& whole, const Plan& shrunk) {
  std::string numbers;
  size_t at = 0;
  for (const auto& op : shrunk.ops) {
    while (whole.ops[at].number != op.number || whole.ops[at].kind != op.kind) ++at;
    numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", at++);
  }
  return numbers;
}

void report_failure(SimStore& store, const Plan& plan, const Violation& violation) {
  fmt::print("seed {}: {}: {}\n", plan.seed, violation.promise, violation.what);
  Plan small = shrink(store, plan, violation);
  fmt::print("repro: ./dev sim --seed {} --keep {}\n", plan.seed, kept(plan, small));
  for (const auto& op : small.ops) fmt::print("  op {}\n", to_string(op.kind));
  Coverage ignored;
  std::vector<std::string> lines;
  run_plan(store, small, ignored, [&](std::string line) { lines.push_back(std::move(line)); });
  constexpr size_t kMostLines = 60;
  if (lines.size() > kMostLines) fmt::print("    ... {} lines\n", lines.size() - kMostLines);
  size_t from = lines.size() > kMostLines ? lines.size() - kMostLines : 0;
  for (size_t i = from; i < lines.size(); ++i) print_line(lines[i]);
  std::fflush(stdout);
}

int run_many(SimStore& store, const Options& options) {
  Coverage coverage;
  Clock clock;
  uint64_t done = 0;
  int64_t messages = 0;
  int failed = 0;
  for (; done < options.count && clock.seconds() < options.seconds && failed < 10; ++done) {
    bool several = options.several && done % 2 == 1;
    bool limited = done % 4 >= 2;
    seed_in_hand = options.first + (options.several ? done / 2 : done) + (several ? kSeveral : 0) +
                   (limited ? kLimited : 0);
    Plan plan = plan_of(seed_in_hand);
    World world(store, plan.seed, coverage);
    auto violation = world.run(plan);
    messages += world.messages();
    if (!violation) continue;
    ++failed;
    report_failure(store, plan, *violation);
  }
  fmt::print("schedules: {} ({} messages, {:.0f} a second)\n", done, messages,
             static_cast<double>(done) / clock.seconds());
  auto missing = report_coverage(coverage, options.coverage);
  for (const auto& what : missing) fmt::print("never seen: {}\n", what);
  return failed == 0 && (missing.empty() || !options.coverage) ? 0 : 1;
}

int run_one(SimStore& store, const Options& options) {
  seed_in_hand = options.first;
  Plan plan = plan_of(options.first);
  if (!options.keep.empty()) {
    Plan part{.seed = plan.seed, .ops = {}};
    for (size_t at : options.keep) {
      if (at < plan.ops.size()) part.ops.push_back(plan.ops[at]);
    }
    plan = std::move(part);
  }
  Coverage ignored;
  uint64_t hash = 0;
  auto trace = options.trace ? print_line : std::function<void(std::string)>();
  auto violation = run_plan(store, plan, ignored, trace, &hash);
  fmt::print("trace hash: {:016x}\n", hash);
  if (!violation) return 0;
  report_failure(store, plan, *violation);
  return 1;
}

// Within how many seeds a broken variant is found, in a process of its own: it may do anything.
// Returns whether it was.
bool find_mutant(const Broken& broken, const Options& options, bool as_row) {
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    rlimit most{.rlim_cur = 900, .rlim_max = 900};  // s of CPU: a busy machine ends no search
    setrlimit(RLIMIT_CPU, &most);
    mutant_in_force = broken.mutant;
    auto store = SimStore::open();
    ASSERT(store.ok());
    Coverage ignored;
    for (uint64_t i = 0; i < options.count; ++i) {
      seed_in_hand = options.first + i + (broken.of_several ? kSeveral : 0) +
                     (broken.of_limits ? kLimited : 0);
      Plan plan = plan_of(seed_in_hand);
      auto violation = run_plan(**store, plan, ignored);
      if (!violation) continue;
      if (as_row) {
        fmt::print("| `{}` | {} | {} | {}: {} |\n", broken.name, broken.what, i + 1,
                   violation->promise, violation->what);
      } else {
        fmt::print("found within {} seeds\n", i + 1);
        report_failure(**store, plan, *violation);
      }
      std::fflush(stdout);
      _exit(0);
    }
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
  fmt::print("NOT FOUND: {} ({})\n", broken.name,
             WIFSIGNALED(status) ? "killed" : std::to_string(WEXITSTATUS(status)));
  return false;
}

int run_mutants(const Options& options) {
  int missed = 0;
  for (const auto& broken : all_broken()) {
    if (!options.all_mutants && broken.name != options.mutant) continue;
    if (!find_mutant(broken, options, options.all_mutants)) ++missed;
  }
  return missed == 0 ? 0 : 1;
}

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string_view word = argv[i];
    bool has_value = i + 1 < argc;
    auto number = [&] { return std::strtoull(argv[++i], nullptr, 10); };
    if (word == "--trace") {
      options.trace = true;
    } else if (word == "--alone") {
      options.several = false;
    } else if (word == "--coverage") {
      options.coverage = true;
    } else if (word == "--mutants") {
      options.all_mutants = true;
    } else if (!has_value) {
      return std::nullopt;
    } else if (word == "--seed") {
      options.first = number();
      options.one = true;
    } else if (word == "--keep") {
      for (auto part : split(argv[++i], ',')) {
        size_t at = 0;
        std::from_chars(part.data(), part.data() + part.size(), at);
        options.keep.insert(at);
      }
    } else if (word == "--seeds") {
      options.count = number();
    } else if (word == "--first") {
      options.first = number();
    } else if (word == "--minutes") {
      options.seconds = 60 * std::strtod(argv[++i], nullptr);
    } else if (word == "--mutant") {
      options.mutant = argv[++i];
    } else {
      return std::nullopt;
    }
  }
  if (!options.mutant.empty() && !find_broken(options.mutant)) return std::nullopt;
  return options;
}

int main_of(int argc, char** argv) {
  auto options = parse(argc, argv);
  if (!options) {
    fmt::print(stderr, "{}", kUsage);
    return 2;
  }
  std::signal(SIGABRT, on_abort);
  if (auto quiet = open_log({.level = LogLevel::Error, .capture = [](auto) {}}); !quiet.ok()) {
    return 2;
  }
  if (options->all_mutants || !options->mutant.empty()) return run_mutants(*options);
  auto store = SimStore::open();
  ASSERT_MSG(store.ok(), store.error().describe());
  return options->one ? run_one(**store, *options) : run_many(**store, *options);
}

}  // namespace
}  // namespace millrace::sim

int main(int argc, char** argv) { return millrace::sim::main_of(argc, argv); }
