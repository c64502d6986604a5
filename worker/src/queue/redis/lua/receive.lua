-- Hands out waiting entries. ARGV: group, consumer, slots that look at `small` first, at `large` first.
-- Gives (lane, id, message)...; an entry that is none of ours has an empty message.
local consumer = ARGV[2]
local received = {}

local function read_from(lane, key, mark, count)
  if count == 0 then
    return 0
  end
  local read = { 'XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', key, '>' }
  local reply = in_group(unpack(read))
  if reply == nil then
    -- From the beginning: entries may have been added before anybody read.
    redis.call('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM')
    reply = redis.call(unpack(read))
  end
  if not reply then
    return 0
  end
  local entries = reply[1][2]
  for _, entry in ipairs(entries) do
    received[#received + 1] = lane
    received[#received + 1] = mark .. entry[1]
    received[#received + 1] = message_of(entry[2]) or ''
  end
  return #entries
end

-- What was handed out before comes first; mostly there is none.
local function take(lane, count)
  local came_back = redis.call('XLEN', again[lane])
  if came_back > 0 then
    came_back = read_from(lane, again[lane], AGAIN, count)
  end
  return came_back + read_from(lane, stream[lane], '', count - came_back)
end

-- What one lane leaves free goes to the other.
local small_slots, large_slots = tonumber(ARGV[3]), tonumber(ARGV[4])
local large = take('large', large_slots)
local small = take('small', small_slots + large_slots - large)
if large == large_slots then
  take('large', small_slots - small)
end
return received
