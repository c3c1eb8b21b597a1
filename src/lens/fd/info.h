// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "lens/lens.h"
#include "lens/loss.h"

namespace iolens {

class StraceImport;

/// Name, help texts, columns and formats of the fd lens.
const LensInfo& fd_info();

/// The fd lens's causes of loss that the kernel side counts.
std::span<const LossCounter> fd_loss_counters();

/// Adds what an imported log lacks.
void note_log_losses(Loss& loss, const StraceImport& log);

}  // namespace iolens
