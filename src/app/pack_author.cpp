// SPDX-License-Identifier: Apache-2.0
#include "app/pack_author.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "app/embedded.h"
#include "app/open_store.h"
#include "app/staged_releases.h"
#include "app/workflow_commands.h"
#include "app/write_release.h"
#include "base/files.h"
#include "cli/stdout.h"
#include "cli/target.h"
#include "engine/machine/catalog.h"
#include "packs/folder.h"
#include "packs/load.h"
#include "packs/native_file.h"
#include "packs/templates.h"
#include "rules/check.h"
#include "store/read.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

// The last name of a path, also of one that ends with a slash.
std::string last_name_of(const std::string& folder) {
  auto path = fs::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

// A pack that stands beside the one that is looked at.
struct Neighbour {
  packs::PackFiles files;
  std::unique_ptr<packs::PackReader> reader;
};

Result<void> read_neighbours(const std::string& folder, expr::Engine& engine,
                             std::vector<Neighbour>& out) {
  std::vector<std::string> folders;
  std::error_code ec;
  if (fs::exists(folder + "/pack.yaml", ec)) {
    folders.push_back(folder);
  } else {
    for (fs::directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
      if (fs::exists(at->path() / "pack.yaml", ec)) folders.push_back(at->path().string());
    }
  }
  if (folders.empty()) {
    return Error(ErrorKind::NotFound, "BAS-0008",
                 fmt::format("'{}' is no pack, and no folder of packs", folder));
  }
  for (const auto& each : folders) {
    TRY(auto files, packs::read_pack_folder(each));
    auto& one = out.emplace_back(Neighbour{std::move(files), nullptr});
    one.reader = std::make_unique<packs::PackReader>(one.files, engine, last_name_of(each));
  }
  return {};
}

std::string this_machine() {
  utsname about{};
  return ::uname(&about) == 0 ? about.machine : "";
}

// "2.36"; empty where there is another C library.
std::string this_glibc() {
  char text[64] = {};
  ::confstr(_CS_GNU_LIBC_VERSION, text, sizeof text);
  std::string_view version = text;
  return std::string(version.substr(std::min(version.size(), version.find(' ') + 1)));
}

std::string counted(size_t number, std::string_view what) {
  return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
}

}  // namespace

Result<int> pack_check(const PackCheck& options) {
  TRY(auto files, packs::read_pack_folder(options.folder));
  expr::Engine engine;
  auto core_files = core_pack();
  packs::PackReader core(core_files, engine);
  packs::PackReader own(files, engine, last_name_of(options.folder));
  std::vector<Neighbour> neighbours;
  neighbours.reserve(1000);  // a reader refers to the files beside it
  for (const auto& folder : options.with) TRY(read_neighbours(folder, engine, neighbours));
  rules::Catalog names;
  names.add(core.pack());
  for (const auto& one : neighbours) {
    if (one.reader->pack().ref != own.pack().ref) names.add(one.reader->pack());
  }
  names.add(own.pack());
  auto report = own.finish(
      [&](const RuleSpec& rule, const Pack&) { return rules::check_rule(rule, names, engine); });
  for (const auto& action : report.pack.actions) {
    if (!action.workflow) continue;  // what is wrong with its file is told already
    auto problems = engine::workflow_problems(action, engine, engine::callees(names));
    std::ranges::move(problems, std::back_inserter(report.errors));
  }
  std::string glibc = options.glibc.empty() ? this_glibc() : options.glibc;
  std::ranges::move(packs::native_problems(files, this_machine(), glibc),
                    std::back_inserter(report.warnings));
  auto tell = [&](std::string_view what, const std::vector<Problem>& problems) {
    const auto& folder = options.folder;
    auto before = std::string_view(folder).substr(0, folder.find_last_not_of('/') + 1);
    for (const auto& problem : problems) {
      cli::put("{}/{}: {}{}\n", before, problem.path, what, problem.message);
    }
  };
  tell("", report.errors);
  tell("warning: ", report.warnings);
  cli::put("pack '{}' {}: {}, {}\n", report.pack.ref, report.pack.version,
           counted(report.errors.size(), "error"), counted(report.warnings.size(), "warning"));
  return report.errors.empty() && (!options.strict || report.warnings.empty()) ? 0 : 1;
}

