-- What every script begins with. All scripts get the same five keys, which share one hash tag.
local queued = KEYS[1]
local stream = { small = KEYS[2], large = KEYS[3] }
local delayed = { small = KEYS[4], large = KEYS[5] }
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

-- Whether this consumer has the entry.
local function owns(lane, id, consumer)
  local pending = in_group('XPENDING', stream[lane], group, id, id, 1, consumer)
  return pending ~= nil and #pending == 1
end

-- Adds a waiting entry. Comes before any removal: without memory it is refused, and nothing has changed.
local function add(lane, message)
  local id = redis.call('XADD', stream[lane], '*', 'm', message)
  redis.call('HSET', queued, message, lane .. '/' .. id)
end

local function remove(lane, id)
  redis.call('XACK', stream[lane], group, id)
  redis.call('XDEL', stream[lane], id)
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
