// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "conductor/inspect.h"
#include "conductor/spec.h"

// Action chains, StackStorm's older language: tasks one after the other, each with the one that
// follows its success and the one that follows its failure.
//
//   chain:
//     - {name: build, ref: ci.build, parameters: {commit: "{{ commit }}"}, on-success: test}
//     - {name: test, ref: ci.test, parameters: {log: "{{ build.stdout }}"}, on-failure: tell}
//     - {name: tell, ref: chat.post, publish: {told: "{{ tell.result }}"}}
//   default: build
//
// Templates name parameters, variables and the results of tasks directly, the later of these three
// over the earlier. After StackStorm's action_chain_runner.py and models/system/actionchain.py
// (StackStorm/st2, Apache-2.0).
namespace millrace::conductor {

bool is_chain(const Value& document);

// The chain as tasks of the native language. What its tasks publish is published whether they
// succeed or not.
Spec read_chain(const Value& document);

// The part of inspect() for chains. A chain does not say what its parameters are, so that unknown
// names show when they are evaluated.
std::vector<Finding> inspect_chain(const Value& document, expr::Engine& engine);

}  // namespace millrace::conductor
