-- Adds an entry for each message that has none, waiting, leased or delayed. ARGV: group, (message, lane)...
local function has_entry(message)
  local where = redis.call('HGET', queued, message)
  if not where then
    return false
  end
  local lane, id = string.match(where, '^(%a+)/(.+)$')
  if not stream[lane] then
    return false
  end
  if id == 'delayed' then
    return redis.call('ZSCORE', delayed[lane], message)
  end
  local key, at = place_of(lane, id)
  return #redis.call('XRANGE', key, at, at) == 1
end

local added = 0
for i = 2, #ARGV, 2 do
  if not has_entry(ARGV[i]) then
    add(ARGV[i + 1], ARGV[i])
    added = added + 1
  end
end
return added
