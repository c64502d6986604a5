-- How much waits in a lane. ARGV: group, lane, milliseconds within which a delayed entry is due. Gives waiting,
-- in flight, delayed, and how many of those are due. The group's own `lag` is not asked: it is missing or wrong
-- after removals and restarts.
local lane, within_ms = ARGV[2], tonumber(ARGV[3])
local waiting, in_flight = 0, 0
for _, key in ipairs({ again[lane], stream[lane] }) do
  local pending = in_group('XPENDING', key, group)
  local leased = pending and pending[1] or 0
  in_flight = in_flight + leased
  waiting = waiting + math.max(redis.call('XLEN', key) - leased, 0)
end
local due = redis.call('ZCOUNT', delayed[lane], '-inf', integer(now_ms() + within_ms))
return { waiting, in_flight, redis.call('ZCARD', delayed[lane]), due }
