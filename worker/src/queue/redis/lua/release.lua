-- Gives an entry back. ARGV: group, lane, id, consumer, message, delay in milliseconds. Gives 1 or 0.
local lane, id, consumer, message, delay_ms = ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
if not owns(lane, id, consumer) then
  return 0
end
if delay_ms == 0 then
  add_again(lane, message)
else
  redis.call('ZADD', delayed[lane], integer(now_ms() + delay_ms), message)
  redis.call('HSET', queued, message, lane .. '/delayed')
end
remove(lane, id)
return 1
