// SPDX-License-Identifier: Apache-2.0
// How the verifier checks the functions of BPF programs.
#pragma once

struct bpf_object;

namespace iolens {

/// The verifier checks a static function at each of its calls, and a global one once. Before 5.12 (e5069b9c23b3), it
/// refuses global functions that take pointers: on such a kernel, makes those of the object static.
void make_functions_acceptable(bpf_object* object);

}  // namespace iolens
