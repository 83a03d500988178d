-- A part of a room's log, its messages as they stand now, and up to which event changes may
-- be known to SQL alone.
-- KEYS: meta, room, state, order. ARGV: XRANGE or XREVRANGE, from, to, count; with 'log'
-- messages are as they were, and so are their edits, but for those that are deleted
local log = ARGV[5] == 'log'
local entries = redis.call(ARGV[1], KEYS[2], ARGV[2], ARGV[3], 'COUNT', ARGV[4])
if redis.call('EXISTS', KEYS[3]) == 1 then
  local ids, at = {}, {}
  for i, entry in ipairs(entries) do
    local kind, id = entry[2][2], nil
    if kind == 'message' then
      id = string.match(entry[1], '^%d+')
    elseif kind == 'message.update' and log then
      id = string.match(entry[2][4], '^{"id":(%d+)')
    end
    if id then
      ids[#ids + 1] = id
      at[#at + 1] = i
    end
  end
  if #ids > 0 then
    for i, state in ipairs(redis.call('HMGET', KEYS[3], unpack(ids))) do
      if state and not (log and string.find(state, '"deleted_at":null', 1, true)) then
        entries[at[i]][2][4] = state
      end
    end
  end
end
return {redis.call('HGET', KEYS[1], 'forgotten') or '', entries}
