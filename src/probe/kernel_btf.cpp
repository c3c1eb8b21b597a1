// SPDX-License-Identifier: Apache-2.0
#include "probe/kernel_btf.h"

#include <fcntl.h>
#include <linux/btf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/fd.h"

namespace iolens {

BtfFile::BtfFile(const std::string& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat info{};
    if (!file || ::fstat(file.get(), &info) != 0) return;
    const auto size = static_cast<std::size_t>(info.st_size);
    bytes_ = std::make_unique_for_overwrite<std::byte[]>(size);
    std::size_t length = 0;
    for (ssize_t n = 1; n > 0 && length < size; length += static_cast<std::size_t>(std::max<ssize_t>(n, 0))) {
        n = ::read(file.get(), bytes_.get() + length, size - length);
    }
    btf_header head{};
    if (length < sizeof head) return;
    std::memcpy(&head, bytes_.get(), sizeof head);
    const u64 types = u64{head.hdr_len} + head.type_off;
    const u64 strings = u64{head.hdr_len} + head.str_off;
    if (head.magic != BTF_MAGIC || types + head.type_len > length || strings + head.str_len > length) return;
    types_ = {bytes_.get() + types, head.type_len};
    strings_ = {reinterpret_cast<const char*>(bytes_.get()) + strings, head.str_len};
}

namespace {
constinit std::weak_ptr<const BtfFile> held;
}  // namespace

std::shared_ptr<const BtfFile> kernel_btf() {
    if (!held.expired()) return std::shared_ptr(held);  // clang's analyzer mistakes lock() for a mutex's
    auto btf = std::make_shared<const BtfFile>(kernel_btf_path);
    held = btf;
    return btf;
}

bool KernelNames::has_tracepoint(std::string_view section) const {
    return has("btf_trace_" + std::string(section.substr(section.find('/') + 1)));
}

bool KernelNames::has(std::string_view name) const {
    // memmem, because find() would check each NUL: a needle that begins with NUL matches the start of every string
    const std::string needle = '\0' + std::string(name) + '\0';
    const std::string_view strings = btf_->strings();
    return ::memmem(strings.data(), strings.size(), needle.data(), needle.size()) != nullptr;
}

}  // namespace iolens
