-- Note whom a process has and has no more, and tell of those who came or went altogether.
-- KEYS: online (user -> how many processes have them), the process's users, live
-- ARGV: entries kept, then for each user: '1' came or '0' went, id, JSON list of rooms …
local changes = {}
for i = 2, #ARGV, 3 do
  local user, rooms = ARGV[i + 1], ARGV[i + 2]
  if ARGV[i] == '1' then
    if redis.call('SADD', KEYS[2], user) == 1 and redis.call('HINCRBY', KEYS[1], user, 1) == 1 then
      changes[#changes + 1] = '[' .. user .. ',true,' .. rooms .. ']'
    end
  elseif redis.call('SREM', KEYS[2], user) == 1 and redis.call('HINCRBY', KEYS[1], user, -1) < 1 then
    redis.call('HDEL', KEYS[1], user)
    changes[#changes + 1] = '[' .. user .. ',false,' .. rooms .. ']'
  end
end
if #changes > 0 then
  local data = '[' .. table.concat(changes, ',') .. ']'
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[1], '*', 't', 'presence', 'd', data)
end
return #changes
