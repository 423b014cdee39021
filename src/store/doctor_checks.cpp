// SPDX-License-Identifier: Apache-2.0
// To add a check: one entry here, and a test in tests/contract/doctor_test.cpp that plants it.
// Numbers of enums stand by name, in braces: kNumbers below.
#include "store/doctor_checks.h"

#include "store/tables.h"

namespace millrace::store {
namespace {

constexpr Check kChecks[] = {
    // K1: acknowledged only in the commit of the effects.
    {"K1", "message", "its event has enforcements: it was handled without being acknowledged",
     "SELECT m.id FROM message m WHERE m.kind = {enforce} AND EXISTS (SELECT 1 FROM enforcement n "
     "WHERE "
     "n.tenant = m.tenant AND n.event = m.subject) ORDER BY m.id"},
    {"K1", "message", "its event does not exist: it can never be handled",
     "SELECT m.id FROM message m WHERE m.kind = {enforce} AND NOT EXISTS (SELECT 1 FROM event e "
     "WHERE "
     "e.id = m.subject) ORDER BY m.id"},
    {"K1", "message", "its execution does not exist: it can never be handled",
     "SELECT m.id FROM message m WHERE m.kind = {cancel} AND NOT EXISTS (SELECT 1 FROM execution x "
     "WHERE "
     "x.id = m.subject) ORDER BY m.id"},

    // K2: an outbox row leaves when its destination has confirmed.
    {"K2", "execution", "canceling, and leased, but no outbox row tells its worker",
     "SELECT x.id FROM execution x WHERE x.status = {canceling} AND x.worker <> 0 AND x.id NOT IN "
     "(SELECT subject FROM outbox WHERE destination = {worker_cancel}) ORDER BY x.id"},
    {"K2", "outbox row", "its execution does not exist: nobody can confirm it",
     "SELECT o.id FROM outbox o WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = o.subject) ORDER BY o.id"},

    // K3: all rows of a step or none.
    {"K3", "enforcement", "its event does not exist",
     "SELECT n.id FROM enforcement n WHERE NOT EXISTS (SELECT 1 FROM event e WHERE "
     "e.id = n.event) ORDER BY n.id"},
    {"K3", "enforcement", "its execution does not exist and is too young to have expired",
     "SELECT n.id FROM enforcement n WHERE n.execution >= $1 AND n.execution <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM execution x WHERE x.id = n.execution) ORDER BY n.id",
     Bound::ExecutionRetention},
    {"K3", "execution", "its enforcement does not exist and is too young to have expired",
     "SELECT x.id FROM execution x WHERE x.enforcement >= $1 AND x.enforcement <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM enforcement n WHERE n.id = x.enforcement) ORDER BY x.id",
     Bound::EventRetention},
    {"K3", "execution", "open, but its parent does not exist",
     "SELECT x.id FROM execution x WHERE x.status < {final} AND x.parent <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM execution p WHERE p.id = x.parent) ORDER BY x.id"},
    {"K3", "execution", "output of it is stored, but the execution does not exist",
     "SELECT DISTINCT o.execution FROM output o WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = o.execution) ORDER BY o.execution"},
    {"K3", "execution", "its result is above 64 KiB and is not there",
     "SELECT x.id FROM execution x WHERE x.result_size > {inline_result} AND NOT EXISTS (SELECT 1 "
     "FROM "
     "result_blob b WHERE b.execution = x.id) ORDER BY x.id"},
    {"K3", "workflow", "its execution does not exist",
     "SELECT w.execution FROM workflow w WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = w.execution) ORDER BY w.execution"},
    {"K3", "workflow", "pieces or runs of it are stored, but it does not exist",
     "SELECT p.workflow FROM workflow_piece p WHERE NOT EXISTS (SELECT 1 FROM workflow w WHERE "
     "w.execution = p.workflow) UNION SELECT r.workflow FROM workflow_run r WHERE NOT EXISTS "
     "(SELECT 1 FROM workflow w WHERE w.execution = r.workflow) ORDER BY 1"},
    {"K3", "inquiry", "its execution does not exist",
     "SELECT i.id FROM inquiry i WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = i.id) ORDER BY i.id"},
    {"K3", "change", "the next number is missing: followers of the feed have lost something",
     "SELECT c.seq FROM change_feed c WHERE c.seq < (SELECT max(seq) FROM change_feed) AND "
     "NOT EXISTS (SELECT 1 FROM change_feed d WHERE d.seq = c.seq + 1) ORDER BY c.seq"},

    // K4: the same message handled twice leaves the same rows. 604800000 ms are 7 days.
    {"K4", "event", "another one has the same source and id within 7 days: taken in twice",
     "SELECT min(id) FROM event WHERE replay_of = 0 AND source_id <> '' GROUP BY tenant, source, "
     "source_id HAVING count(*) > 1 AND max(created) - min(created) < 604800000 ORDER BY min(id)"},

    // K5: a timer's effect happens once.
    {"K5", "timer", "its execution does not exist",
     "SELECT t.id FROM timer t WHERE t.subject <> 0 AND NOT EXISTS (SELECT 1 FROM execution x "
     "WHERE x.id = t.subject) ORDER BY t.id"},
    {"K5", "timer", "it has been due for more than an hour: is a server running?",
     "SELECT id FROM timer WHERE due < $1 - 3600000 ORDER BY due, id", Bound::Now,
     Severity::Warning},

    // K6: an old epoch commits nothing, and its token is dead.
    {"K6", "execution", "leased without an epoch",
     "SELECT id FROM execution WHERE status < {final} AND worker <> 0 AND epoch < 1 ORDER BY id"},
    {"K6", "execution", "leased to a worker that never opened a session",
     "SELECT x.id FROM execution x WHERE x.status < {final} AND x.worker <> 0 AND NOT EXISTS "
     "(SELECT 1 FROM worker w WHERE w.id = x.worker) ORDER BY x.id"},
    {"K6", "execution", "waits in the queue and is leased: two may run it",
     "SELECT x.id FROM queue q JOIN execution x ON x.id = q.execution WHERE x.worker <> 0 AND "
     "x.status IN ({scheduled}, {running}) ORDER BY x.id"},
    {"K6", "execution", "output of an attempt that was never granted is stored",
     "SELECT DISTINCT x.id FROM output o JOIN execution x ON x.id = o.execution WHERE "
     "o.attempt > x.attempt ORDER BY x.id"},
    {"K6", "token", "its execution has ended or does not exist: delete the token",
     "SELECT t.id FROM token t WHERE t.execution <> 0 AND NOT EXISTS (SELECT 1 FROM execution x "
     "WHERE x.id = t.execution AND x.status < {final}) ORDER BY t.id"},

    // K7: `started` is durable before a process starts.
    {"K7", "execution", "running without `started`",
     "SELECT id FROM execution WHERE status = {running} AND started = 0 ORDER BY id"},
    {"K7", "execution", "ended before it started: did the clock go back?",
     "SELECT id FROM execution WHERE ended <> 0 AND started > ended ORDER BY id", Bound::None,
     Severity::Warning},

    // K8: nothing is stuck.
    {"K8", "execution", "requested, but neither in the queue nor held",
     "SELECT x.id FROM execution x WHERE x.status = {requested} AND x.held = '' AND NOT EXISTS "
     "(SELECT 1 FROM queue q WHERE q.execution = x.id) ORDER BY x.id"},
    {"K8", "execution", "waits for an answer, but no open inquiry asks for one",
     "SELECT x.id FROM execution x WHERE x.status = {pending} AND x.held <> '' AND NOT EXISTS "
     "(SELECT 1 FROM inquiry i WHERE i.id = x.id AND i.status = {unanswered}) ORDER BY x.id"},
    {"K8", "execution", "needs a decision, but does not say of whom",
     "SELECT id FROM execution WHERE status = {needs_decision} AND held = '' ORDER BY id"},
    {"K8", "execution",
     "nothing will ever wake it: no lease, timer, open child, outbox row, message, inquiry or "
     "holder",
     "SELECT x.id FROM execution x WHERE x.status BETWEEN {delayed} AND {canceling} AND x.held = "
     "'' AND "
     "(x.worker = 0 OR x.status NOT IN ({scheduled}, {running}, {pausing}, {resuming}, "
     "{canceling})) AND "
     "NOT EXISTS (SELECT 1 FROM timer t WHERE t.subject = x.id AND t.subject <> 0) AND "
     "NOT EXISTS (SELECT 1 FROM execution c WHERE c.tenant = x.tenant AND c.parent = x.id AND "
     "c.parent <> 0 AND c.status < {final}) AND x.id NOT IN (SELECT subject FROM outbox) AND "
     "x.id NOT IN (SELECT subject FROM message WHERE kind IN ({cancel}, {advance})) AND "
     "NOT EXISTS (SELECT 1 FROM inquiry i WHERE i.id = x.id AND i.status = {unanswered}) ORDER BY "
     "x.id"},
    {"K8", "execution", "is in the queue, but does not exist or does not wait for a slot",
     "SELECT q.execution FROM queue q WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = q.execution AND (x.status = {requested} OR x.status >= {final})) ORDER BY "
     "q.execution"},
    {"K8", "quarantine entry",
     "a message of the machine itself could not be handled: the log says why",
     "SELECT id FROM quarantine WHERE tenant = 0 ORDER BY id", Bound::None, Severity::Warning},
    {"K8", "quarantine entry",
     "a message that ended the server: its reason tells, and the log of that time",
     "SELECT id FROM quarantine WHERE reason LIKE 'the server has ended %' ORDER BY id",
     Bound::None, Severity::Warning},

    {"K8", "execution", "waits for a limit of a policy, but has no place in its queue",
     "SELECT x.id FROM execution x WHERE x.status = {delayed} AND x.limits LIKE 'w:%' AND NOT "
     "EXISTS (SELECT 1 FROM place p WHERE p.tenant = x.tenant AND p.execution = x.id AND "
     "p.gauge = substr(x.limits, 3) AND p.state = {waits}) ORDER BY x.id"},
    {"K8", "execution",
     "is first in the queue of a limit where nobody holds a place: who wakes it?",
     "SELECT p.execution FROM place p JOIN gauge g ON g.tenant = p.tenant AND g.name = p.gauge "
     "WHERE p.state = {waits} AND g.held = 0 AND NOT EXISTS (SELECT 1 FROM place q WHERE "
     "q.tenant = p.tenant AND q.gauge = p.gauge AND q.state = {waits} AND (q.place_rank, "
     "q.execution) < (p.place_rank, p.execution)) AND NOT EXISTS (SELECT 1 FROM timer t WHERE "
     "t.subject = p.execution) AND NOT EXISTS (SELECT 1 FROM message m WHERE m.kind = {look} AND "
     "m.tenant = p.tenant) ORDER BY p.execution",
     Bound::None, Severity::Warning},

    // K9: a final status never changes, and nothing works on it any more.
    {"K9", "execution", "final without `ended`",
     "SELECT id FROM execution WHERE status >= {final} AND ended = 0 ORDER BY id"},
    {"K9", "execution", "ended, but not final",
     "SELECT id FROM execution WHERE status < {final} AND ended <> 0 ORDER BY id"},
    {"K9", "execution", "final, but still in the queue",
     "SELECT x.id FROM queue q JOIN execution x ON x.id = q.execution WHERE x.status >= {final} "
     "ORDER BY x.id"},
    {"K9", "execution", "final, but a timer of it is left",
     "SELECT DISTINCT x.id FROM timer t JOIN execution x ON x.id = t.subject WHERE "
     "t.subject <> 0 AND x.status >= {final} ORDER BY x.id"},
    {"K9", "execution", "final, but an outbox row of it is left",
     "SELECT DISTINCT x.id FROM outbox o JOIN execution x ON x.id = o.subject WHERE "
     "o.destination IN ({confirmed_by_end}) AND x.status >= {final} ORDER BY x.id"},
    {"K9", "execution", "final, but its inquiry is still open",
     "SELECT x.id FROM inquiry i JOIN execution x ON x.id = i.id WHERE i.status = {unanswered} AND "
     "x.status >= {final} ORDER BY x.id"},
    {"K9", "execution", "final, but a child of it is open",
     "SELECT DISTINCT p.id FROM execution c JOIN execution p ON p.id = c.parent WHERE "
     "c.parent <> 0 AND c.status < {final} AND p.status >= {final} ORDER BY p.id"},

    {"K9", "execution", "final, but it has a place at a limit of a policy",
     "SELECT DISTINCT x.id FROM place p JOIN execution x ON x.id = p.execution WHERE "
     "x.status >= {final} ORDER BY x.id"},

    // K11: limits hold.
    {"K11", "execution", "a limit of a policy counts others than have a place there",
     "SELECT coalesce(min(p.execution), 0) FROM gauge g LEFT JOIN place p ON p.tenant = g.tenant "
     "AND p.gauge = "
     "g.name "
     "GROUP BY g.tenant, g.name, g.held, g.waiting HAVING g.held <> sum(CASE WHEN p.state <> "
     "{waits} "
     "THEN 1 ELSE 0 END) OR g.waiting <> sum(CASE WHEN p.state = {waits} THEN 1 ELSE 0 END) "
     "ORDER BY coalesce(min(p.execution), 0)"},
    {"K11", "execution", "has a place at a limit of a policy, but does not exist",
     "SELECT DISTINCT p.execution FROM place p WHERE NOT EXISTS (SELECT 1 FROM execution x WHERE "
     "x.id = p.execution) ORDER BY p.execution"},
    {"K11", "execution", "has a place at a limit that counts nothing",
     "SELECT DISTINCT p.execution FROM place p WHERE NOT EXISTS (SELECT 1 FROM gauge g WHERE "
     "g.tenant = p.tenant AND g.name = p.gauge) ORDER BY p.execution"},

    // K10: nothing of one tenant points to another. One line per reference of a row.
    {"K10", "event", "a replay of an event of another tenant",
     "SELECT a.id FROM event a JOIN event b ON b.id = a.replay_of WHERE a.replay_of <> 0 AND "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "enforcement", "of another tenant than its event",
     "SELECT a.id FROM enforcement a JOIN event b ON b.id = a.event WHERE a.tenant <> b.tenant "
     "ORDER BY a.id"},
    {"K10", "enforcement", "of another tenant than its execution",
     "SELECT a.id FROM enforcement a JOIN execution b ON b.id = a.execution WHERE "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "enforcement", "of another tenant than its rule",
     "SELECT a.id FROM enforcement a JOIN rule b ON b.id = a.rule AND b.revision = a.rule_revision "
     "WHERE a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "execution", "of another tenant than its parent",
     "SELECT a.id FROM execution a JOIN execution b ON b.id = a.parent WHERE a.parent <> 0 AND "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "execution", "of another tenant than its root",
     "SELECT a.id FROM execution a JOIN execution b ON b.id = a.root WHERE a.tenant <> b.tenant "
     "ORDER BY a.id"},
    {"K10", "execution", "a re-run of an execution of another tenant",
     "SELECT a.id FROM execution a JOIN execution b ON b.id = a.original WHERE a.original <> 0 AND "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "execution", "of another tenant than its enforcement",
     "SELECT a.id FROM execution a JOIN enforcement b ON b.id = a.enforcement WHERE "
     "a.enforcement <> 0 AND a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "execution", "its queue row is of another tenant or shard",
     "SELECT b.id FROM queue a JOIN execution b ON b.id = a.execution WHERE "
     "a.tenant <> b.tenant OR a.shard <> b.shard ORDER BY b.id"},
    {"K10", "execution", "its output is of another tenant",
     "SELECT DISTINCT b.id FROM output a JOIN execution b ON b.id = a.execution WHERE "
     "a.tenant <> b.tenant ORDER BY b.id"},
    {"K10", "execution", "its result is of another tenant",
     "SELECT b.id FROM result_blob a JOIN execution b ON b.id = a.execution WHERE "
     "a.tenant <> b.tenant ORDER BY b.id"},
    {"K10", "execution", "its workflow is of another tenant or shard",
     "SELECT b.id FROM workflow a JOIN execution b ON b.id = a.execution WHERE "
     "a.tenant <> b.tenant OR a.shard <> b.shard ORDER BY b.id"},
    {"K10", "workflow", "a piece of it is of another tenant",
     "SELECT DISTINCT b.execution FROM workflow_piece a JOIN workflow b ON b.execution = "
     "a.workflow "
     "WHERE a.tenant <> b.tenant ORDER BY b.execution"},
    {"K10", "workflow", "a run of it is of another tenant",
     "SELECT DISTINCT b.execution FROM workflow_run a JOIN workflow b ON b.execution = a.workflow "
     "WHERE a.tenant <> b.tenant ORDER BY b.execution"},
    {"K10", "execution", "a workflow of another tenant has it as a run",
     "SELECT DISTINCT b.id FROM workflow_run a JOIN execution b ON b.id = a.execution WHERE "
     "a.tenant <> b.tenant ORDER BY b.id"},
    {"K10", "execution", "its inquiry is of another tenant",
     "SELECT b.id FROM inquiry a JOIN execution b ON b.id = a.id WHERE a.tenant <> b.tenant "
     "ORDER BY b.id"},
    {"K10", "message", "of another tenant than its event",
     "SELECT a.id FROM message a JOIN event b ON b.id = a.subject WHERE a.kind = {enforce} AND "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "message", "of another tenant than its execution",
     "SELECT a.id FROM message a JOIN execution b ON b.id = a.subject WHERE a.kind <> {enforce} "
     "AND "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "timer", "of another tenant than its execution",
     "SELECT a.id FROM timer a JOIN execution b ON b.id = a.subject WHERE a.subject <> 0 AND "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "outbox row", "of another tenant than its execution",
     "SELECT a.id FROM outbox a JOIN execution b ON b.id = a.subject WHERE a.tenant <> b.tenant "
     "ORDER BY a.id"},
    {"K10", "token", "of another tenant than its execution",
     "SELECT a.id FROM token a JOIN execution b ON b.id = a.execution WHERE a.execution <> 0 AND "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "execution", "its place at a limit is of another tenant",
     "SELECT DISTINCT b.id FROM place a JOIN execution b ON b.id = a.execution WHERE "
     "a.tenant <> b.tenant ORDER BY b.id"},
    {"K10", "worker", "of a tenant, but a worker serves all of them",
     "SELECT id FROM worker WHERE tenant <> 0 ORDER BY id"},
    {"K10", "quarantine entry", "of another tenant than its execution",
     "SELECT a.id FROM quarantine a JOIN execution b ON b.id = a.subject WHERE "
     "a.tenant <> b.tenant ORDER BY a.id"},
    {"K10", "quarantine entry", "of another tenant than its event",
     "SELECT a.id FROM quarantine a JOIN event b ON b.id = a.subject WHERE a.tenant <> b.tenant "
     "ORDER BY a.id"},
    {"K10", "quarantine entry", "of no tenant, but no message of the machine itself",
     "SELECT id FROM quarantine WHERE tenant = 0 AND kind <> 'open_worker' ORDER BY id"},
    {"K10", "quarantine entry", "a message of the machine itself, but of a tenant",
     "SELECT id FROM quarantine WHERE tenant <> 0 AND kind = 'open_worker' ORDER BY id"},
    {"K10", "rule", "its revisions are of several tenants",
     "SELECT id FROM rule GROUP BY id HAVING min(tenant) <> max(tenant) ORDER BY id"},
    {"K10", "change", "of another tenant than its execution",
     "SELECT a.seq FROM change_feed a JOIN execution b ON b.id = a.entity WHERE "
     "a.entity_type = {execution_change} AND a.tenant <> b.tenant ORDER BY a.seq"},
    {"K10", "change", "of another tenant than its event",
     "SELECT a.seq FROM change_feed a JOIN event b ON b.id = a.entity WHERE "
     "a.entity_type = {event_change} AND a.tenant <> b.tenant ORDER BY a.seq"},
};

struct Named {
  std::string_view name;
  int64_t number;
};

template <typename Enum>
constexpr Named named(std::string_view name, Enum value) {
  return {name, static_cast<int64_t>(value)};
}

constexpr Named kNumbers[] = {
    named("final", kFirstFinal),
    named("requested", ExecutionStatus::Requested),
    named("delayed", ExecutionStatus::Delayed),
    named("scheduled", ExecutionStatus::Scheduled),
    named("running", ExecutionStatus::Running),
    named("pending", ExecutionStatus::Pending),
    named("pausing", ExecutionStatus::Pausing),
    named("resuming", ExecutionStatus::Resuming),
    named("canceling", ExecutionStatus::Canceling),
    named("needs_decision", ExecutionStatus::NeedsDecision),
    named("enforce", kernel::MessageKind::EnforceEvent),
    named("cancel", kernel::MessageKind::CancelExecution),
    named("advance", kernel::MessageKind::AdvanceWorkflow),
    named("look", kernel::MessageKind::LookAtLimit),
    named("waits", kernel::PlaceState::Waits),
    named("unanswered", kernel::InquiryStatus::Pending),
    named("event_change", kernel::EntityType::Event),
    named("execution_change", kernel::EntityType::Execution),
    named("worker_cancel", kernel::Destination::WorkerCancel),
    named("inline_result", kernel::kInlineResultBytes),
};

// The destinations whose rows go with the end of the run.
std::string confirmed_by_end() {
  std::string numbers;
  for (const auto& destination : kernel::kDestinations) {
    if (destination.confirmed_by != kernel::Confirmation::EndOfRun) continue;
    if (!numbers.empty()) numbers += ", ";
    numbers += std::to_string(static_cast<int>(destination.id));
  }
  return numbers;
}

std::string number_of(std::string_view name) {
  if (name == "confirmed_by_end") return confirmed_by_end();
  for (const auto& known : kNumbers) {
    if (known.name == name) return std::to_string(known.number);
  }
  ASSERT_MSG(false, "a check of the doctor names an unknown number");
  return {};
}

}  // namespace

std::span<const Check> checks() { return kChecks; }

std::string query_of(const Check& check) {
  std::string text = "/*every tenant: doctor*/ ";
  std::string_view rest = check.query;
  for (size_t open; (open = rest.find('{')) != rest.npos;) {
    size_t close = rest.find('}', open);
    text += rest.substr(0, open);
    text += number_of(rest.substr(open + 1, close - open - 1));
    rest.remove_prefix(close + 1);
  }
  text += rest;
  return text;
}

}  // namespace millrace::store
