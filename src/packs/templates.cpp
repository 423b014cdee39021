// SPDX-License-Identifier: Apache-2.0
#include "packs/templates.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "packs/readers.h"

namespace millrace::packs {
namespace {

struct TemplateFile {
  std::string_view kind;
  std::string_view path;
  std::string_view text;  // PACK stands for the pack's ref
};

constexpr TemplateFile kTemplates[] = {
    {"shell", "actions/greet.yaml", R"(name: greet
description: Says hello.
runner_type: shell
entry_point: greet.sh
parameters:
  name:
    type: string
    description: Who is greeted.
    default: world
    position: 0
)"},
    {"shell", "actions/greet.sh", R"(#!/bin/sh
# The parameters with a position are the arguments; what it prints is stdout of the result.
echo "hello, $1"
)"},
    {"python", "actions/count.yaml", R"(name: count
description: Counts the words of a text.
runner_type: python-script
entry_point: count.py
parameters:
  text:
    type: string
    description: What is counted.
    required: true
)"},
    {"python", "actions/count.py", R"(from st2common.runners.base_action import Action


class Count(Action):
    def run(self, text):
        """What it returns is the result; (False, why) is a failure."""
        self.logger.debug("counting %d bytes", len(text))
        return {"words": len(text.split())}
)"},
    {"workflow", "actions/twice.yaml", R"(name: twice
description: Says something, then says that it has.
runner_type: workflow
entry_point: workflows/twice.yaml
parameters:
  what:
    type: string
    description: What is said.
    required: true
)"},
    {"workflow", "actions/workflows/twice.yaml", R"(input:
  - what
tasks:
  first:
    action: core.echo
    input: {message: "{{ ctx().what }}"}
    next:
      - when: "{{ succeeded() }}"
        publish: [{said: "{{ result().output }}"}]
        do: second
  second:
    action: core.echo
    input: {message: "it was said: {{ ctx().said }}"}
output:
  - said: "{{ ctx().said }}"
)"},
    {"workflow", "rehearsals/twice.yaml",
     R"(# millrace workflow test plays it: what its tasks answer, and what must come of it.
workflow: ../actions/workflows/twice.yaml
inputs: {what: tea}
results:
  first: {result: {output: tea}}
expect:
  status: succeeded
  sequence: [first, second]
  calls: {second: {message: "it was said: tea"}}
  output: {said: tea}
)"},
    {"trigger", "triggers/arrived.yaml", R"(name: arrived
description: Something has come.
payload_schema:
  type: object
  properties:
    what: {type: string}
)"},
    {"rule", "rules/every_hour.yaml", R"(name: every_hour
description: Runs an action once an hour. Take `enabled` away when it should.
enabled: false
trigger:
  type: core.st2.IntervalTimer
  parameters: {unit: hours, delta: 1}
action:
  ref: core.echo
  parameters: {message: "it is {{ trigger.executed_at }}"}
)"},
    {"sensor", "sensors/look.yaml", R"(class_name: Look
description: Looks for something every ten seconds. Take `enabled` away when it should.
enabled: false
entry_point: look.py
poll_interval: 10
trigger_types:
  - name: seen
    description: It was there.
    payload_schema:
      type: object
      properties:
        at: {type: string}
)"},
    {"sensor", "sensors/look.py", R"(import datetime

from st2reactor.sensor.base import PollingSensor


class Look(PollingSensor):
    def setup(self):
        self._logger = self.sensor_service.get_logger(name="look")

    def poll(self):
        at = datetime.datetime.now(datetime.timezone.utc).isoformat()
        self.sensor_service.dispatch(trigger="PACK.seen", payload={"at": at})

    def cleanup(self):
        pass

    def add_trigger(self, trigger):
        pass

    def update_trigger(self, trigger):
        pass

    def remove_trigger(self, trigger):
        pass
)"},
    {"alias", "aliases/say.yaml", R"(name: say
description: Says something from a chat.
action_ref: core.echo
formats:
  - "say {{ message }}"
)"},
    {"config", "config.schema.yaml", R"(# millrace pack config set PACK url https://...
url:
  type: string
  description: Where the service is.
  default: http://localhost
token:
  type: string
  description: What it lets us in with.
  secret: true
)"},
    {"test", "tests/test_PACK.py", R"(import unittest


class PackTest(unittest.TestCase):
    """`millrace pack test DIR` runs it. What lies in actions/ and actions/lib can be imported."""

    def test_one_and_one_are_two(self):
        self.assertEqual(1 + 1, 2)
)"},
    {"python", "tests/test_count.py", R"(from count import Count
from st2tests.base import BaseActionTestCase


class CountTest(BaseActionTestCase):
    action_cls = Count

    def test_words_are_counted(self):
        action = self.get_action_instance(config={})
        self.assertEqual(action.run(text="one two  three"), {"words": 3})
)"},
};

std::string filled_in(std::string_view text, std::string_view ref) {
  constexpr std::string_view kPlace = "PACK";
  std::string out;
  for (size_t at; (at = text.find(kPlace)) != text.npos; text.remove_prefix(at + kPlace.size())) {
    out += text.substr(0, at);
    out += ref;
  }
  return out += text;
}

}  // namespace

const std::vector<std::string>& template_kinds() {
  static const std::vector<std::string> kinds = {"shell",  "python", "workflow", "trigger", "rule",
                                                 "sensor", "alias",  "config",   "test"};
  return kinds;
}

PackFiles new_pack(std::string_view ref) {
  return {{"pack.yaml", fmt::format("ref: {}\nname: {}\ndescription: Say what it is for.\n"
                                    "version: 0.1.0\nauthor: \"\"\nkeywords: []\n",
                                    ref, ref)},
          {"README.md", fmt::format("# {}\n\nSay what it is for.\n\n    millrace pack check {}\n"
                                    "    millrace pack test {}\n    millrace pack install {}\n",
                                    ref, ref, ref, ref)}};
}

Result<PackFiles> new_things(std::string_view ref, const std::vector<std::string>& kinds) {
  if (!is_pack_ref(ref)) {
    return Error(ErrorKind::Invalid, "PCK-0019",
                 fmt::format("expected a name of a-z, 0-9, '_' and '-', found '{}'", ref));
  }
  PackFiles files;
  for (const auto& kind : kinds) {
    if (std::ranges::find(template_kinds(), kind) == template_kinds().end()) {
      return Error(
          ErrorKind::Invalid, "PCK-0019",
          fmt::format("there is no template of '{}': expected one of {}{}", kind,
                      fmt::join(template_kinds(), ", "), did_you_mean(kind, template_kinds())));
    }
    for (const auto& file : kTemplates) {
      if (file.kind != kind) continue;
      std::string path = filled_in(file.path, ref);
      std::ranges::replace(path, '-', '_');
      files.emplace(std::move(path), filled_in(file.text, ref));
    }
  }
  return files;
}

}  // namespace millrace::packs
