// SPDX-License-Identifier: Apache-2.0
// The commands that are no lens.
#pragma once

#include "lens/lens.h"

namespace iolens {

/// Prints what works on this kernel and why not. Returns Exit::unavailable when a lens can't trace here.
int run_doctor(const std::vector<std::unique_ptr<Lens>>& lenses, Format format, bool variants);

/// Prints every event's columns with unit and meaning, from the tables that the sinks use.
int run_schema(const std::vector<std::unique_ptr<Lens>>& lenses, Format format);

/// Prints the domains and operations of --domains, from the table of system calls.
int run_domains(Format format);

}  // namespace iolens
