-- Makes entries whose lease ran out waiting again, under a new id. It claims nothing: looking for idle
-- entries and moving them is one step. ARGV: group, lease in milliseconds, how many at most.
local lease_ms, left = ARGV[2], tonumber(ARGV[3])
local swept = 0
for _, place in ipairs(places) do
  local pending = nil
  if left > 0 then
    pending = in_group('XPENDING', place.key, group, 'IDLE', lease_ms, '-', '+', left)
  end
  for _, lease in ipairs(pending or {}) do
    local id = lease[1]
    local entry = redis.call('XRANGE', place.key, id, id)[1]
    -- Without a message it is not ours, or somebody deleted it by hand: the ledger knows what is missing.
    local message = entry and message_of(entry[2])
    if message then
      add_again(place.lane, message)
    end
    remove(place.lane, place.mark .. id)
    swept = swept + 1
  end
  left = left - (pending and #pending or 0)
end
return swept
