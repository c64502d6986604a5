-- Removes entries for good. ARGV: group, (lane, id, consumer, message)... Gives 1 or 0 for each.
local acked = {}
for i = 2, #ARGV, 4 do
  local lane, id, consumer, message = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local owned = owns(lane, id, consumer)
  if owned then
    remove(lane, id)
    if redis.call('HGET', queued, message) == lane .. '/' .. id then
      redis.call('HDEL', queued, message)
    end
  end
  acked[#acked + 1] = owned and 1 or 0
end
return acked
