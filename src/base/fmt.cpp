// SPDX-License-Identifier: Apache-2.0
// libfmt, compiled once for the whole project. Debian has no static libfmt, and header-only it doubles the time that
// every unit takes to compile. GCC's -fkeep-inline-functions emits each function of the header-only library here; all
// other units include fmt without FMT_HEADER_ONLY and find them when they are linked.
#define FMT_HEADER_ONLY
#include <fmt/format.h>
