-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- Wireshark and tshark: CATS metric option, beacons, INT-MD v2.1 with the decision of the ingress
-- forwarder, telemetry reports v2.0. Formats: docs/protocol.md, sections 3, 5 and 7.
--
--   tshark -X lua_script:cats.lua -r capture.pcap -V
--   filters: cats.instance == 3   int.remaining_hops < 4   cats.decision.age_us > 100000

local OPTION_TYPE, OPTION_LENGTH, OPTION_MAGIC = 0x3e, 36, 0xca75
local BEACON_PORT, INT_PORT, REPORT_PORT = 51829, 51830, 51831
local INT_DOMAIN, DECISION_BIT, DECISION_BYTES, MD_BYTES = 0xca75, 0x8000, 12, 12
local UNKNOWN = 0xffffffff

local POLICY = { [0] = "static", [1] = "hash", [2] = "least", [3] = "p2c" }
local PROTOCOL = { [6] = "TCP", [17] = "UDP", [41] = "IPv6" }

-- The CATS metric option ---------------------------------------------------------------------------

local cats = Proto("cats", "CATS metric option")
local m = {
  magic = ProtoField.uint16("cats.magic", "Magic", base.HEX),
  version = ProtoField.uint8("cats.version", "Version", base.DEC, nil, 0xf0),
  flags = ProtoField.uint8("cats.flags", "Flags", base.HEX, nil, 0x0f),
  draining = ProtoField.bool("cats.flags.draining", "Draining", 8, nil, 0x01),
  key_id = ProtoField.uint8("cats.key_id", "Key id"),
  instance = ProtoField.uint32("cats.instance", "Instance"),
  norm_fi = ProtoField.uint8("cats.norm_fi", "L2 score norm_fi"),
  compute = ProtoField.uint8("cats.compute", "L1 score compute"),
  communication = ProtoField.uint8("cats.communication", "L1 score communication"),
  service = ProtoField.uint8("cats.service", "L1 score service"),
  composed = ProtoField.uint8("cats.composed", "L1 score composed"),
  reserved = ProtoField.uint8("cats.reserved", "Reserved", base.HEX),
  in_flight = ProtoField.uint16("cats.in_flight", "Requests in flight"),
  expected_wait_us = ProtoField.uint32("cats.expected_wait_us", "Expected wait (µs)"),
  power_mw = ProtoField.uint32("cats.power_mw", "Power (mW)"),
  sequence = ProtoField.uint32("cats.sequence", "Sequence"),
  mac = ProtoField.bytes("cats.mac", "MAC"),
  blanked = ProtoField.bool("cats.blanked", "Blanked by the domain edge"),
  beacon = ProtoField.bool("cats.beacon", "Beacon"),
}
local e = {
  magic = ProtoExpert.new("cats.unknown", "Not a CATS metric of version 1", expert.group.PROTOCOL, expert.severity.NOTE),
  length = ProtoExpert.new("cats.length", "The option is cut short", expert.group.MALFORMED, expert.severity.ERROR),
}
cats.fields = {
  m.magic, m.version, m.flags, m.draining, m.key_id, m.instance, m.norm_fi, m.compute, m.communication,
  m.service, m.composed, m.reserved, m.in_flight, m.expected_wait_us, m.power_mw, m.sequence, m.mac,
  m.blanked, m.beacon,
}
cats.experts = { e.magic, e.length }

local option_type = Field.new("ipv6.opt.type")
local option_length = Field.new("ipv6.opt.length")
local udp_destination = Field.new("udp.dstport")

local function add_or_unknown(tree, field, range)
  local item = tree:add(field, range)
  if range:uint() == UNKNOWN then
    item:append_text(" (unknown)")
  end
end

-- Lets a dissector read what follows; what it finds malformed is marked, and is no error of this script.
local function follow(dissector, range, pinfo, tree, item, mark)
  if not pcall(function() dissector:call(range:tvb(), pinfo, tree) end) then
    item:add_proto_expert_info(mark)
  end
