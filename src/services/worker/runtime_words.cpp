// SPDX-License-Identifier: Apache-2.0
#include "services/worker/runtime_words.h"

#include <utility>

namespace millrace::worker {

std::string RuntimeWords::in(std::string_view text) const {
  const std::pair<std::string_view, const std::string*> names[] = {
      {"{env_dir}", &env_dir},
      {"{pack_dir}", &pack_dir},
      {"{manifest_path}", &manifest_path},
      {"{interpreter}", &interpreter}};
  std::string out;
  while (!text.empty()) {
    const std::string* value = nullptr;
    for (const auto& [name, meant] : names) {
      if (!text.starts_with(name)) continue;
      value = meant;
      text.remove_prefix(name.size());
      break;
    }
    if (value) {
      out += *value;
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

std::vector<std::string> RuntimeWords::in(const std::vector<std::string>& texts) const {
  std::vector<std::string> out;
  out.reserve(texts.size());
  for (const auto& text : texts) out.push_back(in(text));
  return out;
}

std::string value_of(const RuntimeVariable& variable, std::string_view before,
                     const RuntimeWords& words) {
  std::string own = words.in(variable.value);
  if (variable.how == RuntimeVariable::How::Set || before.empty()) return own;
  bool is_first = variable.how == RuntimeVariable::How::Prepend;
  return is_first ? own + variable.separator + std::string(before)
                  : std::string(before) + variable.separator + own;
}

bool needs_environment(const RuntimeVariable& variable) {
  return variable.value.find("{env_dir}") != std::string::npos;
}

}  // namespace millrace::worker
