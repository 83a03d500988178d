-- The feed's last id and rooms' heads at one moment.
-- KEYS: feed, meta, meta, … ARGV: the field of the user's marker
local last = '0-0'
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if not info.err then -- an error: no feed yet
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = info[i + 1]
    end
  end
end
local heads, now = {}, #KEYS > 1 and epoch()
for i = 2, #KEYS do
  local meta = redis.call('HMGET', KEYS[i], 'n', 'm', ARGV[1], 'epoch')
  heads[i - 1] = meta[4] == now and meta or {false}
end
return {last, heads}
