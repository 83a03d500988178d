-- Number an event, store it, feed it and remember its key, or say why not.
-- KEYS: meta, sent, room, feed; of a message's change also state, order, texts
-- ARGV: room, type, JSON (all of it, or what follows {"id":n), digest, key's seconds to live,
--       ms at which the key was made ('' = do not check), longest feed, author;
--       of a message's change also: the message's id, and as its changer saw it the number
--       of its last change and up to where changes were forgotten; what it is after this
--       ('' = the JSON), the client's key
local HOUR_MS = 3600000

local sent = redis.call('GET', KEYS[2])
if sent then
  local n, digest = string.match(sent, '^(%d+):(.*)$')
  local entry = redis.call('XRANGE', KEYS[3], n .. '-0', n .. '-0')[1]
  return {'again', tonumber(n), digest, entry and entry[2][4] or false}
end

local meta = redis.call('HMGET', KEYS[1], 'n', 'm', 'seeded', 'epoch', 'forgotten', 'o' .. ARGV[8])
if not meta[1] or meta[4] ~= epoch() then
  return {'unseeded'}
end

-- Redis remembers keys for 24 h, and none from before it was emptied. A key that was made
-- within 12 h, and after the room was seeded, cannot have been forgotten.
if ARGV[6] ~= '' then
  local made = tonumber(ARGV[6])
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if made < now - 12 * HOUR_MS or made > now + HOUR_MS or made <= tonumber(meta[3]) then
    return {'unsure'}
  end
end

-- Who was let in by a process that has not heard of the leaving yet. What somebody did to a
-- room or its members before is still to be told.
local kind = string.match(ARGV[2], '^%a+')
if meta[6] and (kind == 'message' or kind == 'reaction') then
  return {'out'}
end

-- A change is made of what its maker saw; whoever saw less than there is looks again.
local about = ARGV[9]
if about then
  local version = redis.call('ZSCORE', KEYS[6], about) or ''
  if version ~= ARGV[10] or (meta[5] or '') ~= ARGV[11] then
    return {'stale'}
  end
end

if redis.call('XLEN', KEYS[4]) >= tonumber(ARGV[7]) then
  return {'full'}
end

local n = string.format('%d', meta[1] + 1)
local m = string.format('%d', meta[2] + (ARGV[2] == 'message' and 1 or 0))
local data = ARGV[3]
if string.sub(data, 1, 1) ~= '{' then
  data = '{"id":' .. n .. data
end
redis.call('XADD', KEYS[3], n .. '-0', 't', ARGV[2], 'd', data)
if ARGV[2] == 'message' then -- who writes has read
  redis.call('HSET', KEYS[1], 'n', n, 'm', m, 'r' .. ARGV[8], n .. ':' .. m)
else
  redis.call('HSET', KEYS[1], 'n', n, 'm', m)
  if ARGV[2] == 'member.leave' then
    redis.call('HSET', KEYS[1], 'o' .. ARGV[8], n)
    redis.call('HDEL', KEYS[1], 'r' .. ARGV[8])
  elseif ARGV[2] == 'member.join' then
    redis.call('HDEL', KEYS[1], 'o' .. ARGV[8])
  end
end
local more = {}
if about then
  redis.call('HSET', KEYS[5], about, ARGV[12] ~= '' and ARGV[12] or data)
  redis.call('ZADD', KEYS[6], n, about)
  more = {'s', ARGV[12], 'k', ARGV[13]}
end
local feed = redis.call('XADD', KEYS[4], '*', 'r', ARGV[1], 'n', n, 'm', m, 't', ARGV[2],
  'd', data, unpack(more))
redis.call('SET', KEYS[2], n .. ':' .. ARGV[4], 'EX', ARGV[5])
if ARGV[2] == 'message.delete' then
  -- The text is in the message and in changes of it, none of which is newer than the last one.
  local text = math.max(tonumber(about), tonumber(ARGV[10]) or 0)
  local known = redis.call('HGET', KEYS[7], ARGV[1])
  text = math.max(text, known and tonumber(string.match(known, '%d+$')) or 0)
  redis.call('HSET', KEYS[7], ARGV[1], string.format('%s:%s:%d', feed, n, text))
end
return {'new', tonumber(n), m, feed}
