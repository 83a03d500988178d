-- Note what SQL holds of a room, and keep only a window of it here, without deleted texts.
-- KEYS: meta, room, state, order, texts. ARGV: highest archived number, window
local room = string.match(KEYS[1], '%d+$')
local meta = redis.call('HMGET', KEYS[1], 'n', 'archived')
if not meta[1] then
  redis.call('HDEL', KEYS[5], room)
  return 0 -- emptied meanwhile; the next append seeds it
end
local archived = math.max(tonumber(ARGV[1]), tonumber(meta[2]))
redis.call('HSET', KEYS[1], 'archived', string.format('%d', archived))
local keep = math.min(archived + 1, tonumber(meta[1]) - tonumber(ARGV[2]) + 1)
local deleted = redis.call('HGET', KEYS[5], room)
if deleted then
  local text = tonumber(string.match(deleted, '%d+$'))
  keep = math.max(keep, math.min(text, archived) + 1)
  if text <= archived then
    redis.call('HDEL', KEYS[5], room)
  end
end
if keep > 1 then
  redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', keep))
  -- With a change goes what it made of its message, which is older and so has gone, too.
  local below = string.format('(%d', keep)
  local gone = redis.call('ZRANGE', KEYS[4], '-inf', below, 'BYSCORE')
  if #gone > 0 then
    for i = 1, #gone, 1000 do -- unpack() has a limit of some thousands
      redis.call('HDEL', KEYS[3], unpack(gone, i, math.min(i + 999, #gone)))
    end
    redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', below)
    redis.call('HSET', KEYS[1], 'forgotten', string.format('%d', keep - 1))
  end
end
return 1
