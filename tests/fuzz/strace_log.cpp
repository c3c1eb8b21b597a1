// SPDX-License-Identifier: Apache-2.0
// Any bytes as a log of strace. What comes out has to be records that a reader can take; the sanitizers watch the rest.
#include <cstdlib>
#include <string_view>

#include "base/decode.h"
#include "import/strace_import.h"
#include "iolens/event/operation.h"
#include "resolve/files.h"
#include "resolve/syscalls.h"

namespace {

class Reader final : public iolens::Receiver {
public:
    bool record(std::span<const std::byte> bytes) override {
        using namespace iolens;
        const iolens_header* head = decode_header(bytes);
        if (head == nullptr || head->size != bytes.size() || head->size % 8 != 0) std::abort();
        if (const auto* file = decoder_.as<iolens_file_fact>(*head, IOLENS_KIND_FILE)) {
            if (!files_.add(*file, bytes)) std::abort();
        }
        if (const auto* event = decoder_.as<iolens_call_event>(*head, IOLENS_KIND_CALL)) {
            if (event->call != IOLENS_NO_CALL && find_syscall(event->call) == nullptr) std::abort();
            if (event->name_id != 0 && files_.find(event->name_id) == nullptr) std::abort();
        }
        return true;
    }

private:
    iolens::Decoder decoder_;
    iolens::Files files_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    Reader reader;
    iolens::StraceImport log;
    std::string_view text(reinterpret_cast<const char*>(data), size);
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        log.line(text.substr(0, end), reader);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    log.end(reader);
    return 0;
}
