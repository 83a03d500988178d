-- Acknowledge entries that SQL holds, say up to where it holds everything, cut the feed.
-- KEYS: feed. ARGV: group, window, entry ids …
for i = 3, #ARGV, 1000 do -- unpack() has a limit of some thousands
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end

-- The first id that SQL may not hold: the oldest pending one, or what comes after the
-- last delivered one.
local first
local pending = redis.call('XPENDING', KEYS[1], ARGV[1])
if pending[1] > 0 then
  first = pending[2]
else
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local field = {}
    for i = 1, #group, 2 do
      field[group[i]] = group[i + 1]
    end
    if field['name'] == ARGV[1] then
      local ms, seq = string.match(field['last-delivered-id'], '^(%d+)-(%d+)$')
      first = ms .. '-' .. string.format('%d', seq + 1)
    end
  end
end

local window = tonumber(ARGV[2])
if redis.call('XLEN', KEYS[1]) > 2 * window then
  local cut = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', window)[window][1]
  local cut_ms, cut_seq = string.match(cut, '^(%d+)-(%d+)$')
  local ms, seq = string.match(first, '^(%d+)-(%d+)$')
  if tonumber(ms) < tonumber(cut_ms)
    or (tonumber(ms) == tonumber(cut_ms) and tonumber(seq) < tonumber(cut_seq)) then
    cut = first
  end
  redis.call('XTRIM', KEYS[1], 'MINID', cut)
end
return first
