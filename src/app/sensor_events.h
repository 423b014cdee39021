// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/engine.h"
#include "services/sensor/sensors.h"

namespace millrace::app {

// core.st2.sensor.process_spawn and process_exit, where a rule is on them.
void tell_sensor_process(engine::Engine& engine, const sensor::ProcessChange& change);

}  // namespace millrace::app