end

local function metric(data, tree)
  local item = tree:add(cats, data)
  if data(0, OPTION_LENGTH):bytes() == ByteArray.new(string.rep("00", OPTION_LENGTH)) then
    item:append_text(", blanked")
    item:add(m.blanked, data, true)
    return nil
  end
  item:add(m.magic, data(0, 2))
  if data(0, 2):uint() ~= OPTION_MAGIC or data(2, 1):bitfield(0, 4) ~= 1 then
    item:add_proto_expert_info(e.magic)
    return nil
  end
  item:add(m.version, data(2, 1))
  item:add(m.flags, data(2, 1)):add(m.draining, data(2, 1))
  item:add(m.key_id, data(3, 1))
  item:add(m.instance, data(4, 4))
  item:add(m.norm_fi, data(8, 1))
  item:add(m.compute, data(9, 1))
  item:add(m.communication, data(10, 1))
  item:add(m.service, data(11, 1))
  item:add(m.composed, data(12, 1))
  item:add(m.reserved, data(13, 1))
  item:add(m.in_flight, data(14, 2))
  add_or_unknown(item, m.expected_wait_us, data(16, 4))
  add_or_unknown(item, m.power_mw, data(20, 4))
  item:add(m.sequence, data(24, 4))
  item:add(m.mac, data(28, 8))
  local text = string.format("instance %d, %d in flight", data(4, 4):uint(), data(14, 2):uint())
  if data(16, 4):uint() ~= UNKNOWN then
    text = text .. string.format(", wait %d µs", data(16, 4):uint())
  end
  item:append_text(", " .. text)
  return item, text
end

-- Options have no dissector table: the Hop-by-Hop header is read again after Wireshark has.
function cats.dissector(buffer, pinfo, tree)
  local types, lengths = { option_type() }, { option_length() }
  for i, found in ipairs(types) do
    if found.value == OPTION_TYPE and lengths[i] and lengths[i].value == OPTION_LENGTH then
      local start = found.offset + 2
      if start + OPTION_LENGTH > buffer:len() then
        tree:add(cats, buffer(found.offset)):add_proto_expert_info(e.length)
      else
        local item, text = metric(buffer(start, OPTION_LENGTH), tree)
        local ports = { udp_destination() }
        if item and ports[1] and ports[1].value == BEACON_PORT then
          item:add(m.beacon, buffer(start, 0), true)
          pinfo.cols.protocol = "CATS"
          pinfo.cols.info = "Beacon, " .. text
        end
      end
    end
  end
end

register_postdissector(cats)

-- INT-MD v2.1 --------------------------------------------------------------------------------------

