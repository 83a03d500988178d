-- Number an event, store it, feed it and remember its key, or say why not.
-- KEYS: meta, sent, room, feed
-- ARGV: room, type, JSON after {"id":n, digest, key's seconds to live, ms at which the key
--       was made ('' = do not check), longest feed, author
local HOUR_MS = 3600000

local sent = redis.call('GET', KEYS[2])
if sent then
  local n, digest = string.match(sent, '^(%d+):(.*)$')
  local entry = redis.call('XRANGE', KEYS[3], n .. '-0', n .. '-0')[1]
  return {'again', tonumber(n), digest, entry and entry[2][4] or false}
end

local meta = redis.call('HMGET', KEYS[1], 'n', 'm', 'seeded', 'epoch')
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

if redis.call('XLEN', KEYS[4]) >= tonumber(ARGV[7]) then
  return {'full'}
end

local n = string.format('%d', meta[1] + 1)
local m = string.format('%d', meta[2] + (ARGV[2] == 'message' and 1 or 0))
local data = '{"id":' .. n .. ARGV[3]
redis.call('XADD', KEYS[3], n .. '-0', 't', ARGV[2], 'd', data)
redis.call('HSET', KEYS[1], 'n', n, 'm', m)
if ARGV[2] == 'message' then
  redis.call('HSET', KEYS[1], 'r' .. ARGV[8], n .. ':' .. m) -- who writes has read
end
local feed = redis.call('XADD', KEYS[4], '*', 'r', ARGV[1], 'n', n, 'm', m, 't', ARGV[2], 'd', data)
redis.call('SET', KEYS[2], n .. ':' .. ARGV[4], 'EX', ARGV[5])
return {'new', tonumber(n), m, feed}
