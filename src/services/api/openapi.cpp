// SPDX-License-Identifier: Apache-2.0
#include "services/api/openapi.h"

#include <fmt/format.h>

#include "base/text.h"
#include "services/api/problem.h"
#include "services/api/router.h"

namespace millrace::api {
namespace {

Value ref_to(std::string_view kind, std::string_view name) {
  return Value::map({{"$ref", fmt::format("#/components/{}/{}", kind, name)}});
}

Value content(std::string_view media_type, Value schema) {
  Value by_type = Value::map();
  by_type.set(media_type, Value::map({{"schema", std::move(schema)}}));
  return by_type;
}

Value text_schema() { return Value::map({{"type", "string"}}); }

// "/api/v1/rules/{ref}" belongs to "rules"; "/health" to "system".
std::string_view tag_of(const Route& route) {
  auto segments = split(route.pattern, '/');
  if (segments[1] == "v1") return segments[2];  // StackStorm's
  return segments.size() > 3 ? segments[3] : std::string_view("system");
}

Value path_parameter(std::string_view name) {
  return Value::map(
      {{"name", name}, {"in", "path"}, {"required", true}, {"schema", text_schema()}});
}

Value header_parameter(std::string_view name, std::string_view doc) {
  return Value::map(
      {{"name", name}, {"in", "header"}, {"description", doc}, {"schema", text_schema()}});
}

void add_query_parameters(Value& parameters, const Fields& fields) {
  auto schema = json_schema(fields);
  for (const auto& entry : schema["properties"].as_map()) {
    const auto* line = fields.find(entry.name());
    Value type = entry.value;
    type.mutable_map().erase("description");
    Value parameter = Value::map({{"name", entry.name()}, {"in", "query"}});
    parameter.set("description", line->doc);
    if (line->is_required) parameter.set("required", true);
    if (line->type->kind == FieldType::Kind::List) parameter.set("explode", false);
    parameter.set("schema", std::move(type));
    parameters.push_back(std::move(parameter));
  }
}

Value parameters_of(const Route& route) {
  Value parameters = Value::list();
  for (auto name : parameter_names(route.pattern)) parameters.push_back(path_parameter(name));
  if (route.query) add_query_parameters(parameters, *route.query);
  if (route.takes_key) {
    parameters.push_back(header_parameter(
        "Idempotency-Key", "Repeats within 24 h with the same key and request do nothing more."));
  }
  if (route.takes_revision) {
    parameters.push_back(
        header_parameter("If-Match", "The ETag that the change was made from; 412 if it is old."));
  }
  if (route.may_make) {
    parameters.push_back(
        header_parameter("If-None-Match", "*: only if there is none yet; else 412."));
  }
  return parameters;
}

Value request_body(const Route& route) {
  Value body = Value::map();
  switch (route.body_form) {
    case BodyForm::None: return Value();
    case BodyForm::Json:
      body.set("content", content("application/json", ref_to("schemas", route.body->name())));
      break;
    case BodyForm::CloudEvent: {
      Value types = content("application/cloudevents+json", Value::map({{"type", "object"}}));
      types.set("application/cloudevents-batch+json",
                Value::map({{"schema", Value::map({{"type", "array"}})}}));
      types.set("application/json", Value::map({{"schema", Value::map()}}));
      body.set("description", "A CloudEvent 1.0: structured, binary (ce-* headers), or a batch.");
      body.set("content", std::move(types));
      break;
    }
    case BodyForm::Archive:
      body.set("description",
               "The files of a pack, at the top or in one folder: a .tar.gz. Or, as JSON, "
               "{\"git\": URL, \"ref\": REF}: answered 202, with an operation that fetches it.");
      body.set("content",
               content("application/gzip", Value::map({{"type", "string"}, {"format", "binary"}})));
      break;
    case BodyForm::Raw:
      body.set("description", "What the sender signs.");
      body.set("content", content("*/*", Value::map()));
      break;
  }
  body.set("required", true);
  return body;
}

Value answer_schema(const Route& route) {
  auto item = route.answer ? ref_to("schemas", route.answer->name()) : Value::map();
  Value properties = Value::map();
  if (route.answer_form == AnswerForm::List) {
    properties.set("data", Value::map({{"type", "array"}, {"items", std::move(item)}}));
    Value types = Value::list();
    types.push_back("string");
    types.push_back("null");
    properties.set("next_cursor", Value::map({{"type", std::move(types)}}));
  } else {
    properties.set("data", std::move(item));
  }
  return Value::map({{"type", "object"}, {"properties", std::move(properties)}});
}

Value success(const Route& route) {
  Value response = Value::map({{"description", net::reason_of(route.status)}});
  switch (route.answer_form) {
    case AnswerForm::One:
    case AnswerForm::List:
      response.set("content", content("application/json", answer_schema(route)));
      break;
    case AnswerForm::Stream:
      response.set("content", content("text/event-stream", text_schema()));
      break;
    case AnswerForm::Text: response.set("content", content("*/*", Value::map())); break;
    case AnswerForm::Empty: break;
  }
  return response;
}

Value operation(const Route& route) {
  Value op = Value::map({{"operationId", route.name}, {"summary", route.summary}});
  Value tags = Value::list();
  tags.push_back(tag_of(route));
  op.set("tags", std::move(tags));
  if (auto parameters = parameters_of(route); parameters.size() > 0) {
    op.set("parameters", std::move(parameters));
  }
  if (auto body = request_body(route); !body.is_null()) op.set("requestBody", std::move(body));
  Value responses = Value::map();
  responses.set(std::to_string(route.status), success(route));
  responses.set("default", ref_to("responses", "Problem"));
  op.set("responses", std::move(responses));
  switch (route.access.kind()) {
    case Access::Kind::Permission:
      op.set("x-permission", auth::to_string(route.access.permission()));
      break;
    case Access::Kind::Signature:
    case Access::Kind::Open: op.set("security", Value::list()); break;
    case Access::Kind::AnyToken:
    case Access::Kind::Undeclared: break;
  }
  return op;
}

Value components(const std::vector<Route>& routes) {
  Value schemas = Value::map();
  schemas.set("Problem", problem_schema());
  for (const auto& route : routes) {
    if (route.body) add_schemas(schemas, *route.body);
    if (route.answer) add_schemas(schemas, *route.answer);
  }
  Value problem = Value::map({{"description", "What went wrong (RFC 9457)."}});
  problem.set("content", content("application/problem+json", ref_to("schemas", "Problem")));
  Value token = Value::map({{"type", "http"}, {"scheme", "bearer"}});
  Value result = Value::map();
  result.set("securitySchemes", Value::map({{"token", std::move(token)}}));
  result.set("responses", Value::map({{"Problem", std::move(problem)}}));
  result.set("schemas", std::move(schemas));
  return result;
}

}  // namespace

Value openapi_document(const std::vector<Route>& routes, std::string_view version) {
  Value document = Value::map({{"openapi", "3.1.0"}});
  document.set("info", Value::map({{"title", "Millrace"},
                                   {"version", version},
                                   {"description",
                                    "Event-driven automation and durable "
                                    "orchestration."}}));
  Value security = Value::list();
  security.push_back(Value::map({{"token", Value::list()}}));
  document.set("security", std::move(security));
  Value paths = Value::map();
  for (const auto& route : routes) {
    Value operations = paths[route.pattern];
    operations.set(to_lower_ascii(route.method), operation(route));
    paths.set(route.pattern, std::move(operations));
  }
  document.set("paths", std::move(paths));
  document.set("components", components(routes));
  return document;
}

}  // namespace millrace::api
