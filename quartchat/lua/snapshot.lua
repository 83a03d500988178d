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
local heads = {}
for i = 2, #KEYS do
  heads[i - 1] = redis.call('HMGET', KEYS[i], 'n', 'm', ARGV[1])
end
return {last, heads}
