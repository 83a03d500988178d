-- Tell a room that Redis does not know where SQL says it stands.
-- KEYS: meta, room. ARGV: last number, messages so far
if redis.call('HEXISTS', KEYS[1], 'n') == 1 then
  return 0
end
local n, time = tonumber(ARGV[1]), redis.call('TIME')
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last then
  n = math.max(n, tonumber(string.match(last[1], '^%d+')))
end
redis.call('HSET', KEYS[1], 'n', string.format('%d', n), 'm', ARGV[2], 'archived', ARGV[1],
  'seeded', string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000)))
return 1
