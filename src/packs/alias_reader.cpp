// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "packs/alias_format.h"
#include "packs/readers.h"

namespace millrace::packs {
namespace {

// Reads one aliases/*.yaml, as StackStorm has them.
class AliasReader {
 public:
  AliasReader(Reading& reading, Section& section) : reading_(reading), section_(section) {}

  void read() {
    alias_.ref = read_ref(reading_, section_, "alias");
    alias_.name = section_.text("name", alias_.ref.substr(alias_.ref.find('.') + 1));
    alias_.description = section_.text("description");
    alias_.enabled = section_.flag("enabled", true);
    alias_.action = section_.text("action_ref");
    alias_.immutable_parameters = section_.map("immutable_parameters");
    alias_.extra = section_.map("extra");
    alias_.ack = message("ack");
    alias_.result = message("result");
    if (alias_.action.empty()) {
      section_.error(section_.node(), "expected 'action_ref'");
    } else {
      check_action(*section_.find("action_ref"));
    }
    const YamlNode* formats = section_.find("formats");
    bool is_list = formats && formats->value.is_list() && !formats->children.empty();
    if (is_list) {
      for (const YamlNode& format : formats->children) add_form(format);
    } else {
      section_.error(formats ? *formats : section_.node(), "expected 'formats', a list");
    }
    section_.ignore({"label", "tags", "metadata_file", "aliases"});
    section_.finish();
    if (!alias_.ref.empty()) reading_.pack.aliases.push_back(std::move(alias_));
  }

 private:
  // One of another pack may come later, and one that never does is told by who says the words.
  void check_action(const YamlNode& at) {
    const Pack& pack = reading_.pack;
    bool is_own = alias_.action.starts_with(pack.ref + ".");
    if (!is_own || pack.find_action(alias_.action)) return;
    section_.warning(at.line, fmt::format("the pack has no action '{}'", alias_.action));
  }

  AliasMessage message(std::string_view key) {
    AliasMessage out;
    const YamlNode* at = section_.find(key);
    if (!at) return out;
    if (!at->value.is_map()) {
      section_.error(*at, fmt::format("'{}': expected a map", key));
      return out;
    }
    Section inner(*at, section_.file(), section_.findings());
    inner.name(fmt::format("'{}' of an alias", key));
    out.enabled = inner.flag("enabled", true);
    out.append_url = inner.flag("append_url", true);
    out.format = inner.text("format");
    out.extra = inner.map("extra");
    inner.finish();
    auto check = [&](const YamlNode* node, const Value& tree) {
      if (!node) return;
      for (const auto& problem : reading_.engine.check(tree, expr::Mode::Native)) {
        section_.warning(node->line, fmt::format("'{}.{}': {}", key, node->key, problem.message));
      }
    };
    check(inner.find("format"), Value(out.format));
    check(inner.find("extra"), out.extra);
    return out;
  }

  // A text; or what people see and the texts that are matched.
  void add_form(const YamlNode& at) {
    AliasForm form;
    if (!at.value.is_map()) {
      if (at.value.is_list()) return section_.error(at, "'formats': expected texts or maps");
      form.display = at.text;
      add_representation(form, at, at.text);
    } else {
      Section inner(at, section_.file(), section_.findings());
      inner.name("a format of an alias");
      form.display = inner.text("display");
      form.match_multiple = inner.flag("match_multiple", false);
      const YamlNode* texts = inner.find("representation");
      if (!texts) return section_.error(at, "'formats': expected 'representation', a list");
      if (texts->value.is_list()) {
        for (const YamlNode& text : texts->children) add_representation(form, text, text.text);
      } else {
        add_representation(form, *texts, texts->text);
      }
      inner.finish();
      if (form.display.empty() && !form.representations.empty()) {
        form.display = form.representations.front();
      }
    }
    alias_.forms.push_back(std::move(form));
  }

  void add_representation(AliasForm& form, const YamlNode& at, const std::string& text) {
    auto format =
        form.match_multiple ? AliasFormat::compile_loose(text) : AliasFormat::compile(text);
    if (!format.ok()) {
      return section_.error(at, fmt::format("'formats': {}", format.error().message()));
    }
    form.representations.push_back(text);
    form.formats.push_back(std::move(*format));
  }

  Reading& reading_;
  Section& section_;
  Alias alias_;
};

}  // namespace

void read_alias(Reading& reading, Section& section) { AliasReader(reading, section).read(); }

}  // namespace millrace::packs
