# SPDX-License-Identifier: Apache-2.0
# The sources that the simulation can break (base/mutants.h): tests/sim compiles them once more with
# that in force, and what they define there is not taken from the libraries. For this they are in
# no batch.
set(MILLRACE_BREAKABLE
    engine/machine/context.cpp
    engine/machine/loader.cpp
    engine/machine/slots.cpp
    engine/partition.cpp
    engine/partition_due.cpp
    engine/partition_written.cpp
    engine/transitions/advance_workflow.cpp
    engine/transitions/bury_message.cpp
    engine/transitions/cancel_execution.cpp
    engine/transitions/enforce_event.cpp
    engine/transitions/finish_run.cpp
    engine/transitions/fire_timer.cpp
    engine/transitions/idempotency.cpp
    engine/transitions/ingest_event.cpp
    engine/transitions/lose_run.cpp
    engine/transitions/lose_worker.cpp
    engine/transitions/open_worker.cpp
    engine/transitions/start.cpp
    engine/transitions/sweep.cpp
    engine/transitions/workflow_run.cpp
    store/gate.cpp
    store/repository_history.cpp
    store/writer.cpp)
list(TRANSFORM MILLRACE_BREAKABLE PREPEND ${CMAKE_SOURCE_DIR}/src/)
