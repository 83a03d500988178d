-- Note what SQL holds of a room, and keep only a window of it here.
-- KEYS: meta, room. ARGV: highest archived number, window
local meta = redis.call('HMGET', KEYS[1], 'n', 'archived')
if not meta[1] then
  return 0 -- emptied meanwhile; the next append seeds it
end
local archived = math.max(tonumber(ARGV[1]), tonumber(meta[2]))
redis.call('HSET', KEYS[1], 'archived', string.format('%d', archived))
local keep = math.min(archived + 1, tonumber(meta[1]) - tonumber(ARGV[2]) + 1)
if keep > 1 then
  redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', keep))
end
return 1