Result<int> pack_new(const PackNew& options) {
  auto kinds = options.kinds;
  if (kinds.empty()) kinds = packs::template_kinds();
  auto folder = fs::path(options.into) / options.name;
  std::error_code ec;
  bool is_there = fs::exists(folder / "pack.yaml", ec);
  TRY(auto files, packs::new_things(options.name, kinds));
  if (!is_there) files.merge(packs::new_pack(options.name));
  for (const auto& [path, text] : files) {
    if (!fs::exists(folder / path, ec)) continue;
    return Error(
        ErrorKind::Conflict, "PCK-0020",
        fmt::format("'{}' is there already, and nothing was written", (folder / path).string()));
  }
  constexpr unsigned kFolderMode = 0755, kProgram = 0755, kText = 0644;
  for (const auto& [path, text] : files) {
    auto file = folder / path;
    fs::create_directories(file.parent_path(), ec);
    if (ec) {
      return Error(ErrorKind::Unavailable, "APP-0001",
                   fmt::format("{}: {}", file.string(), ec.message()));
    }
    for (auto at = file.parent_path(); at != fs::path(options.into); at = at.parent_path()) {
      fs::permissions(at, fs::perms(kFolderMode), ec);  // may fail: it is another's, and open
      if (at == folder) break;
    }
    TRY(replace_file(file.string(), text, path.ends_with(".sh") ? kProgram : kText));
    cli::put("{}\n", file.string());
  }
  return 0;
}

