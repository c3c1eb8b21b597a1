// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "iolens/pidns.h"

namespace iolens {

/// The pid namespace of this process, for the read-only data of a BPF object. Found once. Throws Failure (unavailable)
/// where the kernel does not tell it.
const iolens_pidns& own_pidns();

/// Throws Failure (unavailable) where /proc shows the processes of another pid namespace than own_pidns(), so that a
/// pid means another process there.
void require_own_proc();

}  // namespace iolens
