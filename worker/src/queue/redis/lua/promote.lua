-- Makes delayed entries that are due waiting again. ARGV: group, how many at most. Gives how many.
local left = tonumber(ARGV[2])
local now = integer(now_ms())
local promoted = 0
for _, lane in ipairs(lanes) do
  local due = redis.call('ZRANGEBYSCORE', delayed[lane], '-inf', now, 'LIMIT', 0, left)
  for _, message in ipairs(due) do
    add_again(lane, message)
    redis.call('ZREM', delayed[lane], message)
  end
  promoted = promoted + #due
  left = left - #due
end
return promoted
