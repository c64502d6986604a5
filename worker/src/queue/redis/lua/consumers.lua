-- Forgets consumers that have nothing and did nothing for long: each process start has a name of its
-- own. Never one with pending entries: those would be lost. ARGV: group, idle time in milliseconds.
local idle_ms = tonumber(ARGV[2])
local forgotten = 0
for _, place in ipairs(places) do
  for _, consumer in ipairs(told_of('CONSUMERS', place.key, group)) do
    if consumer.pending == 0 and consumer.idle > idle_ms then
      redis.call('XGROUP', 'DELCONSUMER', place.key, group, consumer.name)
      forgotten = forgotten + 1
    end
  end
end
return forgotten
