-- Messages that were changed, as they stand now, each with the number of its last change;
-- and up to which event changes may be known to SQL alone.
-- KEYS: meta, state, order. ARGV: ids …
local found = {}
if #ARGV > 0 and redis.call('EXISTS', KEYS[2]) == 1 then
  for i, state in ipairs(redis.call('HMGET', KEYS[2], unpack(ARGV))) do
    if state then
      found[#found + 1] = {ARGV[i], redis.call('ZSCORE', KEYS[3], ARGV[i]), state}
    end
  end
end
return {redis.call('HGET', KEYS[1], 'forgotten') or '', found}
