-- What every script begins with. All scripts get the same seven keys, which share one hash tag.
local queued = KEYS[1]
local stream = { small = KEYS[2], large = KEYS[3] }
local delayed = { small = KEYS[4], large = KEYS[5] }
-- Entries that were handed out before: they come before those of their lane's stream, or the documents of
-- a dead worker would wait behind all that is new. The ids of such entries begin with a mark.
local again = { small = KEYS[6], large = KEYS[7] }
local AGAIN = '+'
local lanes = { 'small', 'large' }
local group = ARGV[1]

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A number as Redis wants it: Lua writes large ones with an exponent.
local function integer(number)
  return string.format('%.0f', number)
end

-- Calls what needs a group; nil where there is none (nobody read yet, or Redis was emptied).
local function in_group(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'NOGROUP', 1, true) then
      return nil
    end
    -- Again, to fail as the command does.
    return redis.call(...)
  end
  return reply
end

-- The stream of an entry, and its id there.
local function place_of(lane, id)
  if string.sub(id, 1, 1) == AGAIN then
    return again[lane], string.sub(id, 2)
  end
  return stream[lane], id
end

-- Both streams of every lane, as (lane, key, mark of ids)...
local places = {}
for _, lane in ipairs(lanes) do
  places[#places + 1] = { lane = lane, key = again[lane], mark = AGAIN }
  places[#places + 1] = { lane = lane, key = stream[lane], mark = '' }
end

-- Whether this consumer has the entry.
local function owns(lane, id, consumer)
  local key, at = place_of(lane, id)
  local pending = in_group('XPENDING', key, group, at, at, 1, consumer)
  return pending ~= nil and #pending == 1
end

-- Adds a waiting entry. Comes before any removal: without memory it is refused, and nothing has changed.
local function add(lane, message)
  local id = redis.call('XADD', stream[lane], '*', 'm', message)
  redis.call('HSET', queued, message, lane .. '/' .. id)
end

-- The same for one that was handed out before.
local function add_again(lane, message)
  local id = redis.call('XADD', again[lane], '*', 'm', message)
  redis.call('HSET', queued, message, lane .. '/' .. AGAIN .. id)
end

local function remove(lane, id)
  local key, at = place_of(lane, id)
  redis.call('XACK', key, group, at)
  redis.call('XDEL', key, at)
end

-- The message of an entry's fields; nil where it has none.
local function message_of(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'm' then
      return fields[i + 1]
    end
  end
  return nil
end

-- What XINFO tells of something, each as a table by name; nothing where there is no stream or no group.
local function told_of(...)
  local reply = redis.pcall('XINFO', ...)
  if reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) and not string.find(reply.err, 'no such key', 1, true) then
      -- Again, to fail as the command does.
      redis.call('XINFO', ...)
    end
    return {}
  end
  local all = {}
  for n, fields in ipairs(reply) do
    all[n] = {}
    for i = 1, #fields, 2 do
      all[n][fields[i]] = fields[i + 1]
    end
  end
  return all
end

-- Whether the message has an entry, waiting, leased or delayed.
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
