// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "iolens/pidns.h"

namespace iolens {

/// The pid namespace of this process, for the read-only data of a BPF object. Determined once. Throws Failure
/// (unavailable) if the kernel does not report it.
const iolens_pidns& own_pidns();

/// Throws Failure (unavailable) if /proc shows another pid namespace than own_pidns(), so that a pid there means
/// another process.
void require_own_proc();

}  // namespace iolens
