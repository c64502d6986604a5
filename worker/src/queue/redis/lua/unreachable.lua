-- Brings back entries that the group went past and nobody has: no read gives them, and no lease of them runs
-- out. They come of an append-only file of which a part was dropped at one start and not at the next. ARGV:
-- group, number of the place (1 to 4), id to begin at, how many at most to look at. Gives how many it moved,
-- and the id to go on at, or nothing at the end.
local place, from, most = places[tonumber(ARGV[2])], ARGV[3], tonumber(ARGV[4])

-- The id up to which the group handed out.
local last = nil
for _, known in ipairs(told_of('GROUPS', place.key)) do
  if known.name == group then
    last = known['last-delivered-id']
  end
end
if not last then
  return { 0, '' }
end
local entries = redis.call('XRANGE', place.key, from, last, 'COUNT', most)
local moved = 0
for _, entry in ipairs(entries) do
  local id = entry[1]
  if #redis.call('XPENDING', place.key, group, id, id, 1) == 0 then
    local message = message_of(entry[2])
    local here = place.lane .. '/' .. place.mark .. id
    -- Another entry of the same message may have taken its place since.
    if message and (redis.call('HGET', queued, message) == here or not has_entry(message)) then
      add_again(place.lane, message)
    end
    remove(place.lane, place.mark .. id)
    moved = moved + 1
  end
end
local next = ''
if #entries == most then
  next = '(' .. entries[#entries][1]
end
return { moved, next }
