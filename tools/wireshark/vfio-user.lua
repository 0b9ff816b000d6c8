-- Wireshark's view of vfio-user, for captures of `umdev trace --pcap`:
--
--   wireshark -X lua_script:tools/wireshark/vfio-user.lua boot.pcap
--   tshark -X lua_script:tools/wireshark/vfio-user.lua -r boot.pcap -Y 'vfio_user.command == 9'
--
-- Each packet is one message behind eight bytes of the capture's own: version, direction, descriptors, session. Captures
-- have the link type USER0; where another dissector has that, change it in Preferences > Protocols > DLT_USER.

local protocol = Proto("vfio_user", "vfio-user")

local commands = {
  [1] = "VERSION", [2] = "DMA_MAP", [3] = "DMA_UNMAP", [4] = "DEVICE_GET_INFO", [5] = "DEVICE_GET_REGION_INFO",
  [6] = "DEVICE_GET_REGION_IO_FDS", [7] = "DEVICE_GET_IRQ_INFO", [8] = "DEVICE_SET_IRQS", [9] = "REGION_READ",
  [10] = "REGION_WRITE", [11] = "DMA_READ", [12] = "DMA_WRITE", [13] = "DEVICE_RESET", [14] = "DIRTY_PAGES",
  [15] = "REGION_WRITE_MULTI", [16] = "DEVICE_FEATURE", [17] = "MIG_DATA_READ", [18] = "MIG_DATA_WRITE",
}
local directions = { [0] = "from the client", [1] = "from the server" }
local types = { [0] = "command", [1] = "reply" }
local features = {
  [1] = "MIGRATION", [2] = "MIG_DEVICE_STATE", [6] = "DMA_LOGGING_START", [7] = "DMA_LOGGING_STOP",
  [8] = "DMA_LOGGING_REPORT", [9] = "MIG_DATA_SIZE",
}

local f = {
  direction = ProtoField.uint8("vfio_user.direction", "Direction", base.DEC, directions),
  descriptors = ProtoField.uint16("vfio_user.descriptors", "Descriptors"),
  session = ProtoField.uint32("vfio_user.session", "Session"),
  id = ProtoField.uint16("vfio_user.id", "Message ID"),
  command = ProtoField.uint16("vfio_user.command", "Command", base.DEC, commands),
  size = ProtoField.uint32("vfio_user.size", "Message size"),
  flags = ProtoField.uint32("vfio_user.flags", "Flags", base.HEX),
  type = ProtoField.uint32("vfio_user.type", "Type", base.DEC, types, 0xf),
  no_reply = ProtoField.bool("vfio_user.no_reply", "No reply wanted", 32, nil, 0x10),
  is_error = ProtoField.bool("vfio_user.is_error", "Error", 32, nil, 0x20),
  error = ProtoField.uint32("vfio_user.error", "errno"),
  argsz = ProtoField.uint32("vfio_user.argsz", "argsz"),
  operation_flags = ProtoField.uint32("vfio_user.operation_flags", "Flags of the operation", base.HEX),
  index = ProtoField.uint32("vfio_user.index", "Index"),
  start = ProtoField.uint32("vfio_user.start", "First vector"),
  count = ProtoField.uint64("vfio_user.count", "Count"),
  region = ProtoField.uint32("vfio_user.region", "Region"),
  offset = ProtoField.uint64("vfio_user.offset", "Offset", base.HEX),
  iova = ProtoField.uint64("vfio_user.iova", "IOVA", base.HEX),
  length = ProtoField.uint64("vfio_user.length", "Size", base.HEX),
  regions = ProtoField.uint32("vfio_user.regions", "Regions"),
  irqs = ProtoField.uint32("vfio_user.irqs", "Interrupt indexes"),
  cap_offset = ProtoField.uint32("vfio_user.cap_offset", "Offset of the capabilities", base.HEX),
  feature = ProtoField.uint32("vfio_user.feature", "Feature", base.DEC, features, 0xffff),
  major = ProtoField.uint16("vfio_user.major", "Major version"),
  minor = ProtoField.uint16("vfio_user.minor", "Minor version"),
  capabilities = ProtoField.string("vfio_user.capabilities", "Capabilities"),
  data = ProtoField.bytes("vfio_user.data", "Data"),
}
for _, field in pairs(f) do table.insert(protocol.fields, field) end

