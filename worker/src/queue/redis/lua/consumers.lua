-- Forgets consumers that have nothing and did nothing for long: each process start has a name of its
-- own. Never one with pending entries: those would be lost. ARGV: group, idle time in milliseconds.
local idle_ms = tonumber(ARGV[2])
local forgotten = 0
for _, place in ipairs(places) do
  local consumers = redis.pcall('XINFO', 'CONSUMERS', place.key, group)
  if consumers.err then
    if not string.find(consumers.err, 'NOGROUP', 1, true) and not string.find(consumers.err, 'no such key', 1, true) then
      redis.call('XINFO', 'CONSUMERS', place.key, group)
    end
    consumers = {}
  end
  for _, fields in ipairs(consumers) do
    local consumer = {}
    for i = 1, #fields, 2 do
      consumer[fields[i]] = fields[i + 1]
    end
    if consumer.pending == 0 and consumer.idle > idle_ms then
      redis.call('XGROUP', 'DELCONSUMER', place.key, group, consumer.name)
      forgotten = forgotten + 1
    end
  end
end
return forgotten
