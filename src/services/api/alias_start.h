// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/api/call.h"
#include "services/api/chat.h"

// What our routes for aliases and those under StackStorm's paths share.
namespace millrace::api {

struct AliasQuery {
  int limit = 50;
  std::string cursor;
  std::string pack;

  static const Fields& fields() {
    static const Field lines[] = {
        field("limit", &AliasQuery::limit, "Entries per page.").range(1, 500),
        field("cursor", &AliasQuery::cursor, "next_cursor of the page before."),
        field("pack", &AliasQuery::pack, "Only of this pack."),
    };
    static const auto table = fields_of<AliasQuery>("AliasQuery", "", lines);
    return table;
  }
};

struct HelpQuery {
  std::string filter;
  std::string pack;
  int limit = 0;
  int offset = 0;

  static const Fields& fields() {
    static const Field lines[] = {
        field("filter", &HelpQuery::filter, "Only what holds this text, in any case."),
        field("pack", &HelpQuery::pack, "Only of this pack."),
        field("limit", &HelpQuery::limit, "So many; 0: all.").range(0, 10'000),
        field("offset", &HelpQuery::offset, "Behind so many.").range(0, 1'000'000),
    };
    static const auto table = fields_of<HelpQuery>("HelpQuery", "", lines);
    return table;
  }
};

struct HelpLine {
  std::string pack;
  std::string display;
  std::string description;

  static const Fields& fields() {
    static const Field lines[] = {
        field("pack", &HelpLine::pack, ""),
        field("display", &HelpLine::display, "What somebody may say."),
        field("description", &HelpLine::description, ""),
    };
    static const auto table = fields_of<HelpLine>("HelpLine", "", lines);
    return table;
  }
};

struct HelpView {
  int64_t available = 0;
  std::vector<HelpLine> helpstrings;

  static const Fields& fields() {
    static const Field lines[] = {
        field("available", &HelpView::available, "How many there are, on all pages."),
        field("helpstrings", &HelpView::helpstrings, "By pack."),
    };
    static const auto table =
        fields_of<HelpView>("AliasHelp", "What can be said in a chat.", lines);
    return table;
  }
};

struct CommandInput {
  std::string command;

  static const Fields& fields() {
    static const Field lines[] = {
        field("command", &CommandInput::command, "What somebody has said.").required(),
    };
    static const auto table = fields_of<CommandInput>("ChatCommand", "", lines);
    return table;
  }
};

struct ExecuteInput {
  std::string command;
  std::string alias;
  std::string format;
  std::string user;
  std::string source_channel;
  // Of StackStorm's paths: where the answer is to go (core.st2.generic.notifytrigger).
  std::string notification_route = {};
  Value source_context = {};

  static const Fields& fields() {
    using V = ExecuteInput;
    static const Field lines[] = {
        field("command", &V::command, "What somebody has said.").required(),
        field("alias", &V::alias, "Only this alias; without it, the one that fits."),
        field("format", &V::format, "Only this representation of it."),
        field("user", &V::user, "Who has said it: action_context.api_user.").length(0, 255),
        field("source_channel", &V::source_channel, "Where: action_context.source_channel.")
            .length(0, 255),
    };
    static const auto table = fields_of<V>("ChatExecute", "A command to carry out.", lines);
    return table;
  }
};

// What a command has started: a row and its message for each execution.
struct Started {
  ChatMatch match;
  std::vector<kernel::ExecutionRow> rows;
  std::vector<ChatMessage> messages;
};

// Finds the alias, and starts its action. Errors: match_command's, match_alias'; what the engine
// says to the action.
Task<Result<Started>> start_command(Call& call, ExecuteInput input);

HelpView help_of(const engine::TenantCatalog& catalog, const HelpQuery& query);

}  // namespace millrace::api
