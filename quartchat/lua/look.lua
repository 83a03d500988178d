-- A part of a room's log, its messages as they stand now, and up to which event changes may
-- be known to SQL alone.
-- KEYS: meta, room, state, order. ARGV: XRANGE or XREVRANGE, from, to, count
local entries = redis.call(ARGV[1], KEYS[2], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
if redis.call('EXISTS', KEYS[3]) == 1 then
  local ids, at = {}, {}
  for i, entry in ipairs(entries) do
    if entry[2][2] == 'message' then
      ids[#ids + 1] = string.match(entry[1], '^%d+')
      at[#at + 1] = i
    end
  end
  if #ids > 0 then
    for i, state in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do
      if state then
        entries[at[i]][2][4] = state
      end
    end
  end
end
return {redis.call('HGET', KEYS[1], 'forgotten') or '', entries}
