// SPDX-License-Identifier: Apache-2.0
// What the running kernel's BTF says of the types that BPF objects name.
#pragma once

struct bpf_object;

namespace iolens {

/// For bpf_object_open_opts::btf_custom_path: a file of this process that libbpf relocates against, once
/// provide_kernel_types() has written it. Null where there can be none: no memfd, or no /proc.
///
/// libbpf compares each type that an object names with all types of the kernel, 36 with 130,000 for `iolens fd`, which
/// is four fifths of the instructions of its start. It also looks through every module's BTF for what the kernel itself
/// lacks, and gets it from the kernel by id, which needs CAP_SYS_ADMIN. The file has only what objects name, of the
/// kernel and of its modules, whose BTF in sysfs anybody may read.
const char* kernel_types_path();

/// Writes that file for an object that was opened and not loaded yet, and for those before it. Sets `kernel_type_NAME`
/// in its read-only data, for each NAME there, to the kernel's BTF id of struct NAME (0: none): in the file types have
/// other ids. Throws Failure (unavailable) where the kernel's BTF can't be read.
void provide_kernel_types(bpf_object* object);

}  // namespace iolens
