-- How much waits in a lane. ARGV: group, lane. Gives waiting, in flight, delayed. The group's own `lag`
-- is not asked: it is missing or wrong after removals and restarts.
local lane = ARGV[2]
local pending = in_group('XPENDING', stream[lane], group)
local in_flight = pending and pending[1] or 0
local waiting = math.max(redis.call('XLEN', stream[lane]) - in_flight, 0)
return { waiting, in_flight, redis.call('ZCARD', delayed[lane]) }