local int = Proto("int", "In-band Network Telemetry")
local f = {
  type = ProtoField.uint8("int.type", "Type", base.DEC, { [1] = "INT-MD", [2] = "Destination", [3] = "INT-MX" }, 0xf0),
  npt = ProtoField.uint8("int.npt", "Next protocol type", base.DEC, nil, 0x0c),
  length = ProtoField.uint8("int.length", "Length (words)"),
  protocol = ProtoField.uint8("int.protocol", "Protocol", base.DEC, PROTOCOL),
  version = ProtoField.uint32("int.version", "Version", base.DEC, nil, 0xf0000000),
  discard = ProtoField.bool("int.discard", "Discard at the sink", 32, nil, 0x08000000),
  exceeded = ProtoField.bool("int.exceeded", "Hop count exceeded", 32, nil, 0x04000000),
  mtu_exceeded = ProtoField.bool("int.mtu_exceeded", "MTU exceeded", 32, nil, 0x02000000),
  hop_words = ProtoField.uint32("int.hop_words", "Words per hop", base.DEC, nil, 0x00001f00),
  remaining_hops = ProtoField.uint32("int.remaining_hops", "Remaining hops", base.DEC, nil, 0x000000ff),
  instructions = ProtoField.uint16("int.instructions", "Instructions", base.HEX),
  domain = ProtoField.uint16("int.domain", "Domain", base.HEX),
  domain_instructions = ProtoField.uint16("int.domain_instructions", "Domain instructions", base.HEX),
  domain_flags = ProtoField.uint16("int.domain_flags", "Domain flags", base.HEX),
  hop = ProtoField.bytes("int.hop", "Hop"),
  stack = ProtoField.bytes("int.stack", "Stack that the instructions do not explain"),
}
local DATA = { -- instruction bit, octets, fields
  { 0, 4, { { 0, 4, ProtoField.uint32("int.node_id", "Node") } } },
  { 1, 4, { { 0, 2, ProtoField.uint16("int.ingress_port", "Ingress port") },
            { 2, 2, ProtoField.uint16("int.egress_port", "Egress port") } } },
  { 2, 4, { { 0, 4, ProtoField.uint32("int.hop_latency_us", "Hop latency (µs)") } } },
  { 3, 4, { { 0, 1, ProtoField.uint8("int.queue_id", "Queue") },
            { 1, 3, ProtoField.uint24("int.queue_occupancy", "Queue occupancy (packets)") } } },
  { 4, 8, { { 0, 8, ProtoField.uint64("int.ingress_timestamp_us", "Ingress timestamp (µs)") } } },
  { 5, 8, { { 0, 8, ProtoField.uint64("int.egress_timestamp_us", "Egress timestamp (µs)") } } },
  { 6, 8, { { 0, 4, ProtoField.uint32("int.level2_ingress_port", "Level 2 ingress port") },
            { 4, 4, ProtoField.uint32("int.level2_egress_port", "Level 2 egress port") } } },
  { 7, 4, { { 0, 4, ProtoField.uint32("int.tx_utilisation", "TX utilisation", base.HEX) } } },
  { 8, 4, { { 0, 4, ProtoField.uint32("int.buffer", "Buffer id and occupancy", base.HEX) } } },
  { 15, 4, { { 0, 4, ProtoField.uint32("int.checksum_complement", "Checksum complement", base.HEX) } } },
}
local d = {
  instance = ProtoField.uint16("cats.decision.instance", "Instance"),
  policy = ProtoField.uint8("cats.decision.policy", "Policy", base.DEC, POLICY),
  placed = ProtoField.bool("cats.decision.placed", "Placed by this packet"),
  expected_wait_us = ProtoField.uint32("cats.decision.expected_wait_us", "Expected wait (µs)"),
  age_us = ProtoField.uint32("cats.decision.age_us", "Age of the load (µs)"),
}
local all = { d.instance, d.policy, d.placed, d.expected_wait_us, d.age_us }
for _, field in pairs(f) do
  all[#all + 1] = field
end
for _, kind in ipairs(DATA) do
  for _, part in ipairs(kind[3]) do
    all[#all + 1] = part[3]
  end
end
int.fields = all
local cut = ProtoExpert.new("int.cut", "The lengths do not fit", expert.group.MALFORMED, expert.severity.ERROR)
int.experts = { cut }

local function hop_bytes(instructions)
  local total = 0
  for _, kind in ipairs(DATA) do
    if bit.band(instructions, bit.rshift(0x8000, kind[1])) ~= 0 then
      total = total + kind[2]
    end
  end
  return total
end

local function hop(data, instructions, tree, number)
  local item = tree:add(f.hop, data):set_text(string.format("Hop %d", number))
  local at = 0
  for _, kind in ipairs(DATA) do
    if bit.band(instructions, bit.rshift(0x8000, kind[1])) ~= 0 then
      for _, part in ipairs(kind[3]) do
        item:add(part[3], data(at + part[1], part[2]))
      end
      at = at + kind[2]
    end
  end
end

local function decision(data, tree)
  local item = tree:add(int, data)
  item:set_text(string.format("Decision: instance %d", data(0, 2):uint()))
  item:add(d.instance, data(0, 2))
  item:add(d.policy, data(2, 1))
  item:add(d.placed, data(3, 1))
  add_or_unknown(item, d.expected_wait_us, data(4, 4))
  add_or_unknown(item, d.age_us, data(8, 4))
end

function int.dissector(buffer, pinfo, tree)
  if buffer:len() < 4 + MD_BYTES then
    return 0
  end
  local size = 4 + 4 * buffer(1, 1):uint()
  local item = tree:add(int, buffer(0, math.min(size, buffer:len())))
  item:add(f.type, buffer(0, 1))
  item:add(f.npt, buffer(0, 1))
  item:add(f.length, buffer(1, 1))
  item:add(f.protocol, buffer(3, 1))
  if buffer(0, 1):bitfield(0, 4) ~= 1 or size < 4 + MD_BYTES or size > buffer:len() then
    item:add_proto_expert_info(cut)
    return buffer:len()
  end
  local md = buffer(4, MD_BYTES)
  for _, field in ipairs({ f.version, f.discard, f.exceeded, f.mtu_exceeded, f.hop_words, f.remaining_hops }) do
    item:add(field, md(0, 4))
  end
  item:add(f.instructions, md(4, 2))
  item:add(f.domain, md(6, 2))
  item:add(f.domain_instructions, md(8, 2))
  item:add(f.domain_flags, md(10, 2))

  local instructions, words = md(4, 2):uint(), md(2, 1):bitfield(3, 5)
  local at, stop = 4 + MD_BYTES, size
  local decided = md(6, 2):uint() == INT_DOMAIN and bit.band(md(8, 2):uint(), DECISION_BIT) ~= 0
  if decided and stop - at >= DECISION_BYTES then
    stop = stop - DECISION_BYTES
  else
    decided = false
  end
  local number = 0
  if words > 0 and hop_bytes(instructions) == 4 * words then
    while at + 4 * words <= stop do
      number = number + 1
      hop(buffer(at, 4 * words), instructions, item, number)
      at = at + 4 * words
    end
  end
  if at < stop then
    item:add(f.stack, buffer(at, stop - at))
  end
  if decided then
    decision(buffer(stop, DECISION_BYTES), item)
  end
  item:append_text(string.format(", %d hops", number))

  if size < buffer:len() then
    local next = DissectorTable.get("ip.proto"):get_dissector(buffer(3, 1):uint()) or Dissector.get("data")
    follow(next, buffer(size), pinfo, tree, item, cut)
  end
  return buffer:len()
end

DissectorTable.get("udp.port"):add(INT_PORT, int)

-- Telemetry reports v2.0 ---------------------------------------------------------------------------

local report = Proto("int_report", "Telemetry report")
local r = {
  version = ProtoField.uint32("int_report.version", "Version", base.DEC, nil, 0xf0000000),
  hw_id = ProtoField.uint32("int_report.hw_id", "Hardware id", base.DEC, nil, 0x0fc00000),
  sequence = ProtoField.uint32("int_report.sequence", "Sequence", base.DEC, nil, 0x003fffff),
  node_id = ProtoField.uint32("int_report.node_id", "Node"),
  rep_type = ProtoField.uint8("int_report.rep_type", "Report type", base.DEC, { [0] = "inner", [1] = "INT", [2] = "IOAM" }, 0xf0),
  in_type = ProtoField.uint8("int_report.in_type", "Inner type", base.DEC,
    { [0] = "none", [1] = "TLV", [2] = "domain data", [3] = "Ethernet", [4] = "IPv4", [5] = "IPv6" }, 0x0f),
  report_length = ProtoField.uint8("int_report.report_length", "Length (words)"),
  md_length = ProtoField.uint8("int_report.md_length", "Metadata length (words)"),
  dropped = ProtoField.bool("int_report.dropped", "Dropped", 8, nil, 0x80),
  congested = ProtoField.bool("int_report.congested", "Congested queue", 8, nil, 0x40),
  tracked = ProtoField.bool("int_report.tracked", "Tracked flow", 8, nil, 0x20),
  intermediate = ProtoField.bool("int_report.intermediate", "Intermediate", 8, nil, 0x10),
  rep_md_bits = ProtoField.uint16("int_report.rep_md_bits", "Metadata bits", base.HEX),
  domain = ProtoField.uint16("int_report.domain", "Domain", base.HEX),
  ds_md_bits = ProtoField.uint16("int_report.ds_md_bits", "Domain metadata bits", base.HEX),
  ds_md_status = ProtoField.uint16("int_report.ds_md_status", "Domain metadata status", base.HEX),
  metadata = ProtoField.bytes("int_report.metadata", "Metadata"),
}
all = {}
for _, field in pairs(r) do
  all[#all + 1] = field
end
report.fields = all
local short = ProtoExpert.new("int_report.cut", "The lengths do not fit", expert.group.MALFORMED, expert.severity.ERROR)
report.experts = { short }

-- One individual report at `at`; returns where the next begins, or nil after the last.
local function individual(buffer, at, pinfo, tree, root)
  local words = buffer(at + 1, 1):uint()
  local stop = at + 4 + 4 * words
  if words == 255 or stop > buffer:len() then
    stop = buffer:len()
  end
  local item = tree:add(report, buffer(at, stop - at))
  item:set_text("Individual report")
  item:add(r.rep_type, buffer(at, 1))
  item:add(r.in_type, buffer(at, 1))
  item:add(r.report_length, buffer(at + 1, 1))
  item:add(r.md_length, buffer(at + 2, 1))
  for _, field in ipairs({ r.dropped, r.congested, r.tracked, r.intermediate }) do
    item:add(field, buffer(at + 3, 1))
  end
  local inner = at + 4
  if buffer(at, 1):bitfield(0, 4) == 1 then
    inner = at + 12 + 4 * buffer(at + 2, 1):uint()
    if inner > stop then
      item:add_proto_expert_info(short)
      return nil
    end
    item:add(r.rep_md_bits, buffer(at + 4, 2))
    item:add(r.domain, buffer(at + 6, 2))
    item:add(r.ds_md_bits, buffer(at + 8, 2))
    item:add(r.ds_md_status, buffer(at + 10, 2))
    if inner > at + 12 then
      item:add(r.metadata, buffer(at + 12, inner - at - 12))
    end
  end
  local names = { [3] = "eth_withoutfcs", [4] = "ip", [5] = "ipv6" }
  local name = names[buffer(at, 1):bitfield(4, 4)]
  if name and inner < stop then
    follow(Dissector.get(name), buffer(inner, stop - inner), pinfo, root, item, short)
  end
  return stop < buffer:len() and words ~= 255 and stop or nil
end

function report.dissector(buffer, pinfo, tree)
  if buffer:len() < 8 then
    return 0
  end
  local item = tree:add(report, buffer(0, 8))
  item:add(r.version, buffer(0, 4))
  item:add(r.hw_id, buffer(0, 4))
  item:add(r.sequence, buffer(0, 4))
  item:add(r.node_id, buffer(4, 4))
  local at = 8
  while at do
    if at + 4 > buffer:len() then
      if at < buffer:len() then
        item:add_proto_expert_info(short)
      end
      break
    end
    at = individual(buffer, at, pinfo, item, tree)
  end
  pinfo.cols.protocol = "INT report"
  pinfo.cols.info = string.format("Node %d, sequence %d", buffer(4, 4):uint(), buffer(0, 4):bitfield(10, 22))
  return buffer:len()
end

DissectorTable.get("udp.port"):add(REPORT_PORT, report)
