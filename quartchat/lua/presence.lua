-- Note whom a process has and has no more, and tell of those who came or went altogether.
-- A few commands, however many users: at most some thousands, which Lua's stack has room for.
-- KEYS: online (user -> how many processes have them), the process's users, live
-- ARGV: entries kept, then for each user, once: '1' came or '0' went, id, JSON list of rooms …
local online, mine = KEYS[1], KEYS[2]
local rooms, came, went = {}, {}, {}
for i = 2, #ARGV, 3 do
  local users = ARGV[i] == '1' and came or went
  users[#users + 1] = ARGV[i + 1]
  rooms[ARGV[i + 1]] = ARGV[i + 2]
end

-- Those of some users whom the process has, or has not, and how many processes have each.
local function changing(users, had)
  local found = {}
  if #users > 0 then
    for i, is_mine in ipairs(redis.call('SMISMEMBER', mine, unpack(users))) do
      if is_mine == had then
        found[#found + 1] = users[i]
      end
    end
  end
  return found, #found > 0 and redis.call('HMGET', online, unpack(found)) or {}
end

local changes, counts, gone = {}, {}, {}
local function count(user, was, is)
  if (was > 0) ~= (is > 0) then
    changes[#changes + 1] = '[' .. user .. ',' .. tostring(is > 0) .. ',' .. rooms[user] .. ']'
  end
  if is > 0 then
    counts[#counts + 1] = user
    counts[#counts + 1] = is
  else
    gone[#gone + 1] = user
  end
end

local new, had = changing(came, 0)
for i, user in ipairs(new) do
  local was = tonumber(had[i] or 0)
  count(user, was, was + 1)
end
local old, has = changing(went, 1)
for i, user in ipairs(old) do
  local was = tonumber(has[i] or 0)
  count(user, was, was - 1)
end

local function call(command, key, arguments)
  if #arguments > 0 then
    redis.call(command, key, unpack(arguments))
  end
end
call('SADD', mine, new)
call('SREM', mine, old)
call('HSET', online, counts)
call('HDEL', online, gone)
if #changes > 0 then
  local data = '[' .. table.concat(changes, ',') .. ']'
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[1], '*', 't', 'presence', 'd', data)
end
return #changes
