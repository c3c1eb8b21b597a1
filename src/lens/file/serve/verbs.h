// SPDX-License-Identifier: Apache-2.0
// The subcommands of 'iolens file'.
#pragma once

#include <memory>
#include <vector>

#include "lens/lens.h"

namespace iolens {

std::vector<std::unique_ptr<Verb>> make_file_verbs();
std::unique_ptr<Verb> make_serve_verb();
std::unique_ptr<Verb> make_profile_verb();

}  // namespace iolens