-- Fields in the order in which they stand: {field, bytes}. What follows them is data.
local access = { { f.offset, 8 }, { f.region, 4 }, { f.count, 4 } }
local dma = { { f.iova, 8 }, { f.count, 8 } }
local migration_data = { { f.argsz, 4 }, { f.count, 4 } }
local layouts = {
  [1] = { { f.major, 2 }, { f.minor, 2 } },
  [2] = { { f.argsz, 4 }, { f.operation_flags, 4 }, { f.offset, 8 }, { f.iova, 8 }, { f.length, 8 } },
  [3] = { { f.argsz, 4 }, { f.operation_flags, 4 }, { f.iova, 8 }, { f.length, 8 } },
  [4] = { { f.argsz, 4 }, { f.operation_flags, 4 }, { f.regions, 4 }, { f.irqs, 4 } },
  [5] = { { f.argsz, 4 }, { f.operation_flags, 4 }, { f.index, 4 }, { f.cap_offset, 4 }, { f.length, 8 }, { f.offset, 8 } },
  [6] = { { f.argsz, 4 }, { f.operation_flags, 4 }, { f.index, 4 }, { f.count, 4 } },
  [7] = { { f.argsz, 4 }, { f.operation_flags, 4 }, { f.index, 4 }, { f.count, 4 } },
  [8] = { { f.argsz, 4 }, { f.operation_flags, 4 }, { f.index, 4 }, { f.start, 4 }, { f.count, 4 } },
  [9] = access, [10] = access, [11] = dma, [12] = dma,
  [15] = { { f.count, 8 } },
  [16] = { { f.argsz, 4 }, { f.operation_flags, 4 } },
  [17] = migration_data, [18] = migration_data,
}

local function dissect_payload(command, payload, tree)
  local at = 0
  for _, entry in ipairs(layouts[command] or {}) do
    local field, length = entry[1], entry[2]
    if at + length > payload:len() then break end
    tree:add_le(field, payload(at, length))
    if command == 16 and field == f.operation_flags then tree:add_le(f.feature, payload(at, length)) end
    at = at + length
  end
  if at >= payload:len() then return end
  tree:add(command == 1 and f.capabilities or f.data, payload(at))
end

function protocol.dissector(buffer, packet, root)
  if buffer:len() < 24 then return 0 end
  packet.cols.protocol = "vfio-user"
  local tree = root:add(protocol, buffer())
  tree:add_le(f.direction, buffer(1, 1))
  tree:add_le(f.descriptors, buffer(2, 2))
  tree:add_le(f.session, buffer(4, 4))
  local message = buffer(8)
  local command, flags = message(2, 2):le_uint(), message(8, 4):le_uint()
  tree:add_le(f.id, message(0, 2))
  tree:add_le(f.command, message(2, 2))
  tree:add_le(f.size, message(4, 4))
  local flag_tree = tree:add_le(f.flags, message(8, 4))
  for _, field in ipairs({ f.type, f.no_reply, f.is_error }) do flag_tree:add_le(field, message(8, 4)) end
  tree:add_le(f.error, message(12, 4))
  local is_reply, is_error = flags % 16 == 1, flags % 64 >= 32
  if message:len() > 16 and not is_error then dissect_payload(command, message(16), tree) end
  local name = commands[command] or ("command " .. command)
  packet.cols.src = buffer(1, 1):uint() == 0 and "client" or "server"
  packet.cols.dst = buffer(1, 1):uint() == 0 and "server" or "client"
  packet.cols.info = name .. (is_reply and " reply" or "") .. " #" .. message(0, 2):le_uint()
    .. (is_error and (", errno " .. message(12, 4):le_uint()) or "")
  return buffer:len()
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, protocol)
