// A client that stays connected while its device moves: what goes beside the instance's stream, as
// descriptors.
#pragma once

#include <cstdint>
#include <vector>

#include "umdev/manage/moved_instance.h"
#include "umdev/os/unique_fd.h"
#include "umdev/vfio/device_sessions.h"

namespace umdev::manage {

// Who serves the client. Two connected ends, of which the source keeps one. It says one of two words and
// closes its end, or ends without a word; whatever it does, it does not serve the client any more unless the
// word was `stays`. So there is never a moment in which both places serve, whoever dies when.
enum class Word : char { moved = 'm', stays = 's' };

// The source's. EPIPE: nobody is there any more who could hear it.
Result<> say(const os::UniqueFd& token, Word word);
// The target's, once its end is readable: `moved` also when the source ended without a word. EPROTO for
// anything else.
Result<Word> hear(const os::UniqueFd& token);

struct Handover {
  os::UniqueFd token;  // the target's end
  vfio::MovedSession session;
};

// As descriptors, and what the instance's stream has to say about them. The session's own stream is the
// contents of one of them, since it may be larger than a message of the control socket. E2BIG: more than
// 253, EMFILE.
Result<std::vector<os::UniqueFd>> pack(Handover handover, MovedClient& client);
// EINVAL: not as many as the stream says, or not what it says.
Result<Handover> unpack(std::vector<os::UniqueFd> descriptors, const MovedClient& client);

}  // namespace umdev::manage
