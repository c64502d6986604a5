-- Renews leases. ARGV: group, (lane, id, consumer)... Gives 1 or 0 for each.
local extended = {}
for i = 2, #ARGV, 3 do
  local lane, id, consumer = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key, at = place_of(lane, id)
  local claimed = owns(lane, id, consumer)
    and #redis.call('XCLAIM', key, group, consumer, 0, at, 'JUSTID') == 1
  extended[#extended + 1] = claimed and 1 or 0
end
return extended
