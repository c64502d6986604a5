-- When the next delayed entry or lease falls due, in milliseconds since the epoch, as text; nil for never.
-- ARGV: group, lease in milliseconds, how many leases are looked at in a lane.
local now, lease_ms = now_ms(), tonumber(ARGV[2])
local due = nil
local function at(time)
  if not due or time < due then
    due = time
  end
end
for _, lane in ipairs(lanes) do
  local first = redis.call('ZRANGE', delayed[lane], 0, 0, 'WITHSCORES')
  if first[2] then
    at(tonumber(first[2]))
  end
end
for _, place in ipairs(places) do
  for _, lease in ipairs(in_group('XPENDING', place.key, group, '-', '+', ARGV[3]) or {}) do
    at(now + lease_ms - lease[3])
  end
end
return due and integer(due)