namespace {

// With the terminal's own stdin, stdout and stderr. Its exit code; 128 + signal.
Result<int> run_here(const std::vector<std::string>& argv, const std::string& folder,
                     const std::vector<std::string>& more_env) {
  std::vector<char*> words, env;
  for (const auto& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  auto is_given = [&](std::string_view entry) {
    auto name = entry.substr(0, entry.find('=') + 1);
    return std::ranges::any_of(more_env, [&](auto& each) { return each.starts_with(name); });
  };
  for (char** entry = environ; *entry; ++entry) {
    if (!is_given(*entry)) env.push_back(*entry);
  }
  for (const auto& entry : more_env) env.push_back(const_cast<char*>(entry.c_str()));
  env.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t pid = 0;
  int failed = ::posix_spawnp(&pid, words[0], &actions, nullptr, words.data(), env.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    return Error(ErrorKind::Unavailable, "BAS-0014",
                 fmt::format("'{}' cannot be started: {}", argv[0], std::strerror(failed)));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  constexpr int kBySignal = 128;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kBySignal + WTERMSIG(status);
}

// A folder that goes with its owner.
class PassingFolder {
 public:
  static Result<PassingFolder> make() {
    const char* base = std::getenv("TMPDIR");
    std::string name = fmt::format("{}/millrace-XXXXXX", base && *base ? base : "/tmp");
    if (::mkdtemp(name.data())) return PassingFolder(std::move(name));
    return Error(ErrorKind::Unavailable, "APP-0001",
                 fmt::format("{}: {}", name, std::strerror(errno)));
  }
  PassingFolder(PassingFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  PassingFolder& operator=(PassingFolder&&) = delete;
  ~PassingFolder() {
    std::error_code ec;
    if (!path_.empty()) fs::remove_all(path_, ec);
  }
  const std::string& path() const { return path_; }

 private:
  explicit PassingFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

struct Tested {
  std::string folder;
  std::string python;
};

// The newest environment of those that lie here; each has a Python of its own.
std::string python_below(const fs::path& folder) {
  std::string found;
  fs::file_time_type newest;
  std::error_code ec;
  for (fs::directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
    auto python = at->path() / "bin/python3";
    if (!fs::exists(python, ec)) continue;
    auto made = fs::last_write_time(at->path(), ec);
    if (!found.empty() && made <= newest) continue;
    newest = made;
    found = python.string();
  }
  return found;
}

Result<Tested> find_tested(const PackTest& options) {
  Tested tested{.folder = options.what, .python = options.python};
  std::error_code ec;
  if (fs::is_directory(options.what, ec)) {
    tested.folder = fs::absolute(options.what).lexically_normal().string();
    auto own = fs::path(tested.folder) / ".venv/bin/python3";
    if (tested.python.empty() && fs::exists(own, ec)) tested.python = own.string();
  } else {
    TRY(auto config, read_config(options.up));
    TRY(check_store_is_there(config.store, options.up.data));
    TRY(auto reader, open_store_reader(config.store, options.up.data));
    TRY(auto known, store::current_releases(*reader));
    auto row = std::ranges::find(known.rows, options.what, &kernel::PackReleaseRow::pack);
    if (row == known.rows.end()) {
      return Error(
          ErrorKind::NotFound, "PCK-0004",
          fmt::format("'{}' is no folder, and no pack that {} has", options.what, options.up.data));
    }
    tested.folder = fs::absolute(release_path(options.up.data, row->pack, row->digest)).string();
    if (tested.python.empty()) {
      tested.python = python_below(fs::absolute(options.up.data) / "envs" / options.what);
    }
  }
  if (tested.python.empty()) tested.python = "python3";
  return tested;
}

std::vector<std::string> files_below(const fs::path& folder, std::string_view begins,
                                     std::string_view ends) {
  std::vector<std::string> found;
  std::error_code ec;
  for (fs::recursive_directory_iterator at(folder, ec), end; !ec && at != end; at.increment(ec)) {
    auto name = at->path().filename().string();
    if (name.starts_with(begins) && name.ends_with(ends)) found.push_back(at->path().string());
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

Result<int> pack_test(const PackTest& options) {
  TRY(auto tested, find_tested(options));
  auto folder = fs::path(tested.folder);
  auto is_meant = [&](const std::string& file) {
    auto has = [&](const std::string& name) { return file.find(name) != file.npos; };
    return options.names.empty() || std::ranges::any_of(options.names, has);
  };
  auto rehearsals = files_below(folder / "rehearsals", "", ".yaml");
  std::erase_if(rehearsals, [&](auto& file) { return !is_meant(file); });
  size_t failed = 0;
  for (const auto& file : rehearsals) {
    auto done = workflow_test({.file = file, .language = {}, .format = cli::Format::Table});
    if (!done.ok()) cli::put("{}: {}\n", file, done.error().describe());
    if (!done.ok() || *done != 0) ++failed;
  }
  if (!rehearsals.empty()) {
    cli::put("{}: {} passed, {} failed\n", counted(rehearsals.size(), "rehearsal"),
             rehearsals.size() - failed, failed);
  }
  bool has_units = !files_below(folder / "tests", "test", ".py").empty();
  if (!has_units && rehearsals.empty()) {
    return Error(ErrorKind::NotFound, "PCK-0021",
                 fmt::format("'{}' has no tests: they are tests/test*.py and rehearsals/*.yaml",
                             tested.folder));
  }
  if (!has_units) return failed == 0 ? 0 : 1;
  TRY(auto sdk, PassingFolder::make());
  TRY(write_release(python_sdk(), sdk.path() + "/sdk"));
  std::vector<std::string> argv = {tested.python, "-m", "millrace.pack_tests", tested.folder};
  argv.insert(argv.end(), options.names.begin(), options.names.end());
  TRY(int code, run_here(argv, tested.folder,
                         {"PYTHONPATH=" + sdk.path() + "/sdk", "PYTHONDONTWRITEBYTECODE=1"}));
  std::error_code ec;
  bool may_lack_some =
      code != 0 && tested.python == "python3" && fs::exists(folder / "requirements.txt", ec);
  if (may_lack_some) {
    cli::put(
        "its requirements.txt may not be installed: python3 -m venv {0}/.venv && "
        "{0}/.venv/bin/pip install -r {0}/requirements.txt\n",
        tested.folder);
  }
  constexpr int kNoneFits = 2;  // of those that were named
  bool is_fine = code == 0 || (code == kNoneFits && !options.names.empty() && !rehearsals.empty());
  return is_fine && failed == 0 ? 0 : 1;
}

Result<int> pack_build(const std::string& folder) {
  TRY(auto files, packs::read_pack_folder(folder));
  expr::Engine engine;
  auto report = packs::check(files, engine, {}, last_name_of(folder));
  if (!report.is_usable || report.pack.build.empty()) {
    return Error(
        ErrorKind::NotFound, "PCK-0022",
        fmt::format("'{}' has nothing to build: its pack.yaml has no line `build:`", folder));
  }
  cli::put("{}\n", report.pack.build);
  TRY(int code, run_here({"/bin/sh", "-c", report.pack.build}, folder, {}));
  if (code != 0) cli::put("the build has failed with exit code {}\n", code);
  return code == 0 ? 0 : 1;
}

cli::CommandTable pack_author_commands() {
  using cli::Invocation;
  const cli::Argument dir{"DIR", "The folder that holds pack.yaml"};
  return {
      {.path = "pack new",
       .help = "Write the first files of a pack, or more of one that is there",
       .arguments = {{"NAME", "Its ref, and its folder's name"}},
       .options = {{.name = "--kind",
                    .value = "KIND",
                    .help = "One of each of these; without it, all that has an effect",
                    .repeats = true,
                    .choices = packs::template_kinds()},
                   {"--into", "DIR", "Where the pack's folder is, or is made (.)"}},
       .local =
           [](const Invocation& in) {
             return pack_new({.name = in.get("NAME"),
                              .kinds = in.all("--kind"),
                              .into = in.has("--into") ? in.get("--into") : "."});
           }},
      {.path = "pack check",
       .help = "Tell everything that is wrong with a pack",
       .arguments = {dir},
       .options = {{"--strict", "", "Warnings count as errors"},
                   {.name = "--with",
                    .value = "DIR",
                    .help = "A pack that it names, or a folder of some; may be given several times",
                    .repeats = true},
                   {"--glibc", "VERSION", "Of the machines that will run it (that of this one)"}},
       .local =
           [](const Invocation& in) {
             return pack_check({.folder = in.get("DIR"),
                                .with = in.all("--with"),
                                .strict = in.has("--strict"),
                                .glibc = in.get("--glibc")});
           }},
      {.path = "pack test",
       .help = "Run the rehearsals and unit tests of a pack",
       .arguments = {{"PACK", "A folder, or an installed pack of this machine's server"},
                     {.name = "NAME",
                      .help = "Parts of names of tests; none: all",
                      .optional = true,
                      .many = true}},
       .options = {{"--python", "FILE", "The interpreter; that of its environment, else python3"},
                   {"--config", "FILE", "Of the server that has the pack"},
                   {.name = "--set",
                    .value = "SECTION.KEY=VALUE",
                    .help = "A configuration value of that server; may be given several times",
                    .repeats = true}},
       .local =
           [](const Invocation& in) {
             PackTest test{.what = in.get("PACK"), .names = in.all("NAME")};
             test.up.data = cli::data_folder(in, cli::process_environment);
             test.up.config_file = in.get("--config");
             test.up.settings = in.all("--set");
             test.python = in.get("--python");
             return pack_test(test);
           }},
      {.path = "pack build",
       .help = "Run the line `build:` of a pack's pack.yaml",
       .arguments = {dir},
       .local = [](const Invocation& in) { return pack_build(in.get("DIR")); }},
  };
}

}  // namespace millrace::app
