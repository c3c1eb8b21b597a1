// SPDX-License-Identifier: Apache-2.0
// Rows that iolens fd prints for a child that does some work.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "json.h"

namespace iolens::test {

/// The objects that `iolens fd -p` prints for a child that does `work`; the last ones are of the summary and the loss.
std::vector<Json> objects_of(const std::function<void()>& work, std::vector<std::string> options = {});

/// Its rows of these calls, in order.
std::vector<Json> rows_of(const std::string& calls, const std::function<void()>& work,
                          std::vector<std::string> options = {});

using Values = std::vector<std::string>;

/// The values of a column, null as "null".
Values values_of(const std::vector<Json>& rows, const std::string& column);

}  // namespace iolens::test
