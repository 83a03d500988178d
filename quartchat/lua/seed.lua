-- Tell Redis where SQL says that a room stands, where Redis does not know or may have lost it.
-- KEYS: meta, room, feed, state, order, texts
-- ARGV: last number, messages so far, a control entry but for its end ('' = tell nobody),
--       how many events SQL holds after `gap`, the number, type and JSON of each; then the
--       id, last change and JSON of each message that they changed
local n, now = tonumber(ARGV[1]), epoch()
local meta = redis.call('HMGET', KEYS[1], 'n', 'm', 'epoch')
local known = tonumber(meta[1] or -1)
if known >= n and meta[3] == now then
  return {'known'}
end

-- The stream must have no hole: what it lacks up to n is asked for, and put back.
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local top = last and tonumber(string.match(last[1], '^%d+'))
local states = 5 + 3 * tonumber(ARGV[4])
local deletion -- the last one that is put back
if top and top < n then
  if #ARGV < 5 then
    return {'gap', top}
  end
  for i = 5, states - 1, 3 do
    local number = tonumber(ARGV[i])
    if number == top + 1 then
      top = number
      redis.call('XADD', KEYS[2], string.format('%d-0', number), 't', ARGV[i + 1], 'd', ARGV[i + 2])
      deletion = ARGV[i + 1] == 'message.delete' and number or deletion
    end
  end
  if top < n then
    redis.call('XTRIM', KEYS[2], 'MAXLEN', 0)
    redis.call('DEL', KEYS[4], KEYS[5])
  else
    for i = states, #ARGV, 3 do
      redis.call('ZADD', KEYS[5], ARGV[i + 1], ARGV[i])
      redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 2])
    end
  end
end

local raised = known >= 0 and n > known
local m = known > n and meta[2] or ARGV[2]
n = string.format('%d', math.max(n, known, top or 0))
local time = redis.call('TIME')
redis.call('HSETNX', KEYS[1], 'archived', ARGV[1])
-- `forgotten` moves, so that no change is made of what was seen before.
redis.call('HSET', KEYS[1], 'n', n, 'm', m, 'epoch', now, 'forgotten', n,
  'seeded', string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000)))
if ARGV[3] ~= '' then
  local told = ARGV[3] .. ',"n":' .. n .. ',"raised":' .. tostring(raised) .. '}'
  local feed = redis.call('XADD', KEYS[3], '*', 'c', told)
  if deletion then -- what stands before it may have the text
    redis.call('HSET', KEYS[6], string.match(KEYS[1], '%d+$'),
      string.format('%s:%d:%d', feed, deletion, deletion))
  end
end
return {'seeded'}
