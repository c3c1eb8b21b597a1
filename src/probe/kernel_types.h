// SPDX-License-Identifier: Apache-2.0
// BTF of the running kernel, reduced to the types that BPF objects name.
#pragma once

struct bpf_object;

namespace iolens {

/// For bpf_object_open_opts::btf_custom_path: a file of this process that libbpf relocates against, once
/// provide_kernel_types() has written it. Null if it can't exist: no memfd, or no /proc.
///
/// libbpf compares each type that an object names with all types of the kernel, 36 with 130,000 for `iolens fd`, which
/// is four fifths of the instructions of its start. It also searches every module's BTF for types that vmlinux lacks,
/// and gets it from the kernel by id, which needs CAP_SYS_ADMIN. This file has only the types that objects name, from
/// vmlinux and from modules, whose BTF in sysfs anyone may read.
const char* kernel_types_path();

/// Writes that file for an object that is opened but not loaded yet, and for those before it. Sets each
/// `kernel_type_NAME` in its read-only data to the kernel's BTF id of struct NAME (0: none), because types have other
/// ids in the file. Throws Failure (unavailable) if the kernel's BTF can't be read.
void provide_kernel_types(bpf_object* object);

}  // namespace iolens
