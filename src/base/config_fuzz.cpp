// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"
#include "base/fields.h"
#include "base/fuzzing.h"
#include "base/json.h"

namespace millrace {
namespace {

enum class Colour : uint8_t { Red, Green };
std::string_view to_string(Colour colour) {
  constexpr std::string_view kNames[] = {"red", "green"};
  auto number = static_cast<size_t>(colour);
  return number < std::size(kNames) ? kNames[number] : "";
}

struct Part {
  std::string name = "x";
  uint16_t port = 8080;
  int64_t wait_ms = 5000;
  double ratio = 0.5;
  bool on = true;
  std::vector<std::string> names;
  std::optional<int64_t> limit;
  Colour colour = Colour::Red;
  Timestamp at;

  static const Fields& fields() {
    static const Field lines[] = {
        field("name", &Part::name, "A text."),
        field("port", &Part::port, ""),
        field("wait_ms", &Part::wait_ms, "").range(1, 60'000).unit("ms"),
        field("ratio", &Part::ratio, ""),
        field("on", &Part::on, ""),
        field("names", &Part::names, ""),
        field("limit", &Part::limit, "").unit("bytes"),
        field("colour", &Part::colour, ""),
        field("at", &Part::at, ""),
    };
    static const auto table = fields_of<Part>("Part", "", lines);
    return table;
  }
};

struct Whole {
  Part api;
  Part store;
  Secret token;

  static const Fields& fields() {
    static const Field lines[] = {
        field("api", &Whole::api, ""),
        field("store", &Whole::store, ""),
        field("token", &Whole::token, ""),
    };
    static const auto table = fields_of<Whole>("Whole", "", lines);
    return table;
  }
};

// A file in memory, by the path that config reads.
class File {
 public:
  explicit File(std::string_view content) : fd_(memfd_create("config", MFD_CLOEXEC)) {
    ASSERT(write(fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { close(fd_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// Lines that begin with `-` are flags, with `$` entries of the environment; all others are the
// file. What is taken is printed as a file that means the same.
FUZZ(config) {
  ConfigSources sources;
  std::string content;
  fuzz::Reader in(input);
  while (!in.empty()) {
    auto line = in.line();
    if (line.starts_with('-')) {
      sources.flags.emplace_back(line.substr(1));
    } else if (line.starts_with('$')) {
      sources.environment.push_back("MILLRACE__" + std::string(line.substr(1)));
    } else {
      content.append(line) += '\n';
    }
  }
  File file(content);
  sources.file = file.path();
  auto config = load_config<Whole>(sources);
  if (!config.ok()) return;
  config->token = {};
  for (auto docs : {ConfigDocs::Without, ConfigDocs::With}) {
    std::string printed = print_config(*config, docs);
    File again(printed);
    auto same = load_config<Whole>({.file = again.path()});
    ASSERT_MSG(same.ok(), printed);
    if (fuzz::planted() && same->store.wait_ms < 100) same->api.on = !same->api.on;
    ASSERT_MSG(encode_json(*same) == encode_json(*config), printed);
  }
}

// A JSON text as a struct and back.
FUZZ(fields) {
  auto value = parse_json(input);
  if (!value.ok()) return;
  for (auto scalars : {Scalars::Json, Scalars::Text}) {
    auto part = decode<Part>(*value, scalars);
    if (!part.ok()) {
      ASSERT(!part.error().problems().empty());
      continue;
    }
    fuzz::plant(part->colour == Colour::Green);
    auto again = decode<Part>(encode(*part));
    ASSERT(again.ok());
    ASSERT(encode_json(*again) == encode_json(*part));
    const Value* ratio = value->find("ratio");
    if (ratio && ratio->is_float()) ASSERT(part->ratio == ratio->as_float());
  }
}

}  // namespace
}  // namespace millrace
