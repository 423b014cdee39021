// SPDX-License-Identifier: Apache-2.0
#include "gates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/files.h"
#include "base/text.h"
#include "process.h"

namespace millrace::bench {

std::vector<Gate> read_gates(const std::string& file) {
  auto text = read_file(file, 1 << 20);
  if (!text.ok()) give_up(text.error().describe());
  std::vector<Gate> gates;
  for (std::string_view line : split(*text, '\n')) {
    if (trim(line).empty() || line.starts_with('#')) continue;
    auto cells = split(line, '|');
    double most = cells.size() == 3 ? std::atof(std::string(trim(cells[1])).c_str()) : 0;
    if (most <= 0) {
      give_up(fmt::format("{}: expected 'FIGURE | MOST | LINE', found '{}'", file, line));
    }
    gates.push_back({std::string(trim(cells[0])), most, std::string(trim(cells[2]))});
  }
  return gates;
}

std::vector<std::string> broken_gates(const std::vector<Gate>& gates, std::string_view figure,
                                      const std::vector<Line>& measured, bool whole) {
  std::vector<std::string> broken;
  for (const auto& gate : gates) {
    if (gate.figure != figure) continue;
    auto line = std::ranges::find(measured, gate.line, &Line::figure);
    if (line == measured.end()) {
      if (whole) broken.push_back(fmt::format("{}: there is no such line", gate.line));
      continue;
    }
    double value = line->floor == 0 ? line->ours : line->ratio();
    if (value <= gate.most * kGateSlack) continue;
    broken.push_back(fmt::format("{}: {:.4g}, at most {:.4g}", gate.line, value, gate.most));
  }
  return broken;
}

}  // namespace millrace::bench
